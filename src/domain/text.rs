//! Sanitizes text for a terminal and formats times.

use jiff::civil::{Date, DateTime};
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// Returns foreign text that is safe to show on a terminal: without control characters, escape
/// sequences and bidirectional or invisible characters, shortened to `max` graphemes.
pub fn sanitize(text: &str, max: usize) -> String {
    // The usual case is short ASCII text, where each byte is one grapheme.
    if text.len() <= max && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        return String::from(text);
    }
    let visible: String = text
        .chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| !c.is_control() && !is_hidden_char(*c))
        .collect();
    let mut kept: String = visible.graphemes(true).take(max).collect();
    if kept.len() < visible.len() {
        kept.push('…');
    }
    kept
}

/// Returns whether `c` hides or reorders text: Unicode's bidirectional controls, zero-width and
/// other format characters (general category Cf, except the joiner of emoji) and blank letters.
pub(super) fn is_hidden_char(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200c}' | '\u{200e}' | '\u{200f}'
        | '\u{202a}'..='\u{202e}' | '\u{2028}' | '\u{2029}' | '\u{2060}'..='\u{206f}'
        | '\u{115f}' | '\u{1160}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Formats as `Thursday 24 December 2026, 23:59:59 UTC`.
pub fn format_timestamp(at: Timestamp) -> String {
    to_utc(at).strftime("%A %-d %B %Y, %H:%M:%S UTC").to_string()
}

/// Returns the UTC date.
pub fn utc_date(at: Timestamp) -> Date {
    to_utc(at).date()
}

/// Formats the UTC date as `2026-12-24`.
pub fn format_date(at: Timestamp) -> String {
    to_utc(at).strftime("%Y-%m-%d").to_string()
}

/// The units of a span: name, seconds, and the shortest span that is shown in it. A unit begins
/// where the next smaller one would be rounded up to it. Days begin at two, because the error of a
/// shorter span in days could be nearly half of it.
const UNITS: [(&str, u64, u64); 4] =
    [("second", 1, 0), ("minute", 60, 60), ("hour", 3_600, 3_570), ("day", 86_400, TWO_DAYS)];
const TWO_DAYS: u64 = 2 * 86_400;

/// Returns a number of seconds in its largest unit, rounded to the nearest.
fn in_largest_unit(seconds: u64) -> (u64, &'static str) {
    let unit = UNITS.iter().rev().find(|(.., first)| seconds >= *first);
    let (name, size, _) = *unit.unwrap_or(&UNITS[0]);
    ((seconds + size / 2) / size, name)
}

/// Returns the time between two instants in its largest unit. Every text uses it, so that the dashboard and
/// the commands say the same number. Days are those of the calendar in UTC, so that a key that was requested
/// for 30 days ends in 30 days at every hour.
fn count_between(from: Timestamp, to: Timestamp) -> (u64, &'static str) {
    match in_largest_unit((to.as_second() - from.as_second()).unsigned_abs()) {
        (_, "day") => {
            let days = (utc_date(to) - utc_date(from)).get_days();
            (u64::from(days.unsigned_abs()), "day")
        }
        other => other,
    }
}

/// Formats the time from `from` to `to` in one unit: `in 30 days`, `in 5 hours`,
/// `2 minutes ago`, `now`.
pub fn format_relative_time(from: Timestamp, to: Timestamp) -> String {
    let span = format_count(count_between(from, to));
    match to.as_second() - from.as_second() {
        -59..60 => String::from("now"),
        60.. => format!("in {span}"),
        _ => format!("{span} ago"),
    }
}

/// Formats the time between two instants for a column of 4 cells: `43m`, `5h`, `3d`, `2y`. It has the number
/// of [`format_relative_time`], except for years.
pub fn format_short_span(from: Timestamp, to: Timestamp) -> String {
    match count_between(from, to) {
        (_, "second") => String::from("<1m"),
        (36_500.., "day") => String::from(">99y"),
        (days @ 1_000.., "day") => format!("{}y", (days + 182) / 365),
        (count, unit) => format!("{count}{}", &unit[..1]),
    }
}

