//! The requested credit limit, reset interval and expiry of a key, with their validation
//! for the form, the command line and plans.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::Offset;
use jiff::{SignedDuration, Span, Timestamp};

use super::text::{format_date, format_relative_time, format_timestamp, to_utc};
use super::user_error::invalid;
use super::{GuardrailRef, Label, StoreKind, ValidationError, sanitize};

/// An amount in US cents: above zero, at most a million dollars.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cents(u64);

impl Cents {
    /// Returns the amount in dollars, as in OpenRouter's JSON.
    #[expect(clippy::cast_precision_loss, reason = "at most 10^8 cents: exact in an f64")]
    pub fn to_dollars(self) -> f64 {
        self.0 as f64 / 100.0
    }

    /// Returns the most cents that are not above `dollars`, which may have more decimals.
    pub fn at_most(dollars: f64) -> Result<Self, ValidationError> {
        let cents = Self::try_from(dollars)?;
        if cents.to_dollars() <= dollars {
            return Ok(cents);
        }
        Self::try_from(dollars - 0.005)
    }

    /// Parses an amount; `none` and empty text are `None`.
    pub fn parse_limit(text: &str) -> Result<Option<Self>, ValidationError> {
        match text.trim() {
            "" => Ok(None),
            word if word.eq_ignore_ascii_case("none") => Ok(None),
            amount => amount.parse().map(Some),
        }
    }
}

impl FromStr for Cents {
    type Err = ValidationError;

    fn from_str(text: &str) -> Result<Self, ValidationError> {
        const ABOVE_ZERO: &str = "a limit is above zero; use none for no limit";
        let text = text.trim();
        let text = text.strip_prefix('$').or_else(|| text.strip_suffix('$')).unwrap_or(text).trim();
        if text.starts_with('-') {
            return invalid(ABOVE_ZERO);
        }
        if text.contains(',') {
            return invalid("write the decimals with a point, such as 12.50");
        }
        let (dollars, cents) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(dollars) || !digits(cents) {
            return invalid("a limit is an amount in USD, such as 10 or 12.50, or none");
        }
        if cents.len() > 2 {
            return invalid("a limit has at most two decimals, such as 12.50");
        }
        let dollars = dollars.trim_start_matches('0');
        if dollars.len() > 7 {
            return invalid("a limit is at most 1000000 USD; use none for no limit");
        }
        // With at most seven and two digits neither parse can fail, and an empty `dollars` is zero.
        let dollars: u64 = dollars.parse().unwrap_or(0);
        let factor = if cents.len() == 1 { 10 } else { 1 };
        let total = dollars * 100 + cents.parse::<u64>().unwrap_or(0) * factor;
        match total {
            0 => invalid(ABOVE_ZERO),
            1..=100_000_000 => Ok(Self(total)),
            _ => invalid("a limit is at most 1000000 USD; use none for no limit"),
        }
    }
}

impl TryFrom<f64> for Cents {
    type Error = ValidationError;

    /// Converts dollars to the nearest cent.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be between 1 and 10^8"
    )]
    fn try_from(dollars: f64) -> Result<Self, ValidationError> {
        let cents = (dollars * 100.0).round();
        if (1.0..=1e8).contains(&cents) {
            return Ok(Self(cents as u64));
        }
        invalid("a limit is an amount in USD above zero and at most 1000000")
    }
}

impl fmt::Display for Cents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

impl serde::Serialize for Cents {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.to_dollars())
    }
}

impl<'de> serde::Deserialize<'de> for Cents {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        f64::deserialize(deserializer)?.try_into().map_err(serde::de::Error::custom)
    }
}

/// How often the spending that counts against a limit is reset, always at midnight UTC. A shorter
/// interval is less.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum ResetInterval {
    /// Every day.
    Daily,
    /// Every Monday.
    Weekly,
    /// On the first of every month.
    Monthly,
}

impl ResetInterval {
    /// All intervals, shortest first.
    pub const ALL: [Self; 3] = [Self::Daily, Self::Weekly, Self::Monthly];

