//! `keywright panic`: responds to leaked keys.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::exit_code;
use crate::cli::json;
use crate::cli::losses::print_expected_losses;
use crate::cli::other_profiles::{CopyEffect, print_other_profiles};
use crate::cli::output::{
    confirm, find_keys, print, print_error, print_result, print_status, print_warning, usage_error,
};
use crate::cli::run_async;
use crate::cli::shared_store::check_may_replace_leaked;
use crate::cli::sign_in::{SignInArgs, run_with_prompts};
use crate::cli::unstored_keys::store_replacement;
use crate::domain::{
    ErrorKind, Label, LeakResponse, RotationOutcome, StoredKey, UserError, io_error_text,
};
use crate::services::keys::{self, management_key};
use crate::services::provision::{self, ServiceContext};
use crate::services::secret_scan::{self, ScanLimits, ScanRoots};

/// Arguments of `panic`.
#[derive(Args, Debug)]
pub struct PanicArgs {
    /// The labels of the keys that leaked
    #[arg(required = true, value_name = "LABEL")]
    labels: Vec<String>,
    /// Do not ask for confirmation
    #[arg(long, short)]
    yes: bool,
    /// Also search this directory for the leaked keys, besides the usual files in the home directory
    #[arg(long, value_name = "DIR")]
    search: Vec<PathBuf>,
    #[command(flatten)]
    sign_in: SignInArgs,
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

impl PanicArgs {
    pub(in crate::cli) fn run(&self, services: &ServiceContext) -> Result<(), UserError> {
        let leaked = find_keys(services, &self.labels)?;
        check_may_replace_leaked(services, &leaked)?;
        let scan_roots = ScanRoots::resolve(&self.search).map_err(|(path, error)| {
            usage_error(
                format!("--search {}: {}", secret_scan::display_path(&path), io_error_text(&error)),
                "give a directory that exists",
            )
            .with_meaning("nothing was disabled and no key was created")
        })?;
        // A prompt of the secret store must come first: sign-in reads the code from standard input. An
        // error is reported later, by the first step that needs the store.
        let _ = services.unlock();
        let leaked = keys::add_moved_keys(services, leaked);
        // An unreadable management key must not stop the remaining steps.
        let management = match run_async(management_key::load_management_key(services))? {
            Ok(known) => known,
            Err(error) => {
                print_error(&format!("the management key cannot be read: {error}"));
                None
            }
        };
        // With a management key this needs requests, which are sent after the leaked key is
        // disabled.
        if management.is_none() {
            print_expected_losses(
                leaked.iter().map(|key| (&key.label, keys::preview_without_management_key(key))),
            );
        }
        let hashes = leaked.iter().map(|key| (key.label.as_str(), &*key.hash));
        print_other_profiles(services, hashes, CopyEffect::Leaked);
        if !self.yes {
            let labels: Vec<_> = leaked.iter().map(|key| format!("'{}'", key.label)).collect();
            // A key that was replaced before needs no other one.
            let replacement = if leaked.iter().all(|key| key.retirement.is_some()) {
                ""
            } else {
                " and create replacement keys"
            };
            confirm(&format!(
                "Disable {} now{replacement}? Programs that use the old keys stop working.",
                labels.join(", ")
            ))?;
        }
        let auth_method = self.sign_in.choose_auth_method(services, management.clone())?;
        let opens_manually = auth_method.opens_manually();
        let responses = run_async(async {
            let (responses, mut controls) =
                run_with_prompts(opens_manually, async |controls, report| {
                    let management = management.as_ref();
                    keys::respond_to_leak(
                        services,
                        &leaked,
                        management,
                        &auth_method,
                        controls,
                        report,
                    )
                    .await
                })
                .await;
            let mut stored = Vec::with_capacity(responses.len());
            for response in responses {
                let rotation = match response.rotation {
                    Some(rotation) => {
                        Some(store_replacement(rotation, &mut controls, services).await)
                    }
                    None => None,
                };
                stored.push(LeakResponse { rotation, ..response });
            }
            stored
        })?;
        let responses: Vec<LeakResponse> = responses
            .into_iter()
            .map(|response| self.confirm_account(services, response))
            .collect();
        if !self.json {
            print_result(&format_responses(&responses))?;
        }
        let copies = find_plaintext_copies(&leaked, &scan_roots);
        if self.json {
            print_result(&format!("{:#}\n", responses_to_json(&responses, &copies, services)))?;
        } else {
            print(&format_copies(&copies))?;
        }
        if responses.iter().all(LeakResponse::is_complete) {
            return Ok(());
        }
        let kind = responses
            .into_iter()
            .filter_map(|response| match response.rotation? {
                RotationOutcome::Completed { .. } => None,
                RotationOutcome::LabelNotMoved { error, .. } | RotationOutcome::Failed(error) => {
                    Some(error.kind)
                }
                RotationOutcome::NotStored { error, .. } => {
                    let error = provision::key_lost_error(error);
                    print_warning(&error);
                    Some(error.kind)
                }
            })
            .max_by_key(|kind| exit_code(*kind));
        Err(UserError::new(
            kind.unwrap_or(ErrorKind::Failed),
            "some steps failed",
            "follow the advice given above for each step marked NOT done",
        ))
    }

