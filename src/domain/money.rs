//! Formats amounts in USD.

/// Formats an amount with cents: `$3.20`, `-$0.37`. A small amount is `<$0.01`, so that it does not look
/// like nothing; a negative one that rounds to zero has no sign.
pub fn format_usd(amount: f64) -> String {
    if amount > 0.0 && amount < 0.005 {
        return "<$0.01".into();
    }
    let size = match to_cents(amount.abs()) {
        Some(cents) => format!("${}.{:02}", cents / 100, cents % 100),
        None => format!("${:.2}", amount.abs()),
    };
    with_sign(amount, size)
}

/// Rounds an amount in USD to cents; `None` for what is not a number or above a billion.
#[expect(clippy::cast_possible_truncation, reason = "10^11 cents at most")]
fn to_cents(usd: f64) -> Option<i64> {
    (-MAX_USD..=MAX_USD).contains(&usd).then(|| (usd * 100.0).round() as i64)
}

/// Formats an amount for a narrow column: without cents from 10,000, abbreviated from a million.
pub fn format_usd_short(amount: f64) -> String {
    let size = amount.abs();
    match size {
        ..1e4 => format_usd(amount),
        ..1e6 => with_sign(amount, format!("${size:.0}")),
        ..1e9 => with_sign(amount, format!("${:.1}M", size / 1e6)),
        ..1e12 => with_sign(amount, format!("${:.1}B", size / 1e9)),
        ..1e15 => with_sign(amount, format!("${:.1}T", size / 1e12)),
        _ => with_sign(amount, ">$999T".into()),
    }
}

/// Returns the sum of amounts in USD that stand in a column; `None` if one of them is not known. Each amount
/// counts with the cents that the column shows, so that a reader who adds up the column gets the same sum. What
/// the column shows as less than a cent counts as it is, so that many small amounts do not vanish.
pub fn sum_usd(amounts: impl IntoIterator<Item = Option<f64>>) -> Option<f64> {
    let shown = |usd: f64| match usd.abs() {
        ..0.005 => to_nanodollars(usd),
        _ => to_cents(usd).map(|cents| cents * NANODOLLARS_PER_CENT),
    };
    let sum =
        amounts.into_iter().try_fold(0_i64, |sum, usd| Some(sum.saturating_add(shown(usd?)?)));
    sum.map(from_nanodollars)
}

const NANODOLLARS_PER_CENT: i64 = 10_000_000;

/// The highest amount that is added up, in USD.
const MAX_USD: f64 = 1e9;

/// Converts an amount in USD to nanodollars, the precision of OpenRouter's amounts, so that sums are
/// exact. `None` for an amount that is not a number or above a billion.
#[expect(clippy::cast_possible_truncation, reason = "10^18 nanodollars at most")]
pub fn to_nanodollars(usd: f64) -> Option<i64> {
    (-MAX_USD..=MAX_USD).contains(&usd).then(|| (usd * 1e9).round() as i64)
}

/// Converts nanodollars to USD.
#[expect(clippy::cast_precision_loss, reason = "exact to the nanodollar below nine million USD")]
pub fn from_nanodollars(amount: i64) -> f64 {
    amount as f64 / 1e9
}

fn with_sign(amount: f64, size: String) -> String {
    if amount < 0.0 && size != "$0.00" { format!("-{size}") } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_is_that_of_the_shown_amounts_and_small_ones_count() {
        let column = [3.647, 2.396, 0.186];
        assert_eq!(column.map(format_usd), ["$3.65", "$2.40", "$0.19"]);
        assert_eq!(sum_usd(column.map(Some)).map(format_usd).as_deref(), Some("$6.24"));
        let sum = sum_usd([Some(0.004), Some(0.004), Some(0.004)]);
        assert_eq!(sum.map(format_usd).as_deref(), Some("$0.01"));
        assert_eq!(sum_usd([Some(0.1), Some(0.2)]), Some(0.3));
        assert_eq!(sum_usd([Some(1.0), None]), None);
        assert_eq!(sum_usd([]), Some(0.0));
    }

    #[test]
    fn the_sign_stands_before_the_currency_and_zero_has_none() {
        for (amount, expected) in [
            (3.2, "$3.20"),
            (-0.37, "-$0.37"),
            (-0.0, "$0.00"),
            (-0.004, "$0.00"),
            (-12.0, "-$12.00"),
            (0.0, "$0.00"),
            (0.000_000_001, "<$0.01"),
            (0.005, "$0.01"),
        ] {
            assert_eq!(format_usd(amount), expected);
            assert_eq!(format_usd_short(amount), expected);
        }
        // A tie is rounded as for a sum.
        assert_eq!(format_usd(1.115), "$1.12");
        assert_eq!(sum_usd([Some(1.115)]), Some(1.12));
        assert_eq!(format_usd(999_999_999.99), "$999999999.99");
        assert_eq!(format_usd(1e12), "$1000000000000.00");
        assert_eq!(format_usd_short(-2.5e6), "-$2.5M");
        assert_eq!(format_usd_short(12_345.6), "$12346");
        assert_eq!(format_usd_short(f64::MAX), ">$999T");
    }
}
