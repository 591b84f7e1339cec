//! What a person wants, screen by screen. An intent that means nothing on a screen does nothing.

use secrecy::SecretString;

use super::{actions, form, plan, quit_when_idle, sign_in};
use crate::domain::StoredKey;
use crate::tui::state::{
    Effect, Intent, KeyScope, Model, PassphraseForm, Question, Screen, TextField,
};

/// What a person wants, wherever they are.
pub(super) fn handle_intent(model: &mut Model, intent: Intent) -> Vec<Effect> {
    if let Some(question) = model.question.take() {
        return handle_question_intent(model, question, &intent);
    }
    match intent {
        Intent::Quit | Intent::Interrupt => return request_quit(model),
        Intent::Suspend => {
            model.dashboard.hide_revealed_key();
            if let Screen::NewKey(reveal) = &mut model.screen {
                reveal.revealed_until = None;
            }
            return vec![Effect::Suspend];
        }
        Intent::ToggleHelp => {
            model.help_page = if model.help_page.is_some() { None } else { Some(0) };
            return Vec::new();
        }
        _ => {}
    }
    if let Some(page) = model.help_page {
        // What lies under the help is not touched.
        match intent {
            Intent::Back => model.help_page = None,
            Intent::Move(by) => model.help_page = Some(page.saturating_add_signed(by)),
            _ => {}
        }
        return Vec::new();
    }
    match &mut model.screen {
        Screen::Dashboard => handle_dashboard_intent(model, intent),
        Screen::Form(_) => form::handle_intent(model, intent),
        Screen::SignIn(_) => sign_in::handle_intent(model, intent),
        Screen::NewKey(_) => handle_new_key_intent(model, intent),
        Screen::Confirm(_) => actions::handle_confirm_intent(model, intent),
        Screen::Plan(_) => plan::handle_intent(model, intent),
        Screen::ActionResults(_) => {
            if matches!(intent, Intent::Back | Intent::Enter) {
                model.screen = Screen::Dashboard;
            }
            Vec::new()
        }
    }
}

