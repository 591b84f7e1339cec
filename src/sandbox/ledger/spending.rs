//! Money and the windows it is counted in. Knows dates and sums, neither keys nor clocks.

use std::iter::Sum;

use jiff::civil::Date;
use jiff::tz::Offset;
use jiff::{Timestamp, ToSpan};

/// US dollars, counted in millionths so that sums come out even.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Usd(i64);

impl Usd {
    const UNIT: f64 = 1e6;
    const MOST: f64 = 1e9;

    /// An amount between nothing and a billion dollars.
    #[expect(clippy::cast_possible_truncation, reason = "checked to lie far inside an i64")]
    pub fn new(dollars: f64) -> Option<Self> {
        (0.0..=Self::MOST).contains(&dollars).then(|| Self((dollars * Self::UNIT).round() as i64))
    }

    /// The amount in dollars.
    #[expect(clippy::cast_precision_loss, reason = "a billion dollars in millionths fits 52 bits")]
    pub fn dollars(self) -> f64 {
        self.0 as f64 / Self::UNIT
    }

    /// The amount in whole dollars, where it is that.
    pub fn whole(self) -> Option<i64> {
        (self.0 % 1_000_000 == 0).then_some(self.0 / 1_000_000)
    }

    /// What is left of this amount; below zero when more is gone than was there.
    pub fn less(self, spent: Self) -> Self {
        Self(self.0 - spent.0)
    }
}

impl Sum for Usd {
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
    pub fn word(self) -> &'static str {
        match self {
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
        }
    }

    /// The interval that OpenRouter's word names.
    pub fn named(word: &str) -> Option<Self> {
        [Self::Daily, Self::Weekly, Self::Monthly].into_iter().find(|reset| reset.word() == word)
    }

    /// The first day of the window that `day` lies in.
    fn start(self, day: Date) -> Date {
        match self {
            Self::Daily => day,
            Self::Weekly => day.saturating_sub(day.weekday().to_monday_zero_offset().days()),
            Self::Monthly => day.first_of_month(),
        }
    }

    /// The instant at which the window that `now` lies in is over.
    pub fn next(self, now: Timestamp) -> Option<Timestamp> {
        let start = self.start(day(now));
        let next = match self {
            Self::Daily => start.saturating_add(1.day()),
            Self::Weekly => start.saturating_add(1.week()),
            Self::Monthly => start.saturating_add(1.month()),
        };
        Offset::UTC.to_timestamp(next.into()).ok()
    }
}

/// The UTC day that an instant lies in.
pub fn day(at: Timestamp) -> Date {
    Offset::UTC.to_datetime(at).date()
}

/// What a key spent, by UTC day.
#[derive(Clone, Debug, Default)]
pub struct Spending {
    /// In their order.
    days: Vec<(Date, Usd)>,
    last: Option<Timestamp>,
}

impl Spending {
    /// Books an amount.
    pub fn add(&mut self, amount: Usd, at: Timestamp) {
        let day = day(at);
        match self.days.binary_search_by_key(&day, |(day, _)| *day) {
            Ok(place) => self.days[place].1.0 += amount.0,
            Err(place) => self.days.insert(place, (day, amount)),
        }
        self.last = self.last.max(Some(at));
    }

    /// When something was spent last.
    pub fn last(&self) -> Option<Timestamp> {
        self.last
    }

    /// Spent in the window of `now`; over the key's whole life without a window.
    pub fn within(&self, window: Option<Reset>, now: Timestamp) -> Usd {
        let today = day(now);
        let window = window.map(|window| window.start(today)..=today);
        let counts = |day: &Date| window.as_ref().is_none_or(|days| days.contains(day));
        self.days.iter().filter(|(day, _)| counts(day)).map(|(_, spent)| *spent).sum()
    }
}
