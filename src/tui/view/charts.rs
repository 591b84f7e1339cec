//! Charts of spending: by day with axes and the limit, and by model.

use jiff::ToSpan;
use jiff::civil::Date;
use ratatui::buffer::Buffer;
use ratatui::layout::{Alignment, Rect};
use ratatui::style::Color;
use ratatui::symbols;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Bar, BarChart, BarGroup, Widget};
use unicode_width::UnicodeWidthStr;

use super::Theme;
use super::bars::format_track;
use super::text::truncate;
use crate::domain::format_usd_short;

/// Spending by day, oldest first, and what it is drawn beside.
pub struct DayChart<'a> {
    /// USD; `None` is an unknown day.
    pub days: &'a [Option<f64>],
    /// The last day.
    pub last: Date,
    /// USD a day, drawn as a line.
    pub limit: Option<f64>,
}

/// The steps of a bar in one cell.
const STEPS_PER_CELL: f64 = 8.0;

impl DayChart<'_> {
    /// Draws the chart: amounts on the left, dates below, a bar for each day.
    pub fn draw(&self, theme: Theme, area: Rect, buffer: &mut Buffer) {
        let most = self.days.iter().flatten().copied().fold(0.0, f64::max);
        if area.height < 3 || area.width < 20 {
            return;
        }
        if most <= 0.0 {
            let text = if self.days.iter().any(Option::is_some) {
                "Nothing was spent."
            } else {
                "No day is known yet."
            };
            let text = truncate(text, usize::from(area.width));
            return Line::styled(text, theme.dim()).render(area, buffer);
        }
        // A limit far above the bars would press them to the floor.
        let limit = self.limit.filter(|limit| *limit > 0.0 && *limit <= most * 3.0);
        let top = round_up(most.max(limit.unwrap_or(0.0)));
        let rows = area.height - 1;
        let limit_row = limit.map(|limit| rows.saturating_sub(cells_for(limit / top, rows).max(1)));
        let labels: Vec<(u16, String)> = [(rows - 1, 0.0)]
            .into_iter()
            .chain(limit_row.zip(limit))
            .chain([(0, top)])
            .map(|(row, usd)| (row, format_axis_amount(usd)))
            .collect();
        // The same for most amounts, so that the bars stay in their columns from key to key.
        let axis = labels.iter().map(|(_, label)| label.width()).max().unwrap_or(0);
        let axis = u16::try_from(axis).unwrap_or(0).max(5) + 2;
        let plot = Rect { x: area.x + axis, width: area.width - axis, height: rows, ..area };
        for row in 0..rows {
            // Zero comes first: without it the axis cannot be read.
            let label = labels.iter().find(|(at, _)| *at == row);
            let tick = if label.is_some() { "┤" } else { "│" };
            let label = label.map_or("", |(_, label)| label);
            let line = Line::from(vec![
                Span::styled(format!("{label:>0$}", usize::from(axis) - 2), theme.dim()),
                Span::styled(format!(" {tick}"), theme.rule()),
            ]);
            line.render(Rect { y: area.y + row, height: 1, width: axis, ..area }, buffer);
        }
        let shown = self.days.len().min(usize::from(plot.width));
        let days = &self.days[self.days.len() - shown..];
        let cells = plot.width / u16::try_from(shown).unwrap_or(u16::MAX).max(1);
        let (width, gap) = if cells > 1 { (cells.min(7) - 1, 1) } else { (1, 0) };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the steps")]
        let bars: Vec<Bar<'_>> = days
            .iter()
            .map(|spent| match spent.unwrap_or(0.0) / top * f64::from(rows) * STEPS_PER_CELL {
                steps if steps > 0.0 => (steps.round() as u64).max(1),
                _ => 0,
            })
            .map(|steps| Bar::default().value(steps).text_value(""))
            .collect();
        let chart = BarChart::default()
            .data(BarGroup::default().bars(&bars))
            .max(u64::from(rows) * 8)
            .bar_width(width)
            .bar_gap(gap)
            .bar_style(theme.bar());
        chart.render(plot, buffer);
        // A blank cell of any colour looks the same; one colour for a row is written once.
        if let Some(color) = theme.bar().fg {
            for position in plot.positions() {
                if let Some(cell) = buffer.cell_mut(position).filter(|cell| cell.symbol() == " ") {
                    cell.set_fg(color);
                }
            }
        }
        let used = (u16::try_from(shown).unwrap_or(0) * (width + gap) - gap).min(plot.width);
        if let Some(row) = limit_row {
            let line = Rect { y: plot.y + row, height: 1, width: used, ..plot };
            for position in line.positions() {
                if let Some(cell) = buffer.cell_mut(position) {
                    // Over a bar, the line is drawn on the bar's colour.
                    let background = match cell.symbol() {
                        " " => cell.bg,
                        symbols::block::FULL if cell.fg != Color::Reset => cell.fg,
                        _ => continue,
                    };
                    cell.set_symbol("╌").set_style(theme.warning().bg(background));
                }
            }
        }
        let first = self.last.saturating_sub((i64::try_from(shown).unwrap_or(1) - 1).days());
        let dates =
            Rect { y: plot.bottom(), height: 1, width: used.max(15).min(plot.width), ..plot };
        let date = |date: Date| Line::styled(date.strftime("%-d %b").to_string(), theme.dim());
        date(first).render(dates, buffer);
        date(self.last).alignment(Alignment::Right).render(dates, buffer);
    }
}

