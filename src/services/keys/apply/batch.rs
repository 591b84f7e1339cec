//! One key's turn after the other: prepared ahead, confirmed, kept; wishes heeded meanwhile. Must not
//! know: which turn it is, and what its end means for the others.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use super::{BatchCommand, BatchControls, RETRY_INTERVAL};
use crate::domain::{
    ApiKey, ErrorKind, KeyRequest, ProvisioningEvent, ProvisioningOutcome, StoredKey, UserError,
};
use crate::services::provision::{
    self, AuthMethod, PreparedAttempt, ProvisioningControls, ServiceContext, UnlistedKeys,
};
use crate::storage::secret_store;

/// How long a keychain that locked itself on the way is waited for.
const KEYCHAIN_TIMEOUT: Duration = Duration::from_secs(120);
/// The most keys that are put on the list at once.
const INVENTORY_BATCH_SIZE: usize = 32;
/// How long the end of a key that was only prepared may take.
const ABANDON_TIMEOUT: Duration = Duration::from_secs(2);

type PrepareFuture<'a> =
    Pin<Box<dyn Future<Output = Result<PreparedAttempt, provision::Error>> + Send + 'a>>;
type KeyResult = Result<(StoredKey, Option<UserError>), UserError>;

pub(super) struct BatchRunner<'a> {
    services: &'a ServiceContext,
    auth_method: AuthMethod,
    commands: mpsc::Receiver<BatchCommand>,
    controls: ProvisioningControls,
    report: &'a (dyn Fn(ProvisioningEvent) + Sync),
    /// The next key's preparation.
    next_preparation: Option<PrepareFuture<'a>>,
    /// Whether one was stored: the keychain does work.
    has_stored_key: bool,
    unlisted_keys: UnlistedKeys,
    inventory_updated_at: Instant,
}

impl<'a> BatchRunner<'a> {
    pub(super) fn new(
        services: &'a ServiceContext,
        way: AuthMethod,
        hands: BatchControls,
        tell: &'a (dyn Fn(ProvisioningEvent) + Sync),
    ) -> Self {
        let controls = ProvisioningControls {
            cancel: watch::channel(false).1,
            pasted_codes: hands.pasted_codes,
        };
        let wishes = hands.commands;
        Self {
            services,
            auth_method: way,
            commands: wishes,
            controls,
            report: tell,
            next_preparation: None,
            has_stored_key: false,
            unlisted_keys: UnlistedKeys::default(),
            inventory_updated_at: Instant::now(),
        }
    }

