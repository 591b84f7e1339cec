//! Runs the items of a batch: prepares the next one in advance and handles the user's commands.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tokio::sync::{mpsc, watch};

use super::{BatchCommand, BatchControls};
use crate::domain::{
    ErrorKind, KeyRequest, ProvisioningEvent, ProvisioningOutcome, StoredKey, UserError,
};
use crate::services::provision::{
    self, AuthMethod, BatchItem, KEYCHAIN_TIMEOUT, PreparedAttempt, ProvisioningControls,
    RETRY_INTERVAL, ServiceContext, UnlistedKeys,
};
use crate::storage::secret_store;

/// The maximum number of keys that are added to the inventory at once.
const INVENTORY_BATCH_SIZE: usize = 32;

/// The number of attempts with the management key that are recorded with one write to the journal.
const GROUP_SIZE: usize = 16;

type PrepareFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Vec<PreparedAttempt>, provision::Error>> + Send + 'a>>;
type KeyResult = Result<(StoredKey, Option<UserError>), UserError>;

pub(super) struct BatchRunner<'a> {
    services: &'a ServiceContext,
    auth_method: AuthMethod,
    commands: mpsc::Receiver<BatchCommand>,
    controls: ProvisioningControls,
    report: &'a (dyn Fn(ProvisioningEvent) + Sync),
    /// The next keys, which are prepared.
    prepared: VecDeque<PreparedAttempt>,
    /// The preparation of the keys after these.
    next_preparation: Option<PrepareFuture<'a>>,
    /// Whether a key was stored, which shows that the secret store works.
    has_stored_key: bool,
    unlisted_keys: UnlistedKeys,
    inventory_updated_at: Instant,
}

impl<'a> BatchRunner<'a> {
    pub(super) fn new(
        services: &'a ServiceContext,
        auth_method: AuthMethod,
        batch_controls: BatchControls,
        report: &'a (dyn Fn(ProvisioningEvent) + Sync),
    ) -> Self {
        let controls = ProvisioningControls {
            cancel: watch::channel(false).1,
            pasted_codes: batch_controls.pasted_codes,
        };
        let commands = batch_controls.commands;
        Self {
            services,
            auth_method,
            commands,
            controls,
            report,
            prepared: VecDeque::new(),
            next_preparation: None,
            has_stored_key: false,
            unlisted_keys: UnlistedKeys::default(),
            inventory_updated_at: Instant::now(),
        }
    }

