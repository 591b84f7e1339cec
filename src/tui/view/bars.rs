//! Amounts as blocks that stand on the lowest line of their row, in eighths of a cell.

use ratatui::style::{Modifier, Style};
use ratatui::symbols;
use ratatui::text::Span;

use super::Theme;
use crate::domain::KeyState;

/// A bar from the bottom to the top, in eighths.
pub const LEVELS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// The lowest line of a cell, in a row of bars or of days.
const EMPTY: &str = symbols::bar::ONE_EIGHTH;
/// The steps of one cell above the lowest line. The top eighth is free, so that neighbouring rows do not
/// touch.
const STEPS: usize = 6;

/// Returns the filled cells and the number of empty ones of a bar of `width` cells. The last filled cell is
/// lower, by what it lacks. A share above zero shows at least one step, and only a share of 1 or more fills
/// the bar.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to the steps")]
#[expect(clippy::cast_precision_loss, reason = "a width in cells")]
pub fn format_bar(share: f64, width: usize) -> (String, usize) {
    let steps = width * STEPS;
    let filled = match share * steps as f64 {
        _ if steps == 0 || share.is_nan() || share <= 0.0 => 0,
        _ if share >= 1.0 => steps,
        filled => (filled as usize).clamp(1, steps - 1),
    };
    let (full, rest) = (filled / STEPS, filled % STEPS);
    let cells = std::iter::repeat_n(STEPS, full).chain((rest > 0).then_some(rest));
    (cells.map(|level| LEVELS[level]).collect(), width - filled.div_ceil(STEPS))
}

/// Returns a gauge of `width` cells: the bar, what remains of it, and the share as a number where there
/// is room for it.
pub fn format_gauge(share: f64, state: KeyState, width: u16, theme: Theme) -> [Span<'static>; 3] {
    const NUMBER_WIDTH: usize = 5;
    let width = usize::from(width);
    let style = match state {
        KeyState::LimitReached | KeyState::Blocked => theme.error(),
        KeyState::Low => theme.warning(),
        _ => theme.bar(),
    };
    let number = if width > 2 * NUMBER_WIDTH {
        // Rounded down, so that 100% means that nothing remains.
        format!(" {:>3.0}%", (share * 100.0).floor().min(999.0))
    } else {
        String::new()
    };
    let [bar, empty] = format_track(share, width - number.len(), style, theme);
    [bar, empty, Span::raw(number)]
}

/// Returns a bar and what remains of it.
pub fn format_track(share: f64, width: usize, style: Style, theme: Theme) -> [Span<'static>; 2] {
    let (bar, empty) = format_bar(share, width);
    let filled = style.remove_modifier(Modifier::BOLD);
    [Span::styled(bar, filled), Span::styled(EMPTY.repeat(empty), theme.rule())]
}

/// Returns one column for each day, as high as its share of the largest one. A day without spending is
/// the lowest line, an unknown day a dot. With twice as many cells as days each day has two.
pub fn format_days(days: &[Option<f64>], width: usize) -> String {
    let most = days.iter().flatten().copied().fold(0.0, f64::max);
    let cells = (width / days.len().max(1)).max(1);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to the steps")]
    #[expect(clippy::cast_precision_loss, reason = "a small constant")]
    let level = |spent: f64| match spent / most * STEPS as f64 {
        height if spent > 0.0 && height.is_finite() => {
            LEVELS[(height.round() as usize).clamp(1, STEPS)]
        }
        _ => LEVELS[0],
    };
    days.iter()
        .map(|spent| spent.map_or("·", level))
        .flat_map(|level| std::iter::repeat_n(level, cells))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_empty_only_at_zero_and_full_only_at_the_limit() {
        for (share, expected) in [
            (0.0, ("", 4)),
            (0.001, ("▂", 3)),
            (0.25, ("▇", 3)),
            (0.5, ("▇▇", 2)),
            (0.625, ("▇▇▄", 1)),
            (0.999, ("▇▇▇▆", 0)),
            (1.0, ("▇▇▇▇", 0)),
            (7.0, ("▇▇▇▇", 0)),
            (f64::NAN, ("", 4)),
        ] {
            let (bar, empty) = format_bar(share, 4);
            assert_eq!((bar.as_str(), empty), expected, "{share}");
        }
        assert_eq!(format_bar(0.5, 0), (String::new(), 0));
    }

    #[test]
    fn the_number_of_a_gauge_says_by_how_much_a_limit_is_exceeded() {
        for (share, expected) in
            [(0.999, "  99%"), (1.0, " 100%"), (1.4655, " 146%"), (70.0, " 999%")]
        {
            let [.., number] = format_gauge(share, KeyState::LimitReached, 20, Theme::NoColor);
            assert_eq!(number.content, expected);
        }
    }

    #[test]
    fn days_are_scaled_to_the_largest_one() {
        assert_eq!(format_days(&[None, Some(0.0), Some(0.01), Some(2.0), Some(4.0)], 5), "·▁▂▄▇");
        assert_eq!(format_days(&[Some(1.0), None], 5), "▇▇··");
        assert_eq!(format_days(&[Some(0.0); 3], 3), "▁▁▁");
    }
}
