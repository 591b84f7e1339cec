//! Charts of spending: by day with axes and the limit, and by model.

use jiff::ToSpan;
use jiff::civil::Date;
use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::{Alignment, Rect};
use ratatui::style::Modifier;
use ratatui::symbols;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use super::Theme;
use super::bars::LEVELS;
use super::line::draw_line;
use super::text::{fill, truncate};
use crate::domain::format_usd_short;

/// A chart of spending by day.
pub struct DayChart<'a> {
    /// USD; `None` is an unknown day.
    pub days: &'a [Option<f64>],
    /// The last day.
    pub last: Date,
    /// USD a day, drawn as a line.
    pub limit: Option<f64>,
}

/// A dash of the line that is the limit. One byte, because a step in the list repaints it.
pub const LIMIT: &str = "-";

/// The columns of [`DayChart::format_sums`].
pub const SUMS_WIDTH: u16 = 20;

/// The steps of a bar in one cell.
const STEPS_PER_CELL: u16 = 8;
/// The columns of the amounts and of the axis.
const AXIS_COLUMNS: u16 = 7;
/// The rows from which on half of the amount at the top stands at the axis.
const MIN_ROWS_HALF: u16 = 12;

impl DayChart<'_> {
    /// Returns the width that the chart takes of `width` columns.
    pub fn fit_width(days: u16, width: u16) -> u16 {
        let bars = place_bars(days, width.saturating_sub(AXIS_COLUMNS));
        bars.last().map_or(width, |(x, columns)| AXIS_COLUMNS + x + columns).min(width)
    }

    /// Returns whether all bars have a gap between them in a chart of `width` columns.
    pub const fn fits_with_gaps(days: u16, width: u16) -> bool {
        width >= AXIS_COLUMNS + 2 * days
    }

    /// Returns what the bars add up to, in lines of [`SUMS_WIDTH`] columns; nothing if nothing was spent.
    pub fn format_sums(&self, theme: Theme) -> Vec<Line<'static>> {
        let known: Vec<_> = self.days.iter().flatten().copied().collect();
        let most = known.iter().copied().fold(0.0, f64::max);
        // Of equal days the last one.
        let Some(day) = self.days.iter().rev().position(|usd| *usd == Some(most)) else {
            return Vec::new();
        };
        if most <= 0.0 {
            return Vec::new();
        }
        let sum: f64 = known.iter().sum();
        let of_week = |end: usize| -> f64 {
            let days = &self.days[self.days.len().saturating_sub(end)..];
            days.iter().take(7).flatten().sum()
        };
        #[expect(clippy::cast_precision_loss, reason = "a few days")]
        let average = sum / known.len() as f64;
        let day = self.last.saturating_sub(i64::try_from(day).unwrap_or(0).days());
        let rows = [
            (format!("{} days", known.len()), sum),
            ("average".to_owned(), average),
            (day.strftime("peak %-d %b").to_string(), most),
            ("last 7 days".to_owned(), of_week(7)),
            ("7 before".to_owned(), of_week(14)),
        ];
        let width = usize::from(SUMS_WIDTH) - 12;
        rows.into_iter()
            .map(|(name, usd)| {
                let amount = format!("{:>width$}", format_usd_short(usd));
                Line::from(vec![
                    Span::styled(format!("{name:<12}"), theme.dim()),
                    Span::raw(amount),
                ])
            })
            .collect()
    }

    /// Returns the largest amount, the amount at the top and the row of the limit in a chart of
    /// `height` rows. The limit is not drawn if it is far above the bars, which would become too
    /// low, or in the lowest row.
    fn scale(&self, height: u16) -> (f64, f64, Option<u16>) {
        let most = self.days.iter().flatten().copied().fold(0.0, f64::max);
        let limit = self.limit.filter(|limit| *limit > 0.0 && *limit <= most * 3.0);
        let rows = height.saturating_sub(1);
        let place = |limit: f64| {
            let top = round_up(most.max(limit));
            (top, rows.saturating_sub(cells_for(limit / top, rows).max(1)))
        };
        match limit.map(place) {
            Some((top, row)) if row + 1 < rows => (most, top, Some(row)),
            _ => (most, round_up(most), None),
        }
    }

    /// Returns whether a chart of `height` rows shows the limit.
    pub fn shows_limit(&self, height: u16) -> bool {
        self.scale(height).2.is_some()
    }

    /// Returns the chart as lines of a page.
    pub fn to_lines(&self, theme: Theme, width: u16, height: u16) -> Vec<Line<'static>> {
        let area = Rect::new(0, 0, width, height);
        let mut buffer = Buffer::empty(area);
        self.draw(theme, area, &mut buffer);
        let to_span = |cell: &Cell| Span::styled(cell.symbol().to_owned(), cell.style());
        let rows = buffer.content().chunks(usize::from(width.max(1)));
        rows.map(|row| row.iter().map(to_span).collect()).collect()
    }

    /// Draws the chart: amounts on the left, dates below, a bar for each day.
    pub fn draw(&self, theme: Theme, area: Rect, buffer: &mut Buffer) {
        let (most, top, limit_row) = self.scale(area.height);
        if most <= 0.0 {
            let text = if self.days.iter().any(Option::is_some) {
                "Nothing was spent."
            } else {
                "No day is known yet."
            };
            let text = truncate(text, usize::from(area.width));
            return draw_line(&Line::styled(text, theme.dim()), area, buffer);
        }
        if area.height < 3 || area.width < 20 {
            return;
        }
        let rows = area.height - 1;
        let labels: Vec<(u16, String)> = [(rows - 1, 0.0)]
            .into_iter()
            .chain(limit_row.zip(self.limit))
            .chain([(0, top)])
            .chain((rows >= MIN_ROWS_HALF).then_some((rows / 2, top / 2.0)))
            .map(|(row, usd)| (row, format_axis_amount(usd)))
            .collect();
        // The same width for most amounts, so that the bars keep their columns when another key is
        // selected.
        let axis = labels.iter().map(|(_, label)| label.width()).max().unwrap_or(0);
        let axis = (u16::try_from(axis).unwrap_or(0) + 2).max(AXIS_COLUMNS);
        // An amount may be so large that its label leaves no room for bars.
        if axis >= area.width {
            return;
        }
        let plot = Rect { x: area.x + axis, width: area.width - axis, height: rows, ..area };
        let line = Rect { x: plot.x - 1, width: 1, ..plot };
        fill(symbols::line::VERTICAL, theme.rule(), line, buffer);
        // If two labels are in one row, zero is shown, because it is needed to read the axis.
        for (row, label) in labels.iter().rev() {
            let tick = Span::styled(format!(" {}", symbols::line::VERTICAL_LEFT), theme.rule());
            let label = Span::styled(format!("{label:>0$}", usize::from(axis) - 2), theme.dim());
            let row = Rect { y: area.y + row, height: 1, width: axis, ..area };
            draw_line(&Line::from(vec![label, tick]), row, buffer);
        }
        let bars = place_bars(u16::try_from(self.days.len()).unwrap_or(u16::MAX), plot.width);
        let used = bars.last().map_or(0, |(x, width)| x + width);
        if let Some(row) = limit_row {
            // The bars are drawn over the line, which is visible in the gaps between them.
            for x in (1..used).step_by(2) {
                let cell = Rect { x: plot.x + x, y: plot.y + row, width: 1, height: 1 };
                fill(LIMIT, theme.warning(), cell, buffer);
            }
        }
        let days = &self.days[self.days.len() - bars.len()..];
        for (spent, (x, width)) in days.iter().zip(&bars) {
            let bar = Rect { x: plot.x + x, width: *width, ..plot };
            draw_bar(spent.unwrap_or(0.0) / top, bar, theme, buffer);
        }
        let first = i64::try_from(bars.len()).unwrap_or(1) - 1;
        let first = self.last.saturating_sub(first.days());
        let dates =
            Rect { y: plot.bottom(), height: 1, width: used.max(15).min(plot.width), ..plot };
        let date = |date: Date| Line::styled(date.strftime("%-d %b").to_string(), theme.dim());
        draw_line(&date(first), dates, buffer);
        draw_line(&date(self.last).alignment(Alignment::Right), dates, buffer);
    }
}

