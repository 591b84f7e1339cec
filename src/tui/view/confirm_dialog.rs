//! The dialogs that confirm a rotation, a leak response, a revocation or an account, and the one with
//! the results of an action.

use ratatui::style::Style;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use super::dialog::Dialog;
use super::text::{self, to_sentence, truncate};
use super::{Theme, key_table};
use crate::domain::{Expiry, FieldChange, StoredKey, format_date, format_relative_time};
use crate::tui::keymap::key_text;
use crate::tui::state::{
    ConfirmDialog, ConfirmKind, ExpectedLosses, Intent, Model, ResultsScreen, UNUSED_FOR_CHOICES,
};

/// The most keys that a dialog lists.
const MAX_LISTED_KEYS: usize = 5;

pub fn dialog<'a>(
    state: &'a ConfirmDialog,
    model: &Model,
    theme: Theme,
    width: usize,
) -> Dialog<'a> {
    let names = format_key_names(state, width);
    let (heading, style) = match state.kind {
        ConfirmKind::Rotate if state.keys.len() > 1 => {
            (format!("Replace {names} with new ones"), theme.strong())
        }
        ConfirmKind::Rotate => (format!("Replace {names} with a new key"), theme.strong()),
        ConfirmKind::RespondToLeak => (format!("{names} leaked"), theme.error()),
        ConfirmKind::ConfirmAccount => {
            (format!("{names} belongs to another account"), theme.error())
        }
        ConfirmKind::Revoke => (format!("Revoke {names} at OpenRouter for good"), theme.error()),
    };
    let mut dialog = Dialog::new(&heading, style, width);
    dialog.is_dangerous = state.kind != ConfirmKind::Rotate;
    match state.kind {
        ConfirmKind::Rotate => {
            let replacement = if state.keys.len() > 1 {
                "For each key a new one with the same policy is created and stored under its label."
            } else {
                "A new key with the same policy is created and stored under this label."
            };
            let text = format!("{replacement} Programs that ask for the label get the new key.");
            dialog.add_explanation(&text, Style::new());
            if state.keys.len() > 1 {
                dialog.add_lines(list_keys(&state.keys, model, theme, width));
            }
            let consent = match has_management_key(model) {
                Some(true) => "It is created with the management key.",
                Some(false) => "It is created with your consent in the browser.",
                None => {
                    "It is created with the management key if one is stored, otherwise with your \
                     consent in the browser."
                }
            };
            dialog.add_explanation(consent, theme.dim());
            add_new_end(&mut dialog, state, model, theme);
            dialog.add_lines(format_retire_policy(state, theme));
            add_copies(&mut dialog, state, model, "it keeps the old key there");
            add_losses(&mut dialog, state, theme);
        }
        ConfirmKind::RespondToLeak => {
            let is_replaced = state.keys.iter().all(|key| key.retirement.is_some());
            let replacement = if is_replaced {
                "It was replaced before, so no new key is created."
            } else {
                "A new key with the same policy takes its label."
            };
            let disabling =
                "The key is disabled at OpenRouter at once: programs that use it stop working.";
            dialog.add_text(&format!("{disabling} {replacement}"), Style::new());
            let copying = if is_replaced { "" } else { " One new key is copied to the clipboard." };
            let page = match has_management_key(model) {
                Some(true) => "",
                Some(false) => {
                    "No management key is stored: you see the page where you can disable it. "
                }
                None => {
                    "To disable it needs a management key; without one you see the page where you \
                     can do it. "
                }
            };
            let page = format!("{page}The old key stays stored, disabled, until you revoke it.");
            dialog.add_explanation(&format!("{page}{copying}"), theme.dim());
            dialog.add_lines(list_keys(&state.keys, model, theme, width));
            add_copies(
                &mut dialog,
                state,
                model,
                "it stops working there too, and is not replaced",
            );
            add_losses(&mut dialog, state, theme);
        }
        ConfirmKind::ConfirmAccount => {
            dialog.add_text(
                "Someone else may have answered the sign-in with their account; they would see how \
                 this key is used.",
                Style::new(),
            );
            dialog.add_explanation(
                "If that account is yours, confirm it: the key then gets the label for which it \
                 was created. Otherwise press esc, then remove the key.",
                theme.dim(),
            );
            add_confirmation(&mut dialog, state);
        }
        ConfirmKind::Revoke => {
            let loss = match &state.keys[..] {
                [_] => "It stops working everywhere and is removed",
                _ => "They stop working everywhere and are removed",
            };
            let is_shared = state.keys.iter().any(StoredKey::is_shared);
            let place = if is_shared { " for everyone who uses the shared store" } else { " here" };
            dialog.add_text(&format!("{loss}{place}. This cannot be undone."), Style::new());
            add_copies(&mut dialog, state, model, "it stops working there too");
            add_confirmation(&mut dialog, state);
        }
    }
    dialog
}

