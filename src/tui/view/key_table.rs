//! The list of keys. Only the rows on screen are formatted; a step within them repaints two rows.

use jiff::Timestamp;
use ratatui::Frame;
use ratatui::layout::{Alignment, Rect};
use ratatui::style::Style;
use ratatui::text::Span;

use super::line::draw_spans;
use super::text::truncate;
use super::{Theme, bars, text};
use crate::domain::{
    KeyState, Reported, ResetInterval, ServerValue, StoredKey, format_short_last_use,
    format_short_span, format_usd_short, utc_date,
};
use crate::tui::state::{
    Column, DashboardLayout, KeyScope, Model, PlacedColumn, SortOrder, place_columns, spent_share,
};

pub fn draw(model: &Model, layout: &DashboardLayout, theme: Theme, frame: &mut Frame<'_>) {
    let dashboard = &model.dashboard;
    let columns = place_model_columns(model, layout);
    let row_area = |y| Rect { y, height: 1, ..layout.rows.into() };
    let titles_area = row_area(layout.titles.y);
    for placed in &columns {
        let sorts = placed.column.sort_order() == Some(dashboard.sort_order);
        let style = if sorts { theme.strong() } else { theme.dim() };
        let title = Span::styled(format_title(*placed, model), style);
        draw_cell(&[title], *placed, titles_area, frame);
    }
    let selection_width = selection_width(&columns, layout.rows.width);
    for (y, (row, key)) in (layout.rows.y..).zip(model.visible_keys()) {
        let is_selected = row == dashboard.selected_row;
        if is_selected {
            let selection = Rect { width: selection_width, ..row_area(y) };
            frame.buffer_mut().set_style(selection, theme.selected());
        }
        for placed in &columns {
            let mut spans = format_cell(*placed, key, model, theme);
            if is_selected && placed.x < selection_width {
                for span in &mut spans {
                    span.style = Style::new();
                }
            }
            draw_cell(&spans, *placed, row_area(y), frame);
        }
    }
    let (count, page) = (dashboard.rows.len(), layout.page_size());
    text::draw_scrollbar(count, page, dashboard.first_row, theme, frame, layout.scrollbar.into());
}

/// Returns the width of the selection: the columns before the charts. What follows keeps its colours, and a bar is
/// not mistaken for a part of the selection.
fn selection_width(columns: &[PlacedColumn], row_width: u16) -> u16 {
    let is_chart = |placed: &&PlacedColumn| matches!(placed.column, Column::Used | Column::History);
    columns.iter().find(is_chart).map_or(row_width, |chart| chart.x.saturating_sub(1))
}

