//! Amounts of money and spending per reset window.

use std::iter::Sum;

use jiff::civil::Date;
use jiff::tz::Offset;
use jiff::{Timestamp, ToSpan};

/// US dollars in millionths, so that sums are exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct MicroUsd(i64);

impl MicroUsd {
    const MICROS_PER_USD: f64 = 1e6;
    const MAX_USD: f64 = 1e9;

    /// Converts an amount between zero and a billion dollars.
    #[expect(clippy::cast_possible_truncation, reason = "checked to lie far inside an i64")]
    pub fn from_dollars(dollars: f64) -> Option<Self> {
        (0.0..=Self::MAX_USD)
            .contains(&dollars)
            .then(|| Self((dollars * Self::MICROS_PER_USD).round() as i64))
    }

    /// Returns the amount in dollars.
    #[expect(clippy::cast_precision_loss, reason = "a billion dollars in millionths fits 52 bits")]
    pub fn to_dollars(self) -> f64 {
        self.0 as f64 / Self::MICROS_PER_USD
    }

    /// Returns the amount in dollars if it is a whole number.
    pub fn to_whole_dollars(self) -> Option<i64> {
        (self.0 % 1_000_000 == 0).then_some(self.0 / 1_000_000)
    }

    /// Returns this many percent of the amount, and the rest.
    pub fn split(self, percent: i64) -> (Self, Self) {
        let part = self.0 / 100 * percent;
        (Self(part), Self(self.0 - part))
    }

    /// Returns the difference, which can be negative.
    pub fn minus(self, spent: Self) -> Self {
        Self(self.0 - spent.0)
    }
}

impl Sum for MicroUsd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        Self(amounts.map(|amount| amount.0).sum())
    }
}

/// How often spending is reset: at midnight UTC; a week starts on Monday.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// Every day.
    Daily,
    /// Every Monday.
    Weekly,
    /// On the first of every month.
    Monthly,
}

impl Reset {
    /// Returns OpenRouter's name for the interval.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
        }
    }

    /// Parses OpenRouter's name for the interval.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Daily, Self::Weekly, Self::Monthly].into_iter().find(|reset| reset.as_str() == name)
    }

    /// Returns the first day of the window that contains `day`.
    pub fn window_start(self, day: Date) -> Date {
        match self {
            Self::Daily => day,
            Self::Weekly => day.saturating_sub(day.weekday().to_monday_zero_offset().days()),
            Self::Monthly => day.first_of_month(),
        }
    }

    /// Returns the end of the window that contains `now`.
    pub fn window_end(self, now: Timestamp) -> Option<Timestamp> {
        let start = self.window_start(utc_date(now));
        let next = match self {
            Self::Daily => start.saturating_add(1.day()),
            Self::Weekly => start.saturating_add(1.week()),
            Self::Monthly => start.saturating_add(1.month()),
        };
        Offset::UTC.to_timestamp(next.into()).ok()
    }
}

/// Returns the UTC date of a timestamp.
pub fn utc_date(at: Timestamp) -> Date {
    Offset::UTC.to_datetime(at).date()
}

/// The spending of a key by UTC date.
#[derive(Clone, Debug, Default)]
pub struct Spending {
    /// Sorted by date.
    by_date: Vec<(Date, MicroUsd)>,
    last_used_at: Option<Timestamp>,
}

impl Spending {
    /// Adds an amount.
    pub fn add(&mut self, amount: MicroUsd, at: Timestamp) {
        let day = utc_date(at);
        match self.by_date.binary_search_by_key(&day, |(day, _)| *day) {
            Ok(index) => self.by_date[index].1.0 += amount.0,
            Err(index) => self.by_date.insert(index, (day, amount)),
        }
        self.last_used_at = self.last_used_at.max(Some(at));
    }

    /// Returns the spending of each UTC date, in order.
    pub fn days(&self) -> impl Iterator<Item = (Date, MicroUsd)> + '_ {
        self.by_date.iter().copied()
    }

    /// Returns the time of the last spending.
    pub fn last_used_at(&self) -> Option<Timestamp> {
        self.last_used_at
    }

    /// Returns the spending in the window that contains `now`, or the total without a reset.
    pub fn spent_in_window(&self, reset: Option<Reset>, now: Timestamp) -> MicroUsd {
        let today = utc_date(now);
        let window = reset.map(|reset| reset.window_start(today)..=today);
        let is_in_window = |day: &Date| window.as_ref().is_none_or(|days| days.contains(day));
        self.by_date.iter().filter(|(day, _)| is_in_window(day)).map(|(_, spent)| *spent).sum()
    }
}
