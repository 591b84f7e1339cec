//! Which keys need attention, and what the screen shows about all keys together.

use jiff::Timestamp;

use super::Dashboard;
use crate::domain::{KeyState, RetirementStatus, StoredKey, sort_by_key, sum_of_monthly_limits};
use crate::tui::state::sort_filter::ShareAndLabel;

/// Why a key needs attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attention {
    /// It leaked and may still be used.
    Leaked,
    /// It may belong to another account.
    OtherAccount,
    /// Its text was deleted in the shared store.
    Lost,
    /// It is on this machine only, because the shared store could not take it.
    Waiting,
    /// It is in this state.
    State(KeyState),
    /// Its creation or its rotation was interrupted.
    Unfinished,
    /// Another key replaced it, and it is no longer used.
    Replaced,
}

impl Attention {
    /// Returns the position among the reasons: the most urgent is first.
    const fn rank(self) -> (u8, u8) {
        match self {
            Self::Leaked => (0, 0),
            Self::OtherAccount => (1, 0),
            Self::Lost => (2, 0),
            Self::Waiting => (3, 0),
            Self::State(state) => (4, state.urgency_rank()),
            Self::Unfinished => (5, 0),
            Self::Replaced => (6, 0),
        }
    }
}

impl Dashboard {
    /// Updates what the screen shows about all keys together, so that a key press reads only the keys on
    /// screen.
    pub fn update_summary(&mut self, now: Timestamp) {
        let keys = self.stored_keys();
        let unused = |key: &StoredKey| {
            let status = self.retirement_status(key, now);
            matches!(status, RetirementStatus::Unused(_) | RetirementStatus::Inactive(_))
        };
        let reason = |key: &StoredKey| match key.state(now) {
            _ if key.is_exposed(now) => Some(Attention::Leaked),
            _ if key.is_of_unconfirmed_account() => Some(Attention::OtherAccount),
            _ if key.secret_loss().is_some() => Some(Attention::Lost),
            _ if key.move_to.is_some() => Some(Attention::Waiting),
            state if key.needs_attention(now) => Some(Attention::State(state)),
            _ if key.is_unfinished() => Some(Attention::Unfinished),
            _ if key.retirement.is_some() && unused(key) => Some(Attention::Replaced),
            _ => None,
        };
        let urgent = keys.iter().enumerate();
        let mut urgent: Vec<_> =
            urgent.filter_map(|(index, key)| Some((index, reason(key)?))).collect();
        sort_by_key(&mut urgent, |(index, attention)| {
            (attention.rank(), ShareAndLabel::new(&keys[*index], now))
        });
        let find = |has: fn(&StoredKey) -> bool| -> Vec<usize> {
            keys.iter().enumerate().filter(|(_, key)| has(key)).map(|(index, _)| index).collect()
        };
        let unconfirmed = find(StoredKey::is_of_unconfirmed_account);
        let replaced = find(|key| key.retirement.is_some());
        self.monthly_limits = sum_of_monthly_limits(keys, now);
        self.attention_list = urgent;
        self.unconfirmed_keys = unconfirmed;
        self.replaced_keys = replaced;
    }
}