fn draw_cell(spans: &[Span<'_>], placed: PlacedColumn, row: Rect, frame: &mut Frame<'_>) {
    let area = Rect { x: row.x + placed.x, width: placed.width, ..row };
    draw_spans(spans, alignment(placed.column), area, frame.buffer_mut());
}

const fn alignment(column: Column) -> Alignment {
    match column {
        Column::Spent
        | Column::Limit
        | Column::Today
        | Column::Reset
        | Column::Expiry
        | Column::LastUsed => Alignment::Right,
        _ => Alignment::Left,
    }
}

/// Returns the sort order of the column whose title is at a place on the screen.
pub fn sort_order_at(
    model: &Model,
    layout: &DashboardLayout,
    column: u16,
    row: u16,
) -> Option<SortOrder> {
    if !layout.titles.contains(column, row) {
        return None;
    }
    let columns = place_model_columns(model, layout);
    let placed = columns.iter().rev().find(|placed| layout.titles.x + placed.x <= column)?;
    placed.column.sort_order()
}

fn place_model_columns(model: &Model, layout: &DashboardLayout) -> Vec<PlacedColumn> {
    let with_location = model.dashboard.scope != KeyScope::Stored;
    let dashboard = &model.dashboard;
    let with_store = dashboard.has_several_stores;
    place_columns(layout.rows.width, dashboard.longest_label, with_location, with_store)
}

fn format_title(placed: PlacedColumn, model: &Model) -> String {
    let name = match placed.column {
        Column::Label => " LABEL",
        Column::State => "STATE",
        Column::Location => "WHERE",
        Column::Spent => "SPENT $",
        Column::Limit => "LIMIT $",
        Column::Used => "USED",
        Column::History => {
            return format!("{HISTORY_DAYS} DAYS");
        }
        Column::Today => "TODAY $",
        Column::Reset => "RESET",
        Column::Expiry => "ENDS",
        Column::LastUsed => "LAST",
        Column::MaskedKey => "KEY",
        Column::Store => "STORE",
    };
    let dashboard = &model.dashboard;
    let is_sorted = placed.column.sort_order() == Some(dashboard.sort_order);
    match (is_sorted, dashboard.is_reversed) {
        (false, _) => name.to_owned(),
        (true, false) => format!("{name}▾"),
        (true, true) => format!("{name}▴"),
    }
}

/// The number of days in a row's chart.
const HISTORY_DAYS: u16 = 14;

/// Returns the text of a cell; spans that it does not need are empty.
fn format_cell(
    placed: PlacedColumn,
    key: &StoredKey,
    model: &Model,
    theme: Theme,
) -> [Span<'static>; 3] {
    let now = model.now;
    let width = usize::from(placed.width);
    let span = match placed.column {
        Column::Label => {
            let is_marked = model.dashboard.marked_hashes.contains(&key.hash);
            let mark = if is_marked { "✓" } else { " " };
            let label = truncate(key.label.as_str(), width - 1);
            return [Span::styled(mark, theme.success()), Span::raw(label), Span::default()];
        }
        Column::State => format_state(key, now, theme),
        Column::Location => format_location(key, model, theme),
        Column::Spent => format_amount(key.spent(now), key, now, theme),
        Column::Limit => format_limit(key, width, theme),
        Column::Used => {
            let share = spent_share(key, now);
            if share < 0.0 {
                return Default::default();
            }
            return bars::format_gauge(share, key.state(now), placed.width, theme);
        }
        Column::History => {
            let days = model.dashboard.recent_days(key, utc_date(now), HISTORY_DAYS);
            let is_known = days.iter().any(Option::is_some);
            let style = if is_known { theme.bar() } else { theme.dim() };
            Span::styled(bars::format_days(&days, width), style)
        }
        Column::Today => {
            let today = key.info.as_ref().and_then(|info| info.usage_daily);
            format_amount(today, key, now, theme)
        }
        Column::Reset => match key.next_reset(now) {
            Some(at) => Span::raw(format_short_span(now, at)),
            None => format_unknown(&key.reset(), theme),
        },
        Column::Expiry => format_expiry(key, now, theme),
        Column::LastUsed => match key.last_used_at() {
            Some(at) => Span::raw(format_short_last_use(at, now)),
            None => Span::styled("–", theme.dim()),
        },
        Column::MaskedKey => Span::styled(truncate(&key.masked, width), theme.dim()),
        Column::Store => Span::styled(truncate(key.location.store_name(), width), theme.dim()),
    };
    [span, Span::default(), Span::default()]
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

/// Returns the state of a key as a symbol and a word, and the symbol of a second state.
pub fn format_state(stored_key: &StoredKey, now: Timestamp, theme: Theme) -> Span<'static> {
    let mut state = format_state_alone(stored_key, now, theme);
    // The second state has room only beside the shorter words.
    if stored_key.state(now) == KeyState::Low
        && stored_key.is_expiring(now)
        && state.content.ends_with(KeyState::Low.word())
    {
        let end = theme.state_marker(KeyState::Expiring).0;
        state.content = format!("{} {end}", state.content).into();
    }
    state
}

/// Returns the state of a key as a symbol and a word. A key that another one replaced and that works
/// is shown as replaced; one whose text was deleted in the shared store cannot be used.
pub fn format_state_alone(stored_key: &StoredKey, now: Timestamp, theme: Theme) -> Span<'static> {
    if stored_key.secret_loss().is_some() {
        return Span::styled("! no text", theme.error());
    }
    let state = stored_key.state(now);
    if stored_key.retirement.is_some() && state.is_usable() {
        return Span::styled("↷ replaced", theme.dim());
    }
    let (sign, style) = theme.state_marker(state);
    Span::styled(format!("{sign} {}", state.word()), style)
}

