//! A key's past and where it leads: a month of spending as a row of bars, a forecast in words, and
//! whether a key that was replaced is still used.

use jiff::{SignedDuration, Timestamp};
use ratatui::text::{Line, Span};

use crate::domain::{HeldKey, Retire, forecast, series};
use crate::tui::state::Model;
use crate::tui::view::Theme;
use crate::tui::view::table::usd;
use crate::tui::view::text::{fact, sentence};

/// Days of the chart.
const DAYS: u32 = 30;

const DAY: i64 = 24 * 3_600;

pub fn lines(held: &HeldKey, model: &Model, theme: Theme, width: usize) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    let (words, style) = match model.dashboard.retire(held, model.now) {
        Retire::NotRetiring => (None, theme.dim()),
        Retire::InUse(words) => (Some(words), theme.warning()),
        Retire::Watching(words) => (Some(words), theme.dim()),
        Retire::Quiet(words) | Retire::Dead(words) => {
            (Some(format!("{words}: x, then r, deletes it")), theme.good())
        }
    };
    if let Some(words) = words {
        lines.push(fact("replaced", Span::styled(words, style), theme));
    }
    let samples = model.dashboard.samples(held);
    if let Some(forecast) = forecast(samples, held, model.now) {
        let words = sentence(&forecast.words(model.now));
        lines.push(fact("forecast", Span::raw(words), theme));
    }
    lines.extend(chart(held, model, theme, width));
    lines
}

/// `▁▃█ $0.40 a day at most`: the last days, each a bar; a day of which nothing is known a blank.
fn chart(held: &HeldKey, model: &Model, theme: Theme, width: usize) -> Option<Line<'static>> {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    // Whole UTC days: they end with the coming midnight.
    let midnight = (model.now.as_second().div_euclid(DAY) + 1) * DAY;
    let end = Timestamp::from_second(midnight).ok()?;
    let span = SignedDuration::from_secs(i64::from(DAYS) * DAY);
    let days = series(model.dashboard.samples(held), end, DAYS, span);
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
    let words = format!("  {DAYS} days, at most {} in one", usd(most));
    let words =
        if width >= 10 + bars.chars().count() + words.len() { words } else { String::new() };
    Some(Line::from(vec![
        Span::styled(format!("{:<10}", "by day"), theme.dim()),
        Span::styled(bars, theme.accent()),
        Span::styled(words, theme.dim()),
    ]))
}
