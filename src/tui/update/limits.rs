//! Edits of limits: the screen for several keys, the results, and undo.

use super::{bulk, management};
use crate::domain::{
    AccountKey, FieldChange, KeyUpdate, KeyUpdateOutcome, Label, ResetInterval, StoredKey,
    UserError,
};
use crate::tui::keymap::key_text;
use crate::tui::keymap::undo_hint;
use crate::tui::state::{
    Effect, Intent, LimitsScreen, Model, PlannedLimit, Question, Request, Screen, Ticket,
    UndoableChange,
};

/// Remembers how to revert an edit of a limit; edits of several keys are reverted together. Returns the
/// end of the message.
pub(super) fn record_undoable(model: &mut Model, restoring: Option<KeyUpdate>) -> String {
    let Some(restoring) = restoring else { return String::new() };
    match &mut model.undoable {
        Some(UndoableChange::LimitsEdited(updates)) => updates.push(restoring),
        undoable => *undoable = Some(UndoableChange::LimitsEdited(vec![restoring])),
    }
    undo_hint(model)
}

/// Asks whether to set the earlier limits again.
pub(super) fn confirm_restore(model: &mut Model, updates: &[KeyUpdate]) {
    let describe = |update: &KeyUpdate| (current_label(model, update), update.describe_limit());
    model.question = Some(Question::RestoreLimits(updates.iter().map(describe).collect()));
}

/// Sets the limits again that the answered question named.
pub(super) fn restore(model: &mut Model) -> Vec<Effect> {
    match model.undoable.take() {
        Some(UndoableChange::LimitsEdited(updates)) => {
            let labels = updates.iter().map(|update| update.key.label.clone()).collect();
            send(model, updates, labels)
        }
        other => {
            model.undoable = other;
            Vec::new()
        }
    }
}

/// Sends changes of limits. These become the changes that undo reverts. `labels` are those of all
/// keys that get a result.
fn send(model: &mut Model, updates: Vec<KeyUpdate>, labels: Vec<Label>) -> Vec<Effect> {
    model.undoable = None;
    bulk::begin_action(model, labels);
    model.dashboard.marked_hashes.clear();
    model.notice = Some(Ok(match &updates[..] {
        [update] => format!("changing the limit of '{}'", current_label(model, update)),
        updates => format!("changing {} limits", updates.len()),
    }));
    vec![Effect::EditLimits(updates)]
}

/// Handles the result for one key.
pub(super) fn finish_edit(model: &mut Model, update: &KeyUpdate, outcome: KeyUpdateOutcome) {
    let now = model.now;
    let label = current_label(model, update);
    let result = match outcome {
        KeyUpdateOutcome::Updated { account_key, warning, .. } => {
            let restoring = account_key.as_ref().and_then(|account_key| {
                model.dashboard.record_account_key(account_key, now);
                update.restore_limit(account_key)
            });
            let end = record_undoable(model, restoring);
            let limit = update.describe_limit();
            warning.map_or_else(|| Ok(format!("the limit of '{label}' is {limit}{end}")), Err)
        }
        KeyUpdateOutcome::Conflict { current, changed_fields, .. } => {
            model.dashboard.record_account_key(&current, now);
            Err(UserError::failed(
                format!(
                    "'{label}' was changed at OpenRouter in the meantime: {}",
                    changed_fields.join(", ")
                ),
                format!(
                    "nothing was sent; press {} to edit it with its current values",
                    key_text(model, &Intent::EditKey)
                ),
            ))
        }
        KeyUpdateOutcome::Failed(error) => {
            Err(error.prefixed(format!("the limit of '{label}' was not changed")))
        }
    };
    bulk::record_result(model, &update.key.label, result);
}

/// Returns the label that the key has now.
fn current_label(model: &Model, update: &KeyUpdate) -> Label {
    let key = model.dashboard.find_key(&update.key.hash).unwrap_or(&update.key);
    key.label.clone()
}