    /// Returns OpenRouter's name (`usage_limit_type`, `limit_reset`).
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
        }
    }

    /// Parses an interval; `never` and empty text are `None`.
    pub fn parse(text: &str) -> Result<Option<Self>, ValidationError> {
        let text = text.trim().to_ascii_lowercase();
        if text.is_empty() || text == "never" {
            return Ok(None);
        }
        match Self::ALL.into_iter().find(|reset| reset.as_str() == text) {
            Some(reset) => Ok(Some(reset)),
            None => invalid("a reset is daily, weekly, monthly or never"),
        }
    }

    /// Returns what it means, as text for the user.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Daily => "resets every day at 00:00 UTC",
            Self::Weekly => "resets every Monday at 00:00 UTC",
            Self::Monthly => "resets on the first of every month at 00:00 UTC",
        }
    }

    /// Returns the first reset after `now`.
    pub fn next_after(self, now: Timestamp) -> Option<Timestamp> {
        let today = to_utc(now).date();
        let day = match self {
            Self::Daily => today.tomorrow(),
            Self::Weekly => {
                let days = 7 - i64::from(today.weekday().to_monday_zero_offset());
                today.checked_add(Span::new().days(days))
            }
            Self::Monthly => today.first_of_month().checked_add(Span::new().months(1)),
        };
        Offset::UTC.to_timestamp(day.ok()?.to_datetime(Time::midnight())).ok()
    }
}

/// When a key stops working, with the text that was typed (`30d`), which is the default for the
/// next key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// The time, in whole seconds.
    pub at: Timestamp,
    /// The text as typed.
    pub input: String,
}

/// The maximum time until an expiry.
const MAX_EXPIRY_YEARS: i64 = 10;

impl Expiry {
    /// Parses `12h`, `30d`, `6w`, `3mo` or `1y` from `now`, a date, or a UTC timestamp with
    /// seconds; `never` and empty text are `None`. Days and longer units end at 23:59:59 UTC.
    pub fn parse(text: &str, now: Timestamp) -> Result<Option<Self>, ValidationError> {
        let typed = text.trim();
        if typed.is_empty() || typed.eq_ignore_ascii_case("never") {
            return Ok(None);
        }
        // A word such as `yesterday`, or a negative time, is none of the forms.
        if !typed.starts_with(|c: char| c.is_ascii_digit()) {
            return match typed.strip_prefix('-') {
                Some(rest) if rest.starts_with(|c: char| c.is_ascii_digit()) => {
                    invalid("an expiry must be in the future")
                }
                _ => invalid(EXPIRY_FORMS),
            };
        }
        let at = if typed.contains(['T', 't', ':']) {
            parse_timestamp(typed)?
        } else if typed.contains('-') {
            match typed.parse::<Date>() {
                Ok(date) if typed.len() == 10 => end_of_day(date)?,
                _ => return invalid("no such date; write a date as 2027-12-31"),
            }
        } else {
            parse_duration(typed, now)?
        };
        if at <= now {
            return invalid("an expiry must be in the future");
        }
        let latest = to_utc(now).checked_add(Span::new().years(MAX_EXPIRY_YEARS).days(1));
        if latest.is_ok_and(|latest: DateTime| to_utc(at) > latest) {
            return invalid("an expiry is at most ten years ahead; use never for no expiry");
        }
        Ok(Some(Self { at, input: String::from(typed) }))
    }

    /// Returns the only format that OpenRouter accepts: `2027-12-31T23:59:59Z`.
    pub fn to_api_string(&self) -> String {
        self.at.to_string()
    }

    /// Formats as `Thursday 24 December 2026, 23:59:59 UTC, in 30 days`.
    pub fn description(&self, now: Timestamp) -> String {
        format!("{}, {}", format_timestamp(self.at), format_relative_time(now, self.at))
    }
}

const EXPIRY_FORMS: &str = "an expiry is 30d, 12h, 6w, 3mo, 1y, a date such as 2027-12-31, a UTC time such as 2027-12-31T23:59:59Z, or never";

fn parse_timestamp(typed: &str) -> Result<Timestamp, ValidationError> {
    // Seconds and UTC are required (`2027-12-31T23:59:59Z`): twenty characters, no fraction.
    match typed.parse::<Timestamp>() {
        Ok(at) if typed.len() == 20 && typed.ends_with(['Z', 'z']) => Ok(at),
        _ => invalid("write a time in UTC with seconds, such as 2027-12-31T23:59:59Z"),
    }
}

