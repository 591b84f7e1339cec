//! Finds keys in plaintext and checks whether they work.
//!
//! Only keys that are stored here, or that belong to the account of the management key, are sent to
//! the server: a key of another person must not be tried, and no key must reach a server that did
//! not issue it.

use std::collections::HashMap;
use std::fmt::Write;
use std::path::PathBuf;

use super::{DoctorProgress, HealthCheck, HealthStatus, KeyLocation, pluralize};
use crate::domain::{
    AccountKey, CheckResult, ManagementKey, format_command, io_error_text, mask_keys,
};
use crate::services::provision::ServiceContext;
use crate::services::secret_scan::{self, Finding, ScanLimits, ScanReport, ScanRoots};

const CHECK_NAME: &str = "plaintext keys";

/// At most this many keys are checked at the server, one after another.
const MAX_KEY_CHECKS: usize = 20;

/// Who a key belongs to.
enum Owner {
    Stored(String),
    Account(String),
    Management,
}

pub(super) async fn check_plaintext_keys(
    services: &ServiceContext,
    extra_paths: &[PathBuf],
    management: Option<ManagementKey>,
    account_keys: Vec<AccountKey>,
    reachable: bool,
    report: &mut dyn FnMut(DoctorProgress),
) {
    let roots = match ScanRoots::resolve(extra_paths) {
        Ok(roots) => roots,
        Err((path, error)) => {
            let message = format!(
                "cannot scan {}: {}",
                secret_scan::display_path(&path),
                io_error_text(&error)
            );
            return report(DoctorProgress::CheckFinished(HealthCheck::fail(
                CHECK_NAME,
                message,
                "give --search a directory that exists",
            )));
        }
    };
    let scan = secret_scan::scan_files(&roots, &ScanLimits::default());
    let mut owners = HashMap::new();
    if !scan.findings.is_empty() {
        owners = collect_owners(services, management, account_keys);
    }
    let results =
        if reachable { check_known_keys(services, &scan, &owners).await } else { HashMap::new() };
    for finding in &scan.findings {
        let owner = owners.get(&finding.hash);
        report(DoctorProgress::CheckFinished(describe_finding(
            finding,
            owner,
            results.get(&finding.hash),
        )));
    }
    report(DoctorProgress::CheckFinished(summarize_scan(&scan)));
}

/// Returns the owners of the stored keys and of the account's keys, by hash.
fn collect_owners(
    services: &ServiceContext,
    management: Option<ManagementKey>,
    account_keys: Vec<AccountKey>,
) -> HashMap<String, Owner> {
    let mut owners: HashMap<_, _> = account_keys
        .into_iter()
        .map(|key| {
            let name = key.display_name();
            (key.hash, Owner::Account(name))
        })
        .collect();
    let stored = services.list_keys().unwrap_or_default();
    owners.extend(
        stored.into_iter().map(|key| (key.hash.clone(), Owner::Stored(key.label.to_string()))),
    );
    owners.extend(management.map(|key| (key.hash(), Owner::Management)));
    owners
}

/// Checks the keys that have an owner at the server.
async fn check_known_keys(
    services: &ServiceContext,
    scan: &ScanReport,
    owners: &HashMap<String, Owner>,
) -> HashMap<String, CheckResult> {
    let mut results = HashMap::new();
    let Ok(client) = services.build_client() else { return results };
    for finding in scan.findings.iter().filter(|finding| owners.contains_key(&finding.hash)) {
        if results.len() < MAX_KEY_CHECKS && !results.contains_key(&finding.hash) {
            let result = CheckResult::from(client.once().get_current_key(&finding.key).await);
            let failed = matches!(result, CheckResult::Failed(_));
            results.insert(finding.hash.clone(), result);
            if failed {
                break;
            }
        }
    }
    results
}

fn describe_finding(
    finding: &Finding,
    owner: Option<&Owner>,
    result: Option<&CheckResult>,
) -> HealthCheck {
    let (masked, location) = (finding.key.masked(), finding.display_location());
    let description = match owner {
        Some(Owner::Stored(label)) => format!("your `{label}` key"),
        Some(Owner::Account(name)) => format!("your account's `{name}` key"),
        Some(Owner::Management) => "your management key".into(),
        None => "a key that is not stored here".into(),
    };
    let (live, state) = match result {
        Some(CheckResult::Valid(_)) => (Some(true), "it is live"),
        Some(CheckResult::InsufficientCredits) => {
            (Some(true), "it is live, but the account has no credits")
        }
        Some(CheckResult::Rejected) => (Some(false), "it no longer works or is disabled"),
        Some(CheckResult::Failed(_)) | None => (None, "not checked at the server"),
    };
    let advice = match owner {
        _ if live == Some(false) => "delete it there".into(),
        Some(Owner::Stored(label)) => format!(
            "replace the key: {}, then delete it there and let the program get the key with keywright get or keywright run",
            format_command(&["rotate"], &[label])
        ),
        Some(Owner::Account(_)) | None => {
            "if it is yours, run keywright import LABEL to store it and keywright rotate LABEL to replace it, then delete it there".into()
        }
        Some(Owner::Management) => {
            "create a new management key at the server, store it with keywright management set, delete this one at the server, then delete it there".into()
        }
    };
    let message = format!("{description} is in plaintext in {location}; {state} ({masked})");
    let label = match owner {
        Some(Owner::Stored(label)) => Some(label.clone()),
        Some(Owner::Account(_) | Owner::Management) | None => None,
    };
    let path = mask_keys(&finding.path.to_string_lossy());
    let (line, offset, hash) = (finding.line, finding.offset, finding.hash.clone());
    let location = Some(KeyLocation { path, line, offset, masked, hash, label, live });
    HealthCheck { location, ..HealthCheck::new(CHECK_NAME, HealthStatus::Warn, message, advice) }
}

fn summarize_scan(scan: &ScanReport) -> HealthCheck {
    let lines = match scan.findings.len() + scan.findings_omitted {
        0 => "none".into(),
        count => format!("on {}", pluralize(count, "line")),
    };
    let files = usize::try_from(scan.files_scanned).unwrap_or(usize::MAX);
    let mut message = format!("{lines} in {} scanned", pluralize(files, "file"));
    for (count, reason) in [
        (scan.unreadable, "not readable"),
        (scan.files_too_large, "too large"),
        (scan.files_compressed, "compressed and searched only where not"),
        (scan.special_files, "pipes and devices skipped"),
        (scan.links, "links not followed"),
        (scan.dirs_too_deep, "directories too deep"),
        (scan.dirs_excluded, "directories of caches, of packages or of the kernel skipped"),
        (scan.findings_omitted as u64, "lines not shown"),
    ] {
        if count > 0 {
            // Writing to a string cannot fail.
            let _ = write!(message, ", {count} {reason}");
        }
    }
    if scan.findings.is_empty() {
        return HealthCheck::ok(CHECK_NAME, message);
    }
    HealthCheck::warn(CHECK_NAME, message, "see the advice for each key above")
}
