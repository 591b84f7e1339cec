//! The charts of one key: spending by day and by model.

use jiff::ToSpan;
use jiff::civil::Date;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::Theme;
use super::charts::{DayChart, LIMIT, has_bars};
use super::line::draw_line;
use super::ranking::{Ranked, format_ranking};
use crate::domain::{KeySpending, ResetInterval, StoredKey, utc_date};
use crate::tui::keymap::key_text;
use crate::tui::state::{Intent, Model};

/// The number of days in the charts.
pub const CHART_DAYS: u16 = 30;
/// The rows of a chart without bars: what it would show, why it does not, and a blank row.
const EMPTY_CHART_ROWS: u16 = 4;

/// Returns the spending of each day of the charts, oldest first.
fn list_days(key: &StoredKey, model: &Model) -> Vec<Option<f64>> {
    model.dashboard.recent_days(key, utc_date(model.now), CHART_DAYS)
}

/// Returns how many of at most `most` rows the chart needs: few while there is nothing to draw.
pub fn chart_rows(key: &StoredKey, model: &Model, most: u16) -> u16 {
    if has_bars(&list_days(key, model)) { most } else { EMPTY_CHART_ROWS.min(most) }
}

/// Draws the spending of the key by day below a line that says what is drawn.
pub fn draw_chart(key: &StoredKey, model: &Model, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let last = utc_date(model.now);
    let days = list_days(key, model);
    let limit = key.limit().value();
    let (per_day, limit_name) = match (limit, key.reset().value()) {
        (Some(limit), Some(ResetInterval::Daily)) => (Some(limit), "daily limit"),
        (Some(limit), Some(ResetInterval::Weekly)) => (Some(limit / 7.0), "weekly limit / 7"),
        (Some(limit), Some(ResetInterval::Monthly)) => (Some(limit / 30.0), "monthly limit / 30"),
        (_, None) | (None, _) => (None, ""),
    };
    let plot = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let chart = DayChart { days: &days, last, limit: per_day };
    let mut title = vec![Span::styled("USD by day", theme.dim())];
    if chart.shows_limit(plot.height) {
        title.push(Span::styled(format!("  {LIMIT} {LIMIT}"), theme.warning()));
        title.push(Span::styled(format!(" {limit_name}"), theme.dim()));
    }
    draw_line(&Line::from(title), Rect { height: 1.min(area.height), ..area }, buffer);
    chart.draw(theme, plot, buffer);
}

/// The completed days of which the spending by model is known: those of the charts without the present one.
const COMPLETED_DAYS: i64 = CHART_DAYS as i64 - 1;

/// Returns the first and the last of these days, for example `29 Oct – 26 Nov`.
pub fn completed_days(today: Date) -> String {
    let day = |ago: i64| today.saturating_sub(ago.days()).strftime("%-d %b").to_string();
    format!("{} – {}", day(COMPLETED_DAYS), day(1))
}

/// Returns the spending by model below a heading, or nothing if the chart says that nothing was spent.
pub fn format_models(
    key: &StoredKey,
    model: &Model,
    rows: usize,
    width: usize,
    theme: Theme,
) -> Vec<Line<'static>> {
    let KeySpending { days, models } = model.dashboard.key_spending(key);
    if models.is_empty() && model.account.report.is_some() && !has_bars(&list_days(key, model)) {
        return Vec::new();
    }
    // The page has room for all models.
    let more = models.len() >= rows;
    // The same words for every key, so that a step in the list repaints only what differs.
    let period = if width >= 44 {
        completed_days(utc_date(model.now))
    } else {
        format!("{COMPLETED_DAYS} days")
    };
    let open = key_text(model, &Intent::ToggleDetails);
    let rest = if more { format!(" · {open} shows all") } else { String::new() };
    let heading = format!("By model, {period}{rest}");
    let mut lines = vec![Line::styled(heading, theme.dim())];
    let yesterday = utc_date(model.now).saturating_sub(1.day());
    let mut completed = days.iter().filter(|(date, _)| *date <= yesterday).peekable();
    if !models.is_empty() {
        let amounts: Vec<(&str, f64)> =
            models.iter().map(|spent| (spent.model.as_str(), spent.usage)).collect();
        let rows = rows.saturating_sub(1);
        lines.extend(format_ranking(Ranked::Models, &amounts, rows, width, theme));
    } else if model.account.report.is_some() {
        let is_known_zero = completed.peek().is_some() && completed.all(|(_, spent)| spent <= 0.0);
        let text = if is_known_zero {
            "No requests in these days."
        } else if utc_date(key.created_at) > yesterday {
            "No day of this key is over yet."
        } else {
            "Not known yet."
        };
        lines.push(Line::styled(text, theme.dim()));
    } else {
        lines.push(Line::from(vec![
            Span::styled("needs a management key: ", theme.dim()),
            Span::styled(key_text(model, &Intent::OpenManagement), theme.accent()),
            Span::styled(" adds one", theme.dim()),
        ]));
    }
    lines
}
