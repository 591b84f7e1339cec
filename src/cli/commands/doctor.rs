//! `keywright doctor`: a line a check, as soon as it has ended.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::cli::output::{print, print_status};
use crate::cli::run_async;
use crate::domain::{ErrorKind, UserError};
use crate::services::doctor::{
    self, DoctorProgress, HealthCheck, HealthStatus, KEYCHAIN_CHECK, Options,
};
use crate::services::provision::ServiceContext;

/// Arguments of `doctor`.
#[derive(Args, Debug)]
#[command(after_help = "Exit codes: 0 nothing failed, 4 the keychain alone did, 1 anything else.")]
pub struct DoctorArgs {
    /// As one JSON document
    #[arg(long)]
    pub(in crate::cli) json: bool,
    /// Repair what can be: modes of files, and the list of keys from the keychain
    #[arg(long)]
    fix: bool,
    /// Look for keys in clear in these directories too, besides the usual places at home
    #[arg(long, value_name = "DIR", num_args = 1..)]
    search: Vec<PathBuf>,
}

impl DoctorArgs {
    pub(in crate::cli) fn run(&self, services: &ServiceContext) -> Result<(), UserError> {
        let options = Options { fix: self.fix, extra_paths: self.search.clone() };
        let (mut checks, mut written) = (Vec::new(), Ok(()));
        run_async(doctor::run_checks(services, &options, &mut |news| match news {
            DoctorProgress::Notice(words) => print_status(&words),
            DoctorProgress::CheckFinished(check) => {
                if !self.json && written.is_ok() {
                    written = print(&format_health_check(&check));
                }
                checks.push(check);
            }
        }))?;
        written?;
        if self.json {
            print(&format!("{:#}\n", json!({ "checks": checks })))?;
        }
        let failed: Vec<_> =
            checks.iter().filter(|check| check.status == HealthStatus::Fail).collect();
        let Some(first) = failed.first() else { return Ok(()) };
        let keychain_alone = failed.len() == 1 && first.name == KEYCHAIN_CHECK;
        let names: Vec<_> = failed.iter().map(|check| check.name).collect();
        Err(UserError::new(
            if keychain_alone { ErrorKind::SecretStore } else { ErrorKind::Failed },
            format!("not in order: {}", names.join(", ")),
            "what to do stands with each",
        ))
    }
}

fn format_health_check(check: &HealthCheck) -> String {
    let status = match check.status {
        HealthStatus::Ok => "ok",
        HealthStatus::Warn => "warn",
        HealthStatus::Fail => "FAIL",
    };
    let line = format!("{status:<5} {:<15} {}\n", check.name, check.message);
    if check.advice.is_empty() { line } else { format!("{line}{:22}{}\n", "", check.advice) }
}