/// Returns whether something was spent on a day.
pub fn has_bars(days: &[Option<f64>]) -> bool {
    days.iter().flatten().any(|usd| *usd > 0.0)
}

/// Returns the first column and the width of the bar of each day, or of the last days that fit. All bars
/// and all gaps are equally wide.
fn place_bars(days: u16, width: u16) -> Vec<(u16, u16)> {
    if days == 0 || width == 0 {
        return Vec::new();
    }
    let slot = ((width + 1) / days).max(1);
    (0..days.min(width)).map(|index| (index * slot, (slot - 1).max(1))).collect()
}

/// Draws a bar from the bottom of `area`, in eighths of a cell. An amount above zero has at least one.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to the steps")]
fn draw_bar(share: f64, area: Rect, theme: Theme, buffer: &mut Buffer) {
    let steps = share.clamp(0.0, 1.0) * f64::from(area.height * STEPS_PER_CELL);
    let steps = if steps > 0.0 { (steps.round() as u16).max(1) } else { 0 };
    let style = theme.bar().remove_modifier(Modifier::BOLD);
    let (full, rest) = (steps / STEPS_PER_CELL, steps % STEPS_PER_CELL);
    fill(
        symbols::block::FULL,
        style,
        Rect { y: area.bottom() - full, height: full, ..area },
        buffer,
    );
    if rest > 0 {
        let top = Rect { y: area.bottom() - full - 1, height: 1, ..area };
        fill(LEVELS[usize::from(rest - 1)], style, top, buffer);
    }
}