    fn start_preparing(&self, request: &'a KeyRequest) -> PrepareFuture<'a> {
        Box::pin(provision::prepare_attempt(request, self.services, self.report))
    }

    /// One key's turn, and whether the person wants no further one.
    pub(super) async fn run_item(
        &mut self,
        request: &'a KeyRequest,
        next: Option<&'a KeyRequest>,
    ) -> (KeyResult, bool) {
        let mut preparing =
            self.next_preparation.take().unwrap_or_else(|| self.start_preparing(request));
        let mut once_more = self.has_stored_key;
        loop {
            let prepared = match self.wait_until_prepared(request, preparing).await {
                Ok(prepared) => prepared,
                Err((trouble, wish)) => return (Err(trouble), wish == Some(BatchCommand::Stop)),
            };
            if self.next_preparation.is_none() {
                self.next_preparation = next.map(|next| self.start_preparing(next));
            }
            let (outcome, wish) = self.provision_item(prepared).await;
            let stop = wish == Some(BatchCommand::Stop);
            match outcome {
                ProvisioningOutcome::Stored { stored_key: held, warning: note, .. } => {
                    self.has_stored_key = true;
                    return (Ok((held, note)), stop);
                }
                ProvisioningOutcome::NotStored { entry: held, key, error: trouble } => {
                    return match self.retry_store(held, key, trouble).await {
                        Ok(kept) => (Ok(kept), stop),
                        Err(trouble) => (Err(trouble), true),
                    };
                }
                ProvisioningOutcome::Failed(trouble) => match (trouble.kind, wish) {
                    (ErrorKind::Cancelled, Some(BatchCommand::Retry)) => {}
                    (ErrorKind::Cancelled, Some(BatchCommand::Skip)) => {
                        return (Err(skipped_error()), false);
                    }
                    // Before anything was sent the keychain locked itself: it is waited for.
                    (ErrorKind::SecretStore, None) if std::mem::take(&mut once_more) => {}
                    _ => return (Err(trouble), stop),
                },
            }
            preparing = self.start_preparing(request);
        }
    }

    /// Waits until it is prepared; for a keychain that worked before, a while longer.
    async fn wait_until_prepared(
        &mut self,
        request: &'a KeyRequest,
        mut preparing: PrepareFuture<'a>,
    ) -> Result<PreparedAttempt, (UserError, Option<BatchCommand>)> {
        let since = Instant::now();
        let mut told = false;
        loop {
            let error = tokio::select! {
                biased;
                wish = next_command(&mut self.commands) => match command_to_error(wish) {
                    Some(left) => return Err((left, Some(wish))),
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
            if !std::mem::replace(&mut told, true) {
                (self.report)(ProvisioningEvent::Notice(format!(
                    "{error}: waiting for it, two minutes at most"
                )));
            }
            preparing = Box::pin(async {
                tokio::time::sleep(RETRY_INTERVAL).await;
                provision::prepare_attempt(request, self.services, self.report).await
            });
        }
    }

    /// From consent to the end; the next key is prepared meanwhile.
    async fn provision_item(
        &mut self,
        prepared: PreparedAttempt,
    ) -> (ProvisioningOutcome, Option<BatchCommand>) {
        let (leave, cancel) = watch::channel(false);
        self.controls.cancel = cancel;
        let asked = AtomicBool::new(false);
        let tell = |news: ProvisioningEvent| {
            asked.fetch_or(matches!(news, ProvisioningEvent::SignInUrl { .. }), Ordering::Relaxed);
            (self.report)(news);
        };
        let mut wished = None;
        let mut ready = self.next_preparation.is_none();
        let outcome = {
            let (way, later) = (self.auth_method.clone(), Some(&mut self.unlisted_keys));
            let journey = prepared.finish(way, self.services, later, &mut self.controls, &tell);
            let mut journey = Box::pin(journey);
            loop {
                let ahead = async {
                    match &mut self.next_preparation {
                        Some(ahead) => ahead.await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    biased;
                    outcome = &mut journey => break outcome,
                    wish = next_command(&mut self.commands) => {
                        // Who wants to stop does not want to retry.
                        if wished != Some(BatchCommand::Stop) {
                            wished = Some(wish);
                        }
                        leave.send_replace(true);
                    }
                    prepared = ahead, if !ready => {
                        self.next_preparation = Some(Box::pin(std::future::ready(prepared)));
                        ready = true;
                    }
                }
            }
        };
        // The account does not let a key cut another: it need not be asked for each.
        if let (AuthMethod::ExistingKey(_, otherwise), true) =
            (&self.auth_method, asked.load(Ordering::Relaxed))
        {
            self.auth_method = (**otherwise).clone();
        }
        (outcome, wished)
    }

    /// A key that was issued and is nowhere but here.
    async fn retry_store(
        &mut self,
        mut held: StoredKey,
        mut key: ApiKey,
        mut trouble: UserError,
    ) -> KeyResult {
        (self.report)(ProvisioningEvent::Notice(format!(
            "{}: trying to store it again, for two minutes at most",
            trouble.message
        )));
        let since = Instant::now();
        while since.elapsed() < KEYCHAIN_TIMEOUT {
            tokio::select! {
                () = tokio::time::sleep(RETRY_INTERVAL) => {}
                wish = next_command(&mut self.commands) => if wish == BatchCommand::Stop { break },
            }
            match provision::retry_store(held, key, self.services).await {
                ProvisioningOutcome::Stored { stored_key: held, warning: note, .. } => {
                    self.has_stored_key = true;
                    return Ok((held, note));
                }
                ProvisioningOutcome::NotStored { entry: still, key: same, error: why } => {
                    (held, key, trouble) = (still, same, why);
                }
                ProvisioningOutcome::Failed(trouble) => return Err(trouble),
            }
        }
        Err(UserError {
            advice: format!("the key is lost with this program: revoke it at {}", held.page_url()),
            kind: ErrorKind::Unresolved,
            ..trouble
        })
    }

    /// Puts what is stored on the list, when there is enough of it or some time has passed. An error
    /// is one of the list alone.
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

    /// The end: what was prepared in vain leaves nothing behind.
    pub(super) async fn discard_next(&mut self) {
        if let Some(ahead) = self.next_preparation.take()
            && let Ok(Ok(prepared)) = tokio::time::timeout(ABANDON_TIMEOUT, ahead).await
        {
            prepared.discard(self.services).await;
        }
    }
}

/// The next wish. Whoever cannot wish any more waits for the end.
async fn next_command(wishes: &mut mpsc::Receiver<BatchCommand>) -> BatchCommand {
    match wishes.recv().await {
        Some(wish) => wish,
        None => std::future::pending().await,
    }
}

/// What a wish means for a key of which nothing was sent yet.
fn command_to_error(wish: BatchCommand) -> Option<UserError> {
    match wish {
        BatchCommand::Skip => Some(skipped_error()),
        BatchCommand::Stop => Some(provision::Error::Cancelled.to_user_error()),
        BatchCommand::Retry => None,
    }
}

fn skipped_error() -> UserError {
    UserError::new(
        ErrorKind::Cancelled,
        "skipped",
        "no key was issued and nothing was spent; apply the plan again to cut it",
    )
}

/// Whether opening the keychain, or starting it again, would help.
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