fn parse_duration(typed: &str, now: Timestamp) -> Result<Timestamp, ValidationError> {
    let split = typed.find(|c: char| !c.is_ascii_digit()).unwrap_or(typed.len());
    let (count, unit) = typed.split_at(split);
    let count: i64 = match count.parse() {
        Ok(count) if count <= 100_000 => count,
        _ => return invalid(EXPIRY_FORMS),
    };
    if count == 0 {
        return invalid("an expiry must be in the future");
    }
    let span = match unit.trim().to_ascii_lowercase().as_str() {
        "h" => {
            return now
                .checked_add(SignedDuration::from_hours(count))
                .ok()
                .and_then(|at| Timestamp::from_second(at.as_second()).ok())
                .map_or_else(|| invalid(EXPIRY_FORMS), Ok);
        }
        "d" => Span::new().try_days(count),
        "w" => Span::new().try_weeks(count),
        "mo" => Span::new().try_months(count),
        "y" => Span::new().try_years(count),
        _ => return invalid(EXPIRY_FORMS),
    };
    match span.and_then(|span| to_utc(now).date().checked_add(span)) {
        Ok(date) => end_of_day(date),
        Err(_) => invalid("an expiry is at most ten years ahead; use never for no expiry"),
    }
}

fn end_of_day(date: Date) -> Result<Timestamp, ValidationError> {
    match Offset::UTC.to_timestamp(date.to_datetime(Time::constant(23, 59, 59, 0))) {
        Ok(end) => Ok(end),
        Err(_) => invalid("an expiry is at most ten years ahead; use never for no expiry"),
    }
}

/// A request for a new key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyRequest {
    /// The label, unique among the keys stored for one server.
    pub label: Label,
    /// Maximum spending per reset interval, or in total without a reset.
    pub limit: Option<Cents>,
    /// The reset interval; requires a limit.
    pub limit_reset: Option<ResetInterval>,
    /// When it stops working.
    pub expiry: Option<Expiry>,
    /// The UUID of the workspace; `None` is the account's default workspace.
    pub workspace_id: Option<String>,
    /// The guardrail that the key is assigned to after its creation.
    pub guardrail: Option<GuardrailRef>,
    /// The store for the key, where it is not the usual one.
    pub store: Option<StoreKind>,
    /// The fields that nobody requested, which have the value of the defaults.
    pub defaulted: DefaultedFields,
}

/// The fields of a request that have the value of the defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DefaultedFields {
    /// The limit.
    pub limit: bool,
    /// The reset interval.
    pub limit_reset: bool,
    /// The expiry.
    pub expiry: bool,
    /// The workspace.
    pub workspace_id: bool,
    /// The guardrail.
    pub guardrail: bool,
}

impl DefaultedFields {
    /// Returns whether any field has the value of the defaults.
    pub fn any(self) -> bool {
        self != Self::default()
    }
}

impl KeyRequest {
    /// Describes the policy, such as `limit $10.00, reset monthly, expires 25 February 2027`.
    ///
    /// `workspace_name` is shown instead of the workspace's UUID.
    pub fn describe_policy(&self, workspace_name: Option<&str>) -> String {
        let limit = self.limit.map_or_else(|| "none".to_owned(), |limit| format!("${limit}"));
        let reset = self.limit_reset.map_or("never", ResetInterval::as_str);
        let expires =
            self.expiry.as_ref().map_or_else(|| "never".into(), |expiry| format_date(expiry.at));
        let workspace = self.workspace_id.as_ref().map(|id| workspace_name.unwrap_or(id));
        let mut text = format!("limit {limit}, reset {reset}, expires {expires}");
        for (what, name) in [
            ("workspace", workspace),
            ("guardrail", self.guardrail.as_ref().map(|guardrail| guardrail.name.as_str())),
        ] {
            if let Some(name) = name {
                text.extend([", ", what, " ", &sanitize(name, 100)]);
            }
        }
        text
    }

    /// Checks the rules across fields: a reset needs a limit, and a workspace is a UUID.
    pub fn validate(&self) -> Result<(), ValidationError> {
        if self.limit_reset.is_some() && self.limit.is_none() {
            return invalid("a reset needs a limit: set a limit, or the reset to never");
        }
        self.workspace_id.as_deref().map_or(Ok(()), Self::validate_workspace_id)
    }

    /// Checks that `id` is a UUID.
    pub fn validate_workspace_id(id: &str) -> Result<(), ValidationError> {
        if is_uuid(id) {
            return Ok(());
        }
        invalid("give the UUID of a workspace, such as 1f0e9c1a-5b7d-4c3e-9a44-0d2b6f8e7a10")
    }
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sign_of_a_limit_may_stand_on_either_side() {
        let limit = Cents::parse_limit("5").unwrap();
        for text in ["$5", "5$", "5 $", " $ 5 "] {
            assert_eq!(Cents::parse_limit(text).unwrap(), limit, "{text}");
        }
        assert!(Cents::parse_limit("$5$").is_err());
    }
}