/// Returns the number of cells of a share of `rows`, rounded up.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most the height")]
fn cells_for(share: f64, rows: u16) -> u16 {
    (share.clamp(0.0, 1.0) * f64::from(rows)).ceil() as u16
}

/// Returns the next of the amounts that are easy to read and have a short half, such as 1.2, 1.5, 2 or 3 times
/// a power of ten.
fn round_up(usd: f64) -> f64 {
    // A logarithm would load the mathematical library for this alone.
    let mut power = 1e-6;
    while power * 10.0 <= usd {
        power *= 10.0;
    }
    let steps = [1.0, 1.2, 1.5, 2.0, 2.4, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0];
    // The amount itself may be a step that the division does not hit exactly.
    let step = steps.into_iter().find(|step| usd <= step * power * 1.000_001);
    step.unwrap_or(10.0) * power
}

fn format_axis_amount(usd: f64) -> String {
    let text = format_usd_short(usd);
    text.strip_suffix(".00").map_or(text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_and_gaps_are_equally_wide_at_every_width() {
        for width in 30..300 {
            let bars = place_bars(30, width);
            // Charts of different widths on one screen show the same days.
            assert_eq!(bars.len(), 30, "{width}");
            let (x, columns) = bars[bars.len() - 1];
            assert!(x + columns <= width && width - x - columns <= 30, "{width}: {bars:?}");
            assert!(bars.iter().all(|(_, wide)| *wide == columns), "{width}");
            let slot = bars[1].0;
            assert!(bars.is_sorted_by(|(x, _), (next, _)| x + slot == *next), "{bars:?}");
            assert!(width < 59 || slot == columns + 1, "{width}: {bars:?}");
        }
        assert_eq!(place_bars(30, 10).len(), 10);
        assert!(place_bars(0, 10).is_empty());
    }

    #[test]
    fn a_limit_is_drawn_behind_the_bars_and_not_among_the_lowest() {
        let days = [Some(1.0), Some(4.0), None, Some(2.0)];
        let chart = |limit| DayChart { days: &days, last: Date::constant(2026, 11, 27), limit };
        let draw = |limit| {
            let area = Rect::new(0, 0, 20, 5);
            let mut buffer = Buffer::empty(area);
            chart(limit).draw(Theme::NoColor, area, &mut buffer);
            let rows = buffer.content().chunks(20);
            rows.map(|row| row.iter().map(Cell::symbol).collect::<String>()).collect::<Vec<_>>()
        };
        assert_eq!(draw(Some(2.0))[2], "   $2 ┤ - ██- - ██  ");
        assert!(!draw(Some(0.5)).concat().contains('-'));
        assert!(!draw(Some(100.0)).concat().contains('-'));
        assert!(chart(Some(2.0)).shows_limit(5) && !chart(Some(0.5)).shows_limit(5));
    }

    #[test]
    fn the_sums_beside_a_chart_name_the_largest_day_and_the_last_two_weeks() {
        let mut days = vec![None; 30];
        (days[10], days[18], days[25], days[29]) = (Some(4.0), Some(2.0), Some(4.0), Some(1.0));
        let chart = DayChart { days: &days, last: Date::constant(2026, 11, 27), limit: None };
        let lines: Vec<_> =
            chart.format_sums(Theme::NoColor).iter().map(ToString::to_string).collect();
        let expected = [
            "4 days        $11.00",
            "average        $2.75",
            "peak 23 Nov    $4.00",
            "last 7 days    $5.00",
            "7 before       $2.00",
        ];
        assert_eq!(lines, expected);
        let nothing = DayChart { days: &[Some(0.0), None], ..chart };
        assert_eq!(nothing.format_sums(Theme::NoColor), []);
    }

    #[test]
    fn the_axis_ends_at_an_amount_that_is_easy_to_read() {
        for (usd, expected) in [
            (0.03, 0.03),
            (0.31, 0.4),
            (1.0, 1.0),
            (19.37, 20.0),
            (20.0, 20.0),
            (87.0, 90.0),
            (11.2, 12.0),
        ] {
            assert!((round_up(usd) - expected).abs() < 1e-9, "{usd}: {}", round_up(usd));
        }
    }
}