    /// Moves the label to a new key of another account only if that account is confirmed.
    fn confirm_account(&self, services: &ServiceContext, response: LeakResponse) -> LeakResponse {
        let rotation = match response.rotation {
            Some(RotationOutcome::LabelNotMoved { new, .. }) if new.is_of_unconfirmed_account() => {
                Some(match self.sign_in.other_account.confirm_account(services, &new, !self.yes) {
                    Ok(rotated) => RotationOutcome::Completed { rotated, warning: None },
                    Err(error) => RotationOutcome::LabelNotMoved { new, error },
                })
            }
            rotation => rotation,
        };
        LeakResponse { rotation, ..response }
    }
}

fn format_responses(responses: &[LeakResponse]) -> String {
    let mut text = String::new();
    for result in responses.iter().flat_map(LeakResponse::action_results) {
        let mark = if result.succeeded { "done    " } else { "NOT done" };
        // Writing to a string does not fail.
        let _ = writeln!(text, "{mark}  {}", result.message);
    }
    text
}

fn responses_to_json(
    responses: &[LeakResponse],
    copies: &[(Label, String)],
    services: &ServiceContext,
) -> Value {
    let now = Timestamp::now();
    let names = json::PendingNames::load(services);
    let new_key_to_json = |key| {
        let mut key = json::key_to_json(key, now);
        names.add_to(&mut key);
        key
    };
    let results: Vec<Value> = responses
        .iter()
        .map(|response| {
            let (key, old, error) = match &response.rotation {
                Some(RotationOutcome::Completed { rotated, warning }) => {
                    (Some(&rotated.new), rotated.old.as_ref(), warning.as_ref())
                }
                Some(RotationOutcome::LabelNotMoved { new, error }) => {
                    (Some(new), None, Some(error))
                }
                Some(RotationOutcome::NotStored { error, .. } | RotationOutcome::Failed(error)) => {
                    (None, None, Some(error))
                }
                None => (None, None, None),
            };
            json!({
                "label": response.label,
                "disabled": response.disable_result.succeeded,
                "message": response.disable_result.message,
                "key": key.map(new_key_to_json),
                "old": old.map(|old| json::key_to_json(old, now)),
                "error": error.map(UserError::one_line),
                "not_carried": response.not_carried(),
            })
        })
        .collect();
    let found: Vec<Value> = copies
        .iter()
        .map(|(label, location)| json!({"label": label, "location": location}))
        .collect();
    json!({"results": results, "found": found})
}

/// Finds the places that contain a leaked key in plaintext: the key may have leaked from there, and
/// programs that stopped working may read it from there.
fn find_plaintext_copies(leaked: &[StoredKey], scan_roots: &ScanRoots) -> Vec<(Label, String)> {
    let report = secret_scan::scan_files(scan_roots, &ScanLimits::default());
    let label_of = |hash: &str| leaked.iter().find(|key| key.hash == hash).map(|key| &key.label);
    let copies: Vec<_> = report
        .findings
        .iter()
        .filter_map(|finding| Some((label_of(&finding.hash)?.clone(), finding.display_location())))
        .collect();
    if copies.is_empty() {
        print_status(&format!(
            "no leaked key found in plaintext in {} files",
            report.files_scanned
        ));
    }
    copies
}

fn format_copies(copies: &[(Label, String)]) -> String {
    copies.iter().fold(String::new(), |mut text, (label, location)| {
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "found     the leaked key of '{label}' in plaintext in {location}: delete it there",
        );
        text
    })
}
