//! The warning line above the table of keys, and the text that replaces an empty table.

mod reason;

use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Clear;
use unicode_width::UnicodeWidthStr;

use super::line::draw_line;
use super::text::{to_sentence, truncate};
use super::{Theme, text};
use crate::domain::format_relative_time;
use crate::tui::keymap::key_text;
use crate::tui::state::{Attention, DashboardLayout, Intent, KeyList, Model, UndoableChange};
use reason::Reason;

/// Draws what needs attention: in one row, or on a large terminal in a row for each of the worst keys.
pub fn draw(model: &Model, layout: &DashboardLayout, theme: Theme, frame: &mut Frame<'_>) {
    let area = Rect::from(layout.attention);
    let Some(list_heading) = layout.list_heading.map(Rect::from) else {
        return draw_row(model, theme, frame, area);
    };
    let urgent = &model.dashboard.attention_list;
    let heading = Line::from(vec![
        Span::styled("Attention", theme.strong()),
        Span::styled(format!("  {}", urgent.len()), theme.dim()),
    ]);
    let rows = text::draw_heading(heading, theme, frame, area);
    if let Some(warning) = format_account_warning(model, theme, usize::from(area.width) - 1) {
        frame.render_widget(Clear, Rect { height: 1, ..area });
        draw_line(&warning, Rect { height: 1, ..area }, frame.buffer_mut());
    }
    let count = usize::from(rows.height);
    let keys = model.dashboard.stored_keys();
    let shown = urgent.iter().take(count).filter_map(|(index, _)| keys.get(*index));
    let widest = shown.map(|key| key.label.as_str().width()).max().unwrap_or(0);
    let label_width = widest.min(usize::from(rows.width) / 3);
    for (y, (position, (index, attention))) in (rows.y..).zip(urgent.iter().enumerate().take(count))
    {
        let row = Rect { y, height: 1, ..rows };
        let Some(key) = keys.get(*index) else { continue };
        let reason = Reason::of(*attention, key, model, theme);
        let hidden = if position + 1 == count { urgent.len() - count } else { 0 };
        let (action, _) = format_action(&reason, hidden, model, theme);
        let action_width = u16::try_from(action.width()).unwrap_or(row.width).min(row.width);
        let label = truncate(key.label.as_str(), label_width);
        let gap = " ".repeat(label_width.saturating_sub(label.width()) + 2);
        let room = usize::from(row.width - action_width).saturating_sub(label_width + 6);
        let line = Line::from(vec![
            Span::raw(" "),
            Span::styled(format!("{} ", reason.symbol), reason.style),
            Span::raw(label),
            Span::raw(gap),
            Span::styled(truncate(&reason.text, room), reason.style),
        ]);
        draw_line(&line, row, frame.buffer_mut());
        let right = Rect { x: row.right() - action_width, width: action_width, ..row };
        draw_line(&action, right, frame.buffer_mut());
    }
    let heading = Line::from(vec![
        Span::styled("All keys", theme.strong()),
        Span::styled(format!("  {}", model.dashboard.all_keys().len()), theme.dim()),
    ]);
    text::draw_heading(heading, theme, frame, list_heading);
    draw_position(model, theme, frame, list_heading);
}

/// Returns what stands at the right of a row, and what a click on it requests for the key of the row.
fn format_action(
    reason: &Reason,
    hidden: usize,
    model: &Model,
    theme: Theme,
) -> (Line<'static>, Intent) {
    let (intent, action) = match hidden {
        0 => (reason.intent.clone(), reason.action),
        _ => (Intent::NextAttention, "next"),
    };
    let more = if hidden == 0 { String::new() } else { format!("+{hidden} more  ") };
    let line = Line::from(vec![
        Span::styled(more, theme.dim()),
        Span::styled(key_text(model, &intent), theme.accent()),
        Span::raw(format!(" {action} ")),
    ]);
    (line, intent)
}

