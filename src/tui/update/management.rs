//! Handles the screen that takes a management key.

use crate::domain::{ErrorKind, KeyInputError, ManagementKey, UserError};
use crate::tui::keymap::key_text;
use crate::tui::state::{
    Effect, Intent, ManagementScreen, Model, Request, Screen, StoredManagementKey, TextField,
    Ticket,
};

pub(super) fn open(model: &mut Model) {
    model.dashboard.hide_revealed_key();
    model.screen = Screen::Management(Box::default());
}

pub(super) fn handle_intent(model: &mut Model, intent: Intent) -> Vec<Effect> {
    let Screen::Management(screen) = &mut model.screen else { return Vec::new() };
    match intent {
        Intent::Back => model.screen = Screen::Dashboard,
        Intent::Enter if screen.stored.is_some() => model.screen = Screen::Dashboard,
        // The field is closed while the key is checked and after it was stored.
        _ if screen.ticket.is_some() || screen.stored.is_some() => {}
        Intent::TypeChar(c) => edit_field(screen, |field| field.insert(c)),
        Intent::Paste(text) => edit_field(screen, |field| field.paste(&text)),
        Intent::EditText(request) => edit_field(screen, |field| field.edit(request)),
        Intent::Enter => match ManagementKey::parse_input(screen.field.text()) {
            Ok(key) => {
                let ticket = model.open_request();
                if let Screen::Management(screen) = &mut model.screen {
                    screen.ticket = Some(ticket);
                }
                return vec![Effect::Request(ticket, Request::StoreManagementKey(key))];
            }
            Err(error) => reject_key(screen, KeyInputError::to_management_key_error(error)),
        },
        _ => {}
    }
    Vec::new()
}

fn edit_field(screen: &mut ManagementScreen, edit: impl FnOnce(&mut TextField)) {
    edit(&mut screen.field);
    screen.error = None;
}

/// Shows why a key was refused. The field is cleared so that the key does not become part of the
/// next paste.
fn reject_key(screen: &mut ManagementScreen, error: UserError) {
    *screen = ManagementScreen { error: Some(error), ..ManagementScreen::default() };
}

/// Handles the end of the check. Everything that needs a management key is loaded again.
pub(super) fn finish(
    model: &mut Model,
    ticket: Ticket,
    result: Result<StoredManagementKey, UserError>,
) -> Vec<Effect> {
    if !model.close_request(ticket) {
        return Vec::new();
    }
    let shown = match &mut model.screen {
        Screen::Management(screen) if screen.ticket == Some(ticket) => Some(screen),
        _ => None,
    };
    match (result, shown) {
        (Ok(stored), shown) => {
            let message =
                format!("the management key {} is stored in {}", stored.masked, stored.store_name);
            if let Some(screen) = shown {
                **screen = ManagementScreen { stored: Some(stored), ..ManagementScreen::default() };
            }
            model.account.lacks_management_key = false;
            model.notify(Ok(message));
            super::load_keys(model)
        }
        (Err(error), Some(screen)) => {
            reject_key(screen, error);
            Vec::new()
        }
        (Err(error), None) => {
            model.notify(Err(error));
            Vec::new()
        }
    }
}

/// Returns an error if what needs a management key has none, for example `to disable a key`.
pub(super) fn missing_key_error(model: &Model, what: &str) -> Option<UserError> {
    let [store, page] =
        [Intent::OpenManagement, Intent::OpenKeyPage].map(|intent| key_text(model, &intent));
    model.account.lacks_management_key.then(|| {
        UserError::new(
            ErrorKind::Failed,
            format!("{what} needs a management key, and none is stored"),
            format!("press {store} to store one, or {page} to change a key on its page"),
        )
    })
}
