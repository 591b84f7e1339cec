//! `keywright status`: the state of all keys from the inventory alone, for prompts and status bars.

use std::fmt::Write;

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use super::list::format_state;
use crate::cli::json::{count_states, to_iso8601};
use crate::cli::output::print;
use crate::cli::repeated_options::complete_commands;
use crate::domain::{
    EXPOSED, StoredKey, UserError, format_command, format_relative_time, sort_by_key,
};
use crate::services::provision::ServiceContext;
use crate::storage::inventory;

/// Arguments of `status`.
#[derive(Args, Debug)]
pub struct StatusArgs {
    /// Print one line
    #[arg(long)]
    short: bool,
    /// Print JSON
    #[arg(long, conflicts_with = "short")]
    pub(in crate::cli) json: bool,
}

impl StatusArgs {
    pub(in crate::cli) fn run(&self, services: &ServiceContext) -> Result<(), UserError> {
        let mut keys = inventory::list_keys(&services.location, &services.server)
            .map_err(|error| error.to_user_error())?;
        let now = Timestamp::now();
        sort_by_key(&mut keys, |key| key.state(now).urgency_rank());
        let (exposed, others): (Vec<_>, Vec<_>) = keys.iter().partition(|key| key.is_exposed(now));
        let urgent: Vec<_> = others.iter().filter(|key| key.needs_attention(now)).collect();
        if self.json {
            let document = json!({
                "keys": count_states(&keys, now),
                "attention": exposed.iter().chain(urgent).map(|key| json!({
                    "label": key.label, "state": key.state(now), "leaked": key.is_exposed(now),
                })).collect::<Vec<_>>(),
                "checked_at": to_iso8601(oldest_check(&keys)),
            });
            return print(&format!("{document:#}\n"));
        }
        let mut text = summarize(&keys, now);
        if !self.short {
            for key in exposed {
                let disable = format_command(&["disable"], &[key.label.as_str()]);
                let disable = complete_commands(&disable);
                let _ = write!(text, "\n{}: {EXPOSED}; {disable}", key.label);
            }
            for key in urgent {
                // Writing to a string does not fail.
                let _ = write!(text, "\n{}: {}", key.label, format_state(key, now));
            }
            if let Some(at) = oldest_check(&keys) {
                let _ = write!(text, "\nchecked {}", format_relative_time(now, at));
            }
        }
        print(&format!("{text}\n"))
    }
}

/// Returns the time of the oldest check, `None` if a key was never checked.
fn oldest_check(keys: &[StoredKey]) -> Option<Timestamp> {
    keys.iter().map(|key| key.checked_at).min().flatten()
}

/// Formats as `12 keys, 1 limit reached, 2 expiring`, or `12 keys ok`.
fn summarize(keys: &[StoredKey], now: Timestamp) -> String {
    let mut text = match keys.len() {
        0 => return "no keys".into(),
        1 => String::from("1 key"),
        count => format!("{count} keys"),
    };
    let exposed = keys.iter().filter(|key| key.is_exposed(now)).count();
    if exposed > 0 {
        let _ = write!(text, ", {exposed} {EXPOSED}");
    }
    let urgent = keys.iter().filter(|key| key.needs_attention(now) && !key.is_exposed(now));
    let mut urgent = urgent.map(|key| key.state(now));
    let Some(mut state) = urgent.next() else {
        return if exposed > 0 { text } else { text + " ok" };
    };
    let mut count = 1;
    let mut add = |state: crate::domain::KeyState, count: usize| {
        let _ = write!(text, ", {count} {}", state.as_str().replace('_', " "));
    };
    for next in urgent {
        if next == state {
            count += 1;
        } else {
            add(state, count);
            (state, count) = (next, 1);
        }
    }
    add(state, count);
    text
}
