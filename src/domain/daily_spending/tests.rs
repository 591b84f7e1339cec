//! Known, unknown and idle days, their sums and the pace.

use super::*;

fn day(number: i8) -> Date {
    jiff::civil::date(2026, 11, number)
}

fn spending(days: &[(i8, f64)]) -> DailySpending {
    days.iter().map(|(number, usd)| (day(*number), *usd)).collect()
}

#[test]
fn an_unknown_day_is_not_a_day_without_spending() {
    let days = spending(&[(3, 1.5), (1, 0.0)]);
    let found: Vec<_> = days.last_days(day(3), 4).collect();
    let expected = [
        (jiff::civil::date(2026, 10, 31), None),
        (day(1), Some(0.0)),
        (day(2), None),
        (day(3), Some(1.5)),
    ];
    assert_eq!(found, expected);
}

#[test]
fn amounts_of_nine_decimals_add_up_exactly() {
    let mut days = DailySpending::default();
    for usd in [0.1, 0.2, 0.000_000_001, 1_234_567.123_456_789] {
        days.add(day(1), usd);
    }
    assert_eq!(days.get(day(1)).unwrap().to_string(), "1234567.42345679");
    days.set(day(1), f64::NAN);
    assert_eq!(days.get(day(1)), None);
}

#[test]
fn a_day_of_several_keys_is_known_if_it_is_known_of_each() {
    let one = spending(&[(1, 1.0), (2, 2.0), (3, 0.0)]);
    let other = spending(&[(2, 0.5), (3, 0.0), (4, 9.0)]);
    assert_eq!(DailySpending::sum([&one, &other]), spending(&[(2, 2.5), (3, 0.0)]));
    assert_eq!(DailySpending::sum([]), DailySpending::default());
    let mut filled = one;
    filled.fill_from(&other);
    assert_eq!(filled, spending(&[(1, 1.0), (2, 2.0), (3, 0.0), (4, 9.0)]));
}

#[test]
fn the_pace_is_of_the_known_completed_days_of_a_week() {
    // Idle days count, unknown days and the present day do not.
    let days = spending(&[(1, 100.0), (10, 0.0), (11, 6.0), (16, 0.0), (17, 50.0)]);
    assert_eq!(days.pace(day(17)), Some(2.0));
    assert_eq!(Some(days.total(day(10), day(16))), Some(6.0));
    assert_eq!(spending(&[(17, 1.0)]).pace(day(17)), None);
    assert_eq!(AccountFigures::days_left(10.0, 4.0), Some(2.5));
    assert_eq!(AccountFigures::days_left(10.0, 0.0), None);
    assert_eq!(AccountFigures::days_left(-1.0, 4.0), Some(0.0));
}
