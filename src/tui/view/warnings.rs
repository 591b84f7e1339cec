//! The warning line above the table of keys, and the text that replaces an empty table.

use std::collections::{HashMap, HashSet};

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use super::text::{to_sentence, truncate};
use super::{Theme, text};
use crate::domain::{KeyState, RetirementStatus, StoredKey, format_relative_time};
use crate::tui::state::{KeyList, Model, spent_share};

/// Draws the most important warnings in one row.
pub fn draw(model: &Model, theme: Theme, frame: &mut Frame<'_>, line: Rect) {
    let line = draw_position(model, theme, frame, line);
    let width = usize::from(line.width);
    if let Some(text) = format_pending_attempts(model, width) {
        frame.render_widget(Line::styled(text, theme.warning()), line);
    } else if model.refresh.has_insufficient_credits {
        let texts = [
            " ! The account is out of credit: requests of all keys fail (402).",
            " ! Out of credit: requests of all keys fail (402).",
        ];
        frame.render_widget(Line::styled(first_that_fits(texts, width), theme.error()), line);
    } else {
        frame.render_widget(format_attention(model, theme, width), line);
    }
}

/// Draws the number of the selected row at the right and returns what is left of it.
fn draw_position(model: &Model, theme: Theme, frame: &mut Frame<'_>, line: Rect) -> Rect {
    let rows = model.dashboard.rows.len();
    if rows == 0 {
        return line;
    }
    let text = format!(" {}/{rows} ", model.dashboard.selected_row + 1);
    let width = u16::try_from(text.width()).unwrap_or(line.width).min(line.width);
    let right = Rect { x: line.right() - width, width, ..line };
    frame.render_widget(Line::styled(text, theme.dim()), right);
    Rect { width: line.width - width, ..line }
}

/// Returns the first text that fits, or the last one, truncated.
fn first_that_fits<const N: usize>(texts: [&str; N], width: usize) -> String {
    let fits = texts.into_iter().find(|text| text.width() <= width);
    truncate(fits.or(texts.last().copied()).unwrap_or_default(), width)
}

/// More reasons than these fit no screen.
const MAX_REASONS: usize = 20;

/// Returns how many keys need attention, and as many reasons as fit. Each key counts once, and has its
/// most important reason.
fn format_attention(model: &Model, theme: Theme, width: usize) -> Line<'static> {
    let keys = model.dashboard.stored_keys();
    let states: HashMap<usize, KeyState> = model.dashboard.attention_list.iter().copied().collect();
    let others = keys.iter().enumerate().filter(|(_, key)| key.is_of_unconfirmed_account());
    let other_accounts: Vec<usize> = others.map(|(index, _)| index).collect();
    let urgent = model.dashboard.attention_list.iter().map(|(index, _)| *index);
    let unused = keys.iter().enumerate().filter(|(_, key)| is_unused_replacement(key, model));
    let mut seen = HashSet::new();
    let all: Vec<usize> = other_accounts
        .iter()
        .copied()
        .chain(urgent)
        .chain(unused.map(|(index, _)| index))
        .filter(|index| seen.insert(*index))
        .collect();
    if all.is_empty() {
        return Line::default();
    }
    let mut line = Line::raw(" ");
    let text = format!("{} {}  ", all.len(), if all.len() == 1 { "needs you" } else { "need you" });
    line.push_span(Span::styled(text, theme.strong()));
    for (position, index) in all.iter().enumerate() {
        let reason = keys.get(*index).filter(|_| position < MAX_REASONS).and_then(|key| {
            if other_accounts.contains(index) {
                let label = truncate(key.label.as_str(), 30);
                return Some((format!("{label} belongs to another account"), theme.warning()));
            }
            match states.get(index) {
                Some(state) => format_key_warning(key, *state, model, theme),
                None => format_unused_replaced_key(key, model).map(|text| (text, theme.warning())),
            }
        });
        let (text, style) = reason.unwrap_or_default();
        let separator = if position == 0 { "" } else { " · " };
        // The last cells hold the number of what does not fit.
        let reserved = if position + 1 < all.len() { 7 } else { 0 };
        let room = width.saturating_sub(line.width() + separator.len() + reserved);
        if position > 0 && (text.is_empty() || text.width() > room) {
            line.push_span(Span::styled(format!(" · +{}", all.len() - position), theme.dim()));
            break;
        }
        line.push_span(Span::styled(separator, theme.dim()));
        line.push_span(Span::styled(truncate(&text, room), style));
    }
    line
}

/// Returns for example `ci 92% spent` and `agent ends in 2 days`.
fn format_key_warning(
    stored_key: &StoredKey,
    state: KeyState,
    model: &Model,
    theme: Theme,
) -> Option<(String, Style)> {
    let label = truncate(stored_key.label.as_str(), 20);
    let text = match state {
        KeyState::LimitReached => match stored_key.next_reset(model.now) {
            Some(at) => {
                format!("{label} at its limit, resets {}", format_relative_time(model.now, at))
            }
            None => format!("{label} at its limit"),
        },
        KeyState::Blocked => {
            let until = crate::domain::format_date;
            let by = stored_key.describe_block(model.now, until).unwrap_or_default();
            format!("{label} blocked {by}")
        }
        KeyState::Rejected => format!("{label} rejected"),
        KeyState::Low => match spent_share(stored_key, model.now) {
            share if share >= 0.0 => format!("{label} {:.0}% spent", (share * 100.0).floor()),
            _ => format!("{label} nearly spent"),
        },
        KeyState::Expired => format!("{label} ended"),
        KeyState::Expiring => {
            let at = stored_key.expires_at().value()?;
            format!("{label} ends {}", format_relative_time(model.now, at))
        }
        KeyState::Active | KeyState::Disabled | KeyState::Unknown => return None,
    };
    Some((text, theme.state_marker(state).1))
}

fn is_unused_replacement(stored_key: &StoredKey, model: &Model) -> bool {
    stored_key.retirement.is_some() && format_unused_replaced_key(stored_key, model).is_some()
}

/// Returns a warning about a replaced key that is no longer used.
fn format_unused_replaced_key(stored_key: &StoredKey, model: &Model) -> Option<String> {
    let label = truncate(stored_key.label.as_str(), 20);
    match model.dashboard.retirement_status(stored_key, model.now) {
        RetirementStatus::Unused(status) | RetirementStatus::Inactive(status) => {
            Some(format!("{label} {status}: press x, then r to delete it"))
        }
        RetirementStatus::NotReplaced
        | RetirementStatus::InUse(_)
        | RetirementStatus::Observing(_) => None,
    }
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
    let since = format_relative_time(model.now, first.started_at);
    let ends = [
        format!(
            " may exist, {since}{more}: revoke it at {}; D dismisses this",
            page.trim_start_matches("https://")
        ),
        format!(" may exist{more}: revoke it, then press D"),
    ];
    let end = ends.iter().find(|end| width >= end.width() + 24).or(ends.last())?;
    let label = truncate(first.label.as_str(), width.saturating_sub(end.width() + 7).max(8));
    Some(truncate(&format!(" ! Key {label}{end}"), width))
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
