//! A key's past and where it leads: a month of spending as a row of bars, a forecast in words, and
//! whether a key that was replaced is still used.

use jiff::{SignedDuration, Timestamp};
use ratatui::text::{Line, Span};

use crate::domain::{RetirementStatus, StoredKey, forecast_spending, spending_series};
use crate::tui::state::Model;
use crate::tui::view::Theme;
use crate::tui::view::key_table::format_usd;
use crate::tui::view::text::{format_property, to_sentence};

/// Days of the chart.
const CHART_DAYS: u32 = 30;

const SECONDS_PER_DAY: i64 = 24 * 3_600;

pub fn format_history(
    held: &StoredKey,
    model: &Model,
    theme: Theme,
    width: usize,
) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    let (words, style) = match model.dashboard.retirement_status(held, model.now) {
        RetirementStatus::NotReplaced => (None, theme.dim()),
        RetirementStatus::InUse(words) => (Some(words), theme.warning()),
        RetirementStatus::Observing(words) => (Some(words), theme.dim()),
        RetirementStatus::Unused(words) | RetirementStatus::Inactive(words) => {
            (Some(format!("{words}: x, then r, deletes it")), theme.success())
        }
    };
    if let Some(words) = words {
        lines.push(format_property("replaced", Span::styled(words, style), theme));
    }
    let samples = model.dashboard.usage_samples(held);
    if let Some(forecast) = forecast_spending(samples, held, model.now) {
        let words = to_sentence(&forecast.describe(model.now));
        lines.push(format_property("forecast", Span::raw(words), theme));
    }
    lines.extend(format_chart(held, model, theme, width));
    lines
}

/// `▁▃█ $0.40 a day at most`: the last days, each a bar; a day of which nothing is known a blank.
fn format_chart(
    held: &StoredKey,
    model: &Model,
    theme: Theme,
    width: usize,
) -> Option<Line<'static>> {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    // Whole UTC days: they end with the coming midnight.
    let midnight = (model.now.as_second().div_euclid(SECONDS_PER_DAY) + 1) * SECONDS_PER_DAY;
    let end = Timestamp::from_second(midnight).ok()?;
    let span = SignedDuration::from_secs(i64::from(CHART_DAYS) * SECONDS_PER_DAY);
    let days = spending_series(model.dashboard.usage_samples(held), end, CHART_DAYS, span);
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
    let words = format!("  {CHART_DAYS} days, at most {} in one", format_usd(most));
    let words =
        if width >= 10 + bars.chars().count() + words.len() { words } else { String::new() };
    Some(Line::from(vec![
        Span::styled(format!("{:<10}", "by day"), theme.dim()),
        Span::styled(bars, theme.accent()),
        Span::styled(words, theme.dim()),
    ]))
}
