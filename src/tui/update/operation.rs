//! Starts operations and moves them to the background.

use crate::tui::state::{BackgroundRun, Effect, Model, Operation, Screen, SignInScreen};

/// Starts an operation and shows its sign-in screen.
pub(super) fn start_operation(model: &mut Model, operation: Operation) -> Vec<Effect> {
    let ticket = model.open_request();
    model.quit_requested = false;
    let effect = Effect::Request(ticket, operation.to_request());
    model.screen = Screen::SignIn(Box::new(SignInScreen::new(operation, ticket, model.now)));
    vec![effect]
}

/// Returns to the screen from which the operation was started.
pub(super) fn leave_screen(model: &mut Model) {
    if let Screen::SignIn(sign_in) = &model.screen {
        model.screen = match &sign_in.operation {
            Operation::CreateKey { form, .. } => Screen::Form(form.clone()),
            _ => Screen::Dashboard,
        };
    }
}

/// Cancels the run on screen and lets it finish in the background.
pub(super) fn move_to_background(model: &mut Model) -> Vec<Effect> {
    let Screen::SignIn(sign_in) = &model.screen else { return Vec::new() };
    let ticket = sign_in.ticket;
    if let Some(label) = sign_in.operation.label().cloned() {
        model.background_runs.push(BackgroundRun { ticket, label });
    }
    leave_screen(model);
    vec![Effect::CancelRun(ticket)]
}