    /// Prepares the first of the requests, and others with it where nobody has to consent to each.
    fn start_preparing(&self, requests: &'a [KeyRequest]) -> PrepareFuture<'a> {
        let size = match self.auth_method {
            AuthMethod::ManagementKey(_) => GROUP_SIZE,
            _ => 1,
        };
        let group = &requests[..size.min(requests.len())];
        let (services, report) = (self.services, self.report);
        Box::pin(async move { provision::prepare_attempts(group, services, report).await })
    }

    /// Creates the first of the keys. Returns its result and whether to stop the batch.
    pub(super) async fn run_item(&mut self, mut requests: &'a [KeyRequest]) -> (KeyResult, bool) {
        let next_requests = &requests[1..];
        let mut prepared = self.prepared.pop_front();
        let mut preparing = self.next_preparation.take_if(|_| prepared.is_none());
        let mut may_retry = self.has_stored_key;
        loop {
            let Some(attempt) = prepared.take() else {
                let preparing = preparing.take().unwrap_or_else(|| self.start_preparing(requests));
                match self.wait_until_prepared(requests, preparing).await {
                    // Before those that follow, if it is prepared again.
                    Ok(attempts) => attempts
                        .into_iter()
                        .rev()
                        .for_each(|attempt| self.prepared.push_front(attempt)),
                    Err((error, command)) => {
                        return (Err(error), command == Some(BatchCommand::Stop));
                    }
                }
                prepared = self.prepared.pop_front();
                continue;
            };
            if self.prepared.is_empty()
                && self.next_preparation.is_none()
                && !next_requests.is_empty()
            {
                self.next_preparation = Some(self.start_preparing(next_requests));
            }
            let (outcome, command) = self.provision_item(attempt).await;
            let stop = command == Some(BatchCommand::Stop);
            let is_unstored = matches!(outcome, ProvisioningOutcome::NotStored { .. });
            match self.retry_store(outcome).await {
                ProvisioningOutcome::Stored { stored_key, warning, .. } => {
                    self.has_stored_key = true;
                    return (Ok((stored_key, warning)), stop);
                }
                ProvisioningOutcome::NotStored { error, .. } => {
                    let error = provision::key_lost_error(error);
                    return (Err(UserError { kind: ErrorKind::Unresolved, ..error }), true);
                }
                ProvisioningOutcome::Failed(error) if is_unstored => return (Err(error), true),
                ProvisioningOutcome::Failed(error) => match (error.kind, command) {
                    (ErrorKind::Cancelled, Some(BatchCommand::Retry)) => {}
                    (ErrorKind::Cancelled, Some(BatchCommand::Skip)) => {
                        return (Err(skipped_error()), false);
                    }
                    // Nothing was sent when the keychain was locked, so retrying is safe.
                    (ErrorKind::SecretStore, None) if std::mem::take(&mut may_retry) => {}
                    _ => return (Err(error), stop),
                },
            }
            // The others are prepared already.
            requests = &requests[..1];
        }
    }

    /// Waits for the preparation. Retries it for a while if the keychain worked before.
    async fn wait_until_prepared(
        &mut self,
        requests: &'a [KeyRequest],
        mut preparing: PrepareFuture<'a>,
    ) -> Result<Vec<PreparedAttempt>, (UserError, Option<BatchCommand>)> {
        let since = Instant::now();
        let mut notified = false;
        loop {
            let error = tokio::select! {
                biased;
                command = next_command(&mut self.commands) => match command_to_error(command) {
                    Some(error) => return Err((error, Some(command))),
                    None => continue,
                },
                prepared = &mut preparing => match prepared {
                    Ok(prepared) => return Ok(prepared),
                    Err(error) => error,
                },
            };
            if !self.has_stored_key
                || !is_keychain_unavailable(&error)
                || since.elapsed() > KEYCHAIN_TIMEOUT
            {
                return Err((error.to_user_error(), None));
            }
            if !std::mem::replace(&mut notified, true) {
                (self.report)(ProvisioningEvent::Notice(format!(
                    "{error}: waiting for it for at most two minutes"
                )));
            }
            let again = self.start_preparing(requests);
            preparing = Box::pin(async {
                tokio::time::sleep(RETRY_INTERVAL).await;
                again.await
            });
        }
    }

    /// Completes a prepared item while the next one is prepared.
    async fn provision_item(
        &mut self,
        prepared: PreparedAttempt,
    ) -> (ProvisioningOutcome, Option<BatchCommand>) {
        let (cancel_sender, cancel) = watch::channel(false);
        self.controls.cancel = cancel;
        let sign_in_requested = AtomicBool::new(false);
        let report = |event: ProvisioningEvent| {
            sign_in_requested
                .fetch_or(matches!(event, ProvisioningEvent::SignInUrl { .. }), Ordering::Relaxed);
            (self.report)(event);
        };
        let mut command = None;
        let mut next_prepared = self.next_preparation.is_none();
        let outcome = {
            let batch =
                BatchItem { unlisted: &mut self.unlisted_keys, next: self.prepared.front_mut() };
            let run = prepared.finish(
                self.auth_method.clone(),
                self.services,
                Some(batch),
                &mut self.controls,
                &report,
            );
            let mut run = Box::pin(run);
            loop {
                let next = async {
                    match &mut self.next_preparation {
                        Some(next) => next.await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    biased;
                    outcome = &mut run => break outcome,
                    received = next_command(&mut self.commands) => {
                        // A later command does not replace Stop.
                        if command != Some(BatchCommand::Stop) {
                            command = Some(received);
                        }
                        cancel_sender.send_replace(true);
                    }
                    prepared = next, if !next_prepared => {
                        self.next_preparation = Some(Box::pin(std::future::ready(prepared)));
                        next_prepared = true;
                    }
                }
            }
        };
        // The account does not let a key create another: use the fallback for all other keys.
        if let (AuthMethod::ExistingKey(_, fallback), true) =
            (&self.auth_method, sign_in_requested.load(Ordering::Relaxed))
        {
            self.auth_method = (**fallback).clone();
        }
        (outcome, command)
    }

    /// Retries to store a key that is stored nowhere, unless the batch is stopped.
    async fn retry_store(&mut self, outcome: ProvisioningOutcome) -> ProvisioningOutcome {
        let stop = async { while next_command(&mut self.commands).await != BatchCommand::Stop {} };
        let notify = |text| (self.report)(ProvisioningEvent::Notice(text));
        provision::store_with_retries(outcome, self.services, stop, notify).await
    }

    /// Adds the stored keys to the inventory if there are enough of them, some time has passed or `now`
    /// is true.
    pub(super) fn flush_inventory(&mut self, now: bool) -> Result<(), UserError> {
        if !now
            && self.unlisted_keys.len() < INVENTORY_BATCH_SIZE
            && self.inventory_updated_at.elapsed() < RETRY_INTERVAL
        {
            return Ok(());
        }
        self.inventory_updated_at = Instant::now();
        self.unlisted_keys.add_to_inventory(self.services)
    }

    /// Discards the preparation of the next keys.
    pub(super) async fn discard_next(&mut self) {
        let mut attempts = Vec::from(std::mem::take(&mut self.prepared));
        if let Some(next) = self.next_preparation.take()
            && let Ok(Ok(prepared)) = tokio::time::timeout(provision::ABANDON_TIMEOUT, next).await
        {
            attempts.extend(prepared);
        }
        provision::discard_attempts(attempts, self.services).await;
    }
}

/// Returns the next command; never completes when the sender is gone.
async fn next_command(commands: &mut mpsc::Receiver<BatchCommand>) -> BatchCommand {
    match commands.recv().await {
        Some(command) => command,
        None => std::future::pending().await,
    }
}

/// Returns the error with which a command ends a key for which nothing was sent yet.
fn command_to_error(command: BatchCommand) -> Option<UserError> {
    match command {
        BatchCommand::Skip => Some(skipped_error()),
        BatchCommand::Stop => Some(provision::Error::Cancelled.to_user_error()),
        BatchCommand::Retry => None,
    }
}

fn skipped_error() -> UserError {
    UserError::new(ErrorKind::Cancelled, "skipped", "apply the plan again to create it")
        .with_meaning("no key was created and nothing was spent")
}

/// Returns whether unlocking or restarting the keychain would help.
const fn is_keychain_unavailable(error: &provision::Error) -> bool {
    matches!(
        error,
        provision::Error::SecretStore(
            secret_store::Error::Locked
                | secret_store::Error::TimedOut
                | secret_store::Error::NoProvider
        )
    )
}
