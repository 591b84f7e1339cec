//! Creates many keys one after the other. Each is prepared while the previous one is confirmed.

mod batch;

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};

use super::{Error, assign_requested_guardrail};
use crate::domain::{
    ApiKey, AuthorizationResponse, ErrorKind, KeyRequest, Label, ProvisioningEvent, StoredKey,
    UnresolvedAttempt, UserError,
};
use crate::platform::blocking_call::run_blocking;
use crate::services::provision::{self, AuthMethod, RETRY_INTERVAL, ServiceContext};
use crate::services::shared_inventory::{self, PlanLock};
use crate::storage::inventory;
use crate::storage::journal::{self, AttemptStage};
use crate::storage::json_store::{self, LockGuard};
use crate::storage::secret_store;
use batch::BatchRunner;

/// A command to a running batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchCommand {
    /// Skip this key and continue with the next one.
    Skip,
    /// Start this key again with another sign-in URL.
    Retry,
    /// Create no further key. A key whose code was already sent is completed.
    Stop,
}

/// The user's controls of a running batch.
pub struct BatchControls {
    /// Commands to the batch.
    pub commands: mpsc::Receiver<BatchCommand>,
    /// Codes and refusals that the user pastes.
    pub pasted_codes: mpsc::Receiver<AuthorizationResponse>,
}

/// Progress of a running batch.
#[derive(Debug)]
pub enum Progress<'a> {
    /// The next key is started.
    ItemStarted {
        /// From 1.
        number: usize,
        /// The number of keys.
        total: usize,
        /// Its label.
        label: &'a Label,
    },
    /// An event of the current key, or of the next one, which is being prepared.
    Provisioning(ProvisioningEvent),
    /// The key is finished.
    ItemFinished(&'a ItemResult),
}

/// The result for one key of a batch.
#[derive(Clone, Debug)]
pub struct ItemResult {
    /// The requested label.
    pub label: Label,
    /// Whether anything was done for it: an earlier key may have ended the batch.
    pub is_started: bool,
    /// The stored key, or why there is none.
    pub result: Result<StoredKey, UserError>,
    /// A problem that did not prevent storing the key.
    pub warning: Option<UserError>,
}

/// The locks of a batch: that of the data directory, and that of the shared store if one is in use.
#[derive(Debug)]
pub struct ApplyLock {
    _shared: Option<PlanLock>,
    _local: LockGuard,
}

/// Waits for the locks that allow one batch at a time, then reads the keys of the shared store. Calls
/// `on_wait` if another batch holds one, with its name if it runs on another machine. Returns `None` when `stop`
/// becomes true.
pub async fn lock_apply(
    services: &ServiceContext,
    stop: &mut watch::Receiver<bool>,
    on_wait: impl Fn(Option<&str>),
) -> Result<Option<ApplyLock>, shared_inventory::Error> {
    let mut notified = false;
    let local = loop {
        match services.location.try_lock("apply.lock") {
            Err(json_store::Error::LockHeld(_)) => {}
            result => break result?,
        }
        if !std::mem::replace(&mut notified, true) {
            on_wait(None);
        }
        tokio::select! {
            () = tokio::time::sleep(RETRY_INTERVAL / 5) => {}
            () = provision::wait_for_cancel(stop) => return Ok(None),
        }
    };
    let shared = tokio::select! {
        shared = shared_inventory::lock_plan(services, |holder| on_wait(Some(holder))) => shared?,
        () = provision::wait_for_cancel(stop) => return Ok(None),
    };
    if shared.is_some() {
        // The previous holder may have created the keys that this batch would create.
        let services = services.clone();
        let read = run_blocking(move || shared_inventory::read_all(&services, |_, _| ()));
        read.await.unwrap_or(Err(secret_store::Error::TimedOut.into()))?;
    }
    Ok(Some(ApplyLock { _shared: shared, _local: local }))
}

