//! Sorts and filters the keys. They are sorted again after each refresh round and each change of a
//! key, but not for each letter of a filter.

use std::cmp::{Ordering, Reverse};

use jiff::Timestamp;

use super::filter::Filter;
use crate::domain::{KeyState, StoredKey, sort_by, sort_by_key};

/// The sort order of the keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortOrder {
    /// The time of creation, oldest first.
    CreatedAt,
    /// The label, case-insensitive.
    Label,
    /// Keys that need attention, most urgent first; then the spent share of the limit, then the label.
    #[default]
    State,
    /// The spent share of the limit, largest first.
    SpentShare,
    /// The next reset, earliest first.
    NextReset,
    /// The expiry, earliest first.
    Expiry,
}

impl SortOrder {
    const ALL: [Self; 6] = [
        Self::CreatedAt,
        Self::Label,
        Self::State,
        Self::SpentShare,
        Self::NextReset,
        Self::Expiry,
    ];

    /// The names in the configuration file, in the order of the sort orders.
    pub const NAMES: [&'static str; 6] = ["created", "label", "state", "spent", "reset", "expiry"];

    /// Returns the sort order with this name; the default for any other.
    pub fn from_name(name: &str) -> Self {
        let at = Self::NAMES.iter().position(|known| *known == name);
        at.map_or_else(Self::default, |at| Self::ALL[at])
    }

    /// Returns the name in the configuration file.
    pub fn name(self) -> &'static str {
        let at = Self::ALL.iter().position(|sort_order| *sort_order == self).unwrap_or(0);
        Self::NAMES[at]
    }

    /// Returns the next sort order.
    #[must_use]
    pub fn next(self) -> Self {
        let at = Self::ALL.iter().position(|sort_order| *sort_order == self).unwrap_or(0);
        Self::ALL[(at + 1) % Self::ALL.len()]
    }

    /// Returns the order as it continues "sorted by …".
    pub const fn description(self) -> &'static str {
        match self {
            Self::CreatedAt => "creation time",
            Self::Label => "label",
            Self::State => "state, most urgent first",
            Self::SpentShare => "spent share of the limit",
            Self::NextReset => "next reset",
            Self::Expiry => "next expiry",
        }
    }
}

/// Returns the indexes in `keys` of all keys, in order.
pub fn sort_keys(
    keys: &[StoredKey],
    sort_order: SortOrder,
    reversed: bool,
    now: Timestamp,
) -> Vec<usize> {
    let mut rows: Vec<usize> = (0..keys.len()).collect();
    match sort_order {
        SortOrder::CreatedAt => {}
        SortOrder::Label => sort_by_key(&mut rows, |row| keys[*row].label.as_str().to_lowercase()),
        SortOrder::State => {
            let rank = |key: &StoredKey| match key.state(now) {
                state if key.needs_attention(now) => state.urgency_rank(),
                KeyState::Disabled => u8::MAX,
                _ if key.retirement.is_some() => u8::MAX - 1,
                _ => u8::MAX - 2,
            };
            let place = |row: usize| ((rank(&keys[row]), ShareAndLabel::new(&keys[row], now)), row);
            let mut ranked: Vec<_> = rows.iter().map(|row| place(*row)).collect();
            sort_by(&mut ranked, Ord::cmp);
            rows = ranked.into_iter().map(|(_, row)| row).collect();
        }
        SortOrder::SpentShare => sort_by(&mut rows, |a, b| {
            let share = |row: &usize| spent_share(&keys[*row], now);
            share(b).partial_cmp(&share(a)).unwrap_or(Ordering::Equal)
        }),
        // A key that never resets sorts last.
        SortOrder::NextReset => {
            sort_by_key(&mut rows, |row| keys[*row].next_reset(now).unwrap_or(Timestamp::MAX));
        }
        SortOrder::Expiry => {
            sort_by_key(&mut rows, |row| keys[*row].expires_at().value().unwrap_or(Timestamp::MAX));
        }
    }
    if reversed {
        rows.reverse();
    }
    rows
}

/// Returns the rows of `sorted` whose keys are shown and match `filter`, in the same order.
pub fn filter_keys(
    keys: &[StoredKey],
    sorted: &[usize],
    filter: &str,
    is_shown: impl Fn(&StoredKey) -> bool,
    now: Timestamp,
) -> Vec<usize> {
    let filter = Filter::parse(filter);
    let matches = |key: &StoredKey| is_shown(key) && filter.matches(key, now);
    sorted.iter().copied().filter(|row| keys.get(*row).is_some_and(matches)).collect()
}

/// The position among keys of one state: the spent share of the limit, largest first, then the label.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub struct ShareAndLabel(Reverse<i64>, String);

impl ShareAndLabel {
    /// Returns the position of a key.
    #[expect(clippy::cast_possible_truncation, reason = "a share in millionths")]
    pub fn new(key: &StoredKey, now: Timestamp) -> Self {
        let millionths = (spent_share(key, now) * 1e6) as i64;
        Self(Reverse(millionths), key.label.as_str().to_lowercase())
    }
}

/// Returns the spent share, above 1 if more was spent, of the limit or budget that blocks first, or -1 if it is unknown.
pub fn spent_share(key: &StoredKey, now: Timestamp) -> f64 {
    key.spent_share(now).unwrap_or(-1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::KeyInfo;
    use crate::tui::state::{AppContext, Model};

    #[test]
    fn warnings_have_the_order_of_the_list_sorted_by_state() {
        let now: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
        let key = |label: &str, expires_at: &str| {
            // Of a short lifetime only the last quarter counts as expiring.
            let created_at = now - jiff::SignedDuration::from_hours(24 * 90);
            let expires_at = expires_at.parse::<Timestamp>().ok().into();
            let info = KeyInfo { expires_at, ..KeyInfo::default() };
            StoredKey::sample(label, created_at).with_check(now, info)
        };
        let keys = vec![
            key("active", "never"),
            key("expiring", "2026-12-01T00:00:00Z"),
            key("expired", "2026-11-01T00:00:00Z"),
        ];
        let rows = sort_keys(&keys, SortOrder::State, false, now);
        assert_eq!(rows, [2, 1, 0]);
        // Keys of one state have the order of what is spent of their limits, then of their labels.
        let spent = |label: &str, remaining: f64| {
            let (limit, limit_remaining) = (Some(10.0).into(), Some(remaining));
            let info = KeyInfo { limit, limit_remaining, ..KeyInfo::default() };
            let key = StoredKey::sample(label, now).with_check(now, info);
            key.with(|key| key.disabled = Some(true))
        };
        let equal = [spent("b", 9.0), spent("B2", 1.0), spent("C", 9.0), spent("a", 9.0)];
        let order = sort_keys(&equal, SortOrder::State, false, now);
        assert_eq!(order, [1, 3, 0, 2]);
        let mut model = Model::new(AppContext::default(), (80, 24), now);
        model.dashboard.set_keys(Ok(keys), now);
        model.dashboard.update_summary(now);
        let warned: Vec<usize> =
            model.dashboard.attention_list.iter().map(|(row, _)| *row).collect();
        assert_eq!(warned, rows[..2]);
    }
}
