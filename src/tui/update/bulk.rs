//! Actions on several keys: progress, a result for each, and undo.

use crate::domain::{ActionResult, Label, UserError};
use crate::tui::keymap::{key_text, undo_hint};
use crate::tui::state::{BulkAction, Intent, Model, ResultsScreen, Screen, UndoableChange};

/// Starts to collect the results of an action on several keys.
pub(super) fn begin_action(model: &mut Model, labels: impl IntoIterator<Item = Label>) {
    let labels: Vec<Label> = labels.into_iter().collect();
    if labels.len() < 2 {
        return;
    }
    let bulk = model.bulk.get_or_insert_with(BulkAction::default);
    bulk.pending.extend(labels);
}

/// Records the result for one key. The last result of several opens the list of all.
pub(super) fn record_result(model: &mut Model, label: &Label, result: Result<String, UserError>) {
    let undo_hint = undo_hint(model);
    let Some(bulk) = model.bulk.as_mut().filter(|bulk| bulk.pending.contains(label)) else {
        return model.notify(result);
    };
    bulk.pending.retain(|pending| pending != label);
    bulk.results.push(match &result {
        // The dialog offers undo once for all keys.
        Ok(message) => {
            let (said, hint) = message.split_once(&undo_hint).unzip();
            bulk.can_undo |= hint.is_some();
            ActionResult { succeeded: true, message: said.unwrap_or(message).to_owned() }
        }
        Err(error) => ActionResult {
            succeeded: false,
            message: format!("'{label}': {}; {}", error.message, error.advice),
        },
    });
    let (done, left) = (bulk.results.len(), bulk.pending.len());
    model.log_message(result);
    if left > 0 {
        model.notice = Some(Ok(format!("{done} of {} keys done", done + left)));
        return;
    }
    let Some(bulk) = model.bulk.take() else { return };
    let is_free = matches!(model.screen, Screen::Dashboard)
        && model.question.is_none()
        && model.overlay.is_none()
        && !model.dashboard.is_filtering;
    show_results(model, ResultsScreen::new(bulk.results, bulk.can_undo), is_free);
}

/// Shows the results of an action on several keys, or a notice that there are results.
pub(super) fn show_results(model: &mut Model, screen: ResultsScreen, is_free: bool) {
    if is_free {
        model.notice = None;
        model.screen = Screen::ActionResults(screen);
    } else {
        let done = screen.results.len();
        let failed = screen.results.iter().filter(|result| !result.succeeded).count();
        model.notice = Some(Ok(format!(
            "{done} keys done, {failed} failed; press {} for each",
            key_text(model, &Intent::ToggleMessages)
        )));
    }
}

/// Remembers that a key was disabled or enabled, together with the other keys of the same action.
/// Returns the end of the message: how to undo it, unless it reverted the last change itself.
pub(super) fn record_undoable(
    model: &mut Model,
    hash: String,
    label: Label,
    disabled: bool,
) -> String {
    if let Some(UndoableChange::DisabledSet { keys, disabled: was_disabled }) = &mut model.undoable
        && *was_disabled != disabled
        && let Some(at) = keys.iter().position(|(other, _)| *other == hash)
    {
        keys.remove(at);
        if keys.is_empty() {
            model.undoable = None;
        }
        return " again".to_owned();
    }
    match &mut model.undoable {
        Some(UndoableChange::DisabledSet { keys, disabled: was_disabled })
            if *was_disabled == disabled =>
        {
            if !keys.iter().any(|(other, _)| *other == hash) {
                keys.push((hash, label));
            }
        }
        undoable => {
            let keys = vec![(hash, label)];
            *undoable = Some(UndoableChange::DisabledSet { keys, disabled });
        }
    }
    undo_hint(model)
}