/// Returns whether an interrupted run may have left something to finish: an attempt, or a key without its
/// guardrail or without the label of the key that it replaces.
pub fn is_interrupted(services: &ServiceContext) -> Result<bool, Error> {
    let (location, server) = (&services.location, &services.server);
    Ok(!journal::list_attempts(location, server)?.is_empty()
        || !inventory::filter_keys(location, server, StoredKey::is_unfinished)?.is_empty())
}

/// Returns the attempts that may have created a key which was not received. Their labels are not
/// requested again until they are dismissed.
pub fn list_pending_attempts(services: &ServiceContext) -> Result<Vec<UnresolvedAttempt>, Error> {
    let mut attempts = journal::list_attempts(&services.location, &services.server)?;
    attempts
        .retain(|attempt| attempt.stage >= AttemptStage::RequestSent && !attempt.awaits_rename());
    Ok(attempts.into_iter().map(UnresolvedAttempt::from).collect())
}

/// Returns the labels of the attempts that may have created a key and are not finished. One of them may be
/// under way.
pub fn list_unfinished_attempts(
    services: &ServiceContext,
) -> Result<Vec<Label>, json_store::Error> {
    let attempts = journal::list_attempts(&services.location, &services.server)?;
    let sent = attempts.into_iter().filter(|attempt| attempt.stage >= AttemptStage::RequestSent);
    Ok(sent.map(|attempt| attempt.label).collect())
}

/// Returns the method for a batch and its description. If the method needs the user and `may_replace` is
/// `true`, an existing key authorises the new ones.
pub async fn choose_batch_auth_method(
    services: &ServiceContext,
    auth_method: AuthMethod,
    may_replace: bool,
) -> (AuthMethod, String) {
    let found = match auth_method {
        AuthMethod::Browser | AuthMethod::OpenManually | AuthMethod::PasteCode if may_replace => {
            find_authorizing_key(services).await
        }
        _ => None,
    };
    let description = match (&auth_method, &found) {
        (AuthMethod::ManagementKey(_), _) => "with the management key".into(),
        (AuthMethod::ExistingKey(..), _) => "authorised with the key given with --via-key".into(),
        (_, Some((stored_key, _))) => format!(
            "authorised with the stored key '{}', or with your consent to each if the account does not allow that",
            stored_key.label
        ),
        (AuthMethod::Browser | AuthMethod::OpenManually | AuthMethod::PasteCode, None) => {
            "one after the other, with your consent to each".into()
        }
    };
    match found {
        Some((_, key)) => (AuthMethod::ExistingKey(key, Box::new(auth_method)), description),
        None => (auth_method, description),
    }
}

/// Returns a stored key that the server accepts and that may authorise others.
async fn find_authorizing_key(services: &ServiceContext) -> Option<(StoredKey, ApiKey)> {
    let lookup = services.clone();
    let found = run_blocking(move || {
        let now = Timestamp::now();
        let stored_keys = lookup.list_keys().ok()?;
        let stored_key = stored_keys.into_iter().find(|key| key.can_authorize(now))?;
        let key = super::load_key(&lookup, &stored_key.label).ok()?;
        Some((stored_key, key))
    });
    let (stored_key, key) = found.await??;
    services.build_client().ok()?.once().get_current_key(&key).await.ok()?;
    Some((stored_key, key))
}

/// Returns why the label of a pending attempt is not requested again.
pub fn pending_error(unresolved: &UnresolvedAttempt) -> UserError {
    if unresolved.waits_for_store {
        return UserError::new(
            ErrorKind::SecretStore,
            "the key of an interrupted run was received, and the secret store cannot be read",
            "unlock the secret store, then run: keywright recover",
        )
        .with_meaning("the key may be stored and in use: do not delete it");
    }
    UserError::new(
        ErrorKind::Unresolved,
        format!(
            "a key may have been created on {} and was not received",
            crate::domain::format_timestamp(unresolved.started_at)
        ),
        format!(
            "the key is not requested again: look for it at {}, delete it there, and dismiss the attempt",
            unresolved.keys_page_url()
        ),
    )
}

