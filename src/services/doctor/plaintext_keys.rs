//! Keys that lie in clear: which they are, and whether they work. Must not know: how files are
//! looked through.
//!
//! Only a key that is known here, or to the account whose management key is at hand, is shown to
//! the server: one of a stranger's is nobody's to try, and a key of OpenRouter's is nothing for
//! another server to see.

use std::collections::HashMap;
use std::fmt::Write;
use std::path::PathBuf;

use super::{DoctorProgress, HealthCheck, HealthStatus, KeyLocation, pluralize};
use crate::domain::{CheckResult, ManagementKey};
use crate::services::keys;
use crate::services::provision::ServiceContext;
use crate::services::secret_scan::{self, Finding, ScanLimits, ScanReport};
use crate::storage::inventory;

const CHECK_NAME: &str = "keys in clear";

/// So many keys are asked about themselves, one after another.
const MAX_KEY_CHECKS: usize = 20;

/// Whose key it is.
enum Owner {
    Stored(String),
    Account(String),
    Management,
}

pub(super) async fn check_plaintext_keys(
    services: &ServiceContext,
    search: &[PathBuf],
    management: Option<ManagementKey>,
    reached: bool,
    tell: &mut dyn FnMut(DoctorProgress),
) {
    let roots = match secret_scan::resolve_scan_roots(search) {
        Ok(roots) => roots,
        Err((path, error)) => {
            let message = format!(
                "{} cannot be looked through: {}",
                secret_scan::display_path(&path),
                error.kind()
            );
            return tell(DoctorProgress::CheckFinished(HealthCheck::fail(
                CHECK_NAME,
                message,
                "give --search a directory that is there",
            )));
        }
    };
    let found = secret_scan::scan_files(&roots, &ScanLimits::default());
    let mut owners = HashMap::new();
    if !found.findings.is_empty() {
        owners = collect_owners(services, management, reached, tell).await;
    }
    let live =
        if reached { check_known_keys(services, &found, &owners).await } else { HashMap::new() };
    for sighting in &found.findings {
        let owner = owners.get(&sighting.hash);
        tell(DoctorProgress::CheckFinished(describe_finding(
            sighting,
            owner,
            live.get(&sighting.hash),
        )));
    }
    tell(DoctorProgress::CheckFinished(summarize_scan(&found)));
}

/// The keys that somebody here can name, by their hashes.
async fn collect_owners(
    services: &ServiceContext,
    management: Option<ManagementKey>,
    reached: bool,
    tell: &mut dyn FnMut(DoctorProgress),
) -> HashMap<String, Owner> {
    let mut owners = HashMap::new();
    if let (Some(management), true) = (&management, reached) {
        match keys::list_account_keys(services, management).await {
            Ok(keys) => owners.extend(keys.into_iter().map(|key| {
                let name = key.display_name();
                (key.hash, Owner::Account(name))
            })),
            Err(error) => {
                tell(DoctorProgress::Notice(format!(
                    "the account's keys could not be listed: {error}"
                )));
            }
        }
    }
    let held = inventory::list_keys(&services.location, &services.server).unwrap_or_default();
    owners.extend(held.into_iter().map(|held| (held.hash, Owner::Stored(held.label.to_string()))));
    owners.extend(management.map(|key| (key.hash(), Owner::Management)));
    owners
}

/// Whether those that are known work.
async fn check_known_keys(
    services: &ServiceContext,
    found: &ScanReport,
    owners: &HashMap<String, Owner>,
) -> HashMap<String, CheckResult> {
    let mut answers = HashMap::new();
    let Ok(client) = services.build_client() else { return answers };
    for sighting in found.findings.iter().filter(|sighting| owners.contains_key(&sighting.hash)) {
        if answers.len() < MAX_KEY_CHECKS && !answers.contains_key(&sighting.hash) {
            let read = CheckResult::from(client.get_current_key(&sighting.key).await);
            let failed = matches!(read, CheckResult::Failed(_));
            answers.insert(sighting.hash.clone(), read);
            if failed {
                break;
            }
        }
    }
    answers
}

fn describe_finding(
    sighting: &Finding,
    owner: Option<&Owner>,
    read: Option<&CheckResult>,
) -> HealthCheck {
    let (masked, place) = (sighting.key.masked(), secret_scan::display_path(&sighting.path));
    let whose = match owner {
        Some(Owner::Stored(label)) => format!("your `{label}` key"),
        Some(Owner::Account(name)) => format!("your account's `{name}` key"),
        Some(Owner::Management) => "your management key".into(),
        None => "a key that is not held here".into(),
    };
    let (live, state) = match read {
        Some(CheckResult::Valid(_)) => (Some(true), "it is live"),
        Some(CheckResult::InsufficientCredits) => {
            (Some(true), "it is live, but its account has no credit")
        }
        Some(CheckResult::Rejected) => {
            (Some(false), "it does not work any more, or is switched off")
        }
        Some(CheckResult::Failed(_)) | None => (None, "whether it is live was not asked"),
    };
    let advice = match owner {
        _ if live == Some(false) => "delete the line".into(),
        Some(Owner::Stored(label)) => format!(
            "keywright rotate {} puts a fresh key in its place; then delete the line, and have the program fetch the key with keywright get or run",
            label_or_placeholder(label)
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
        Some(Owner::Stored(label)) => Some(label.clone()),
        Some(Owner::Account(_) | Owner::Management) | None => None,
    };
    let path = secret_scan::mask_keys(&sighting.path.to_string_lossy());
    let (line, hash) = (sighting.line, sighting.hash.clone());
    let sighting = Some(KeyLocation { path, line, masked, hash, label, live });
    HealthCheck {
        location: sighting,
        ..HealthCheck::new(CHECK_NAME, HealthStatus::Warn, message, advice)
    }
}

/// A label as an argument, where no shell would take it for something else.
fn label_or_placeholder(label: &str) -> &str {
    let plain = label.starts_with(|c: char| c.is_ascii_alphanumeric())
        && label.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    if plain { label } else { "LABEL" }
}

fn summarize_scan(found: &ScanReport) -> HealthCheck {
    let some = match found.findings.len() + found.findings_omitted {
        0 => "none".into(),
        some => format!("on {}", pluralize(some, "line")),
    };
    let files = usize::try_from(found.files_scanned).unwrap_or(usize::MAX);
    let mut message = format!("{some} in {} looked through", pluralize(files, "file"));
    for (many, what) in [
        (found.unreadable, "not readable"),
        (found.files_too_large, "too long"),
        (found.dirs_too_deep, "too deep"),
        (found.findings_omitted as u64, "lines not shown"),
    ] {
        if many > 0 {
            // Writing to a string does not fail.
            let _ = write!(message, ", {many} {what}");
        }
    }
    if found.findings.is_empty() {
        return HealthCheck::ok(CHECK_NAME, message);
    }
    HealthCheck::warn(CHECK_NAME, message, "what is to be done about each stands above")
}
