//! Keys that lie in clear: which they are, and whether they work. Must not know: how files are
//! looked through.
//!
//! Only a key that is known here, or to the account whose management key is at hand, is shown to
//! the server: one of a stranger's is nobody's to try, and a key of OpenRouter's is nothing for
//! another server to see.

use std::collections::HashMap;
use std::fmt::Write;
use std::path::PathBuf;

use super::{Check, News, Status, Whereabouts, count};
use crate::domain::{ManagementKey, Read};
use crate::services::keys;
use crate::services::provision::Services;
use crate::services::secret_scan::{self, Found, Limits, Sighting};
use crate::storage::inventory;

const NAME: &str = "keys in clear";

/// So many keys are asked about themselves, one after another.
const ASKED: usize = 20;

/// Whose key it is.
enum Owner {
    Held(String),
    Account(String),
    Management,
}

pub(super) async fn look(
    services: &Services,
    search: &[PathBuf],
    management: Option<ManagementKey>,
    reached: bool,
    tell: &mut dyn FnMut(News),
) {
    let roots = match secret_scan::roots(search) {
        Ok(roots) => roots,
        Err((path, error)) => {
            let message =
                format!("{} cannot be looked through: {}", secret_scan::shown(&path), error.kind());
            return tell(News::Check(Check::fail(
                NAME,
                message,
                "give --search a directory that is there",
            )));
        }
    };
    let found = secret_scan::search(&roots, &Limits::default());
    let mut owners = HashMap::new();
    if !found.sightings.is_empty() {
        owners = known(services, management, reached, tell).await;
    }
    let live = if reached { ask(services, &found, &owners).await } else { HashMap::new() };
    for sighting in &found.sightings {
        let owner = owners.get(&sighting.hash);
        tell(News::Check(check(sighting, owner, live.get(&sighting.hash))));
    }
    tell(News::Check(summary(&found)));
}

/// The keys that somebody here can name, by their hashes.
async fn known(
    services: &Services,
    management: Option<ManagementKey>,
    reached: bool,
    tell: &mut dyn FnMut(News),
) -> HashMap<String, Owner> {
    let mut owners = HashMap::new();
    if let (Some(management), true) = (&management, reached) {
        match keys::list(services, management).await {
            Ok(keys) => owners.extend(keys.into_iter().map(|key| {
                let name = key.shown_name();
                (key.hash, Owner::Account(name))
            })),
            Err(error) => {
                tell(News::Notice(format!("the account's keys could not be listed: {error}")));
            }
        }
    }
    let held = inventory::list_keys(&services.place, &services.server).unwrap_or_default();
    owners.extend(held.into_iter().map(|held| (held.hash, Owner::Held(held.label.to_string()))));
    owners.extend(management.map(|key| (key.hash(), Owner::Management)));
    owners
}

/// Whether those that are known work.
async fn ask(
    services: &Services,
    found: &Found,
    owners: &HashMap<String, Owner>,
) -> HashMap<String, Read> {
    let mut answers = HashMap::new();
    let Ok(client) = services.client() else { return answers };
    for sighting in found.sightings.iter().filter(|sighting| owners.contains_key(&sighting.hash)) {
        if answers.len() < ASKED && !answers.contains_key(&sighting.hash) {
            let read = Read::from(client.key(&sighting.key).await);
            let failed = matches!(read, Read::Failed(_));
            answers.insert(sighting.hash.clone(), read);
            if failed {
                break;
            }
        }
    }
    answers
}

fn check(sighting: &Sighting, owner: Option<&Owner>, read: Option<&Read>) -> Check {
    let (masked, place) = (sighting.key.masked(), secret_scan::shown(&sighting.path));
    let whose = match owner {
        Some(Owner::Held(label)) => format!("your `{label}` key"),
        Some(Owner::Account(name)) => format!("your account's `{name}` key"),
        Some(Owner::Management) => "your management key".into(),
        None => "a key that is not held here".into(),
    };
    let (live, state) = match read {
        Some(Read::Told(_)) => (Some(true), "it is live"),
        Some(Read::NoCredit) => (Some(true), "it is live, but its account has no credit"),
        Some(Read::Refused) => (Some(false), "it does not work any more, or is switched off"),
        Some(Read::Failed(_)) | None => (None, "whether it is live was not asked"),
    };
    let advice = match owner {
        _ if live == Some(false) => "delete the line".into(),
        Some(Owner::Held(label)) => format!(
            "keywright rotate {} puts a fresh key in its place; then delete the line, and have the program fetch the key with keywright get or run",
            argument(label)
        ),
        Some(Owner::Account(_)) | None => {
            "if it is yours: keywright import LABEL keeps it in the keychain, keywright rotate LABEL puts a fresh one in its place; then delete the line".into()
        }
        Some(Owner::Management) => {
            "keywright management set keeps it in the keychain; make a new one, delete this one at the server, then delete the line".into()
        }
    };
    let message =
        format!("{whose} lies in clear in {place} line {}; {state} ({masked})", sighting.line);
    let label = match owner {
        Some(Owner::Held(label)) => Some(label.clone()),
        Some(Owner::Account(_) | Owner::Management) | None => None,
    };
    let path = secret_scan::hide(&sighting.path.to_string_lossy());
    let (line, hash) = (sighting.line, sighting.hash.clone());
    let sighting = Some(Whereabouts { path, line, masked, hash, label, live });
    Check { sighting, ..Check::new(NAME, Status::Warn, message, advice) }
}

/// A label as an argument, where no shell would take it for something else.
fn argument(label: &str) -> &str {
    let plain = label.starts_with(|c: char| c.is_ascii_alphanumeric())
        && label.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    if plain { label } else { "LABEL" }
}

fn summary(found: &Found) -> Check {
    let some = match found.sightings.len() + found.more {
        0 => "none".into(),
        some => format!("on {}", count(some, "line")),
    };
    let files = usize::try_from(found.files).unwrap_or(usize::MAX);
    let mut message = format!("{some} in {} looked through", count(files, "file"));
    for (many, what) in [
        (found.unreadable, "not readable"),
        (found.long, "too long"),
        (found.deep, "too deep"),
        (found.more as u64, "lines not shown"),
    ] {
        if many > 0 {
            // Writing to a string does not fail.
            let _ = write!(message, ", {many} {what}");
        }
    }
    if found.sightings.is_empty() {
        return Check::ok(NAME, message);
    }
    Check::warn(NAME, message, "what is to be done about each stands above")
}
