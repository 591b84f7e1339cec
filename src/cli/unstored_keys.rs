//! Keys that were received but could not be stored: retries, and the error for a key that is lost.

use std::io::{self, BufRead, IsTerminal};

use super::output::{eprintln, print_error, print_status, print_warning};
use super::run_async;
use super::signals::interruptible_controls;
use crate::domain::{
    AccountKey, ErrorKind, FinishedStep, Label, ProvisioningOutcome, RotationOutcome, StoredKey,
    UserError,
};
use crate::platform::blocking_call::run_blocking;
use crate::services::keys::{self, RecoveryReport};
use crate::services::provision::{self, ProvisioningControls, ServiceContext};

/// Returns the error of a new key that is stored and did not get the label of the key that it replaces.
/// `next` is what to do once the reason is gone.
pub(super) fn label_not_moved_error(new: &StoredKey, error: UserError, next: &str) -> UserError {
    UserError::new(
        error.kind,
        format!("the label could not be moved to the new key: {}", error.message),
        format!("{}; then {next}", error.advice),
    )
    .with_meaning(if error.kind == ErrorKind::OtherAccount {
        format!("the new key is stored as '{}' and both keys work", new.label)
    } else {
        error.meaning
    })
}

/// Prints all errors but the last, and returns the last one.
pub(super) fn report_lost_keys(errors: &[UserError]) -> Result<(), UserError> {
    let Some((last, others)) = errors.split_last() else { return Ok(()) };
    others.iter().for_each(print_warning);
    Err(last.clone())
}

/// Retries a failed store for two minutes, and then on a terminal until it succeeds or the user gives up.
pub(super) async fn retry_store(
    outcome: ProvisioningOutcome,
    controls: &mut ProvisioningControls,
    services: &ServiceContext,
) -> ProvisioningOutcome {
    let stop = provision::wait_for_cancel(&mut controls.cancel);
    let notify = |text: String| print_status(&text);
    let mut outcome = provision::store_with_retries(outcome, services, stop, notify).await;
    while let ProvisioningOutcome::NotStored { entry, key, error } = &outcome {
        if !io::stdin().is_terminal() || *controls.cancel.borrow() {
            break;
        }
        print_warning(error);
        eprintln("press enter to store it again, ctrl-c to give up");
        let read = run_blocking(|| io::stdin().lock().read_line(&mut String::new()));
        tokio::select! {
            biased;
            _ = controls.cancel.wait_for(|cancelled| *cancelled) => break,
            read = read => if !matches!(read, Some(Ok(1..))) { break },
        }
        outcome = provision::retry_store(entry.clone(), key.clone(), services).await;
    }
    outcome
}

/// Retries to store a new key while a user is present, then finishes the rotation.
pub(super) async fn store_replacement(
    rotation: RotationOutcome,
    controls: &mut ProvisioningControls,
    services: &ServiceContext,
) -> RotationOutcome {
    match rotation {
        RotationOutcome::NotStored { entry, key, error } => {
            let outcome = ProvisioningOutcome::NotStored { entry, key, error };
            let outcome = retry_store(outcome, controls, services).await;
            // Boxed: the futures of many requests are large.
            Box::pin(keys::finish_rotation(services, outcome)).await
        }
        other => other,
    }
}

/// Recovers interrupted attempts, and retries to store the keys that were received.
pub(super) fn finish_interrupted(
    services: &ServiceContext,
    work: impl Future<Output = Result<RecoveryReport, keys::Error>>,
) -> Result<RecoveryReport, UserError> {
    let mut report = run_async(work)??;
    let outcomes = std::mem::take(&mut report.not_stored);
    let (stored, lost) = run_async(store_recovered_keys(outcomes, services))?;
    report.stored.extend(stored);
    report.lost_key_errors.extend(lost);
    Ok(report)
}

/// Prints the labels of the attempts whose key was deleted because it was not received, and keys of
/// the same labels that someone else created.
pub(super) fn print_settled(deleted: &[Label], foreign: &[AccountKey], services: &ServiceContext) {
    for label in deleted {
        print_status(&format!(
            "deleted the key of an interrupted attempt for '{label}': it was created and not received"
        ));
    }
    for key in foreign {
        print_error(&format!(
            "another key with the name '{}' is not stored here and was left as it is: {}/keys/{}",
            key.display_name(),
            services.server,
            key.hash
        ));
    }
}

/// Prints what was left to do at the server for stored keys, and is done now.
pub(super) fn print_finished(finished: &[FinishedStep]) {
    for step in finished {
        print_status(&format!("{step}: an interrupted run is finished"));
    }
}

/// Retries to store each key of interrupted attempts. Returns the stored keys, and an error for
/// each key that is lost.
pub(super) async fn store_recovered_keys(
    outcomes: Vec<ProvisioningOutcome>,
    services: &ServiceContext,
) -> (Vec<StoredKey>, Vec<UserError>) {
    let mut results = Vec::with_capacity(outcomes.len());
    if !outcomes.is_empty() {
        let (mut controls, _cancel, _codes) = interruptible_controls();
        for outcome in outcomes {
            results.push(retry_store(outcome, &mut controls, services).await);
        }
    }
    split_outcomes(results)
}

fn split_outcomes(outcomes: Vec<ProvisioningOutcome>) -> (Vec<StoredKey>, Vec<UserError>) {
    let (mut stored, mut lost) = (Vec::new(), Vec::new());
    for outcome in outcomes {
        match outcome {
            ProvisioningOutcome::Stored { stored_key, .. } => stored.push(stored_key),
            ProvisioningOutcome::NotStored { error, .. } => {
                lost.push(provision::key_lost_error(error));
            }
            ProvisioningOutcome::Failed(error) => lost.push(error),
        }
    }
    (stored, lost)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ApiKey;

    #[test]
    fn every_key_that_could_not_be_stored_has_an_error_that_says_how_to_find_it() {
        let lost = |label: &str| {
            let key = ApiKey::from(label.to_owned());
            let entry = StoredKey::sample(label, jiff::Timestamp::UNIX_EPOCH);
            let error = UserError::new(ErrorKind::SecretStore, label, "unlock it, then try again");
            ProvisioningOutcome::NotStored { entry, key, error }
        };
        let (stored, errors) = split_outcomes(vec![lost("a"), lost("b")]);
        assert_eq!((stored.len(), errors.len()), (0, 2));
        for (error, label) in errors.iter().zip(["a", "b"]) {
            assert!(error.message == label && error.meaning.contains("may be stored"), "{error:?}");
            let advice = "unlock it, then find out whether it is stored: keywright recover";
            assert_eq!(error.advice, advice);
        }
        assert!(report_lost_keys(&errors).is_err() && report_lost_keys(&[]).is_ok());
    }

    #[test]
    fn the_error_says_where_the_new_key_is_and_that_no_second_one_is_created() {
        let error = keys::Error::NotInInventory("x".parse().unwrap()).to_user_error();
        let error = error.with_meaning("the new key is stored as 'x (new)'");
        let new = StoredKey::sample("x (new)", jiff::Timestamp::UNIX_EPOCH);
        let error = label_not_moved_error(&new, error, "rotate again, which creates no second key");
        assert!(error.meaning.contains("'x (new)'"), "{error:?}");
        assert!(error.advice.contains("no second key"), "{error:?}");
    }
}
