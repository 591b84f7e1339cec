//! Checks the setup and finds keys stored in plaintext: one result for each check, with advice.
//!
//! Without `fix`, the checks change nothing, with two exceptions: they write, read back and delete
//! a test entry in the keychain, and they rebuild an empty inventory. No other work runs at the same
//! time, so blocking functions are called directly. Results contain no secrets: keys are masked, and
//! the password of a proxy is left out.

mod account_keys;
mod data_dir;
mod environment;
mod keys;
mod plaintext_keys;
mod server;
mod shared_store;
mod stray_entries;

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::domain::UserError;
use crate::services::keys::management_key;
use crate::services::provision::ServiceContext;
use crate::services::shared_inventory;

/// Longest time for one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest time for a keychain that needs no unlocking.
const KEYCHAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthStatus {
    /// Works.
    Ok,
    /// Works, but needs attention.
    Warn,
    /// Does not work.
    Fail,
}

/// One check with its result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HealthCheck {
    /// Name of the check, such as `keychain` or `server`.
    pub name: &'static str,
    /// The result.
    pub status: HealthStatus,
    /// What was found. No full stop.
    pub message: String,
    /// What to do; empty if nothing.
    pub advice: String,
    /// For a key in plaintext: where it is.
    #[serde(flatten)]
    pub location: Option<KeyLocation>,
}

/// Location of a key in plaintext, for JSON output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyLocation {
    /// Full path of the file.
    pub path: String,
    /// Line number, from 1. `None` in binary and compressed files.
    pub line: Option<u64>,
    /// Offset in the file, in bytes. In a gzip file: in the unpacked content.
    pub offset: u64,
    /// The masked key.
    pub masked: String,
    /// SHA-256 of the key.
    pub hash: String,
    /// Label of the stored key that it is, if any.
    pub label: Option<String>,
    /// Whether the key works; `None` if the server was not asked.
    pub live: Option<bool>,
}

/// Progress of the checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DoctorProgress {
    /// A check has ended.
    CheckFinished(HealthCheck),
    /// Something takes time or was repaired.
    Notice(String),
}

/// Options of a run.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Repair what can be repaired without losing data.
    pub fix: bool,
    /// Directories to scan for keys in plaintext, in addition to the usual paths in the home
    /// directory.
    pub extra_paths: Vec<PathBuf>,
}

/// Name of the check of the keychain itself.
pub const KEYCHAIN_CHECK: &str = "keychain";

/// Name of the check of the stored keys.
const STORED_KEYS_CHECK: &str = "stored keys";

/// Runs all checks and reports each result as soon as it is known. A check whose system does not
/// respond takes a few seconds at most.
pub async fn run_checks(
    services: &ServiceContext,
    options: &Options,
    report: &mut dyn FnMut(DoctorProgress),
) {
    let services = &ServiceContext {
        request_timeout: services.request_timeout.min(REQUEST_TIMEOUT),
        secret_store_timeout: services.secret_store_timeout.min(KEYCHAIN_TIMEOUT),
        max_retries: 0,
        ..services.clone()
    };
    for check in [
        environment::check_versions,
        environment::check_terminal,
        environment::check_browser,
        environment::check_clipboard,
    ] {
        report(DoctorProgress::CheckFinished(check(services)));
    }
    report(DoctorProgress::CheckFinished(data_dir::check_data_dir(services, options.fix)));
    let inventory = data_dir::check_inventory(services, options.fix, report);
    data_dir::check_usage_history(services, options.fix, report);
    keys::report_exposed_keys(inventory.as_deref().unwrap_or_default(), report);
    keys::report_other_accounts(inventory.as_deref().unwrap_or_default(), report);
    report(DoctorProgress::CheckFinished(data_dir::check_pending_attempts(services)));
    let known = inventory.as_deref().unwrap_or_default();
    let is_shared = shared_store::check_shared_stores(services, known, report);
    if is_shared && !shared_inventory::is_read_only(services) {
        report(DoctorProgress::CheckFinished(shared_store::check_local_store(services)));
    }
    let keychain_works = !is_shared && keys::check_keychain(services, report);
    keys::check_helpers(services, known, report);
    let reachable = server::check_server(services, report).await;
    if keychain_works && let Some(inventory) = &inventory {
        keys::check_stored_keys(services, inventory, options.fix, reachable, report).await;
    }
    let management = if keychain_works || is_shared || services.management_key.is_some() {
        management_key::load_management_key(services).await.ok().flatten()
    } else {
        None
    };
    let account_keys = match &management {
        Some(management) if reachable => {
            account_keys::check_account_keys(services, management, report).await
        }
        _ => Vec::new(),
    };
    plaintext_keys::check_plaintext_keys(
        services,
        &options.extra_paths,
        management,
        account_keys,
        reachable,
        report,
    )
    .await;
}

impl HealthCheck {
    fn ok(name: &'static str, message: impl Into<String>) -> Self {
        Self::new(name, HealthStatus::Ok, message, "")
    }

    fn warn(name: &'static str, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(name, HealthStatus::Warn, message, advice)
    }

    fn fail(name: &'static str, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(name, HealthStatus::Fail, message, advice)
    }

    fn from_error(name: &'static str, error: &UserError) -> Self {
        Self::fail(name, &error.message, &error.advice)
    }

    fn new(
        name: &'static str,
        status: HealthStatus,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self { name, status, message: message.into(), advice: advice.into(), location: None }
    }
}

/// Formats a count with its noun: `3 keys`, `1 key`.
fn pluralize(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
