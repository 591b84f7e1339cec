//! `keywright status`: the state of all keys from the inventory alone, for prompts and status bars.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use super::list::format_state;
use crate::cli::json::{count_states, to_iso8601};
use crate::cli::output::print;
use crate::cli::repeated_options::complete_commands;
use crate::domain::{EXPOSED, KeyState, StoredKey, UserError, format_relative_time, sort_by_key};
use crate::services::keys;
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
        let now = Timestamp::now();
        let mut summary = Summary::default();
        let attempts = keys::list_unfinished_attempts(services)?;
        summary.attempts = attempts.len();
        if self.short {
            // A prompt waits for this, so the other fields of a large inventory are not read.
            inventory::for_each_state(&services.location, &services.server, |key| {
                summary.add(key, now);
            })?;
            return print(&format!("{summary}\n"));
        }
        let mut keys = services.list_keys()?;
        for key in &keys {
            summary.add(key, now);
        }
        sort_by_key(&mut keys, |key| Concern::of(key, now));
        let concerned: Vec<_> =
            keys.iter().filter_map(|key| Some((key, Concern::of(key, now)?))).collect();
        if self.json {
            let document = json!({
                "keys": count_states(&keys, now),
                "attention": concerned.iter().map(|(key, concern)| json!({
                    "label": key.label, "state": key.state(now),
                    "leaked": *concern == Concern::Leaked, "unfinished": key.is_unfinished(),
                })).collect::<Vec<_>>(),
                "unfinished_attempts": attempts,
                "checked_at": to_iso8601(oldest_check(&keys)),
            });
            return print(&format!("{document:#}\n"));
        }
        let mut text = summary.to_string();
        // Writing to a string does not fail.
        for (key, concern) in concerned {
            let _ = match concern {
                Concern::Leaked => {
                    let disable = key.label.command("disable");
                    let disable = complete_commands(&disable);
                    write!(text, "\n{}: {EXPOSED}; {disable}", key.label)
                }
                Concern::State(_) => write!(text, "\n{}: {}", key.label, format_state(key, now)),
                Concern::Unfinished => {
                    let recover = complete_commands("keywright recover");
                    write!(text, "\n{}: {}; {recover}", key.label, key.unfinished_part())
                }
            };
        }
        for label in attempts {
            let recover = complete_commands("keywright recover");
            let _ = write!(text, "\n{label}: its creation is not finished; {recover}");
        }
        if let Some(at) = oldest_check(&keys) {
            let _ = write!(text, "\nchecked {}", format_relative_time(now, at));
        }
        print(&format!("{text}\n"))
    }
}

/// Returns the time of the oldest check, `None` if a key was never checked.
fn oldest_check(keys: &[StoredKey]) -> Option<Timestamp> {
    keys.iter().map(|key| key.checked_at).min().flatten()
}

/// Why a key is named, the most urgent first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Concern {
    Leaked,
    /// With its [`KeyState::urgency_rank`].
    State(u8),
    Unfinished,
}

impl Concern {
    fn of(key: &StoredKey, now: Timestamp) -> Option<Self> {
        if key.is_exposed(now) {
            Some(Self::Leaked)
        } else if key.needs_attention(now) {
            Some(Self::State(key.state(now).urgency_rank()))
        } else {
            key.is_unfinished().then_some(Self::Unfinished)
        }
    }
}

/// The counts of one line, such as `12 keys, 1 limit reached, 2 expiring`, or `12 keys ok`.
#[derive(Default)]
struct Summary {
    keys: usize,
    leaked: usize,
    unfinished: usize,
    attempts: usize,
    /// By [`KeyState::urgency_rank`].
    states: BTreeMap<u8, (KeyState, usize)>,
}

impl Summary {
    fn add(&mut self, key: &StoredKey, now: Timestamp) {
        self.keys += 1;
        match Concern::of(key, now) {
            Some(Concern::Leaked) => self.leaked += 1,
            Some(Concern::State(rank)) => {
                self.states.entry(rank).or_insert_with(|| (key.state(now), 0)).1 += 1;
            }
            Some(Concern::Unfinished) => self.unfinished += 1,
            None => {}
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.keys {
            0 => formatter.write_str("no keys")?,
            1 => formatter.write_str("1 key")?,
            count => write!(formatter, "{count} keys")?,
        }
        if self.leaked > 0 {
            write!(formatter, ", {} {EXPOSED}", self.leaked)?;
        }
        for (state, count) in self.states.values() {
            write!(formatter, ", {count} {}", state.as_str().replace('_', " "))?;
        }
        let unfinished = self.unfinished + self.attempts;
        if unfinished > 0 {
            return write!(formatter, ", {unfinished} not finished");
        }
        let is_ok = self.leaked == 0 && self.states.is_empty() && self.keys > 0;
        formatter.write_str(if is_ok { " ok" } else { "" })
    }
}
