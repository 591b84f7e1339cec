//! Why a key needs attention, in a few words, and the action that helps.

use jiff::Timestamp;
use ratatui::style::Style;

use super::super::Theme;
use crate::domain::{
    EXPOSED, KeyState, RetirementStatus, SecretLoss, StoredKey, format_relative_time,
};
use crate::tui::keymap::key_text;
use crate::tui::state::{Attention, Intent, Model, spent_share};

/// Why a key needs attention, and the action that helps.
pub(super) struct Reason {
    pub symbol: &'static str,
    pub style: Style,
    /// Without the label, for example `92% spent` or `ends in 2 days`.
    pub text: String,
    pub action: &'static str,
    pub intent: Intent,
}

impl Reason {
    /// Returns the reason. A token that may only read is offered no change of a shared key.
    pub fn of(attention: Attention, key: &StoredKey, model: &Model, theme: Theme) -> Self {
        let reason = Self::with_action(attention, key, model, theme);
        if model.is_read_only(key) {
            return Self { action: "open", intent: Intent::ToggleDetails, ..reason };
        }
        reason
    }

    fn with_action(attention: Attention, key: &StoredKey, model: &Model, theme: Theme) -> Self {
        let other = |text: String, action, intent| Self {
            symbol: "!",
            style: theme.warning(),
            text,
            action,
            intent,
        };
        let state = match attention {
            Attention::Leaked => {
                let reason = other(EXPOSED.to_owned(), "disable", Intent::ToggleDisabled);
                return Self { style: theme.error(), ..reason };
            }
            Attention::OtherAccount => {
                return other("belongs to another account".to_owned(), "remove", Intent::Remove);
            }
            Attention::Lost => {
                let loss = key.secret_loss().map_or("lost", SecretLoss::as_str);
                let text = format!("text {loss} in the shared store");
                return Self { style: theme.error(), ..other(text, "open", Intent::ToggleDetails) };
            }
            Attention::Waiting => {
                let text = "on this machine only: the shared store could not take it".to_owned();
                return other(text, "open", Intent::ToggleDetails);
            }
            Attention::Unfinished => {
                let text = format!("{}: run keywright recover", key.unfinished_part());
                return other(text, "open", Intent::ToggleDetails);
            }
            Attention::Replaced => {
                return other(format_unused_replaced_key(key, model), "remove", Intent::Remove);
            }
            Attention::State(state) => state,
        };
        let (action, intent) = match state {
            KeyState::LimitReached | KeyState::Low => ("raise the limit", Intent::EditKey),
            KeyState::Expiring | KeyState::Expired | KeyState::Rejected => {
                ("rotate", Intent::Rotate)
            }
            KeyState::Blocked | KeyState::Active | KeyState::Disabled | KeyState::Unknown => {
                ("open", Intent::ToggleDetails)
            }
        };
        let (symbol, style) = theme.state_marker(state);
        let text = format_key_warning(key, state, model).unwrap_or_default();
        Self { symbol, style, text, action, intent }
    }
}

/// Returns for example `92% spent` and `ends in 2 days`.
fn format_key_warning(key: &StoredKey, state: KeyState, model: &Model) -> Option<String> {
    let text = match state {
        KeyState::LimitReached => match key.next_reset(model.now) {
            Some(at) => format!("at its limit, resets {}", format_relative_time(model.now, at)),
            None => "at its limit".to_owned(),
        },
        KeyState::Blocked => {
            let until = crate::domain::format_date;
            format!("blocked {}", key.describe_block(model.now, until).unwrap_or_default())
        }
        KeyState::Rejected => "rejected".to_owned(),
        KeyState::Low => match spent_share(key, model.now) {
            share if share >= 0.0 => format!("{:.0}% spent", (share * 100.0).floor()),
            _ => "nearly spent".to_owned(),
        },
        KeyState::Expired => "ended".to_owned(),
        KeyState::Expiring => return format_end(key, model.now),
        KeyState::Active | KeyState::Disabled | KeyState::Unknown => return None,
    };
    // A key can be nearly spent and end soon.
    let end = format_end(key, model.now).filter(|_| key.is_expiring(model.now));
    Some(end.map_or(text.clone(), |end| format!("{text}, {end}")))
}

/// Returns for example `ends in 2 days`.
fn format_end(key: &StoredKey, now: Timestamp) -> Option<String> {
    Some(format!("ends {}", format_relative_time(now, key.expires_at().value()?)))
}

/// Describes a replaced key that is no longer used.
fn format_unused_replaced_key(stored_key: &StoredKey, model: &Model) -> String {
    let status = match model.dashboard.retirement_status(stored_key, model.now) {
        RetirementStatus::Unused(status) | RetirementStatus::Inactive(status) => status,
        RetirementStatus::NotReplaced
        | RetirementStatus::InUse(_)
        | RetirementStatus::Observing(_) => "replaced".to_owned(),
    };
    format!("{status}: press {}, then r to revoke it", key_text(model, &Intent::Remove))
}
