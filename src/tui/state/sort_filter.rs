//! Which keys are listed, and in which order. The order is made when it is asked for, not when
//! figures arrive: no row moves under the cursor.

use std::cmp::Ordering;

use jiff::Timestamp;

use crate::domain::StoredKey;

/// What the list is ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortOrder {
    /// As they were cut.
    #[default]
    CreatedAt,
    /// The label, letters before capitals do not count.
    Label,
    /// The worst first.
    State,
    /// The most of its limit first.
    SpentShare,
    /// The first to reset first.
    NextReset,
    /// The first to expire first.
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

    /// The order after this one.
    #[must_use]
    pub fn next(self) -> Self {
        let at = Self::ALL.iter().position(|sort| *sort == self).unwrap_or(0);
        Self::ALL[(at + 1) % Self::ALL.len()]
    }

    /// In a sentence: "sorted by …".
    pub const fn description(self) -> &'static str {
        match self {
            Self::CreatedAt => "when they were cut",
            Self::Label => "label",
            Self::State => "state, the worst first",
            Self::SpentShare => "how much of the limit is spent",
            Self::NextReset => "the next reset",
            Self::Expiry => "the next expiry",
        }
    }
}

/// The keys that match and are to be shown, in order: their places in `keys`.
pub fn sort_and_filter(
    keys: &[StoredKey],
    sort: SortOrder,
    reversed: bool,
    filter: &str,
    shown: impl Fn(&StoredKey) -> bool,
    now: Timestamp,
) -> Vec<usize> {
    let mut rows: Vec<usize> = (0..keys.len())
        .filter(|row| shown(&keys[*row]) && matches_filter(filter, keys[*row].label.as_str()))
        .collect();
    match sort {
        SortOrder::CreatedAt => {}
        SortOrder::Label => rows.sort_by_cached_key(|row| keys[*row].label.as_str().to_lowercase()),
        SortOrder::State => rows.sort_by_cached_key(|row| keys[*row].state(now).urgency_rank()),
        SortOrder::SpentShare => rows.sort_by(|a, b| {
            let share = |row: &usize| spent_share(&keys[*row], now);
            share(b).partial_cmp(&share(a)).unwrap_or(Ordering::Equal)
        }),
        // Never is later than any day.
        SortOrder::NextReset => rows.sort_by_cached_key(|row| {
            keys[*row].reset().and_then(|reset| reset.next_after(now)).unwrap_or(Timestamp::MAX)
        }),
        SortOrder::Expiry => {
            rows.sort_by_cached_key(|row| keys[*row].expires_at().unwrap_or(Timestamp::MAX));
        }
    }
    if reversed {
        rows.reverse();
    }
    rows
}

/// How much of its limit a key has spent, from 0 to 1; below 0 where that is not known.
pub fn spent_share(held: &StoredKey, now: Timestamp) -> f64 {
    match (held.limit(), held.spent(now)) {
        (Some(limit), Some(spent)) if limit > 0.0 => (spent / limit).clamp(0.0, 1.0),
        (Some(_), Some(_)) => 1.0,
        (None, _) | (_, None) => -1.0,
    }
}

/// Whether the letters of the filter stand in the label, in their order, with anything between.
fn matches_filter(filter: &str, label: &str) -> bool {
    let mut letters = label.chars().flat_map(char::to_lowercase);
    filter
        .chars()
        .filter(|c| !c.is_whitespace())
        .flat_map(char::to_lowercase)
        .all(|wanted| letters.any(|letter| letter == wanted))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::{ApiKey, CheckResult, KeyInfo};
    use crate::tui::state::{AppContext, Model, Msg};

    #[test]
    fn warnings_have_the_order_of_the_list_sorted_by_state() {
        let now: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
        let key = |label: &str, expires_at: &str| {
            let secret = ApiKey::from(String::from(label));
            let label = label.parse().unwrap();
            let mut key = StoredKey::new(label, &secret, String::new(), "os".into(), now);
            let expires_at = expires_at.parse().ok();
            key.record_check(
                &CheckResult::Valid(Arc::new(KeyInfo { expires_at, ..KeyInfo::default() })),
                now,
            );
            key
        };
        let keys = vec![
            key("active", "never"),
            key("expiring", "2026-12-01T00:00:00Z"),
            key("expired", "2026-11-01T00:00:00Z"),
        ];
        let rows = sort_and_filter(&keys, SortOrder::State, false, "", |_| true, now);
        assert_eq!(rows, [2, 1, 0]);
        let mut model = Model::new(AppContext::default(), (80, 24), now);
        crate::tui::update::load_keys(&mut model);
        let ticket = model.dashboard.load_ticket.unwrap();
        let loaded = Msg::KeysLoaded { ticket, result: Ok(keys) };
        crate::tui::update::update(&mut model, loaded, now);
        let warned: Vec<usize> =
            model.dashboard.attention_list.iter().map(|(row, _)| *row).collect();
        assert_eq!(warned, rows[..2]);
    }

    #[test]
    fn letters_in_their_order_match() {
        for (filter, label, expected) in [
            ("", "anything", true),
            ("lap", "laptop", true),
            ("LPT", "laptop", true),
            ("ptl", "laptop", false),
            ("my t", "My Tool", true),
            ("é", "É", true),
            ("xx", "x", false),
        ] {
            assert_eq!(matches_filter(filter, label), expected, "{filter} {label}");
        }
    }

    proptest! {
        #[test]
        fn what_matches_is_a_subsequence_and_nothing_else(label in "[a-c]{0,6}", filter in "[a-c]{0,3}") {
            fn naive(filter: &[u8], label: &[u8]) -> bool {
                match (filter, label) {
                    ([], _) => true,
                    (_, []) => false,
                    ([a, rest @ ..], [b, more @ ..]) if a == b => naive(rest, more) || naive(filter, more),
                    (_, [_, more @ ..]) => naive(filter, more),
                }
            }
            prop_assert_eq!(matches_filter(&filter, &label), naive(filter.as_bytes(), label.as_bytes()));
        }
    }
}
