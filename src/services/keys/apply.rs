//! Many keys in a row by one road: each prepared while the one before it is confirmed, each end
//! recorded, and what is done stays done. The journey of each is `provision`'s. Owns: the order,
//! when to wait, when to go on and when to stop. Must not know: plans, screens.

mod batch;

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};

use super::Error;
use crate::domain::{
    ApiKey, AuthCode, ErrorKind, KeyRequest, Label, ProvisioningEvent, StoredKey,
    UnresolvedAttempt, UserError,
};
use crate::services::provision::{self, AuthMethod, ServiceContext};
use crate::storage::inventory;
use crate::storage::journal::{self, AttemptStage};
use crate::storage::json_store::{self, LockGuard};
use batch::BatchRunner;

/// How long until what did not work is tried again.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// What a person wants of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchCommand {
    /// Not this key; go on with the next one.
    Skip,
    /// This key anew: another address, another page.
    Retry,
    /// No further key. One whose code was sent already comes to its own end.
    Stop,
}

/// The person's end of a queue under way.
pub struct BatchControls {
    /// What they want.
    pub commands: mpsc::Receiver<BatchCommand>,
    /// Codes that they paste.
    pub pasted_codes: mpsc::Receiver<AuthCode>,
}

/// News from a queue under way.
#[derive(Debug)]
pub enum Progress<'a> {
    /// The next key begins.
    ItemStarted {
        /// From 1.
        number: usize,
        /// How many there are.
        total: usize,
        /// Its label.
        label: &'a Label,
    },
    /// Of the key whose turn it is, or of the one that is prepared meanwhile.
    Provisioning(ProvisioningEvent),
    /// Its turn is over.
    ItemFinished(&'a ItemResult),
}

/// What came of one key.
#[derive(Clone, Debug)]
pub struct ItemResult {
    /// The label it was asked for under.
    pub label: Label,
    /// The key as it is held; or why there is none (code 7: one may have been issued).
    pub result: Result<StoredKey, UserError>,
    /// Something that did not keep it from being stored.
    pub warning: Option<UserError>,
}

/// The one queue at a time: waits for the other one, says so, and can be left.
pub async fn lock_apply(
    services: &ServiceContext,
    stop: &mut watch::Receiver<bool>,
    on_wait: impl Fn(),
) -> Result<Option<LockGuard>, json_store::Error> {
    let mut notified = false;
    loop {
        match services.location.try_lock("apply.lock") {
            Err(json_store::Error::LockHeld(_)) => {}
            result => return result.map(Some),
        }
        if !std::mem::replace(&mut notified, true) {
            on_wait();
        }
        tokio::select! {
            () = tokio::time::sleep(RETRY_INTERVAL / 5) => {}
            () = provision::wait_for_cancel(stop) => return Ok(None),
        }
    }
}

/// The attempts that may have issued a key which nobody received: their labels are not asked for
/// again until they are dismissed. Changes nothing.
pub fn list_pending_attempts(services: &ServiceContext) -> Result<Vec<UnresolvedAttempt>, Error> {
    let mut attempts = journal::list_attempts(&services.location, &services.server)?;
    attempts.retain(|attempt| attempt.stage >= AttemptStage::RequestSent);
    Ok(attempts.into_iter().map(UnresolvedAttempt::from).collect())
}

/// The best road to many keys, and in words: the one that is given, or where it is `open` and takes
/// a person, a held key that vouches as long as the account allows it.
pub async fn choose_batch_auth_method(
    services: &ServiceContext,
    auth_method: AuthMethod,
    open: bool,
) -> (AuthMethod, String) {
    let found = match auth_method {
        AuthMethod::Browser | AuthMethod::OpenManually | AuthMethod::PasteCode if open => {
            find_authorizing_key(services).await
        }
        AuthMethod::Browser
        | AuthMethod::OpenManually
        | AuthMethod::PasteCode
        | AuthMethod::ManagementKey(_)
        | AuthMethod::ExistingKey(..) => None,
    };
    let description = match (&auth_method, &found) {
        (AuthMethod::ManagementKey(_), _) => "with the management key".into(),
        (AuthMethod::ExistingKey(..), _) => "through the key of --via-key".into(),
        (_, Some((stored_key, _))) => format!(
            "through the held key '{}', or one consent each where the account does not allow that",
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

/// A held key that works, as it says itself.
async fn find_authorizing_key(services: &ServiceContext) -> Option<(StoredKey, ApiKey)> {
    let lookup = services.clone();
    let found = tokio::task::spawn_blocking(move || {
        let now = Timestamp::now();
        let stored_keys = inventory::list_keys(&lookup.location, &lookup.server).ok()?;
        let stored_key = stored_keys.into_iter().find(|key| key.can_authorize(now))?;
        let key = super::load_key(&lookup, &stored_key.label).ok()?;
        Some((stored_key, key))
    });
    let (stored_key, key) = found.await.ok()??;
    services.build_client().ok()?.get_current_key(&key).await.ok()?;
    Some((stored_key, key))
}

/// Why the label of such an attempt is not asked for again.
pub fn pending_error(unresolved: &UnresolvedAttempt) -> UserError {
    UserError::new(
        ErrorKind::Unresolved,
        format!(
            "a key may have been issued on {} and was not received",
            crate::domain::format_timestamp(unresolved.started_at)
        ),
        format!(
            "it is not asked for again: look for it at {}, delete it there, and dismiss the attempt",
            unresolved.keys_page_url()
        ),
    )
}

/// Cuts them one after the other; as many ends as requests, in their order.
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
            let error =
                UserError::new(kind, "not begun", "apply the plan again: it goes on from here");
            results.push(ItemResult { label, result: Err(error), warning: None });
            continue;
        }
        report(Progress::ItemStarted { number: at + 1, total: requests.len(), label: &label });
        let (outcome, stop) = runner.run_item(request, requests.get(at + 1)).await;
        let (result, warning) = match outcome {
            Ok((stored_key, warning)) => {
                let last = stop || at + 1 == requests.len();
                (Ok(stored_key), runner.flush_inventory(last).err().or(warning))
            }
            Err(error) => (Err(error), None),
        };
        let item = ItemResult { label, result, warning };
        report(Progress::ItemFinished(&item));
        if let Err(error) = &item.result
            && (stop || is_fatal_for_batch(error, results.last()))
        {
            stop_kind = Some(error.kind);
        }
        // A key that came while the person was leaving is kept, and the last one.
        if stop {
            stop_kind.get_or_insert(ErrorKind::Cancelled);
        }
        results.push(item);
    }
    runner.discard_next().await;
    // Where the last ones failed, those before them wait for the list.
    if let Err(UserError { message, advice, .. }) = runner.flush_inventory(true) {
        report(Progress::Provisioning(ProvisioningEvent::Notice(format!("{message}; {advice}"))));
    }
    results
}

/// Whether what went wrong with one key goes wrong with all: no keychain, no server; or the same
/// trouble twice in a row, where going on would only repeat it.
fn is_fatal_for_batch(error: &UserError, previous: Option<&ItemResult>) -> bool {
    let is_same_error =
        |item: &ItemResult| item.result.as_ref().is_err_and(|other| other.message == error.message);
    match error.kind {
        ErrorKind::SecretStore | ErrorKind::Unreachable => true,
        ErrorKind::Failed | ErrorKind::Unresolved => previous.is_some_and(is_same_error),
        _ => false,
    }
}