/// Returns the cells that a share of a height takes.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most the height")]
fn cells_for(share: f64, rows: u16) -> u16 {
    (share.clamp(0.0, 1.0) * f64::from(rows)).ceil() as u16
}

/// Returns the next of the amounts that are easy to read: 1, 1.5, 2, 3, 4, 5, 6, 8 times a power of ten.
fn round_up(usd: f64) -> f64 {
    // A logarithm would load the mathematical library for this alone.
    let mut power = 1e-6;
    while power * 10.0 <= usd {
        power *= 10.0;
    }
    let steps = [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];
    // The amount itself may be a step that the division does not hit exactly.
    let step = steps.into_iter().find(|step| usd <= step * power * 1.000_001);
    step.unwrap_or(10.0) * power
}

fn format_axis_amount(usd: f64) -> String {
    let text = format_usd_short(usd);
    text.strip_suffix(".00").map_or(text.clone(), str::to_owned)
}

/// Returns one line for each of the largest amounts: name, bar, amount, share. What does not fit into
/// `rows` lines is summed up in the last one.
pub fn format_ranking(
    amounts: &[(&str, f64)],
    rows: usize,
    width: usize,
    theme: Theme,
) -> Vec<Line<'static>> {
    const NUMBERS_WIDTH: usize = 15;
    let total: f64 = amounts.iter().map(|(_, usd)| usd).sum();
    let shown = if amounts.len() > rows { rows.saturating_sub(1) } else { amounts.len() };
    let rest = &amounts[shown..];
    let others = format!("{} others", rest.len());
    let rest_usd: f64 = rest.iter().map(|(_, usd)| usd).sum();
    let lines = amounts[..shown].iter().copied();
    let lines = lines.chain((!rest.is_empty()).then_some((others.as_str(), rest_usd)));
    let longest = amounts.iter().map(|(name, _)| name.width()).max().unwrap_or(0);
    let name_width = longest.min(width.saturating_sub(NUMBERS_WIDTH + 8)).clamp(8, 34);
    let bar_width = width.saturating_sub(name_width + NUMBERS_WIDTH + 2).min(60);
    lines
        .map(|(name, usd)| {
            let share = if total > 0.0 { usd / total } else { 0.0 };
            let [bar, empty] = format_track(share, bar_width, theme.bar(), theme);
            let name = truncate(name, name_width);
            let pad = name_width - name.width();
            Line::from(vec![
                Span::raw(format!("{name}{:pad$} ", "")),
                bar,
                empty,
                Span::raw(format!("{:>9} {:>4.0}%", format_usd_short(usd), share * 100.0)),
            ])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_ends_at_an_amount_that_is_easy_to_read() {
        for (usd, expected) in
            [(0.03, 0.03), (0.31, 0.4), (1.0, 1.0), (19.37, 20.0), (20.0, 20.0), (87.0, 100.0)]
        {
            assert!((round_up(usd) - expected).abs() < 1e-9, "{usd}: {}", round_up(usd));
        }
    }

    #[test]
    fn a_ranking_sums_up_what_does_not_fit() {
        let amounts = [("one", 60.0), ("two", 30.0), ("three", 9.0), ("four", 1.0)];
        let lines = format_ranking(&amounts, 3, 40, Theme::NoColor);
        let text: Vec<String> = lines.iter().map(ToString::to_string).collect();
        assert!(text[0].starts_with("one"), "{text:?}");
        assert!(text[2].starts_with("2 others") && text[2].ends_with("$10.00   10%"), "{text:?}");
        assert!(lines.iter().all(|line| line.width() <= 40), "{text:?}");
    }
}