/// Returns what a click on the keys that need attention requests: to select the key, or to do what stands at
/// the right of its row.
pub fn intent_at(
    model: &Model,
    layout: &DashboardLayout,
    (column, row): (u16, u16),
) -> Option<Intent> {
    let (area, urgent) = (Rect::from(layout.attention), &model.dashboard.attention_list);
    if !area.contains(Position { x: column, y: row }) || urgent.is_empty() {
        return None;
    }
    if layout.list_heading.is_none() {
        return Some(Intent::NextAttention);
    }
    let position = usize::from(row.checked_sub(area.y + 1)?);
    let ((index, attention), count) =
        (*urgent.get(position)?, usize::from(area.height.saturating_sub(1)));
    let key = model.dashboard.stored_keys().get(index)?;
    let reason = Reason::of(attention, key, model, Theme::NoColor);
    let hidden = if position + 1 == count { urgent.len() - count } else { 0 };
    let (action, intent) = format_action(&reason, hidden, model, Theme::NoColor);
    let action_start = usize::from(area.right()).saturating_sub(action.width());
    Some(match intent {
        _ if usize::from(column) < action_start => Intent::SelectKey(key.hash.clone()),
        Intent::NextAttention => Intent::NextAttention,
        intent => Intent::ActOnKey(key.hash.clone(), Box::new(intent)),
    })
}

/// Draws the most important warnings in one row.
pub fn draw_row(model: &Model, theme: Theme, frame: &mut Frame<'_>, line: Rect) {
    let line = draw_position(model, theme, frame, line);
    let width = usize::from(line.width);
    let warning = format_account_warning(model, theme, width)
        .unwrap_or_else(|| format_attention(model, theme, width));
    draw_line(&warning, line, frame.buffer_mut());
}

/// Returns a warning that goes before those of single keys.
fn format_account_warning(model: &Model, theme: Theme, width: usize) -> Option<Line<'static>> {
    if let Some(text) = format_pending_attempts(model, width) {
        return Some(Line::styled(text, theme.warning()));
    }
    let texts = [
        " ! The account is out of credit: requests of all keys fail (402).",
        " ! Out of credit: requests of all keys fail (402).",
    ];
    let is_out = model.refresh.has_insufficient_credits;
    is_out.then(|| Line::styled(first_that_fits(texts, width), theme.error()))
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
    draw_line(&Line::styled(text, theme.dim()), right, frame.buffer_mut());
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
/// most important reason. That of the selected key is always among them.
fn format_attention(model: &Model, theme: Theme, width: usize) -> Line<'static> {
    let urgent = &model.dashboard.attention_list;
    if model.dashboard.stored_keys().is_empty() {
        return Line::default();
    }
    if urgent.is_empty() {
        return Line::styled(truncate(" No key needs attention.", width), theme.dim());
    }
    let (line, shown) = format_reasons(urgent, model, theme, width);
    let selected = model.dashboard.rows.get(model.dashboard.selected_row);
    let hidden = urgent.iter().skip(shown).position(|(index, _)| Some(index) == selected);
    let Some(hidden) = hidden else { return line };
    let mut urgent = urgent.clone();
    urgent.rotate_left(shown + hidden);
    format_reasons(&urgent, model, theme, width).0
}

