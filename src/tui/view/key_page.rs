//! The page of one key: all that is known about it, scrolled as one.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Widget};

use super::key_details::format_details;
use super::key_table::format_state;
use super::line::draw_line;
use super::{Theme, key_charts, text};
use crate::domain::StoredKey;
use crate::tui::state::Model;

/// The least height of the chart on the page.
const MIN_CHART_HEIGHT: u16 = 7;
/// The greatest height of the chart on the page, in rows.
const MAX_CHART_HEIGHT: u16 = 60;
/// The least height of a page that begins with the chart: it has room for the details below.
const MIN_CHART_FIRST: u16 = 24;
/// The least width of a page in which the details and the models stand side by side.
const MIN_TWO_COLUMNS: u16 = 150;

/// Draws the page of a key, scrolled by the lines of the dashboard, and returns by how many lines it
/// can be scrolled.
pub fn draw(
    key: &StoredKey,
    model: &Model,
    theme: Theme,
    frame: &mut Frame<'_>,
    area: Rect,
) -> u16 {
    let inner = Rect { width: area.width.saturating_sub(3), x: area.x + 1, ..area };
    let width = usize::from(inner.width).min(160);
    let name =
        Span::styled(text::truncate(key.label.as_str(), width.saturating_sub(14)), theme.strong());
    let heading = Line::from(vec![name, Span::raw("  "), format_state(key, model.now, theme)]);
    draw_line(&heading, Rect { height: 1.min(area.height), ..inner }, frame.buffer_mut());
    // On a wide page the models stand beside the details.
    let is_wide = inner.width >= MIN_TWO_COLUMNS;
    let column = if is_wide { inner.width / 2 - 1 } else { inner.width };
    let width = usize::from(column).min(160);
    let models = key_charts::format_models(key, model, usize::MAX, width.min(100), theme);
    let details = format_details(key, model, theme, width);
    let body = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..inner };
    // On a small page the chart would hide why the key needs attention, and when it resets and ends.
    let is_small = body.height < MIN_CHART_FIRST;
    let beside = if is_wide { Vec::new() } else { models.clone() };
    let parts = if is_small { [details, beside] } else { [beside, details] };
    let mut lines = Vec::new();
    for part in parts.into_iter().filter(|part| !part.is_empty()) {
        if !lines.is_empty() {
            lines.push(Line::default());
        }
        lines.extend(part);
    }
    if is_wide && lines.len() < models.len() {
        lines.resize(models.len(), Line::default());
    }
    // The chart has what the text leaves of a tall screen, or a third of a small one.
    let text_rows = u16::try_from(lines.len()).unwrap_or(u16::MAX);
    let free = area.height.saturating_sub(text_rows.saturating_add(2)).min(MAX_CHART_HEIGHT);
    let most = (area.height / 3).max(free).max(MIN_CHART_HEIGHT);
    let chart_height = key_charts::chart_rows(key, model, most);
    let (text_row, chart_row) =
        if is_small { (0, text_rows.saturating_add(1)) } else { (chart_height + 1, 0) };
    // Drawn in full and then copied, so that the chart scrolls like the text.
    let size = Rect::new(0, 0, inner.width, text_rows.saturating_add(chart_height + 1));
    let mut page = Buffer::empty(size);
    Paragraph::new(lines).render(Rect { y: text_row, height: text_rows, ..size }, &mut page);
    if is_wide {
        let x = size.width - column;
        for (y, line) in (text_row..size.height).zip(models) {
            line.render(Rect { x, y, width: column, height: 1 }, &mut page);
        }
    }
    let chart = Rect { y: chart_row, height: chart_height, ..size };
    key_charts::draw_chart(key, model, theme, chart, &mut page);
    let scrolled = Rect { width: inner.width + 2, ..body };
    let scroll = model.dashboard.details_scroll;
    text::draw_scrolled(frame, scrolled, &page, size.height, scroll, theme)
}
