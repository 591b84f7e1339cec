//! How long an engine that does not respond is waited for, and how that is shown.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long a request is repeated while the cluster elects a leader, and a response is waited for.
pub(super) const OUTAGE_PATIENCE: Duration = Duration::from_secs(20);

/// How long a response is waited for after one did not come.
const AWAY_TIMEOUT: Duration = Duration::from_secs(2);

/// After how long it is reported that a response is waited for.
pub(super) const REPORT_AFTER: Duration = Duration::from_secs(1);

/// Shows the address of an engine whose response is waited for.
static WAIT_REPORTER: Mutex<Option<fn(&str)>> = Mutex::new(None);

/// Calls `report` with the address of the engine each time when a response does not come within a second.
pub fn on_wait(report: fn(&str)) {
    *WAIT_REPORTER.lock().unwrap_or_else(PoisonError::into_inner) = Some(report);
}

pub(super) fn report_wait(address: &str) {
    let report = *WAIT_REPORTER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(report) = report {
        report(address);
    }
}

/// Whether the last request failed although it was repeated. Until the next response, requests wait only
/// shortly and are not repeated, so that a command with several requests waits once.
#[derive(Default)]
pub(super) struct Outage(AtomicBool);

impl Outage {
    pub(super) fn is_known(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn end(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// Returns how long a response is waited for, at most as long as the user wants.
    pub(super) fn timeout(&self, requested: Duration) -> Duration {
        requested.min(if self.is_known() { AWAY_TIMEOUT } else { OUTAGE_PATIENCE })
    }
}