/// Returns whether a management key is stored, if that is known.
fn has_management_key(model: &Model) -> Option<bool> {
    let account = &model.account;
    (account.report.is_some() || account.lacks_management_key).then_some(account.report.is_some())
}

fn format_key_names(state: &ConfirmDialog, width: usize) -> String {
    match &state.keys[..] {
        [key] => {
            let label = truncate(key.label.as_str(), width.saturating_sub(8));
            format!("{label} ({})", key.masked)
        }
        keys => format!("{} keys", keys.len()),
    }
}

/// Adds the field in which the label or the number of keys is typed.
fn add_confirmation<'a>(dialog: &mut Dialog<'a>, state: &'a ConfirmDialog) {
    let expected = match &state.keys[..] {
        [_] => "the label",
        _ => "the number of keys",
    };
    let text = format!("Type {expected} to confirm: {}", state.expected_confirmation());
    dialog.add_text(&text, Style::new());
    dialog.field = Some(&state.confirmation);
}

/// Returns the lines that say what happens to the old key.
fn format_retire_policy(state: &ConfirmDialog, theme: Theme) -> Vec<Line<'static>> {
    let (action, end) = if state.revoke_when_unused {
        ("revokes it", " at OpenRouter")
    } else {
        ("asks you to revoke it", "")
    };
    vec![
        Line::raw("The old key stays valid as long as programs use it."),
        Line::from(vec![
            Span::raw("Keywright "),
            Span::styled(action, theme.strong()),
            Span::raw(end),
        ]),
        Line::from(vec![
            Span::raw("once it is unused for "),
            Span::styled(
                format!("◂ {} ▸", UNUSED_FOR_CHOICES[state.unused_for_index].0),
                theme.selected(),
            ),
            Span::raw("."),
        ]),
    ]
}

/// Adds when the new keys end, and how they get another expiry.
fn add_new_end(dialog: &mut Dialog<'_>, state: &ConfirmDialog, model: &Model, theme: Theme) {
    let (now, edit) = (model.now, key_text(model, &Intent::EditKey));
    let describe = |at| format!("{}, {}", format_date(at), format_relative_time(now, at));
    let ends = |expiry: Option<Expiry>| match expiry {
        None => "never expires".to_owned(),
        Some(expiry) => format!("ends {}", describe(expiry.at)),
    };
    let ending: Vec<&StoredKey> =
        state.keys.iter().filter(|key| key.needs_new_expiry(now)).collect();
    let labels = || ending.iter().map(|key| truncate(key.label.as_str(), 20));
    let subject = match (&state.keys[..], &ending[..]) {
        ([key], []) if state.new_expiry_index.is_none() => {
            if let Ok(expiry) = key.replacement_expiry(now) {
                let text =
                    format!("The new key {}. Press {edit} for another expiry.", ends(expiry));
                dialog.add_explanation(&text, theme.dim());
            }
            return;
        }
        (keys, []) if keys.len() > 1 => return,
        ([_], _) => "The new key".to_owned(),
        _ => format!("The new key of {}", labels().collect::<Vec<_>>().join(", of ")),
    };
    let chosen = match state.new_expiry(now) {
        FieldChange::Keep => None,
        FieldChange::Clear => Some(None),
        FieldChange::Set(expiry) => Some(Some(expiry)),
    };
    if let Some(expiry) = chosen {
        let text = format!("{subject} {}. Press {edit} for another expiry.", ends(expiry));
        return dialog.add_text(&text, theme.strong());
    }
    let first_end = ending.iter().filter_map(|key| key.expires_at().value()).min();
    let first_end = first_end.map_or(String::new(), describe);
    let text = if ending.iter().all(|key| key.replacement_expiry(now).is_err()) {
        format!("The end of the old key has passed: {first_end}. Press {edit} for another one.")
    } else {
        format!(
            "{subject} ends when the old one does: {first_end}. Press {edit} for another expiry."
        )
    };
    dialog.add_text(&text, theme.warning());
}

