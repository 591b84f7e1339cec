//! Formats what was spent as a table with a bar for each row.

use unicode_width::UnicodeWidthStr;

use super::groups::{UsageRow, group_by_day};
use super::{Grouping, UsageReport, UsageSource};
use crate::cli::table::terminal_width;
use crate::domain::{format_usd, sum_usd, truncate};

/// The width without a terminal.
const DEFAULT_WIDTH: usize = 80;

/// The longest bar.
const MAX_BAR: usize = 40;

/// A shorter bar is left out.
const MIN_BAR: usize = 4;

/// The longest name of a model or key.
const MAX_NAME: usize = 40;

/// Marks a day that is not known.
const UNKNOWN: &str = "·";

pub(super) fn format_report(report: &UsageReport, rows: &[UsageRow<'_>], by: Grouping) -> String {
    if report.keys.is_empty() && report.unread.is_empty() {
        return "no keys, so nothing was spent with them; create one: keywright new\n".into();
    }
    let width = terminal_width().unwrap_or(DEFAULT_WIDTH);
    let mut text = format_heading(report, by);
    text.push('\n');
    text.push_str(&format_rows(rows, by, width));
    text.push_str(&format_total(report, rows, by));
    text
}

fn format_heading(report: &UsageReport, by: Grouping) -> String {
    let by = match by {
        Grouping::Day => "day",
        Grouping::Model => "model",
        Grouping::Key => "key",
    };
    let source = match report.source {
        UsageSource::Activity => "from the activity of the account",
        UsageSource::Samples => "from Keywright's own checks",
    };
    let what = match report.keys.as_slice() {
        [one] => one.label.as_ref().map_or("the account".into(), |label| format!("'{label}'")),
        keys => format!("{} keys", keys.len()),
    };
    format!("{what} by {by}, {} to {} UTC, {source}\n", report.from, report.today)
}

/// Returns a line for each row: name, amount and bar.
fn format_rows(rows: &[UsageRow<'_>], by: Grouping, width: usize) -> String {
    let names: Vec<String> =
        rows.iter().map(|row| truncate(&name(row, rows, by), MAX_NAME)).collect();
    let amounts: Vec<String> = rows
        .iter()
        .map(|row| match (row.usage, row.known_usage()) {
            (Some(usage), _) => format_usd(usage),
            (None, known) if known > 0.0 => format!("at least {}", format_usd(known)),
            (None, _) => UNKNOWN.to_owned(),
        })
        .collect();
    let widest = |texts: &[String]| texts.iter().map(|text| text.width()).max().unwrap_or(0);
    let amount_width = widest(&amounts);
    let name_width = widest(&names).min(width.saturating_sub(amount_width + 2).max(8));
    let bar_width = width.saturating_sub(name_width + amount_width + 4).min(MAX_BAR);
    let most = rows.iter().map(UsageRow::known_usage).fold(0.0, f64::max);
    let mut text = String::new();
    for ((row, name), amount) in rows.iter().zip(&names).zip(&amounts) {
        let name = truncate(name, name_width);
        let padding = name_width.saturating_sub(name.width()) + 2;
        let padding = padding + amount_width.saturating_sub(amount.width());
        let mut line = format!("{name}{}{amount}", " ".repeat(padding));
        if bar_width >= MIN_BAR && most > 0.0 {
            line.push_str("  ");
            line.push_str(&format_bar(row.known_usage() / most, bar_width));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn name(row: &UsageRow<'_>, rows: &[UsageRow<'_>], by: Grouping) -> String {
    match by {
        Grouping::Day => row.date.map(|date| date.to_string()).unwrap_or_default(),
        Grouping::Model => row.model.as_deref().unwrap_or("(not known by model)").to_owned(),
        Grouping::Key => {
            let label = row.label.unwrap_or("(the account)");
            let is_ambiguous = rows.iter().filter(|other| other.label == row.label).count() > 1;
            match row.masked.filter(|_| is_ambiguous) {
                Some(masked) => {
                    format!("{} {masked}", truncate(label, MAX_NAME - masked.width() - 1))
                }
                None => label.to_owned(),
            }
        }
    }
}

/// Returns a bar for a share of the highest amount, in eighths of a column. A share above zero has at
/// least one eighth.
fn format_bar(share: f64, width: usize) -> String {
    const EIGHTHS: [char; 8] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "from 0 to eight times the width"
    )]
    let eighths = (share.clamp(0.0, 1.0) * (width * 8) as f64).round() as usize;
    let eighths = if share > 0.0 { eighths.max(1) } else { 0 };
    let mut bar = "█".repeat(eighths / 8);
    if eighths % 8 > 0 {
        bar.push(EIGHTHS[eighths % 8 - 1]);
    }
    bar
}

fn format_total(report: &UsageReport, rows: &[UsageRow<'_>], by: Grouping) -> String {
    let is_any_day_known = report.keys.iter().any(|key| {
        let mut dates = key.days.iter().map(|(date, _)| date);
        dates.any(|date| (report.from..=report.today).contains(&date))
    });
    if !is_any_day_known {
        return format!("\nwhat was spent is not known; {}\n", advise_unknown(report));
    }
    let total = sum_usd(rows.iter().map(|row| Some(row.known_usage()))).unwrap_or_default();
    let at_least = if report.unreadable_rows > 0 { "at least " } else { "" };
    let mut text = format!("\n{at_least}{} in all", format_usd(total));
    // Rows of models have no unknown days.
    let days = (by == Grouping::Model).then(|| group_by_day(report));
    let unknown = days.as_deref().unwrap_or(rows).iter().filter(|row| row.usage.is_none()).count();
    if unknown > 0 {
        let unit = match (by, unknown) {
            (Grouping::Key, 1) => "key is",
            (Grouping::Key, _) => "keys are",
            (_, 1) => "day is",
            (_, _) => "days are",
        };
        text += &[" that is known; ", &unknown.to_string(), " ", unit, " not known"].concat();
    }
    let is_today_known =
        rows.iter().any(|row| row.date == Some(report.today) && row.usage.is_some());
    if by == Grouping::Day && is_today_known {
        text.push_str("; the last day is not over");
    }
    text.push('\n');
    text
}

/// Returns what to do where nothing is known.
const fn advise_unknown(report: &UsageReport) -> &'static str {
    match report.source {
        UsageSource::Activity => "try again: keywright usage",
        UsageSource::Samples => {
            "record usage from now on: keywright list --refresh; for past days store a management key that may read the activity: keywright management set"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_fit_the_width_and_a_small_share_is_seen() {
        assert_eq!(format_bar(1.0, 5), "█████");
        assert_eq!(format_bar(0.5, 5), "██▌");
        assert_eq!(format_bar(0.000_1, 5), "▏");
        assert_eq!(format_bar(0.0, 5), "");
        assert_eq!(format_bar(f64::INFINITY, 3), "███");
    }
}
