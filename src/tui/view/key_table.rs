//! The table of keys. Only the visible page is formatted; moving the selection within it repaints
//! two rows.

use jiff::Timestamp;
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use super::Theme;
use super::text::truncate;
use crate::domain::{
    KeyState, Reported, ServerValue, StoredKey, format_date, format_relative_time, format_usd_short,
};
use crate::tui::state::{KeyScope, Model, SIDE_DETAILS_MIN_COLUMNS, SortOrder, spent_share};

/// A column, shown if the area has at least `min_width` columns.
struct Column {
    title: &'static str,
    width: u16,
    min_width: u16,
    sort: Option<SortOrder>,
    format_cell: fn(&StoredKey, Timestamp, Theme) -> Span<'static>,
}

/// The columns after the label, which gets the remaining width.
const COLUMNS: [Column; 7] = [
    Column {
        title: "STATE",
        width: 16,
        min_width: 0,
        sort: Some(SortOrder::State),
        format_cell: format_state,
    },
    Column { title: "", width: 7, min_width: 80, sort: None, format_cell: format_gauge },
    Column {
        title: "SPENT / LIMIT",
        width: 17,
        min_width: 0,
        sort: Some(SortOrder::SpentShare),
        format_cell: format_spent,
    },
    Column {
        title: "RESETS IN",
        width: 11,
        min_width: 80,
        sort: Some(SortOrder::NextReset),
        format_cell: format_reset,
    },
    Column {
        title: "EXPIRES IN",
        width: 12,
        min_width: 0,
        sort: Some(SortOrder::Expiry),
        format_cell: format_expiry,
    },
    Column { title: "KEY", width: 20, min_width: 104, sort: None, format_cell: format_masked_key },
    Column { title: "STORE", width: 7, min_width: 124, sort: None, format_cell: format_store },
];

/// Width of the mark and the cursor, which precede the label.
const MARKER_WIDTH: u16 = 3;

pub fn draw(model: &Model, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let shown = || COLUMNS.iter().filter(|column| area.width >= column.min_width);
    let other_widths: u16 = shown().map(|column| column.width).sum();
    let label_width = area.width.saturating_sub(other_widths + MARKER_WIDTH).min(40);
    let dashboard = &model.dashboard;
    // With the keys of the account, the location of a key replaces the gauge.
    let shows_account = dashboard.scope != KeyScope::Stored;
    let title = |name: &'static str, sort: Option<SortOrder>| -> String {
        match (sort == Some(dashboard.sort_order), dashboard.is_reversed) {
            (false, _) => name.to_owned(),
            (true, false) => format!("{name} ▾"),
            (true, true) => format!("{name} ▴"),
        }
    };
    let buffer = frame.buffer_mut();
    let label = title("LABEL", Some(SortOrder::Label));
    write_cell(buffer, area.x + MARKER_WIDTH, area.y, &label, label_width, theme.dim());
    let mut x = area.x + MARKER_WIDTH + label_width;
    for column in shown() {
        let name = if shows_account && column.title.is_empty() { "WHERE" } else { column.title };
        write_cell(buffer, x, area.y, &title(name, column.sort), column.width, theme.dim());
        x += column.width;
    }
    for (y, (row, stored_key)) in
        (area.y + 1..area.bottom()).zip(dashboard.visible_keys(model.terminal_size.1))
    {
        let selected = row == dashboard.selected_row;
        let (cursor, style) = if selected { ("▸", theme.strong()) } else { (" ", Style::new()) };
        let mark = if dashboard.marked_hashes.contains(&stored_key.hash) { "✓" } else { " " };
        write_cell(buffer, area.x, y, mark, 2, theme.success());
        write_cell(buffer, area.x + 1, y, cursor, 2, theme.accent());
        let label = truncate(stored_key.label.as_str(), usize::from(label_width.saturating_sub(1)));
        write_cell(buffer, area.x + MARKER_WIDTH, y, &label, label_width, style);
        let mut x = area.x + MARKER_WIDTH + label_width;
        for column in shown() {
            let cell = match column.title {
                "" if shows_account => format_location(stored_key, model, theme),
                _ => (column.format_cell)(stored_key, model.now, theme),
            };
            write_cell(buffer, x, y, &cell.content, column.width, cell.style);
            x += column.width;
        }
    }
}

/// Returns the sort order of the column whose title is at a place on the screen.
pub fn sort_order_at(model: &Model, body: Rect, column: u16, row: u16) -> Option<SortOrder> {
    // The title is below the line of warnings.
    if row != body.y + 1 || model.dashboard.are_details_shown {
        return None;
    }
    let width = if body.width >= SIDE_DETAILS_MIN_COLUMNS { body.width - 58 } else { body.width };
    let shown = || COLUMNS.iter().filter(|column| width >= column.min_width);
    let other_widths: u16 = shown().map(|column| column.width).sum();
    let label_width = width.saturating_sub(other_widths + MARKER_WIDTH).min(40);
    let mut x = MARKER_WIDTH + label_width;
    if (MARKER_WIDTH..x).contains(&column) {
        return Some(SortOrder::Label);
    }
    for shown in shown() {
        if (x..x + shown.width).contains(&column) {
            return shown.sort;
        }
        x += shown.width;
    }
    None
}