/// Formats when a key was last used, no finer than an hour, so that it does not wake the program every minute.
pub fn format_last_use(at: Timestamp, now: Timestamp) -> String {
    if is_within_an_hour(at, now) {
        String::from("less than an hour ago")
    } else {
        format_relative_time(now, at)
    }
}

/// Formats the time since a key was last used for a narrow column: `<1h`, `5h`, `3d`.
pub fn format_short_last_use(at: Timestamp, now: Timestamp) -> String {
    if is_within_an_hour(at, now) { String::from("<1h") } else { format_short_span(at, now) }
}

fn is_within_an_hour(at: Timestamp, now: Timestamp) -> bool {
    let seconds = now.as_second() - at.as_second();
    matches!(in_largest_unit(seconds.max(0).unsigned_abs()), (_, "second" | "minute"))
}

/// Formats as `1 hour`, `20 minutes`, `2 days`.
pub fn format_duration(span: SignedDuration) -> String {
    format_count(in_largest_unit(span.as_secs().max(0).unsigned_abs()))
}

fn format_count((count, unit): (u64, &str)) -> String {
    if count == 1 { format!("1 {unit}") } else { format!("{count} {unit}s") }
}

/// Returns how many seconds after `from` the text of [`format_relative_time`] changes.
pub fn seconds_until_relative_time_changes(from: Timestamp, to: Timestamp) -> i64 {
    let seconds = to.as_second() - from.as_second();
    let size = seconds.unsigned_abs();
    if size < 60 {
        return 60 + seconds;
    }
    let (count, name) = in_largest_unit(size);
    if name == "day" {
        // The text changes at midnight, or when less than two days are left.
        let midnight = 86_400 - from.as_second().rem_euclid(86_400).unsigned_abs();
        let change = if seconds > 0 { midnight.min(size - TWO_DAYS + 1) } else { midnight };
        return i64::try_from(change).unwrap_or(i64::MAX);
    }
    let at = UNITS.iter().position(|(unit, ..)| *unit == name).unwrap_or(0);
    let (_, unit, first_of_unit) = UNITS[at];
    let change = if seconds > 0 {
        // The span shrinks until it is below the first second of its text.
        size + 1 - (count * unit - unit / 2).max(first_of_unit)
    } else {
        let next_unit = UNITS.get(at + 1).map_or(u64::MAX, |(.., first)| *first);
        (count * unit + unit / 2).min(next_unit) - size
    };
    i64::try_from(change).unwrap_or(i64::MAX)
}

/// Converts an instant to UTC calendar fields.
pub(super) fn to_utc(at: Timestamp) -> DateTime {
    Offset::UTC.to_datetime(at)
}

/// Returns `text` in at most `width` terminal columns, with an ellipsis for what does not fit.
pub fn truncate(text: &str, width: usize) -> String {
    // No character takes more columns than bytes.
    if text.len() <= width || text.width() <= width {
        return text.to_owned();
    }
    // In printable ASCII each byte is a character of one column.
    if width > 0 && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return format!("{}…", &text[..width - 1]);
    }
    let mut fitted = String::new();
    let mut used = 1;
    for grapheme in text.graphemes(true) {
        used += grapheme.width();
        if used > width {
            break;
        }
        fitted.push_str(grapheme);
    }
    fitted.push('…');
    fitted
}

/// Returns an error and the chain of its sources, including errors wrapped in an `io::Error`.
pub fn error_chain<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        let wrapped = error.downcast_ref().and_then(std::io::Error::get_ref);
        wrapped.map(|inner| inner as &(dyn std::error::Error + 'static)).or_else(|| error.source())
    })
}