/// Returns an amount without its currency, which the title names. Stale figures are dim.
fn format_amount(
    amount: Option<f64>,
    key: &StoredKey,
    now: Timestamp,
    theme: Theme,
) -> Span<'static> {
    let Some(amount) = amount else { return Span::styled("–", theme.dim()) };
    let is_stale = key.is_stale(now) || key.rejected_at.is_some();
    let style = if is_stale { theme.dim() } else { Style::new() };
    Span::styled(format_digits(amount), style)
}

/// Returns an amount without its currency.
fn format_digits(usd: f64) -> String {
    let mut text = format_usd_short(usd);
    text.retain(|character| character != '$');
    text
}

/// Returns `20.00/d`, or `none` without a limit.
fn format_limit(key: &StoredKey, width: usize, theme: Theme) -> Span<'static> {
    let limit = key.limit();
    match limit.to_known() {
        Ok(Some(usd)) => {
            let interval = match key.reset().value() {
                Some(ResetInterval::Daily) => "/d",
                Some(ResetInterval::Weekly) => "/w",
                Some(ResetInterval::Monthly) => "/m",
                None => "",
            };
            Span::raw(format!("{}{interval}", format_digits(usd)))
        }
        Ok(None) => Span::styled("none", theme.dim()),
        Err(_) => Span::styled(
            truncate(&limit.describe("none", format_usd_short), width),
            theme.warning(),
        ),
    }
}

/// Returns `$3.20 of $10.00 a day`, or `$3.20 this month` without a limit. Stale figures are dim.
pub fn format_spent(stored_key: &StoredKey, now: Timestamp, theme: Theme) -> Span<'static> {
    let limit = stored_key.limit();
    let interval = match stored_key.reset().value() {
        Some(ResetInterval::Daily) => " a day",
        Some(ResetInterval::Weekly) => " a week",
        Some(ResetInterval::Monthly) => " a month",
        None => "",
    };
    let text = match (stored_key.spent(now), limit.is_none()) {
        (Some(spent), true) => format!("{} this month, no limit", format_usd_short(spent)),
        (None, true) => "no limit".to_owned(),
        (spent, false) => {
            let spent = spent.map_or("–".to_owned(), format_usd_short);
            format!("{spent} of {}{interval}", limit.describe("", format_usd_short))
        }
    };
    let is_stale = stored_key.is_stale(now) || stored_key.rejected_at.is_some();
    Span::styled(text, if is_stale { theme.dim() } else { Style::new() })
}

fn format_expiry(stored_key: &StoredKey, now: Timestamp, theme: Theme) -> Span<'static> {
    let expiry = stored_key.expires_at();
    let Some(at) = expiry.value() else {
        return format_unknown(&expiry, theme);
    };
    let left = format_short_span(now, at);
    match at.duration_since(now).as_hours() {
        _ if at <= now => Span::styled("ended", theme.error()),
        // The end of a key that is not in use needs no attention.
        _ if stored_key.disabled == Some(true) || stored_key.retirement.is_some() => {
            Span::styled(left, theme.dim())
        }
        hours if hours < 24 => Span::styled(left, theme.error()),
        hours if hours <= 7 * 24 => Span::styled(left, theme.warning()),
        _ => Span::raw(left),
    }
}

/// Returns a dash for a value that is known to be absent or no longer matters, and a question mark for one that is not
/// understood.
fn format_unknown<T: ServerValue>(reported: &Reported<T>, theme: Theme) -> Span<'static> {
    if reported.is_none() || reported.value().is_some() {
        Span::styled("–", theme.dim())
    } else {
        Span::styled("?", theme.warning())
    }
}
