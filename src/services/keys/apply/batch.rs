//! One key's turn after the other: prepared ahead, confirmed, kept; wishes heeded meanwhile. Must not
//! know: which turn it is, and what its end means for the others.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use super::{AGAIN, Hands, Wish};
use crate::domain::{
    ApiKey, ErrorKind, KeyRequest, ProvisioningEvent, ProvisioningOutcome, StoredKey, UserError,
};
use crate::services::provision::{self, Controls, Prepared, Services, Unlisted, Way};
use crate::storage::secret_store;

/// How long a keychain that locked itself on the way is waited for.
const KEYCHAIN: Duration = Duration::from_secs(120);
/// The most keys that are put on the list at once.
const AT_ONCE: usize = 32;
/// How long the end of a key that was only prepared may take.
const ABANDON: Duration = Duration::from_secs(2);

type Preparing<'a> = Pin<Box<dyn Future<Output = Result<Prepared, provision::Error>> + Send + 'a>>;
type Went = Result<(StoredKey, Option<UserError>), UserError>;

pub(super) struct Queue<'a> {
    services: &'a Services,
    way: Way,
    wishes: mpsc::Receiver<Wish>,
    controls: Controls,
    tell: &'a (dyn Fn(ProvisioningEvent) + Sync),
    /// The next key's preparation.
    ahead: Option<Preparing<'a>>,
    /// Whether one was stored: the keychain does work.
    stored: bool,
    unlisted: Unlisted,
    listed_at: Instant,
}

impl<'a> Queue<'a> {
    pub(super) fn new(
        services: &'a Services,
        way: Way,
        hands: Hands,
        tell: &'a (dyn Fn(ProvisioningEvent) + Sync),
    ) -> Self {
        let controls = Controls { cancel: watch::channel(false).1, pasted: hands.pasted };
        let wishes = hands.wishes;
        Self {
            services,
            way,
            wishes,
            controls,
            tell,
            ahead: None,
            stored: false,
            unlisted: Unlisted::default(),
            listed_at: Instant::now(),
        }
    }