fn handle_dashboard_intent(model: &mut Model, intent: Intent) -> Vec<Effect> {
    let page = model.dashboard.page_size(model.terminal_size.1).cast_signed();
    let label = model.dashboard.selected_key().map(|held| held.label.clone());
    let here = model.dashboard.selected_key().is_some_and(StoredKey::is_stored);
    match intent {
        // While the filter is typed, letters are its own; what moves the selection still does.
        Intent::TypeChar(c) if model.dashboard.is_filtering => {
            model.dashboard.filter.insert(c);
            model.dashboard.update_rows(model.now);
        }
        Intent::Paste(text) if model.dashboard.is_filtering => {
            model.dashboard.filter.paste(&text);
            model.dashboard.update_rows(model.now);
        }
        Intent::EditText(request) if model.dashboard.is_filtering => {
            model.dashboard.filter.edit(request);
            model.dashboard.update_rows(model.now);
        }
        Intent::Enter => model.dashboard.is_filtering = false,
        Intent::EditFilter => model.dashboard.is_filtering = true,
        Intent::NextSortOrder => {
            let sort = model.dashboard.sort_order.next();
            model.dashboard.set_sort_order(sort, model.now);
            model.notice = Some(Ok(format!("sorted by {}", sort.description())));
        }
        Intent::ReverseSort => {
            model.dashboard.set_sort_order(model.dashboard.sort_order, model.now)
        }
        Intent::ToggleMark => model.dashboard.toggle_mark(),
        Intent::ClickRow(screen_row) => {
            if let Some(row) = model.dashboard.row_at(screen_row, model.terminal_size.1) {
                model.dashboard.select_row(row);
            }
        }
        Intent::Move(by) => model.dashboard.move_selection(by),
        Intent::MovePage(by) => model.dashboard.move_selection(by.saturating_mul(page)),
        Intent::MoveToTop => model.dashboard.select_row(0),
        Intent::MoveToBottom => model.dashboard.select_row(usize::MAX),
        Intent::ToggleDetails => {
            model.dashboard.hide_revealed_key();
            model.dashboard.are_details_shown =
                label.is_some() && !model.dashboard.are_details_shown;
        }
        // One step at a time: what lies on top goes first.
        Intent::Back if model.dashboard.are_details_shown => {
            model.dashboard.are_details_shown = false;
            model.dashboard.hide_revealed_key();
        }
        Intent::Back
            if model.dashboard.is_filtering || !model.dashboard.filter.text().is_empty() =>
        {
            model.dashboard.is_filtering = false;
            model.dashboard.filter = TextField::default();
            model.dashboard.update_rows(model.now);
        }
        Intent::Back if !model.dashboard.marked_hashes.is_empty() => {
            model.dashboard.marked_hashes.clear()
        }
        Intent::Back => {
            if let Some(round) = &model.refresh.current_round {
                return vec![Effect::StopRefresh(round.ticket)];
            }
        }
        Intent::NewKey => {
            model.dashboard.hide_revealed_key();
            return form::open_new_key_form(model);
        }
        Intent::Reload => {
            model.refresh.refresh_after_load = true;
            let mut effects = super::load_keys(model);
            if model.dashboard.scope != KeyScope::Stored {
                let ticket = model.next_ticket();
                model.dashboard.account_keys_ticket = Some(ticket);
                effects.push(Effect::LoadAccountKeys(ticket));
            }
            return effects;
        }
        Intent::Copy | Intent::ToggleReveal if !here && label.is_some() => {
            actions::show_not_stored_error(model)
        }
        Intent::Copy => return label.map(Effect::CopyStoredKey).into_iter().collect(),
        Intent::ToggleReveal => {
            if model.dashboard.revealed_key.take().is_none()
                && let Some(label) = label
            {
                let ticket = model.next_ticket();
                model.dashboard.secret_ticket = Some(ticket);
                return vec![Effect::ReadSecret(ticket, label)];
            }
        }
        Intent::OpenKeyPage => {
            let address = model.dashboard.selected_key().map(StoredKey::page_url);
            return address.map(Effect::OpenUrl).into_iter().collect();
        }
        Intent::SpendOnKey if model.is_sandbox => {
            let Some(held) = model.dashboard.selected_key() else { return Vec::new() };
            // A fifth of its limit, so that a few presses show every state.
            let usd = held.limit().map_or(1.0, |limit| limit / 5.0);
            return vec![Effect::SpendOnKey { hash: held.hash.clone(), usd }];
        }
        Intent::SkipDay if model.is_sandbox => return vec![Effect::SkipDay],
        Intent::DismissAttempt => {
            model.question =
                model.dashboard.unresolved_attempts.first().cloned().map(Question::DismissAttempt);
        }
        other => return actions::handle_intent(model, other),
    }
    Vec::new()
}

fn handle_new_key_intent(model: &mut Model, intent: Intent) -> Vec<Effect> {
    let now = model.now;
    let needs = model.alternate_store.as_ref().map(|elsewhere| elsewhere.needs_passphrase);
    let Screen::NewKey(reveal) = &mut model.screen else { return Vec::new() };
    if reveal.passphrase_form.is_some() {
        return handle_passphrase_intent(model, intent);
    }
    match intent {
        Intent::ToggleReveal => reveal.toggle_revealed(now),
        Intent::Copy => return vec![Effect::CopyShownKey(reveal.key.clone())],
        Intent::OpenKeyPage => return vec![Effect::OpenUrl(reveal.entry.page_url())],
        Intent::Retry if !reveal.is_stored && reveal.store_ticket.is_none() => {
            let (entry, key) = (reveal.entry.clone(), reveal.key.clone());
            let ticket = model.open_request();
            if let Screen::NewKey(reveal) = &mut model.screen {
                reveal.store_ticket = Some(ticket);
            }
            return vec![Effect::RetryStore { ticket, entry, key }];
        }
        Intent::StoreInAlternate if !reveal.is_stored && reveal.store_ticket.is_none() => {
            match needs {
                Some(true) => {
                    reveal.revealed_until = None;
                    reveal.passphrase_form = Some(PassphraseForm::default());
                }
                Some(false) => return store_in_alternate(model, None),
                None => {}
            }
        }
        Intent::Back | Intent::NewKey if !reveal.is_stored => {
            model.question = Some(Question::DiscardUnstoredKey);
        }
        Intent::Back => model.screen = Screen::Dashboard,
        Intent::NewKey => return form::open_new_key_form(model),
        _ => {}
    }
    Vec::new()
}

