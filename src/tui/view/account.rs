//! The figures of the account: credits, spending, keys by state, spending by key, by model and by day.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::charts::{DayChart, has_bars};
use super::key_charts::{CHART_DAYS, completed_days};
use super::key_table::format_state_alone;
use super::overview::{COLUMN_GAP, list_rankings};
use super::ranking::{Ranked, Ranking};
use super::text::{format_property, wrap_property};
use super::{Theme, text};
use crate::domain::{StoredKey, format_usd, sort_by_key, utc_date};
use crate::tui::keymap::key_text;
use crate::tui::state::{Intent, Model};

/// The widest row, in which the bars of all rankings end in one column; longer bars are no clearer.
const MAX_COLUMNS: u16 = 86;
/// The rows of the chart by day where the page scrolls, and the most where it fits.
const CHART_ROWS: (u16, u16) = (8, 16);
/// The most rows of the chart where it stands beside the other figures.
const MAX_ROWS_BESIDE: u16 = 40;

/// Draws the page from the row `scroll` on and returns by how many rows it can be scrolled.
pub fn draw(scroll: u16, model: &Model, theme: Theme, frame: &mut Frame<'_>, area: Rect) -> u16 {
    let area = text::inset(area);
    let page = Rect { width: area.width.min(MAX_COLUMNS), ..area };
    // The scrollbar needs two columns.
    let width = page.width.saturating_sub(2);
    let mut lines = format_figures(model, theme, usize::from(width));
    let mut rankings = list_rankings(model);
    let models = model.account.report.iter().flat_map(|report| &report.models);
    let of_account: Vec<_> = models.map(|spent| (spent.model.as_str(), spent.usage)).collect();
    if !of_account.is_empty() {
        rankings.truncate(1);
        let days = completed_days(utc_date(model.now));
        let title = format!("By model, whole account, {days}, without today");
        rankings.push(Ranking { ranked: Ranked::Models, title, amounts: of_account });
    }
    for ranking in &rankings {
        lines.push(Line::default());
        lines.extend(ranking.format(usize::MAX, usize::from(width), theme));
    }
    let (days, scope) = spending_by_day(model);
    let chart = DayChart { days: &days, last: utc_date(model.now), limit: None };
    let title = Line::styled(format!("USD by day{scope}"), theme.dim());
    let x = page.right() + COLUMN_GAP;
    let beside = Rect { x, width: area.right().saturating_sub(x), ..area };
    if has_bars(&days) && DayChart::fits_with_gaps(CHART_DAYS, beside.width) {
        draw_chart(&chart, title, theme, frame, beside);
    } else if has_bars(&days) {
        lines.extend([Line::default(), title]);
        let used = u16::try_from(lines.len()).unwrap_or(u16::MAX);
        let height = area.height.saturating_sub(used).clamp(CHART_ROWS.0, CHART_ROWS.1);
        lines.extend(chart.to_lines(theme, width, height));
    }
    text::draw_page(frame, page, lines, scroll, theme)
}

/// Draws the chart by day with its sums below it.
fn draw_chart(
    chart: &DayChart<'_>,
    title: Line<'static>,
    theme: Theme,
    frame: &mut Frame<'_>,
    area: Rect,
) {
    let sums = chart.format_sums(theme);
    let rows = u16::try_from(sums.len() + 2).unwrap_or(u16::MAX);
    let height = area.height.saturating_sub(rows).min(MAX_ROWS_BESIDE);
    let bars = Rect { y: area.y + 1, height, ..area };
    text::draw_paragraph(frame, area, vec![title]);
    chart.draw(theme, bars, frame.buffer_mut());
    let below = Rect { y: bars.bottom() + 1, height: rows - 2, ..area };
    text::draw_paragraph(frame, below.intersection(area), sums);
}

/// Returns the spending of each day of the chart, and whose it is.
fn spending_by_day(model: &Model) -> (Vec<Option<f64>>, &'static str) {
    let of_account = model.account.report.as_ref().and_then(|report| {
        let days = report.spent_today.and(report.days.as_ref())?;
        Some((days, report.spent_today_exactly()))
    });
    let (days, today, scope) = match of_account {
        Some((days, today)) => (days, Some(today), " of the whole account"),
        None => (&model.account.days, None, " of the stored keys"),
    };
    let days = days.last_days(utc_date(model.now), CHART_DAYS).map(|(_, spent)| spent);
    let mut days: Vec<_> = days.collect();
    if let (Some(last), Some(today)) = (days.last_mut(), today) {
        *last = Some(today);
    }
    (days, scope)
}

fn format_figures(model: &Model, theme: Theme, width: usize) -> Vec<Line<'static>> {
    let figures = &model.account.figures;
    let property = |name: &str, value: String| wrap_property(name, Span::raw(value), width, theme);
    let usd = |amount: Option<f64>| amount.map_or_else(|| "–".to_owned(), format_usd);
    let mut lines = match (model.account.report.as_ref(), figures.credits_left) {
        (Some(report), Some(left)) => {
            let bought = report.credits.map(|credits| credits.total_credits);
            let days = figures
                .days_left
                .map(|days| format!(" left, about {days:.0} days at last week's pace"));
            property(
                "credits",
                format!("{} of {}{}", usd(Some(left)), usd(bought), days.unwrap_or_default()),
            )
        }
        (Some(_), None) => property("credits", "not readable with this management key".to_owned()),
        (None, _) => {
            let key = key_text(model, &Intent::OpenManagement);
            let text = format!("need a management key: {key} on the dashboard adds one");
            property("credits", text)
        }
    };
    let scope = if figures.is_whole_account { "whole account" } else { "keys stored here" };
    lines.extend(property("today", format!("{}, {scope}", usd(figures.today))));
    lines.extend(property("month", format!("{}, {scope}", usd(figures.month))));
    lines.extend(format_states(model, theme, width));
    if let Some(report) = &model.account.report {
        let stored = model.dashboard.stored_keys();
        let is_elsewhere = |hash: &str| !stored.iter().any(|key| key.hash == hash);
        let elsewhere = report.keys.iter().filter(|key| is_elsewhere(&key.hash)).count();
        let key = key_text(model, &Intent::NextScope);
        let text = format!("{elsewhere} more in the account; {key} lists all");
        lines.extend(property("", text));
    }
    lines
}

/// Returns the number of the stored keys in each state; what does not fit continues below.
fn format_states(model: &Model, theme: Theme, width: usize) -> Vec<Line<'static>> {
    let mut keys: Vec<&StoredKey> = model.dashboard.stored_keys().iter().collect();
    sort_by_key(&mut keys, |key| key.state(model.now).urgency_rank());
    let mut counts: Vec<(Span<'static>, usize)> = Vec::new();
    for key in &keys {
        let state = format_state_alone(key, model.now, theme);
        match counts.iter_mut().find(|(other, _)| *other == state) {
            Some((_, count)) => *count += 1,
            None => counts.push((state, 1)),
        }
    }
    let mut lines = Vec::new();
    let mut line = format_property("keys", Span::raw(format!("{} here", keys.len())), theme);
    for (state, count) in counts {
        let text = state.content.replacen(' ', &format!(" {count} "), 1);
        let state = Span::styled(text, state.style);
        if line.width() + state.width() + 3 > width {
            lines.push(std::mem::replace(&mut line, format_property("", state, theme)));
        } else {
            line.extend([Span::raw(" · "), state]);
        }
    }
    lines.push(line);
    lines
}
