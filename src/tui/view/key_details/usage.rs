//! The usage history of a key: spending by day, a forecast, and whether a replaced key is still used.

use ratatui::text::{Line, Span};

use crate::domain::{RetirementStatus, StoredKey, forecast_spending};
use crate::domain::{format_usd_short, utc_date};
use crate::tui::state::Model;
use crate::tui::view::Theme;
use crate::tui::view::text::{format_property, to_sentence};

/// Number of days in the chart.
const CHART_DAYS: u16 = 30;

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
    let days = &model.dashboard.key_spending(stored_key).days;
    if let Some(forecast) = forecast_spending(samples, days, stored_key, model.now) {
        let text = to_sentence(&forecast.describe(model.now));
        lines.push(format_property("forecast", Span::raw(text), theme));
    }
    lines.extend(format_chart(stored_key, model, theme, width));
    lines
}

/// Returns one bar for each of the last UTC days; a day without spending is empty, and one that is not
/// known is a dot.
fn format_chart(
    stored_key: &StoredKey,
    model: &Model,
    theme: Theme,
    width: usize,
) -> Option<Line<'static>> {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let spending = &model.dashboard.key_spending(stored_key).days;
    let days: Vec<Option<f64>> =
        spending.last_days(utc_date(model.now), CHART_DAYS).map(|(_, spent)| spent).collect();
    let most = days.iter().flatten().copied().fold(0.0, f64::max);
    if most <= 0.0 {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 7")]
    let bar = |spent: f64| match spent / most * 7.0 {
        _ if spent <= 0.0 => ' ',
        height => BARS[(height.round() as usize).min(7)],
    };
    let bars: String = days.iter().map(|spent| spent.map_or('·', bar)).collect();
    let text = format!("  {CHART_DAYS} days, at most {} a day", format_usd_short(most));
    let text = if width >= 10 + bars.chars().count() + text.len() { text } else { String::new() };
    Some(Line::from(vec![
        Span::styled(format!("{:<10}", "by day"), theme.dim()),
        Span::styled(bars, theme.accent()),
        Span::styled(text, theme.dim()),
    ]))
}