/// The passphrase of the other store is typed.
fn handle_passphrase_intent(model: &mut Model, intent: Intent) -> Vec<Effect> {
    let Screen::NewKey(reveal) = &mut model.screen else { return Vec::new() };
    let Some(typed) = &mut reveal.passphrase_form else { return Vec::new() };
    match intent {
        Intent::Back => reveal.passphrase_form = None,
        Intent::TypeChar(c) => typed.focused_field_mut().insert(c),
        Intent::EditText(request) => typed.focused_field_mut().edit(request),
        Intent::Paste(text) => typed.focused_field_mut().paste(&text),
        Intent::NextField => typed.focus_index = 1 - typed.focus_index,
        Intent::Enter if typed.fields[0].text().is_empty() => {
            (typed.focus_index, typed.error) = (0, Some("a passphrase is needed"));
        }
        Intent::Enter if typed.focus_index == 0 => typed.focus_index = 1,
        Intent::Enter if typed.fields[0].text() != typed.fields[1].text() => {
            typed.fields[1] = TextField::default();
            typed.error = Some("the two are not the same");
        }
        Intent::Enter => {
            let passphrase = SecretString::from(typed.fields[0].text());
            return store_in_alternate(model, Some(passphrase));
        }
        _ => {}
    }
    Vec::new()
}

fn store_in_alternate(model: &mut Model, passphrase: Option<SecretString>) -> Vec<Effect> {
    let ticket = model.open_request();
    let Screen::NewKey(reveal) = &mut model.screen else { return Vec::new() };
    reveal.store_ticket = Some(ticket);
    reveal.passphrase_form = None;
    let (entry, key) = (reveal.entry.clone(), reveal.key.clone());
    vec![Effect::StoreInAlternate { ticket, entry, key, passphrase }]
}

fn handle_question_intent(model: &mut Model, question: Question, answer: &Intent) -> Vec<Effect> {
    let yes = match answer {
        Intent::Yes => true,
        Intent::No | Intent::Back => return Vec::new(),
        // Leaving is no answer; only to the question whether to leave it is one.
        Intent::Interrupt if question == Question::QuitWithUnstoredKey => true,
        Intent::Interrupt => return request_quit(model),
        Intent::Revoke if matches!(question, Question::RemoveKeys(_)) => {
            return actions::confirm_revoke(model);
        }
        _ => false,
    };
    if !yes {
        // Anything else leaves the question where it is.
        model.question = Some(question);
        return Vec::new();
    }
    match question {
        Question::QuitWithUnstoredKey => {
            model.screen = Screen::Dashboard;
            return request_quit(model);
        }
        Question::DiscardUnstoredKey => model.screen = Screen::Dashboard,
        Question::DismissAttempt(attempt) => {
            model.dashboard.unresolved_attempts.retain(|other| other.id != attempt.id);
            return vec![Effect::DismissAttempt(attempt.id)];
        }
        Question::RemoveKeys(labels) => {
            model.dashboard.marked_hashes.clear();
            return vec![Effect::RemoveKeys(labels)];
        }
        Question::DisableKeys(labels) => return actions::disable_keys(model, &labels),
    }
    Vec::new()
}

/// Leaves, unless a key would be lost: one that is on screen alone is asked about, and one that
/// may be on its way is waited for.
pub(super) fn request_quit(model: &mut Model) -> Vec<Effect> {
    let mut effects = Vec::new();
    if matches!(&model.screen, Screen::SignIn(login) if login.error.is_none()) {
        effects.extend(sign_in::move_to_background(model));
    }
    let unstored = matches!(&model.screen, Screen::NewKey(reveal) if !reveal.is_stored);
    if !unstored && let Some(reveal) = model.unstored_keys.pop() {
        model.screen = Screen::NewKey(Box::new(reveal));
    }
    if matches!(&model.screen, Screen::NewKey(reveal) if !reveal.is_stored) {
        model.question = Some(Question::QuitWithUnstoredKey);
        return effects;
    }
    model.quit_requested = true;
    effects.extend(quit_when_idle(model));
    effects
}
