//! Handles intents on the screen of a new key and in its passphrase form.

use secrecy::SecretString;

use super::{PAGE_LINES, form};
use crate::domain::trim_secret_input;
use crate::tui::state::{
    Effect, Intent, Model, PassphraseForm, Question, Request, Screen, TextField, scroll_by,
};

pub(super) fn handle_intent(model: &mut Model, intent: Intent) -> Vec<Effect> {
    let now = model.now;
    let needs_passphrase =
        model.alternate_store.as_ref().map(|alternate| alternate.needs_passphrase);
    let Screen::NewKey(new_key) = &mut model.screen else { return Vec::new() };
    if new_key.passphrase_form.is_some() {
        return handle_passphrase_intent(model, intent);
    }
    match intent {
        Intent::ToggleReveal => new_key.toggle_revealed(now),
        Intent::Copy => return vec![Effect::CopyShownKey(new_key.key.clone())],
        Intent::OpenKeyPage => return vec![Effect::OpenUrl(new_key.entry.page_url())],
        Intent::Move(by) => new_key.scroll = scroll_by(new_key.scroll, by),
        Intent::MovePage(by) => {
            new_key.scroll = scroll_by(new_key.scroll, by.saturating_mul(PAGE_LINES));
        }
        Intent::Retry if !new_key.is_stored && new_key.store_ticket.is_none() => {
            let (entry, key) = (new_key.entry.clone(), new_key.key.clone());
            let ticket = model.open_request();
            if let Screen::NewKey(new_key) = &mut model.screen {
                new_key.store_ticket = Some(ticket);
            }
            return vec![Effect::Request(ticket, Request::RetryStore { entry, key })];
        }
        Intent::StoreInAlternate if !new_key.is_stored && new_key.store_ticket.is_none() => {
            match needs_passphrase {
                Some(true) => {
                    new_key.revealed_until = None;
                    new_key.passphrase_form = Some(PassphraseForm::default());
                }
                Some(false) => return store_in_alternate(model, None),
                None => {}
            }
        }
        Intent::Back | Intent::NewKey if !new_key.is_stored => {
            model.question = Some(Question::DiscardUnstoredKey);
        }
        Intent::Back => model.screen = Screen::Dashboard,
        Intent::NewKey => return form::open_new_key_form(model),
        _ => {}
    }
    Vec::new()
}

/// Handles an intent in the passphrase form.
fn handle_passphrase_intent(model: &mut Model, intent: Intent) -> Vec<Effect> {
    let Screen::NewKey(new_key) = &mut model.screen else { return Vec::new() };
    let Some(passphrase_form) = &mut new_key.passphrase_form else { return Vec::new() };
    match intent {
        Intent::Back => new_key.passphrase_form = None,
        Intent::TypeChar(c) => passphrase_form.focused_field_mut().insert(c),
        Intent::EditText(request) => passphrase_form.focused_field_mut().edit(request),
        Intent::Paste(text) => passphrase_form.focused_field_mut().paste(&text),
        Intent::NextField => passphrase_form.focus_index = 1 - passphrase_form.focus_index,
        Intent::Enter if trim_secret_input(passphrase_form.fields[0].text()).is_empty() => {
            (passphrase_form.focus_index, passphrase_form.error) = (0, Some("enter a passphrase"));
        }
        Intent::Enter if passphrase_form.focus_index == 0 => passphrase_form.focus_index = 1,
        Intent::Enter
            if trim_secret_input(passphrase_form.fields[0].text())
                != trim_secret_input(passphrase_form.fields[1].text()) =>
        {
            passphrase_form.fields[1] = TextField::default();
            passphrase_form.error = Some("the passphrases do not match");
        }
        Intent::Enter => {
            let passphrase =
                SecretString::from(trim_secret_input(passphrase_form.fields[0].text()));
            return store_in_alternate(model, Some(passphrase));
        }
        _ => {}
    }
    Vec::new()
}

fn store_in_alternate(model: &mut Model, passphrase: Option<SecretString>) -> Vec<Effect> {
    let ticket = model.open_request();
    let Screen::NewKey(new_key) = &mut model.screen else { return Vec::new() };
    new_key.store_ticket = Some(ticket);
    new_key.passphrase_form = None;
    let (entry, key) = (new_key.entry.clone(), new_key.key.clone());
    vec![Effect::Request(ticket, Request::StoreInAlternate { entry, key, passphrase })]
}
