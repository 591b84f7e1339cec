//! The dialogs of yes-or-no questions.

use unicode_width::UnicodeWidthStr;

use super::Theme;
use super::dialog::Dialog;
use super::text::truncate;
use crate::domain::{Label, StoredKey, TRASH_DAYS};
use crate::tui::keymap::key_text;
use crate::tui::state::{Intent, Model, Question};

pub fn dialog(question: &Question, model: &Model, theme: Theme, width: usize) -> Dialog<'static> {
    let (heading, consequence, is_dangerous) = describe(question, model, width);
    let style = if is_dangerous { theme.error() } else { theme.warning() };
    let mut dialog = Dialog::new(&heading, style, width);
    dialog.is_dangerous = is_dangerous;
    dialog.add_text(&consequence, ratatui::style::Style::new());
    let labels = labels(question);
    let names = join_labels(labels.iter().copied());
    if labels.len() > 1 && names.width() > list_room(width) {
        dialog.add_text(&names, theme.dim());
    }
    dialog
}

/// Returns the question, what yes means, and whether yes loses something for good.
fn describe(question: &Question, model: &Model, width: usize) -> (String, String, bool) {
    match question {
        Question::QuitWithUnstoredKey => (
            "This key is not stored. Quit and lose it?".to_owned(),
            "You would have to revoke it by hand.".to_owned(),
            true,
        ),
        Question::DiscardUnstoredKey => (
            "This key is not stored. Leave and lose it?".to_owned(),
            "You would have to revoke it by hand.".to_owned(),
            true,
        ),
        Question::DismissAttempt(attempt) => (
            format!("Dismiss the attempt '{}'?", truncate(attempt.label.as_str(), 24)),
            "Any response of the server that was stored is deleted.".to_owned(),
            true,
        ),
        Question::UseEnvironmentKey => (
            "Send OPENROUTER_MANAGEMENT_KEY to this server?".to_owned(),
            format!("{} is not OpenRouter.", truncate(&model.server, width.saturating_sub(19))),
            true,
        ),
        Question::RemoveKeys(labels) => {
            let names = list_labels(labels.iter(), width);
            let (is, text) = match labels.len() {
                1 => ("it is", "its text"),
                _ => ("they are", "their texts"),
            };
            let is_removed = |key: &&StoredKey| labels.contains(&key.label);
            let mut keys = model.dashboard.stored_keys().iter().filter(is_removed);
            let validity = match keys.next().map(StoredKey::validity_when_removed) {
                Some(validity) if labels.len() == 1 => format!("The key {validity}"),
                _ => "Nothing is changed at OpenRouter".to_owned(),
            };
            (
                format!("Remove {names} from {}?", removal_place(labels, model)),
                format!(
                    "{validity}. For {TRASH_DAYS} days {is} in the trash ({}), after that {text} cannot be fetched again.",
                    key_text(model, &Intent::OpenTrash)
                ),
                false,
            )
        }
        Question::RestoreLimits(limits) => {
            let names = list_labels(limits.iter().map(|(label, _)| label), width);
            let question = match &limits[..] {
                [(_, limit)] => format!("Set the limit of {names} to {limit} again?"),
                _ => format!("Set the earlier limits of {names} again?"),
            };
            let limit = if limits.len() == 1 { "that limit" } else { "those limits" };
            (question, format!("What was spent since then counts against {limit}."), false)
        }
        Question::SetKeysDisabled { keys, disabled } => {
            let names = list_labels(keys.iter().map(|(_, label)| label), width);
            let undo = key_text(model, &Intent::Undo);
            let (verb, meaning) = match (*disabled, keys.len()) {
                (true, 1) => {
                    let toggle = key_text(model, &Intent::ToggleDisabled);
                    let text = "Programs that use it stop working.";
                    ("Disable", format!("{text} {undo} or {toggle} enables it again."))
                }
                (true, _) => {
                    let text = "Programs that use them stop working.";
                    ("Disable", format!("{text} {undo} enables them again."))
                }
                (false, 1) => ("Enable", "It can spend again.".to_owned()),
                (false, _) => ("Enable", "They can spend again.".to_owned()),
            };
            let other_count = model.dashboard.target_keys().len().saturating_sub(keys.len());
            let others = match other_count {
                0 => String::new(),
                1 => " 1 marked key is disabled already.".to_owned(),
                count => format!(" {count} marked keys are disabled already."),
            };
            (format!("{verb} {names} at OpenRouter?"), format!("{meaning}{others}"), false)
        }
    }
}

/// Returns from where these keys are removed.
fn removal_place(labels: &[Label], model: &Model) -> &'static str {
    let is_listed = |key: &&StoredKey| labels.contains(&key.label);
    let keys = model.dashboard.stored_keys().iter().filter(is_listed);
    match keys.filter(|key| key.is_shared()).count() {
        0 => "this machine",
        count if count == labels.len() => "the shared store, for everyone who uses it",
        _ => "this machine and the shared store",
    }
}

/// Returns labels as a list of about two lines, or how many there are.
fn list_labels<'a>(labels: impl ExactSizeIterator<Item = &'a Label>, width: usize) -> String {
    let count = labels.len();
    let text = join_labels(labels);
    if text.width() <= list_room(width) || count == 1 { text } else { format!("{count} keys") }
}

/// Returns the number of cells that a heading has for labels.
fn list_room(width: usize) -> usize {
    (2 * width).saturating_sub(40).max(16)
}

fn join_labels<'a>(labels: impl Iterator<Item = &'a Label>) -> String {
    labels.map(|label| truncate(label.as_str(), 30)).collect::<Vec<_>>().join(", ")
}

/// Returns the labels of the keys that a question is about.
fn labels(question: &Question) -> Vec<&Label> {
    match question {
        Question::RemoveKeys(labels) => labels.iter().collect(),
        Question::RestoreLimits(limits) => limits.iter().map(|(label, _)| label).collect(),
        Question::SetKeysDisabled { keys, .. } => keys.iter().map(|(_, label)| label).collect(),
        _ => Vec::new(),
    }
}
