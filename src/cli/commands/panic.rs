//! `keywright panic LABEL…`: keys leaked. What was not done stands beside what was.

use crate::cli::exit_code;
use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;

use super::rotate::{key_lost_error, store_replacement};
use crate::cli::output::{
    confirm, find_keys, print, print_error, print_status, print_warning, usage_error,
};
use crate::cli::run_async;
use crate::cli::sign_in::{SignInArgs, run_with_prompts};
use crate::domain::{ErrorKind, LeakResponse, RotationOutcome, StoredKey, UserError};
use crate::services::keys::{self, management_key};
use crate::services::provision::ServiceContext;
use crate::services::secret_scan::{self, ScanLimits};

/// Arguments of `panic`.
#[derive(Args, Debug)]
pub struct PanicArgs {
    /// The labels of the keys that leaked
    #[arg(required = true, value_name = "LABEL")]
    labels: Vec<String>,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// Look for the leaked keys in these directories too, besides the usual places at home
    #[arg(long, value_name = "DIR")]
    search: Vec<PathBuf>,
    #[command(flatten)]
    sign_in: SignInArgs,
}

impl PanicArgs {
    pub(in crate::cli) fn run(&self, services: &ServiceContext) -> Result<(), UserError> {
        let leaked = find_keys(services, &self.labels)?;
        let places = secret_scan::resolve_scan_roots(&self.search).map_err(|(path, error)| {
            usage_error(
                format!("--search {}: {}", secret_scan::display_path(&path), error.kind()),
                "nothing was disabled and nothing was cut; give a directory that is there",
            )
        })?;
        if !self.yes {
            let labels: Vec<_> = leaked.iter().map(|held| format!("'{}'", held.label)).collect();
            confirm(&format!(
                "Disable {} at once and cut new keys in their place? Whatever uses the old ones stops working.",
                labels.join(", ")
            ))?;
        }
        // While a person signs in, standard input is the code's. What cannot be opened says so later.
        let _ = services.secret_store.unlock();
        // A keychain that holds no management key for us must not keep the rest from being done.
        let management = match run_async(management_key::load_management_key(services))? {
            Ok(known) => known.map(|(key, _)| key),
            Err(error) => {
                print_error(&format!("no management key could be read: {error}"));
                None
            }
        };
        let way = self.sign_in.choose_auth_method(services, management.clone())?;
        let panicked = run_async(async {
            let (panicked, mut controls) = run_with_prompts(async |controls, report| {
                let management = management.as_ref();
                keys::respond_to_leak(services, &leaked, management, &way, controls, report).await
            })
            .await;
            let mut kept = Vec::with_capacity(panicked.len());
            for one in panicked {
                let replaced = store_replacement(one.rotation, &mut controls, services).await;
                kept.push(LeakResponse { rotation: replaced, ..one });
            }
            kept
        })?;
        let mut text = String::new();
        for deed in panicked.iter().flat_map(LeakResponse::action_results) {
            let mark = if deed.succeeded { "done    " } else { "NOT done" };
            // Writing to a string does not fail.
            let _ = writeln!(text, "{mark}  {}", deed.message);
        }
        print(&text)?;
        print(&find_plaintext_copies(&leaked, &places))?;
        if panicked.iter().all(LeakResponse::is_complete) {
            return Ok(());
        }
        let kind = panicked
            .into_iter()
            .filter_map(|one| match one.rotation {
                RotationOutcome::Completed { .. } => None,
                RotationOutcome::LabelNotMoved { error: trouble, .. }
                | RotationOutcome::Failed(trouble) => Some(trouble.kind),
                RotationOutcome::NotStored { entry: held, error: trouble, .. } => {
                    let trouble = key_lost_error(&held, trouble);
                    print_warning(&trouble);
                    Some(trouble.kind)
                }
            })
            .max_by_key(|kind| exit_code(*kind));
        Err(UserError::new(
            kind.unwrap_or(ErrorKind::Failed),
            "not everything was done",
            "what was not stands above, with what to do about it",
        ))
    }
}

/// Where on this machine the leaked keys lie in clear: there they leaked perhaps, and there the
/// programs that stopped working have them from.
fn find_plaintext_copies(leaked: &[StoredKey], places: &[PathBuf]) -> String {
    let found = secret_scan::scan_files(places, &ScanLimits::default());
    let mut text = String::new();
    for sighting in &found.findings {
        let Some(held) = leaked.iter().find(|held| held.hash == sighting.hash) else { continue };
        let (label, place) = (&held.label, secret_scan::display_path(&sighting.path));
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "found     the leaked key of '{label}' lies in clear in {place} line {}: delete it there",
            sighting.line
        );
    }
    if text.is_empty() {
        print_status(&format!(
            "no leaked key lies in clear in the {} files looked through",
            found.files_scanned
        ));
    }
    text
}
