//! Money and the windows it is counted in. Knows dates and sums, neither keys nor clocks.

use std::iter::Sum;

use jiff::civil::Date;
use jiff::tz::Offset;
use jiff::{Timestamp, ToSpan};

/// US dollars, counted in millionths so that sums come out even.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct MicroUsd(i64);

impl MicroUsd {
    const MICROS_PER_USD: f64 = 1e6;
    const MAX_USD: f64 = 1e9;

    /// An amount between nothing and a billion dollars.
    #[expect(clippy::cast_possible_truncation, reason = "checked to lie far inside an i64")]
    pub fn from_dollars(dollars: f64) -> Option<Self> {
        (0.0..=Self::MAX_USD)
            .contains(&dollars)
            .then(|| Self((dollars * Self::MICROS_PER_USD).round() as i64))
    }

    /// The amount in dollars.
    #[expect(clippy::cast_precision_loss, reason = "a billion dollars in millionths fits 52 bits")]
    pub fn to_dollars(self) -> f64 {
        self.0 as f64 / Self::MICROS_PER_USD
    }

    /// The amount in whole dollars, where it is that.
    pub fn to_whole_dollars(self) -> Option<i64> {
        (self.0 % 1_000_000 == 0).then_some(self.0 / 1_000_000)
    }

    /// What is left of this amount; below zero when more is gone than was there.
    pub fn minus(self, spent: Self) -> Self {
        Self(self.0 - spent.0)
    }
}

impl Sum for MicroUsd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        Self(amounts.map(|amount| amount.0).sum())
    }
}

/// When a limit begins anew: at midnight UTC, and a week begins on Monday.
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
    /// OpenRouter's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
        }
    }

    /// The interval that OpenRouter's word names.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Daily, Self::Weekly, Self::Monthly].into_iter().find(|reset| reset.as_str() == word)
    }

    /// The first day of the window that `day` lies in.
    fn window_start(self, day: Date) -> Date {
        match self {
            Self::Daily => day,
            Self::Weekly => day.saturating_sub(day.weekday().to_monday_zero_offset().days()),
            Self::Monthly => day.first_of_month(),
        }
    }

    /// The instant at which the window that `now` lies in is over.
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

/// The UTC day that an instant lies in.
pub fn utc_date(at: Timestamp) -> Date {
    Offset::UTC.to_datetime(at).date()
}

/// What a key spent, by UTC day.
#[derive(Clone, Debug, Default)]
pub struct Spending {
    /// In their order.
    by_date: Vec<(Date, MicroUsd)>,
    last_used_at: Option<Timestamp>,
}

impl Spending {
    /// Books an amount.
    pub fn add(&mut self, amount: MicroUsd, at: Timestamp) {
        let day = utc_date(at);
        match self.by_date.binary_search_by_key(&day, |(day, _)| *day) {
            Ok(place) => self.by_date[place].1.0 += amount.0,
            Err(place) => self.by_date.insert(place, (day, amount)),
        }
        self.last_used_at = self.last_used_at.max(Some(at));
    }

    /// When something was spent last.
    pub fn last_used_at(&self) -> Option<Timestamp> {
        self.last_used_at
    }

    /// Spent in the window of `now`; over the key's whole life without a window.
    pub fn spent_in_window(&self, window: Option<Reset>, now: Timestamp) -> MicroUsd {
        let today = utc_date(now);
        let window = window.map(|window| window.window_start(today)..=today);
        let counts = |day: &Date| window.as_ref().is_none_or(|days| days.contains(day));
        self.by_date.iter().filter(|(day, _)| counts(day)).map(|(_, spent)| *spent).sum()
    }
}
