//! Groups what was spent into rows.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Serialize;

use super::Grouping;
use crate::domain::{
    DailySpending, ModelUse, from_nanodollars, sort_by, sort_by_key, sum_by_model, to_nanodollars,
};
use crate::services::usage::{KeyUsage, UsageReport, UsageSource};

/// A row of the output. What does not apply or is not known is `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(in crate::cli) struct UsageRow<'a> {
    pub(super) date: Option<Date>,
    pub(super) label: Option<&'a str>,
    pub(super) hash: Option<&'a str>,
    /// Tells keys with the same label apart.
    #[serde(skip)]
    pub(super) masked: Option<&'a str>,
    pub(super) model: Option<Cow<'a, str>>,
    pub(super) requests: Option<u64>,
    /// USD.
    pub(super) usage: Option<f64>,
    /// The part of the usage that is known, in USD, where not all of it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) at_least: Option<f64>,
}

impl UsageRow<'_> {
    fn new(usage: f64) -> Self {
        Self { usage: Some(usage), ..Self::default() }
    }

    /// Returns what is known of the usage, in USD.
    pub(super) fn known_usage(&self) -> f64 {
        self.usage.or(self.at_least).unwrap_or(0.0)
    }

    /// Returns whether JSON and CSV have it: days that are not known are left out.
    pub(super) const fn is_in_document(&self) -> bool {
        self.usage.is_some() || self.date.is_none()
    }
}

/// Returns the rows of a report: one for each day, model or key, or without a grouping one for each
/// day, key and model.
pub(super) fn group_rows(report: &UsageReport, grouping: Option<Grouping>) -> Vec<UsageRow<'_>> {
    match grouping {
        None => list_details(report),
        Some(Grouping::Day) => group_by_day(report),
        Some(Grouping::Model) => group_by_model(report),
        Some(Grouping::Key) => group_by_key(report),
    }
}

/// Returns the sum of amounts without the rounding errors of adding them up.
fn sum(amounts: impl Iterator<Item = f64>) -> f64 {
    let amounts = amounts.filter_map(to_nanodollars);
    from_nanodollars(amounts.fold(0, i64::saturating_add))
}

/// Returns whether an amount in USD is zero. A correction is below zero.
fn is_zero(usd: f64) -> bool {
    to_nanodollars(usd) == Some(0)
}

fn list_details(report: &UsageReport) -> Vec<UsageRow<'_>> {
    let mut rows = Vec::new();
    for key in &report.keys {
        let mut by_date: BTreeMap<Date, Vec<&ModelUse>> = BTreeMap::new();
        for model_use in &key.uses {
            by_date.entry(model_use.date).or_default().push(model_use);
        }
        // A key has no zeros for days before it existed.
        let existed = |date, usage| !is_zero(usage) || key.created.is_none_or(|day| date >= day);
        let days =
            key.days.iter().filter(|(date, usage)| *date >= report.from && existed(*date, *usage));
        for (date, usage) in days {
            let row = |model, requests, usage| UsageRow {
                date: Some(date),
                label: key.label.as_deref(),
                hash: key.hash.as_deref(),
                model,
                requests,
                ..UsageRow::new(usage)
            };
            match by_date.get(&date) {
                Some(uses) => rows.extend(uses.iter().map(|model_use| {
                    row(
                        Some(Cow::Borrowed(model_use.model.as_str())),
                        Some(model_use.requests),
                        model_use.usage,
                    )
                })),
                None => rows.push(row(None, idle_requests(report, date, usage), usage)),
            }
        }
    }
    // The keys keep their order within a day.
    sort_by_key(&mut rows, |row| row.date);
    rows
}

/// Returns the number of requests of a day without rows: zero where the activity says so.
fn idle_requests(report: &UsageReport, date: Date, usage: f64) -> Option<u64> {
    let is_idle = report.source == UsageSource::Activity && date < report.today && is_zero(usage);
    is_idle.then_some(0)
}

pub(super) fn group_by_day(report: &UsageReport) -> Vec<UsageRow<'_>> {
    let days = DailySpending::sum(report.keys.iter().map(|key| &key.days));
    let mut requests: BTreeMap<Date, u64> = BTreeMap::new();
    for model_use in report.keys.iter().flat_map(|key| &key.uses) {
        *requests.entry(model_use.date).or_default() += model_use.requests;
    }
    let dates = report.from.series(jiff::ToSpan::day(1)).take_while(|date| *date <= report.today);
    dates
        .map(|date| {
            let known = days.get(date);
            let at_least = || sum(report.keys.iter().filter_map(|key| key.days.get(date)));
            UsageRow {
                date: Some(date),
                requests: requests
                    .get(&date)
                    .copied()
                    .or_else(|| known.and_then(|usage| idle_requests(report, date, usage))),
                ..known.map_or_else(
                    || UsageRow { at_least: Some(at_least()), ..UsageRow::default() },
                    UsageRow::new,
                )
            }
        })
        .collect()
}

/// Returns the models, and a row without a model for what is not known by model: the present day, and
/// everything where the figures are from samples.
fn group_by_model(report: &UsageReport) -> Vec<UsageRow<'_>> {
    let uses = report.keys.iter().flat_map(|key| &key.uses);
    let mut rows: Vec<UsageRow<'_>> = sum_by_model(uses.clone())
        .into_iter()
        .map(|spending| UsageRow {
            model: Some(Cow::Owned(spending.model)),
            requests: Some(spending.requests),
            ..UsageRow::new(spending.usage)
        })
        .collect();
    let all = report.keys.iter().map(|key| key.days.total(report.from, report.today));
    let with_model = sum(uses.map(|model_use| model_use.usage));
    let rest = sum([sum(all), -with_model].into_iter());
    if !is_zero(rest) {
        rows.push(UsageRow::new(rest));
    }
    rows
}

fn group_by_key<'a>(report: &'a UsageReport) -> Vec<UsageRow<'a>> {
    let to_row = |key: &'a KeyUsage| {
        let total = key.days.total(report.from, report.today);
        // Every day since it was created.
        let from = key.created.unwrap_or(report.from).clamp(report.from, report.today);
        let mut days = from.series(jiff::ToSpan::day(1)).take_while(|date| *date <= report.today);
        let is_known = days.all(|date| key.days.get(date).is_some());
        let row = if is_known {
            UsageRow::new(total)
        } else {
            UsageRow { at_least: Some(total), ..UsageRow::default() }
        };
        UsageRow {
            label: key.label.as_deref(),
            hash: key.hash.as_deref(),
            masked: key.masked.as_deref(),
            requests: (report.source == UsageSource::Activity)
                .then(|| key.uses.iter().map(|model_use| model_use.requests).sum()),
            ..row
        }
    };
    let mut rows: Vec<UsageRow<'_>> = report.keys.iter().map(to_row).collect();
    sort_by(&mut rows, |a, b| {
        b.known_usage().total_cmp(&a.known_usage()).then_with(|| a.label.cmp(&b.label))
    });
    rows
}