    fn prepare(&self, request: &'a KeyRequest) -> Preparing<'a> {
        Box::pin(provision::prepare(request, self.services, self.tell))
    }

    /// One key's turn, and whether the person wants no further one.
    pub(super) async fn turn(
        &mut self,
        request: &'a KeyRequest,
        next: Option<&'a KeyRequest>,
    ) -> (Went, bool) {
        let mut preparing = self.ahead.take().unwrap_or_else(|| self.prepare(request));
        let mut once_more = self.stored;
        loop {
            let prepared = match self.prepared(request, preparing).await {
                Ok(prepared) => prepared,
                Err((trouble, wish)) => return (Err(trouble), wish == Some(Wish::Stop)),
            };
            if self.ahead.is_none() {
                self.ahead = next.map(|next| self.prepare(next));
            }
            let (outcome, wish) = self.journey(prepared).await;
            let stop = wish == Some(Wish::Stop);
            match outcome {
                ProvisioningOutcome::Stored { stored_key: held, warning: note, .. } => {
                    self.stored = true;
                    return (Ok((held, note)), stop);
                }
                ProvisioningOutcome::NotStored { entry: held, key, error: trouble } => {
                    return match self.keep(held, key, trouble).await {
                        Ok(kept) => (Ok(kept), stop),
                        Err(trouble) => (Err(trouble), true),
                    };
                }
                ProvisioningOutcome::Failed(trouble) => match (trouble.kind, wish) {
                    (ErrorKind::Cancelled, Some(Wish::Retry)) => {}
                    (ErrorKind::Cancelled, Some(Wish::Skip)) => return (Err(skipped()), false),
                    // Before anything was sent the keychain locked itself: it is waited for.
                    (ErrorKind::SecretStore, None) if std::mem::take(&mut once_more) => {}
                    _ => return (Err(trouble), stop),
                },
            }
            preparing = self.prepare(request);
        }
    }

    /// Waits until it is prepared; for a keychain that worked before, a while longer.
    async fn prepared(
        &mut self,
        request: &'a KeyRequest,
        mut preparing: Preparing<'a>,
    ) -> Result<Prepared, (UserError, Option<Wish>)> {
        let since = Instant::now();
        let mut told = false;
        loop {
            let error = tokio::select! {
                biased;
                wish = wish(&mut self.wishes) => match left(wish) {
                    Some(left) => return Err((left, Some(wish))),
                    None => continue,
                },
                prepared = &mut preparing => match prepared {
                    Ok(prepared) => return Ok(prepared),
                    Err(error) => error,
                },
            };
            if !self.stored || !is_closed(&error) || since.elapsed() > KEYCHAIN {
                return Err((error.trouble(), None));
            }
            if !std::mem::replace(&mut told, true) {
                (self.tell)(ProvisioningEvent::Notice(format!(
                    "{error}: waiting for it, two minutes at most"
                )));
            }
            preparing = Box::pin(async {
                tokio::time::sleep(AGAIN).await;
                provision::prepare(request, self.services, self.tell).await
            });
        }
    }

    /// From consent to the end; the next key is prepared meanwhile.
    async fn journey(&mut self, prepared: Prepared) -> (ProvisioningOutcome, Option<Wish>) {
        let (leave, cancel) = watch::channel(false);
        self.controls.cancel = cancel;
        let asked = AtomicBool::new(false);
        let tell = |news: ProvisioningEvent| {
            asked.fetch_or(matches!(news, ProvisioningEvent::SignInUrl { .. }), Ordering::Relaxed);
            (self.tell)(news);
        };
        let mut wished = None;
        let mut ready = self.ahead.is_none();
        let outcome = {
            let (way, later) = (self.way.clone(), Some(&mut self.unlisted));
            let journey = prepared.go(way, self.services, later, &mut self.controls, &tell);
            let mut journey = Box::pin(journey);
            loop {
                let ahead = async {
                    match &mut self.ahead {
                        Some(ahead) => ahead.await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    biased;
                    outcome = &mut journey => break outcome,
                    wish = wish(&mut self.wishes) => {
                        // Who wants to stop does not want to retry.
                        if wished != Some(Wish::Stop) {
                            wished = Some(wish);
                        }
                        leave.send_replace(true);
                    }
                    prepared = ahead, if !ready => {
                        self.ahead = Some(Box::pin(std::future::ready(prepared)));
                        ready = true;
                    }
                }
            }
        };
        // The account does not let a key cut another: it need not be asked for each.
        if let (Way::Key(_, otherwise), true) = (&self.way, asked.load(Ordering::Relaxed)) {
            self.way = (**otherwise).clone();
        }
        (outcome, wished)
    }

    /// A key that was issued and is nowhere but here.
    async fn keep(&mut self, mut held: StoredKey, mut key: ApiKey, mut trouble: UserError) -> Went {
        (self.tell)(ProvisioningEvent::Notice(format!(
            "{}: trying to store it again, for two minutes at most",
            trouble.message
        )));
        let since = Instant::now();
        while since.elapsed() < KEYCHAIN {
            tokio::select! {
                () = tokio::time::sleep(AGAIN) => {}
                wish = wish(&mut self.wishes) => if wish == Wish::Stop { break },
            }
            match provision::store_again(held, key, self.services).await {
                ProvisioningOutcome::Stored { stored_key: held, warning: note, .. } => {
                    self.stored = true;
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
    pub(super) fn list(&mut self, now: bool) -> Result<(), UserError> {
        if !now && self.unlisted.len() < AT_ONCE && self.listed_at.elapsed() < AGAIN {
            return Ok(());
        }
        self.listed_at = Instant::now();
        self.unlisted.list(self.services)
    }

    /// The end: what was prepared in vain leaves nothing behind.
    pub(super) async fn leave(&mut self) {
        if let Some(ahead) = self.ahead.take()
            && let Ok(Ok(prepared)) = tokio::time::timeout(ABANDON, ahead).await
        {
            prepared.abandon(self.services).await;
        }
    }
}

/// The next wish. Whoever cannot wish any more waits for the end.
async fn wish(wishes: &mut mpsc::Receiver<Wish>) -> Wish {
    match wishes.recv().await {
        Some(wish) => wish,
        None => std::future::pending().await,
    }
}

/// What a wish means for a key of which nothing was sent yet.
fn left(wish: Wish) -> Option<UserError> {
    match wish {
        Wish::Skip => Some(skipped()),
        Wish::Stop => Some(provision::Error::Cancelled.trouble()),
        Wish::Retry => None,
    }
}

fn skipped() -> UserError {
    UserError::new(
        ErrorKind::Cancelled,
        "skipped",
        "no key was issued and nothing was spent; apply the plan again to cut it",
    )
}

/// Whether opening the keychain, or starting it again, would help.
const fn is_closed(error: &provision::Error) -> bool {
    matches!(
        error,
        provision::Error::Vault(
            secret_store::Error::Locked
                | secret_store::Error::TimedOut
                | secret_store::Error::NoProvider
        )
    )
}
