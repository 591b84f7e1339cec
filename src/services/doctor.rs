//! Whether all that Keywright needs is in order: a line for each thing, and what to do about it.
//! Owns: the questions, their order and their bounds. Must not know: how an answer is shown.
//!
//! Nothing is changed but under `fix`, apart from an entry that is written to the keychain, read
//! back and deleted again, and a list that is gone, which is made anew. Nothing else runs
//! meanwhile, so what blocks is called as it is. No secret is told: keys are masked, a proxy's
//! password is left out.

mod data_dir;
mod environment;
mod keys;
mod plaintext_keys;
mod server;

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::domain::UserError;
use crate::services::keys::management_key;
use crate::services::provision::ServiceContext;

/// One request may take no longer than this here.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// So long is waited for a keychain that answers by itself.
const KEYCHAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthStatus {
    /// As it should be.
    Ok,
    /// Works, and there is something to know.
    Warn,
    /// Does not work.
    Fail,
}

/// What one check came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HealthCheck {
    /// What was looked at: `keychain`, `server`…
    pub name: &'static str,
    /// How it went.
    pub status: HealthStatus,
    /// What was seen. No full stop.
    pub message: String,
    /// What to do; empty where nothing is.
    pub advice: String,
    /// Of a key in clear: where it lies.
    #[serde(flatten)]
    pub location: Option<KeyLocation>,
}

/// Where a key lies in clear, for programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyLocation {
    /// The file, in full.
    pub path: String,
    /// Counted from 1.
    pub line: u64,
    /// The key, masked.
    pub masked: String,
    /// Its SHA-256.
    pub hash: String,
    /// The label it is held under.
    pub label: Option<String>,
    /// Whether it works; `None` where nobody was asked.
    pub live: Option<bool>,
}

/// What is told while it goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DoctorProgress {
    /// A check has ended.
    CheckFinished(HealthCheck),
    /// Something takes its time, or is about to be repaired.
    Notice(String),
}

/// What is to be done.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Repair what can be repaired without losing anything.
    pub fix: bool,
    /// Directories to look through for keys in clear, besides the places of the home directory.
    pub extra_paths: Vec<PathBuf>,
}

/// The name of the check of the keychain itself.
pub const KEYCHAIN_CHECK: &str = "keychain";

/// Looks at everything, and tells each thing as soon as it is known. Takes some seconds at most
/// for each that does not answer.
pub async fn run_checks(
    services: &ServiceContext,
    options: &Options,
    tell: &mut dyn FnMut(DoctorProgress),
) {
    let services = &ServiceContext {
        request_timeout: services.request_timeout.min(REQUEST_TIMEOUT),
        secret_store_timeout: services.secret_store_timeout.min(KEYCHAIN_TIMEOUT),
        max_retries: 0,
        ..services.clone()
    };
    for look in [
        environment::check_versions,
        environment::check_terminal,
        environment::check_browser,
        environment::check_clipboard,
        environment::check_proxy,
    ] {
        tell(DoctorProgress::CheckFinished(look(services)));
    }
    tell(DoctorProgress::CheckFinished(data_dir::check_data_dir(services, options.fix)));
    let listed = data_dir::check_inventory(services, options.fix, tell);
    tell(DoctorProgress::CheckFinished(data_dir::check_pending_attempts(services)));
    let open = keys::check_keychain(services, tell);
    let reached = server::check_server(services, tell).await;
    if open && let Some(listed) = &listed {
        keys::check_stored_keys(services, listed, options.fix, reached, tell).await;
    }
    let management = if open || services.management_key.is_some() {
        management_key::load_management_key(services).await.ok().flatten().map(|(key, _)| key)
    } else {
        None
    };
    plaintext_keys::check_plaintext_keys(services, &options.extra_paths, management, reached, tell)
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

    fn from_error(name: &'static str, trouble: &UserError) -> Self {
        Self::fail(name, &trouble.message, &trouble.advice)
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

/// `3 keys`, `1 key`.
fn pluralize(many: usize, what: &str) -> String {
    format!("{many} {what}{}", if many == 1 { "" } else { "s" })
}