/// Opens the screen for several keys and fetches their limits.
pub(super) fn open(model: &mut Model) -> Vec<Effect> {
    let keys: Vec<StoredKey> = model.dashboard.target_keys().into_iter().cloned().collect();
    if let Some(error) = management::missing_key_error(model, "to edit limits") {
        model.notify(Err(error));
        return Vec::new();
    }
    model.dashboard.hide_revealed_key();
    let ticket = model.next_ticket();
    let hashes = keys.iter().map(|key| key.hash.clone()).collect();
    model.screen = Screen::Limits(Box::new(LimitsScreen::new(keys, ticket)));
    vec![Effect::Request(ticket, Request::FetchAccountKeys(hashes))]
}

/// Handles the fetched keys.
pub(super) fn finish_fetch(
    model: &mut Model,
    ticket: Ticket,
    current: Vec<Result<AccountKey, UserError>>,
) {
    if let Screen::Limits(screen) = &mut model.screen
        && screen.ticket == ticket
    {
        screen.current.get_or_insert(current);
    }
}

pub(super) fn handle_intent(model: &mut Model, intent: Intent) -> Vec<Effect> {
    let Screen::Limits(screen) = &mut model.screen else { return Vec::new() };
    screen.error = None;
    if std::mem::take(&mut screen.is_reviewed) {
        match intent {
            Intent::Enter | Intent::Submit => return submit(model),
            Intent::Back => return Vec::new(),
            _ => {}
        }
    }
    match intent {
        Intent::Back => model.screen = Screen::Dashboard,
        Intent::NextField | Intent::PreviousField => {
            screen.is_reset_focused = !screen.is_reset_focused;
        }
        Intent::TypeChar(' ') if screen.is_reset_focused => screen.step_reset(1),
        Intent::TypeChar(c) if screen.is_reset_focused => {
            if let Some(reset) = reset_for_letter(c) {
                screen.limit_reset = reset;
            }
        }
        Intent::TypeChar(c) => screen.limit.insert(c),
        Intent::Paste(text) if !screen.is_reset_focused => screen.limit.paste(&text),
        Intent::EditText(request) => screen.edit(request),
        Intent::Enter if !screen.is_reset_focused => screen.is_reset_focused = true,
        Intent::Enter | Intent::Submit => review_changes(screen),
        _ => {}
    }
    Vec::new()
}

/// Shows the changes before they are sent, if there are any.
fn review_changes(screen: &mut LimitsScreen) {
    let Some(plan) = screen.plan() else { return };
    screen.is_reviewed = plan.iter().any(|planned| matches!(planned, PlannedLimit::Change(..)));
    if !screen.is_reviewed {
        screen.error = Some("no key would be changed".into());
    }
}

/// Returns the reset for a letter: `n` never, `d` daily, `w` weekly, `m` monthly.
fn reset_for_letter(c: char) -> Option<FieldChange<ResetInterval>> {
    if c == 'n' {
        return Some(FieldChange::Clear);
    }
    let mut intervals = ResetInterval::ALL.into_iter();
    intervals.find(|interval| interval.as_str().starts_with(c)).map(FieldChange::Set)
}

/// Sends what the screen shows. What cannot be sent has a result too.
fn submit(model: &mut Model) -> Vec<Effect> {
    let Screen::Limits(screen) = &mut model.screen else { return Vec::new() };
    let Some(plan) = screen.plan() else { return Vec::new() };
    let keys = std::mem::take(&mut screen.keys);
    model.screen = Screen::Dashboard;
    let (mut updates, mut results) = (Vec::new(), Vec::new());
    for (key, planned) in keys.iter().zip(plan) {
        match planned {
            PlannedLimit::Change(update, _) => updates.push(*update),
            PlannedLimit::Unchanged => {
                results.push((&key.label, Ok(format!("'{}' stays as it is", key.label))));
            }
            PlannedLimit::Impossible(reason) => results
                .push((&key.label, Err(UserError::failed(reason, "the key was not changed")))),
        }
    }
    let effects = send(model, updates, keys.iter().map(|key| key.label.clone()).collect());
    for (label, result) in results {
        bulk::record_result(model, label, result);
    }
    effects
}