fn write_cell(buffer: &mut Buffer, x: u16, y: u16, text: &str, width: u16, style: Style) {
    buffer.set_stringn(x, y, text, usize::from(width.saturating_sub(1)), style);
}

/// Returns whether a key is stored here, exists only at OpenRouter, or was deleted there.
fn format_location(stored_key: &StoredKey, model: &Model, theme: Theme) -> Span<'static> {
    if model.dashboard.revoked_hashes.contains(&stored_key.hash) {
        Span::styled("gone", theme.error())
    } else if stored_key.is_stored() {
        Span::raw("here")
    } else {
        Span::styled("remote", theme.dim())
    }
}

/// Returns the state of a key as a symbol and a word.
pub fn format_state(stored_key: &StoredKey, now: Timestamp, theme: Theme) -> Span<'static> {
    let state = stored_key.state(now);
    let (sign, style) = theme.state_marker(state);
    Span::styled(format!("{sign} {}", state.as_str().replace('_', " ")), style)
}

/// Returns the spent share of the limit as a bar of six cells with eight steps each.
fn format_gauge(stored_key: &StoredKey, now: Timestamp, theme: Theme) -> Span<'static> {
    const STEPS: [char; 9] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];
    const CELLS: u32 = 6;
    let share = spent_share(stored_key, now);
    if share < 0.0 {
        return Span::raw("");
    }
    // Any spending shows at least one step; the bar is full only when the limit is reached.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 48")]
    let steps = match share * f64::from(CELLS * 8) {
        steps if share >= 1.0 => steps as usize,
        steps if steps > 0.0 => (steps as usize).clamp(1, 47),
        _ => 0,
    };
    let bar: String =
        (0..CELLS as usize).map(|cell| STEPS[steps.saturating_sub(cell * 8).min(8)]).collect();
    let style = match stored_key.state(now) {
        KeyState::LimitReached => theme.error(),
        KeyState::Low => theme.warning(),
        _ => theme.accent(),
    };
    // The dots show where the bar ends.
    Span::styled(bar.replace(' ', "·"), style)
}

/// Returns `$3.20 / $10.00`, or `$3.20 a month` without a limit. Stale figures are dim.
pub fn format_spent(stored_key: &StoredKey, now: Timestamp, theme: Theme) -> Span<'static> {
    let limit = stored_key.limit();
    let text = match (stored_key.spent(now), limit.is_none()) {
        (Some(spent), true) => format!("{} a month", format_usd_short(spent)),
        (None, true) => "no limit".to_owned(),
        (spent, false) => {
            let spent = spent.map_or("–".to_owned(), format_usd_short);
            format!("{spent} / {}", truncate(&limit.describe("", format_usd_short), 12))
        }
    };
    let is_stale = stored_key.is_stale(now) || stored_key.rejected_at.is_some();
    Span::styled(text, if is_stale { theme.dim() } else { Style::new() })
}

/// Returns the time until `at`, without the "in" that the column title contains.
fn format_time_until(now: Timestamp, at: Timestamp) -> String {
    let text = format_relative_time(now, at);
    text.strip_prefix("in ").unwrap_or(&text).to_owned()
}

fn format_expiry(stored_key: &StoredKey, now: Timestamp, theme: Theme) -> Span<'static> {
    let expiry = stored_key.expires_at();
    let Some(at) = expiry.value() else {
        return format_unknown(&expiry, theme);
    };
    match at.duration_since(now).as_hours() {
        _ if at <= now => Span::styled("expired", theme.error()),
        hours if hours > 300 * 24 => Span::raw(format_date(at)),
        hours if hours < 24 => Span::styled(format_time_until(now, at), theme.error()),
        hours if hours <= 7 * 24 => Span::styled(format_time_until(now, at), theme.warning()),
        _ => Span::raw(format_time_until(now, at)),
    }
}

fn format_reset(stored_key: &StoredKey, now: Timestamp, theme: Theme) -> Span<'static> {
    match stored_key.next_reset(now) {
        Some(at) => Span::raw(format_time_until(now, at)),
        None => format_unknown(&stored_key.reset(), theme),
    }
}

/// Returns `never`, or the server's words for a value that is not known.
fn format_unknown<T: ServerValue>(reported: &Reported<T>, theme: Theme) -> Span<'static> {
    let text = truncate(&reported.describe("never", |_| "unknown".to_owned()), 12);
    Span::styled(text, if reported.is_none() { theme.dim() } else { theme.warning() })
}

fn format_masked_key(stored_key: &StoredKey, _now: Timestamp, theme: Theme) -> Span<'static> {
    Span::styled(stored_key.masked.clone(), theme.dim())
}

fn format_store(stored_key: &StoredKey, _now: Timestamp, theme: Theme) -> Span<'static> {
    Span::styled(stored_key.location.store_name().to_owned(), theme.dim())
}
