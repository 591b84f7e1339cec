//! The pane with the selected key, below or beside the list.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph};

use super::key_table::format_state;
use super::{Theme, key_charts, key_details, text};
use crate::domain::StoredKey;
use crate::tui::state::{DashboardLayout, Model};

/// The least width of a chart with its axis.
const MIN_CHART_WIDTH: u16 = 36;

pub fn draw(
    key: &StoredKey,
    model: &Model,
    layout: &DashboardLayout,
    theme: Theme,
    frame: &mut Frame<'_>,
) {
    let Some(pane) = layout.pane.map(Rect::from) else { return };
    if layout.is_pane_beside {
        let block = Block::new().borders(Borders::LEFT).border_style(theme.rule());
        let inner = block.inner(pane);
        frame.render_widget(block, pane);
        draw_beside(key, model, theme, frame, inner);
    } else {
        draw_below(key, model, theme, frame, pane);
    }
}

/// Draws a rule with the label and the state, and returns what lies below it.
fn draw_heading(
    key: &StoredKey,
    model: &Model,
    theme: Theme,
    frame: &mut Frame<'_>,
    area: Rect,
) -> Rect {
    let state = format_state(key, model.now, theme);
    let room = usize::from(area.width).saturating_sub(state.width() + 7);
    let name = text::truncate(key.label.as_str(), room);
    let heading = Line::from(vec![Span::styled(name, theme.strong()), Span::raw("  "), state]);
    text::draw_heading(heading, theme, frame, area)
}

fn draw_below(key: &StoredKey, model: &Model, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let area = text::inset(draw_heading(key, model, theme, frame, area));
    let facts_width = (area.width * 2 / 5).clamp(36, 64);
    let has_chart = area.width >= MIN_CHART_WIDTH + 2 + facts_width;
    let chart_width = if has_chart { area.width - facts_width - 2 } else { 0 };
    if has_chart {
        let chart = Rect { width: chart_width, ..area };
        key_charts::draw_chart(key, model, theme, chart, frame.buffer_mut());
    }
    let x = area.x + chart_width + if has_chart { 2 } else { 0 };
    let facts = Rect { x, width: area.right() - x, ..area };
    let width = usize::from(facts.width);
    let mut lines = key_details::format_facts(key, model, theme, width);
    let rows = usize::from(facts.height).saturating_sub(lines.len());
    if rows >= 2 {
        lines.extend(key_charts::format_models(key, model, rows, width, theme));
    }
    draw_lines(lines, theme, frame, facts);
}

fn draw_beside(key: &StoredKey, model: &Model, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    // The bars need the last column.
    let area = draw_heading(key, model, theme, frame, area);
    let area = Rect { x: area.x + 1, width: area.width - 1, ..area };
    let width = usize::from(area.width);
    let models = key_charts::format_models(key, model, 6, width.min(70), theme);
    let is_wide = area.width >= 120;
    let chart_height = (area.height / 3).clamp(7, 16);
    let (chart_width, models_at) = if is_wide {
        let chart_width = area.width - 72;
        (chart_width, Rect { x: area.x + chart_width + 2, width: 70, height: chart_height, ..area })
    } else {
        let height = u16::try_from(models.len()).unwrap_or(0).min(area.height - chart_height);
        (area.width, Rect { y: area.y + chart_height, height, ..area })
    };
    let chart = Rect { width: chart_width, height: chart_height, ..area };
    key_charts::draw_chart(key, model, theme, chart, frame.buffer_mut());
    draw_lines(models, theme, frame, models_at);
    let y = if is_wide { area.y + chart_height } else { models_at.bottom() };
    let rest = Rect { y, height: area.bottom() - y, ..area };
    let mut lines = vec![Line::default()];
    lines.extend(key_details::format_details(key, model, theme, width));
    draw_lines(lines, theme, frame, rest);
}

/// Draws lines; the last row says where the rest is if they do not fit.
fn draw_lines(mut lines: Vec<Line<'_>>, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let rows = usize::from(area.height);
    if lines.len() > rows {
        lines.truncate(rows.saturating_sub(1));
        lines.push(Line::styled("… enter shows all", theme.dim()));
    }
    frame.render_widget(Paragraph::new(lines), area);
}