/// Returns an I/O error in the words of the operating system, such as `no such file or directory`,
/// without the number that the standard library adds and without the full stop of Windows.
pub fn io_error_text(error: &impl std::fmt::Display) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default().trim_end_matches('.');
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_system_have_its_words_and_no_number() {
        let missing = "No such file or directory (os error 2)";
        assert_eq!(io_error_text(&missing), "no such file or directory");
        assert_eq!(io_error_text(&"no storage space"), "no storage space");
        let windows = "The system cannot find the path specified. (os error 3)";
        assert_eq!(io_error_text(&windows), "the system cannot find the path specified");
    }

    #[test]
    fn relative_times_have_the_same_number_in_every_form() {
        let now = Timestamp::UNIX_EPOCH;
        for seconds in [60, 119, 3_599, 3_600, 86_400, 172_799, 172_800, 86_313_600] {
            let at = now + SignedDuration::from_secs(seconds);
            let (long, short) = (format_relative_time(now, at), format_short_span(now, at));
            let number = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
            assert_eq!(number(&long), number(&short), "{long} {short}");
            assert_eq!(format!("in {}", format_duration(at.duration_since(now))), long);
            assert_eq!(format_relative_time(at, now), long.replace("in ", "") + " ago");
        }
        assert_eq!(format_short_span(now, now + SignedDuration::from_hours(24 * 1_000)), "3y");
    }

    #[test]
    fn spans_are_rounded_to_the_nearest_unit() {
        let now = Timestamp::UNIX_EPOCH;
        for (seconds, text) in [
            (59, "now"),
            (89, "in 1 minute"),
            (90, "in 2 minutes"),
            (3_569, "in 59 minutes"),
            (3_570, "in 1 hour"),
            (170_999, "in 47 hours"),
            (172_799, "in 48 hours"),
            (172_800, "in 2 days"),
        ] {
            assert_eq!(format_relative_time(now, now + SignedDuration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        let to = "2026-12-28T23:59:59Z".parse().unwrap();
        for (from, text) in [
            ("2026-11-28T00:00:00Z", "in 30 days"),
            ("2026-11-28T23:59:59Z", "in 30 days"),
            ("2026-12-26T23:59:59Z", "in 2 days"),
            ("2026-12-27T00:00:00Z", "in 48 hours"),
            ("2026-12-31T00:00:00Z", "3 days ago"),
        ] {
            let from = from.parse().unwrap();
            assert_eq!(format_relative_time(from, to), text);
            assert!(text.contains("hours") || text.contains(&format_short_span(from, to)[..1]));
        }
    }

    #[test]
    fn a_last_use_has_the_same_number_in_both_forms() {
        let now = Timestamp::UNIX_EPOCH;
        for (seconds, short, long) in [
            (-5, "<1h", "less than an hour ago"),
            (3_569, "<1h", "less than an hour ago"),
            (3_570, "1h", "1 hour ago"),
            (3 * 86_400, "3d", "3 days ago"),
        ] {
            let at = now - SignedDuration::from_secs(seconds);
            assert_eq!(format_short_last_use(at, now), short);
            assert_eq!(format_last_use(at, now), long);
        }
    }

    #[test]
    fn the_next_change_of_a_relative_time_is_known_to_the_second() {
        let to = Timestamp::UNIX_EPOCH;
        let text = |seconds: i64| format_relative_time(to - SignedDuration::from_secs(seconds), to);
        let mut left = 4 * 86_400;
        while left > -4 * 86_400 {
            let from = to - SignedDuration::from_secs(left);
            let change = seconds_until_relative_time_changes(from, to);
            assert!(change > 0, "{left}");
            assert_eq!(text(left), text(left - change + 1), "{left}");
            assert_ne!(text(left), text(left - change), "{left}");
            left -= change;
        }
    }

    #[test]
    fn text_that_does_not_fit_ends_in_an_ellipsis() {
        assert_eq!(truncate("laptop", 6), "laptop");
        assert_eq!(truncate("laptops", 6), "lapto…");
        assert_eq!(truncate("日本語", 4), "日…");
    }
}
