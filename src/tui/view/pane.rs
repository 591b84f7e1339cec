//! The pane with the selected key, below or beside the list.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders};

use super::charts::DayChart;
use super::key_table::format_state;
use super::{Theme, key_charts, key_details, text};
use crate::domain::StoredKey;
use crate::tui::keymap::key_text;
use crate::tui::state::{DashboardLayout, Intent, Model};

/// The least width of a chart with its axis.
const MIN_CHART_WIDTH: u16 = 36;
/// The least rows of the chart beside the list.
const MIN_CHART_ROWS: u16 = 7;
/// The rows of the models below the chart: a heading, at most four of them, and a blank row.
const MODEL_ROWS: u16 = 6;
/// The rows that the details of most keys need.
const DETAILS_ROWS: u16 = 16;
/// The least width of a pane in which the details and the models stand side by side.
const MIN_TWO_COLUMNS: u16 = 110;
/// The least height of a pane in which the models stand below the chart.
const MIN_ROWS_WITH_MODELS: u16 = 12;

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
    let chart_width = area.width.saturating_sub(facts_width + 2);
    let has_chart = chart_width >= MIN_CHART_WIDTH;
    // The details get the width that the bars do not need.
    let chart_width = DayChart::fit_width(key_charts::CHART_DAYS, chart_width);
    let facts_x = if has_chart { area.x + chart_width + 2 } else { area.x };
    let facts = Rect { x: facts_x, width: area.right() - facts_x, ..area };
    let with_periods = facts.height >= MIN_ROWS_WITH_MODELS;
    let mut lines =
        key_details::format_facts(key, model, with_periods, theme, usize::from(facts.width));
    let models_at = if has_chart {
        let chart_height = if area.height >= MIN_ROWS_WITH_MODELS {
            area.height - MODEL_ROWS
        } else {
            area.height
        };
        let height = key_charts::chart_rows(key, model, chart_height);
        let chart = Rect { width: chart_width, height, ..area };
        key_charts::draw_chart(key, model, theme, chart, frame.buffer_mut());
        let y = chart.bottom() + 1;
        Rect { y, height: area.bottom().saturating_sub(y), ..chart }
    } else {
        Rect::default()
    };
    let format_models = |area: Rect| {
        key_charts::format_models(key, model, area.height.into(), area.width.into(), theme)
    };
    if models_at.height >= 2 {
        draw_lines(format_models(models_at), model, theme, frame, models_at);
    } else {
        let rows = facts.height.saturating_sub(u16::try_from(lines.len()).unwrap_or(u16::MAX));
        match rows {
            0 => {}
            1 => lines.push(format_rest("the models", model, theme)),
            _ => lines.extend(format_models(Rect { height: rows, ..facts })),
        }
    }
    draw_lines(lines, model, theme, frame, facts);
}

fn draw_beside(key: &StoredKey, model: &Model, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    // The bars need the last column.
    let area = draw_heading(key, model, theme, frame, area);
    let area = Rect { x: area.x + 1, width: area.width - 1, ..area };
    // The same for every key, so that the figures keep their positions.
    let is_wide = area.width >= MIN_TWO_COLUMNS;
    let below =
        if area.width >= MIN_TWO_COLUMNS { DETAILS_ROWS } else { DETAILS_ROWS + MODEL_ROWS };
    let most = area.height.saturating_sub(below).max(MIN_CHART_ROWS);
    let (chart, rest) = split_rows(area, key_charts::chart_rows(key, model, most));
    key_charts::draw_chart(key, model, theme, chart, frame.buffer_mut());
    let column = if is_wide { area.width / 2 - 1 } else { area.width };
    let rows = usize::from(MODEL_ROWS - 1);
    let models = key_charts::format_models(key, model, rows, column.min(70).into(), theme);
    let (models_at, details_at) = if is_wide {
        let right = Rect { x: area.right() - column, width: column, ..rest };
        (right, Rect { width: area.width - column - 2, ..rest })
    } else {
        // Without models there is only a line that says so.
        split_rows(
            rest,
            if models.len() > 2 {
                MODEL_ROWS
            } else if models.is_empty() {
                0
            } else {
                3
            },
        )
    };
    draw_lines(models, model, theme, frame, models_at);
    // A blank column separates an address from the edge.
    let details_at = Rect { width: details_at.width.saturating_sub(1), ..details_at };
    let details = key_details::format_details(key, model, theme, details_at.width.into());
    draw_lines(details, model, theme, frame, details_at);
}

fn split_rows(area: Rect, rows: u16) -> (Rect, Rect) {
    let height = rows.min(area.height);
    let rest = Rect { y: area.y + height, height: area.height - height, ..area };
    (Rect { height, ..area }, rest)
}

/// Draws lines; the last row says where the rest is if they do not fit.
fn draw_lines(
    mut lines: Vec<Line<'_>>,
    model: &Model,
    theme: Theme,
    frame: &mut Frame<'_>,
    area: Rect,
) {
    let rows = usize::from(area.height);
    if lines.len() > rows {
        lines.truncate(rows.saturating_sub(1));
        lines.push(format_rest("all", model, theme));
    }
    super::line::draw_lines(&lines, frame, area);
}

/// Returns the line that names the key to press for what does not fit.
fn format_rest(what: &str, model: &Model, theme: Theme) -> Line<'static> {
    let open = key_text(model, &Intent::ToggleDetails);
    Line::styled(format!("… {open} shows {what}"), theme.dim())
}