/// Returns the reasons that fit, and their number.
fn format_reasons(
    all: &[(usize, Attention)],
    model: &Model,
    theme: Theme,
    width: usize,
) -> (Line<'static>, usize) {
    let keys = model.dashboard.stored_keys();
    let mut line = Line::raw(" ");
    let text = format!("Attention {}  ", all.len());
    line.push_span(Span::styled(text, theme.strong()));
    for (position, (index, attention)) in all.iter().enumerate() {
        let key = keys.get(*index).filter(|_| position < MAX_REASONS);
        let reason = key.map(|key| {
            let reason = Reason::of(*attention, key, model, theme);
            let label = truncate(key.label.as_str(), 20);
            (format!("{label} {}", reason.text), reason.style)
        });
        let (text, style) = reason.unwrap_or_default();
        let separator = if position == 0 { "" } else { " · " };
        // The last cells hold the number of what does not fit.
        let reserved = if position + 1 < all.len() { 7 } else { 0 };
        let room = width.saturating_sub(line.width() + separator.len() + reserved);
        // Without room for all of a reason its first part stands alone.
        let first_part = text.split([',', ':']).next().unwrap_or_default();
        let text = if text.width() > room { first_part } else { &text };
        if position > 0 && (text.is_empty() || text.width() > room) {
            line.push_span(Span::styled(format!(" · +{}", all.len() - position), theme.dim()));
            return (line, position);
        }
        line.push_span(Span::styled(separator, theme.dim()));
        line.push_span(Span::styled(truncate(text, room), style));
    }
    (line, all.len())
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
    let stored = [
        format!(
            " may be stored, {since}{more}: unlock the secret store, then run keywright recover"
        ),
        format!(" may be stored{more}: run keywright recover"),
    ];
    let dismiss = key_text(model, &Intent::DismissAttempt);
    let lost = [
        format!(
            " may exist, {since}{more}: revoke it at {}; {dismiss} dismisses this",
            page.trim_start_matches("https://")
        ),
        format!(" may exist{more}: revoke it, then press {dismiss}"),
    ];
    let ends = if first.waits_for_store { stored } else { lost };
    let end = ends.iter().find(|end| width >= end.width() + 24).or(ends.last())?;
    let label = truncate(first.label.as_str(), width.saturating_sub(end.width() + 7).max(8));
    Some(truncate(&format!(" ! Key {label}{end}"), width))
}

/// The widest line of a text.
const MAX_TEXT_COLUMNS: u16 = 78;

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
        KeyList::Loaded(keys)
            if keys.is_empty()
                && model.shared_store.is_in_use
                && model.dashboard.load_ticket.is_some() =>
        {
            vec![Line::styled("Reading the shared store.", theme.dim())]
        }
        KeyList::Failed(error) => {
            let mut lines = text::format_error(error, theme);
            lines.push(Line::default());
            lines.push(format_key_hint(model, theme, &Intent::Reload, "tries again"));
            lines
        }
        KeyList::Loaded(keys) if !keys.is_empty() && model.dashboard.filter.text().is_empty() => {
            vec![
                Line::raw("No keys in this view."),
                Line::default(),
                format_key_hint(model, theme, &Intent::NextScope, "shows the next view"),
            ]
        }
        KeyList::Loaded(keys) if !keys.is_empty() => vec![
            Line::raw("No key matches the filter."),
            Line::default(),
            format_key_hint(model, theme, &Intent::Back, "clears the filter"),
        ],
        KeyList::Loaded(_) if matches!(model.undoable, Some(UndoableChange::Removed(_))) => vec![
            Line::styled("All keys were removed.", theme.strong()),
            Line::default(),
            format_key_hint(model, theme, &Intent::OpenTrash, "restores a removed key"),
            format_key_hint(model, theme, &Intent::NewKey, "creates a key"),
        ],
        KeyList::Loaded(_) => vec![
            Line::styled("No keys are stored yet.", theme.strong()),
            Line::default(),
            Line::raw(format!(
                "Keywright creates one OpenRouter key for each tool, with its own limit and expiry, \
                 and stores it in {}.",
                model.store_name
            )),
            Line::default(),
            format_key_hint(
                model,
                theme,
                &Intent::NewKey,
                "creates the first key: fill in a form, then sign in through your browser",
            ),
            format_key_hint(model, theme, &Intent::ToggleHelp, "lists the keyboard shortcuts"),
        ],
    };
    let area = text::inset(Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area });
    // Longer lines are hard to read.
    let area = Rect { width: area.width.min(MAX_TEXT_COLUMNS), ..area };
    text::draw_paragraph(frame, area, lines);
}

fn format_key_hint(
    model: &Model,
    theme: Theme,
    intent: &Intent,
    description: &str,
) -> Line<'static> {
    Line::from(vec![
        Span::styled(key_text(model, intent), theme.accent()),
        Span::raw(to_sentence(&format!("  {description}"))),
    ])
}
