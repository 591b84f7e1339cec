//! The warning line above the table of keys, and the text that replaces an empty table.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::text::{to_sentence, truncate};
use super::{Theme, text};
use crate::domain::{KeyState, RetirementStatus, format_relative_time};
use crate::tui::state::{KeyList, Model};

/// Draws the most important warnings and returns the rest of the area. The row is reserved even
/// without a warning, so that the table does not move.
pub fn draw(model: &Model, theme: Theme, frame: &mut Frame<'_>, area: Rect) -> Rect {
    let width = usize::from(area.width);
    let line = Rect { height: 1, ..area };
    if let Some(text) = format_pending_attempts(model, width) {
        frame.render_widget(Line::styled(text, theme.warning()), line);
    } else if model.refresh.has_insufficient_credits {
        let text = " ! The account is out of credit: its keys are valid, but requests fail (402).";
        frame.render_widget(Line::styled(truncate(text, width), theme.error()), line);
    } else if let Some(text) = format_key_warnings(model) {
        frame.render_widget(Line::styled(truncate(&text, width), theme.warning()), line);
    }
    Rect { y: area.y + 1, height: area.height - 1, ..area }
}

/// Returns for example `! ci is nearly spent · agent expires in 2 days`.
fn format_key_warnings(model: &Model) -> Option<String> {
    let keys = model.dashboard.all_keys();
    let by_state = model.dashboard.attention_list.iter().filter_map(|(index, state)| {
        let stored_key = keys.get(*index)?;
        let label = truncate(stored_key.label.as_str(), 20);
        Some(match state {
            KeyState::LimitReached => match stored_key.next_reset(model.now) {
                Some(at) => {
                    format!(
                        "{label} has reached its limit, resets {}",
                        format_relative_time(model.now, at)
                    )
                }
                None => format!("{label} has reached its limit"),
            },
            KeyState::Blocked => {
                let until = crate::domain::format_date;
                let by = stored_key.describe_block(model.now, until).unwrap_or_default();
                format!("{label} is blocked {by}")
            }
            KeyState::Rejected => format!("{label} is rejected by the server"),
            KeyState::Low => format!("{label} is nearly spent"),
            KeyState::Expired => format!("{label} has expired"),
            KeyState::Expiring => {
                format!(
                    "{label} expires {}",
                    format_relative_time(model.now, stored_key.expires_at().value()?)
                )
            }
            KeyState::Active | KeyState::Disabled | KeyState::Unknown => return None,
        })
    });
    let warnings: Vec<String> = format_other_accounts(model)
        .chain(by_state)
        .chain(format_unused_replaced_keys(model))
        .take(4)
        .collect();
    (!warnings.is_empty()).then(|| format!(" ! {}", warnings.join(" · ")))
}

/// Returns a warning for each key of an account that the person has not confirmed.
fn format_other_accounts(model: &Model) -> impl Iterator<Item = String> {
    let unconfirmed =
        model.dashboard.stored_keys().iter().filter(|key| key.is_of_unconfirmed_account());
    unconfirmed
        .map(|key| format!("{} belongs to another account", truncate(key.label.as_str(), 30)))
}

/// Returns a warning for each replaced key that is no longer used.
fn format_unused_replaced_keys(model: &Model) -> impl Iterator<Item = String> {
    let retiring =
        model.dashboard.stored_keys().iter().filter(|stored_key| stored_key.retirement.is_some());
    retiring.filter_map(|stored_key| {
        match model.dashboard.retirement_status(stored_key, model.now) {
            RetirementStatus::Unused(status) | RetirementStatus::Inactive(status) => {
                let label = truncate(stored_key.label.as_str(), 20);
                Some(format!("{label} {status}: press x, then r to delete it"))
            }
            RetirementStatus::NotReplaced
            | RetirementStatus::InUse(_)
            | RetirementStatus::Observing(_) => None,
        }
    })
}

/// Returns a warning about attempts whose key may exist but was not received.
fn format_pending_attempts(model: &Model, width: usize) -> Option<String> {
    let attempts = &model.dashboard.unresolved_attempts;
    let first = attempts.first()?;
    let more = match attempts.len() {
        1 => String::new(),
        many => format!(" (and {} more)", many - 1),
    };
    let page = first.keys_page_url();
    let rest = format!(
        " may exist, {}{more}: revoke it at {}",
        format_relative_time(model.now, first.started_at),
        page.trim_start_matches("https://")
    );
    let label = truncate(first.label.as_str(), width.saturating_sub(rest.len() + 26).max(8));
    Some(truncate(&format!(" ! D dismisses: key {label}{rest}"), width))
}

/// Draws why there is no table and what to do next.
pub fn draw_empty_state(
    keys: &KeyList,
    model: &Model,
    theme: Theme,
    frame: &mut Frame<'_>,
    area: Rect,
) {
    let lines = match keys {
        KeyList::Loading => vec![Line::styled("Loading keys.", theme.dim())],
        KeyList::Failed(error) => {
            let mut lines = text::format_error(error, theme);
            lines.push(Line::default());
            lines.push(format_key_hint(theme, "r", "tries again"));
            lines
        }
        KeyList::Loaded(keys) if !keys.is_empty() && model.dashboard.filter.text().is_empty() => {
            vec![
                Line::raw("No keys in this view."),
                Line::default(),
                format_key_hint(theme, "a", "shows the next view"),
            ]
        }
        KeyList::Loaded(keys) if !keys.is_empty() => vec![
            Line::raw("No label matches the filter."),
            Line::default(),
            format_key_hint(theme, "esc", "clears the filter"),
        ],
        KeyList::Loaded(_) => vec![
            Line::styled("No keys are stored yet.", theme.strong()),
            Line::default(),
            Line::raw("Keywright creates one OpenRouter key for each tool, with its own limit and"),
            Line::raw(format!("expiry, and stores it in {}.", model.store_name)),
            Line::default(),
            format_key_hint(
                theme,
                "n",
                "creates the first key: fill in a form, then sign in through your browser",
            ),
            format_key_hint(theme, "?", "lists the keyboard shortcuts"),
        ],
    };
    let area = text::inset(Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area });
    text::draw_paragraph(frame, area, lines);
}

fn format_key_hint(theme: Theme, key: &'static str, description: &str) -> Line<'static> {
    Line::from(vec![
        Span::styled(key, theme.accent()),
        Span::raw(to_sentence(&format!("  {description}"))),
    ])
}
