//! The usage history of a key: spending by day, a forecast, and whether a replaced key is still used.

use jiff::{SignedDuration, Timestamp};
use ratatui::text::{Line, Span};

use crate::domain::format_usd_short;
use crate::domain::{RetirementStatus, StoredKey, forecast_spending, spending_series};
use crate::tui::state::Model;
use crate::tui::view::Theme;
use crate::tui::view::text::{format_property, to_sentence};

/// Number of days in the chart.
const CHART_DAYS: u32 = 30;

const SECONDS_PER_DAY: i64 = 24 * 3_600;

pub fn format_history(
    stored_key: &StoredKey,
    model: &Model,
    theme: Theme,
    width: usize,
) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    let (text, style) = match model.dashboard.retirement_status(stored_key, model.now) {
        RetirementStatus::NotReplaced => (None, theme.dim()),
        RetirementStatus::InUse(text) => (Some(text), theme.warning()),
        RetirementStatus::Observing(text) => (Some(text), theme.dim()),
        RetirementStatus::Unused(text) | RetirementStatus::Inactive(text) => {
            (Some(format!("{text}: press x, then r to delete it")), theme.success())
        }
    };
    if let Some(text) = text {
        lines.push(format_property("replaced", Span::styled(text, style), theme));
    }
    let samples = model.dashboard.usage_samples(stored_key);
    if let Some(forecast) = forecast_spending(samples, stored_key, model.now) {
        let text = to_sentence(&forecast.describe(model.now));
        lines.push(format_property("forecast", Span::raw(text), theme));
    }
    lines.extend(format_chart(stored_key, model, theme, width));
    lines
}

/// Returns one bar for each of the last days; a day without samples is blank.
fn format_chart(
    stored_key: &StoredKey,
    model: &Model,
    theme: Theme,
    width: usize,
) -> Option<Line<'static>> {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    // The chart shows whole UTC days, up to the next midnight.
    let midnight = (model.now.as_second().div_euclid(SECONDS_PER_DAY) + 1) * SECONDS_PER_DAY;
    let end = Timestamp::from_second(midnight).ok()?;
    let span = SignedDuration::from_secs(i64::from(CHART_DAYS) * SECONDS_PER_DAY);
    let days = spending_series(model.dashboard.usage_samples(stored_key), end, CHART_DAYS, span);
    let most = days.iter().flatten().copied().fold(0.0, f64::max);
    if most <= 0.0 {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 7")]
    let bar = |spent: f64| match spent / most * 7.0 {
        _ if spent <= 0.0 => '·',
        height => BARS[(height.round() as usize).min(7)],
    };
    let bars: String = days.iter().map(|spent| spent.map_or(' ', bar)).collect();
    let text = format!("  {CHART_DAYS} days, at most {} a day", format_usd_short(most));
    let text = if width >= 10 + bars.chars().count() + text.len() { text } else { String::new() };
    Some(Line::from(vec![
        Span::styled(format!("{:<10}", "by day"), theme.dim()),
        Span::styled(bars, theme.accent()),
        Span::styled(text, theme.dim()),
    ]))
}
