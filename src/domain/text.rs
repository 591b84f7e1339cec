//! Words made safe and times made readable. Must not know: where the words came from.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use unicode_segmentation::UnicodeSegmentation;

/// `text` without control characters, escapes and bidirectional or invisible marks, at most
/// `max` graphemes: what a stranger said, fit for a terminal.
pub fn sanitize(text: &str, max: usize) -> String {
    // Most words are short and plain: a letter is a grapheme.
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

/// Unicode's bidirectional controls, zero-width and other format characters (general category
/// Cf as far as it hides or reorders text; the joiner of emoji stays), and letters that are blank.
pub(super) fn is_hidden_char(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200c}' | '\u{200e}' | '\u{200f}'
        | '\u{202a}'..='\u{202e}' | '\u{2028}' | '\u{2029}' | '\u{2060}'..='\u{206f}'
        | '\u{115f}' | '\u{1160}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// `Thursday 24 December 2026, 23:59:59 UTC`.
pub fn format_timestamp(at: Timestamp) -> String {
    to_utc(at).strftime("%A %-d %B %Y, %H:%M:%S UTC").to_string()
}

/// `2026-12-24`, the UTC day.
pub fn format_date(at: Timestamp) -> String {
    to_utc(at).strftime("%Y-%m-%d").to_string()
}

/// How far `to` lies from `from`, in the one unit a person would use: `in 30 days`,
/// `in 5 hours`, `2 minutes ago`, `now`.
pub fn format_relative_time(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.as_second() - from.as_second();
    let size = seconds.unsigned_abs();
    let (count, unit) = match size {
        0..60 => return String::from("now"),
        60..3_600 => (size / 60, "minute"),
        3_600..172_800 => (size / 3_600, "hour"),
        _ => (size / 86_400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    if seconds > 0 {
        format!("in {count} {unit}{plural}")
    } else {
        format!("{count} {unit}{plural} ago")
    }
}

/// Seconds after `from` until [`span`] says something else.
pub fn seconds_until_relative_time_changes(from: Timestamp, to: Timestamp) -> i64 {
    let seconds = to.as_second() - from.as_second();
    let unit = match seconds.unsigned_abs() {
        0..3_600 => 60,
        3_600..172_800 => 3_600,
        _ => 86_400,
    };
    match seconds {
        // Soon to be less than a minute away, or a minute past.
        0.. => seconds % unit + 1,
        _ => unit + seconds % unit,
    }
}

/// The UTC calendar's view of an instant.
pub(super) fn to_utc(at: Timestamp) -> DateTime {
    Offset::UTC.to_datetime(at)
}