/// Adds which of the keys another profile stores too, and what that means.
fn add_copies(dialog: &mut Dialog<'_>, state: &ConfirmDialog, model: &Model, effect: &str) {
    for key in &state.keys {
        let copies = model.dashboard.describe_copies(key);
        if !copies.is_empty() {
            dialog.add_text(&format!("'{}'{copies}: {effect}.", key.label), Style::new());
        }
    }
}

/// Adds what the new keys will not have.
fn add_losses(dialog: &mut Dialog<'_>, state: &ConfirmDialog, theme: Theme) {
    let losses = match &state.losses {
        ExpectedLosses::Pending(_) => {
            return dialog
                .add_text("Checking what can be carried over to the new key…", theme.dim());
        }
        ExpectedLosses::Known(losses) => losses,
    };
    let width = dialog.width();
    for (label, losses) in losses.iter().filter(|(_, losses)| !losses.is_empty()) {
        let label = truncate(label.as_str(), width.saturating_sub(24));
        let mut lines =
            vec![Line::styled(format!("Not carried over to '{label}':"), theme.error())];
        for loss in losses {
            lines.extend(wrap_hanging(&loss.to_string(), "  ", Style::new(), width));
        }
        dialog.add_lines(lines);
    }
}

/// Returns a text wrapped below its first letter.
fn wrap_hanging(text: &str, mark: &str, style: Style, width: usize) -> Vec<Line<'static>> {
    let indent = Span::raw(mark).width();
    let marks = std::iter::once(mark.to_owned()).chain(std::iter::repeat(" ".repeat(indent)));
    let rows = text::wrap(text, width.saturating_sub(indent));
    let to_line = |(mark, row)| Line::from(vec![Span::styled(mark, style), Span::raw(row)]);
    marks.zip(rows).map(to_line).collect()
}

/// Returns the keys that a leak response applies to.
fn list_keys(keys: &[StoredKey], model: &Model, theme: Theme, width: usize) -> Vec<Line<'static>> {
    let shown = if keys.len() > MAX_LISTED_KEYS { MAX_LISTED_KEYS - 1 } else { keys.len() };
    let longest = keys[..shown].iter().map(|key| key.label.as_str().width()).max().unwrap_or(0);
    let mut lines: Vec<Line<'static>> = keys[..shown]
        .iter()
        .map(|key| {
            let state = key_table::format_state(key, model.now, theme);
            let room = width.saturating_sub(state.width() + key.masked.len() + 4);
            let label = truncate(key.label.as_str(), room);
            let padding = " ".repeat(longest.min(room).saturating_sub(label.width()));
            Line::from(vec![
                Span::raw(format!("{label}{padding}  ")),
                Span::styled(format!("{}  ", key.masked), theme.dim()),
                state,
            ])
        })
        .collect();
    if shown < keys.len() {
        lines.push(Line::styled(format!("and {} more", keys.len() - shown), theme.dim()));
    }
    lines
}

/// Returns which actions succeeded and which failed, the failed ones first.
pub fn results_dialog(state: &ResultsScreen, theme: Theme, width: usize) -> Dialog<'static> {
    let results = &state.results;
    let failed = results.iter().filter(|result| !result.succeeded).count();
    let (heading, style) = match failed {
        0 => (format!("{} done", results.len()), theme.success()),
        failed => (format!("{failed} of {} failed", results.len()), theme.error()),
    };
    let mut dialog = Dialog::new(&heading, style, width);
    dialog.is_dangerous = failed > 0;
    dialog.scroll = Some(state.scroll);
    let mut lines = Vec::new();
    for result in results {
        let (mark, style) = if result.succeeded {
            ("✓ done    ", theme.success())
        } else {
            ("✗ FAILED  ", theme.error())
        };
        lines.extend(wrap_hanging(&to_sentence(&result.message), mark, style, width));
    }
    dialog.add_lines(lines);
    dialog
}
