//! What was spent on each UTC day, as far as it is known.

use std::collections::HashMap;

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};

use super::money::{from_nanodollars, to_nanodollars};
use super::sort::sort_by;
use super::text::to_utc;
use super::usage_curve::{UsageCurve, UsageSample};

/// The days from which the present pace is calculated.
const PACE_DAYS: i64 = 7;

/// The spending of each known UTC day. A day without spending is known to be zero; a day that is not
/// known is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DailySpending {
    /// Nanodollars by date, in ascending order.
    days: Vec<(Date, i64)>,
}

impl DailySpending {
    /// Returns spending without any known day.
    pub const fn new() -> Self {
        Self { days: Vec::new() }
    }

    /// Returns the days from `from` to the day of `now` whose spending follows exactly from the
    /// samples of a key. The day of `now` is what was spent until the last sample.
    pub fn from_samples(samples: &[UsageSample], from: Date, now: Timestamp) -> Self {
        let curve = UsageCurve::new(samples.iter().copied(), now);
        let today = to_utc(now).date();
        let dates = from.series(1.day()).take_while(|date| *date <= today);
        dates.filter_map(|date| Some((date, curve.spent_on(date, today)?))).collect()
    }

    /// Adds the spending of several keys. A day is known if it is known of every key.
    pub fn sum<'a>(keys: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut keys = keys.into_iter();
        let mut total = keys.next().cloned().unwrap_or_default();
        for key in keys {
            total.days.retain_mut(|(date, sum)| {
                let spent = key.nanodollars(*date);
                *sum = sum.saturating_add(spent.unwrap_or(0));
                spent.is_some()
            });
        }
        total
    }

    /// Sets the spending of a day, in USD. An amount that is not a number leaves the day unknown.
    pub fn set(&mut self, date: Date, usd: f64) {
        let amount = to_nanodollars(usd);
        match (self.days.binary_search_by_key(&date, |(date, _)| *date), amount) {
            (Ok(index), Some(amount)) => self.days[index].1 = amount,
            (Err(index), Some(amount)) => self.days.insert(index, (date, amount)),
            (Ok(index), None) => drop(self.days.remove(index)),
            (Err(_), None) => {}
        }
    }

    /// Adds an amount in USD to a day, which is known from then on.
    pub fn add(&mut self, date: Date, usd: f64) {
        let before = self.get(date).unwrap_or(0.0);
        self.set(date, before + usd);
    }

    /// Takes the days of `other` that are not known here.
    pub fn fill_from(&mut self, other: &Self) {
        for (date, usd) in other.iter() {
            if self.nanodollars(date).is_none() {
                self.set(date, usd);
            }
        }
    }

    /// Returns what was spent on a day in USD, if it is known.
    pub fn get(&self, date: Date) -> Option<f64> {
        self.nanodollars(date).map(from_nanodollars)
    }

    /// Returns the known days in ascending order, with USD.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (Date, f64)> + '_ {
        self.days.iter().map(|(date, amount)| (*date, from_nanodollars(*amount)))
    }

    /// Returns `count` days that end with `last`, oldest first; `None` is an unknown day.
    pub fn last_days(
        &self,
        last: Date,
        count: u16,
    ) -> impl Iterator<Item = (Date, Option<f64>)> + '_ {
        let first = last.saturating_sub((i64::from(count) - 1).days());
        let known = self.days.partition_point(|(date, _)| *date < first);
        let mut known = self.days[known..].iter().peekable();
        let dates = std::iter::successors(Some(first), |date| date.tomorrow().ok());
        dates.take(count.into()).map(move |date| {
            let known = known.next_if(|(of, _)| *of == date);
            (date, known.map(|(_, amount)| from_nanodollars(*amount)))
        })
    }

    /// Returns the sum of the known days from `from` to `to`, in USD.
    pub fn total(&self, from: Date, to: Date) -> f64 {
        let days = self.days.iter().filter(|(date, _)| (from..=to).contains(date));
        from_nanodollars(days.fold(0_i64, |sum, (_, amount)| sum.saturating_add(*amount)))
    }

    /// Returns the average of the known days among the seven completed ones before `today`, in USD.
    /// `None` if none is known.
    pub fn pace(&self, today: Date) -> Option<f64> {
        let first = today.saturating_sub(PACE_DAYS.days());
        let days: Vec<i64> = self
            .days
            .iter()
            .filter(|(date, _)| (first..today).contains(date))
            .map(|(_, amount)| *amount)
            .collect();
        let count = u32::try_from(days.len()).ok().filter(|count| *count > 0)?;
        Some(
            from_nanodollars(days.iter().fold(0, |sum, one| one.saturating_add(sum)))
                / f64::from(count),
        )
    }

    fn nanodollars(&self, date: Date) -> Option<i64> {
        let index = self.days.binary_search_by_key(&date, |(date, _)| *date).ok()?;
        Some(self.days[index].1)
    }
}

impl FromIterator<(Date, f64)> for DailySpending {
    fn from_iter<T: IntoIterator<Item = (Date, f64)>>(days: T) -> Self {
        let mut spending = Self::default();
        for (date, usd) in days {
            spending.set(date, usd);
        }
        spending
    }
}

/// The use of one model on one completed UTC day.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelUse {
    /// The day.
    pub date: Date,
    /// The model.
    pub model: String,
    /// The number of requests.
    pub requests: u64,
    /// USD.
    pub usage: f64,
}

/// Returns what was spent with each model, highest first.
pub fn sum_by_model<'a>(uses: impl IntoIterator<Item = &'a ModelUse>) -> Vec<ModelSpending> {
    let mut models: HashMap<&str, (u64, i64)> = HashMap::new();
    for model_use in uses {
        let sum = models.entry(&model_use.model).or_default();
        sum.0 = sum.0.saturating_add(model_use.requests);
        sum.1 = sum.1.saturating_add(to_nanodollars(model_use.usage).unwrap_or(0));
    }
    let mut models: Vec<ModelSpending> = models
        .into_iter()
        .map(|(model, (requests, usage))| ModelSpending {
            model: model.to_owned(),
            requests,
            usage: from_nanodollars(usage),
        })
        .collect();
    sort_by(&mut models, |a, b| b.usage.total_cmp(&a.usage).then_with(|| a.model.cmp(&b.model)));
    models
}

/// What was spent with one model in a period.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelSpending {
    /// The model.
    pub model: String,
    /// The number of requests.
    pub requests: u64,
    /// USD.
    pub usage: f64,
}

/// The spending of one key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeySpending {
    /// By UTC day, the present one included.
    pub days: DailySpending,
    /// By model in the completed days among the last thirty, highest first. Empty if it is not known.
    pub models: Vec<ModelSpending>,
}

/// The figures of an account, in USD. `None` is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AccountFigures {
    /// Whether `today` and `month` are of the whole account, rather than of the stored keys.
    pub is_whole_account: bool,
    /// Spent in this UTC day.
    pub today: Option<f64>,
    /// Spent in this month.
    pub month: Option<f64>,
    /// The credits that are left.
    pub credits_left: Option<f64>,
    /// For how many days they last at the present pace; also `None` if nothing is spent.
    pub days_left: Option<f64>,
}

impl AccountFigures {
    /// Returns for how many days `credits_left` last at `pace` USD a day.
    pub fn days_left(credits_left: f64, pace: f64) -> Option<f64> {
        let days = credits_left.max(0.0) / pace;
        days.is_finite().then_some(days)
    }
}

#[cfg(test)]
mod tests;