/// Creates the keys one after the other. Returns one result for each request, in the same order.
pub async fn create_keys(
    requests: &[KeyRequest],
    auth_method: AuthMethod,
    services: &ServiceContext,
    controls: BatchControls,
    report: &(dyn Fn(Progress<'_>) + Sync),
) -> Vec<ItemResult> {
    let report_event = |event| report(Progress::Provisioning(event));
    let mut runner = BatchRunner::new(services, auth_method, controls, &report_event);
    let mut results: Vec<ItemResult> = Vec::with_capacity(requests.len());
    let mut stop_kind: Option<ErrorKind> = None;
    for (at, request) in requests.iter().enumerate() {
        let label = request.label.clone();
        if let Some(kind) = stop_kind {
            let result = Err(not_started_error(kind));
            results.push(ItemResult { label, is_started: false, result, warning: None });
            continue;
        }
        report(Progress::ItemStarted { number: at + 1, total: requests.len(), label: &label });
        let (outcome, stop) = runner.run_item(&requests[at..]).await;
        let (result, warning) = match outcome {
            // Whoever answered this sign-in from another account may answer the next one too.
            Ok((stored_key, warning)) if stored_key.is_of_unconfirmed_account() => {
                let unlisted = runner.flush_inventory(true).err();
                (Err(stored_key.other_account_error()), UserError::join([unlisted, warning]))
            }
            Ok((mut stored_key, warning)) => {
                let guardrail = request.guardrail.as_ref();
                let last = stop || at + 1 == requests.len();
                // The guardrail is recorded in the inventory.
                let unlisted = runner.flush_inventory(last || guardrail.is_some()).err();
                let unassigned =
                    assign_requested_guardrail(services, guardrail, &mut stored_key).await;
                (Ok(stored_key), UserError::join([unlisted, unassigned, warning]))
            }
            Err(error) => (Err(error), None),
        };
        let item = ItemResult { label, is_started: true, result, warning };
        report(Progress::ItemFinished(&item));
        if let Err(error) = &item.result
            && (stop || is_fatal_for_batch(error, results.last()))
        {
            stop_kind = Some(error.kind);
        }
        // A key that arrived after Stop is stored, and is the last one.
        if stop {
            stop_kind.get_or_insert(ErrorKind::Cancelled);
        }
        results.push(item);
    }
    runner.discard_next().await;
    // If the last keys failed, earlier ones may not be in the inventory yet.
    if let Err(error) = runner.flush_inventory(true) {
        report(Progress::Provisioning(ProvisioningEvent::Notice(error.one_line())));
    }
    results
}

/// Returns the error about a key of the plan that is not tried any more.
pub fn not_started_error(kind: ErrorKind) -> UserError {
    UserError::new(kind, "not started", "apply the plan again to continue")
}

/// Returns whether all other keys would fail too: the secret store or the server is unavailable, the
/// keys come from another account, or the same error occurred twice in a row.
fn is_fatal_for_batch(error: &UserError, previous: Option<&ItemResult>) -> bool {
    let is_same_error =
        |item: &ItemResult| item.result.as_ref().is_err_and(|other| other.message == error.message);
    match error.kind {
        ErrorKind::SecretStore
        | ErrorKind::Unreachable
        | ErrorKind::ConsentTimedOut
        | ErrorKind::OtherAccount => true,
        ErrorKind::Failed | ErrorKind::Unresolved => previous.is_some_and(is_same_error),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_that_is_no_key_is_named_and_does_not_end_the_batch() {
        let label: Label = "ci".parse().unwrap();
        let error = secret_store::Error::NotText;
        let error = provision::Error::UnreadableEntry { label, error }.to_user_error();
        assert_eq!(
            error.message,
            "the secret store has an entry with the label ci that cannot be read: the keychain entry is not text, so it is not a key"
        );
        assert!(!is_fatal_for_batch(&error, None));
        let locked = provision::Error::from(secret_store::Error::Locked).to_user_error();
        assert!(is_fatal_for_batch(&locked, None));
    }
}
