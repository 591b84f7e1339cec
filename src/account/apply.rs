//! Many keys in a row by one road: each prepared while the one before it is confirmed, each end
//! recorded, and what is done stays done. The journey of each is `provision`'s. Owns: the order,
//! when to wait, when to go on and when to stop. Must not know: plans, screens.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use super::Error;
use crate::document::{self, Claim};
use crate::journal::{self, Stage};
use crate::key::{
    ApiKey, AuthCode, HeldKey, KeyRequest, Label, Outcome, Report, Trouble, Unresolved,
};
use crate::provision::{self, Controls, Prepared, Services, Way};
use crate::vault;

/// How long a keychain that locked itself on the way is waited for.
const KEYCHAIN: Duration = Duration::from_secs(120);
/// How often it is asked meanwhile, or another queue for its place.
const AGAIN: Duration = Duration::from_secs(1);
/// How long the end of a key that was only prepared may take.
const ABANDON: Duration = Duration::from_secs(2);

/// What a person wants of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Not this key; go on with the next one.
    Skip,
    /// This key anew: another address, another page.
    Retry,
    /// No further key. One whose code was sent already comes to its own end.
    Stop,
}

/// The person's end of a queue under way.
pub struct Hands {
    /// What they want.
    pub wishes: mpsc::Receiver<Wish>,
    /// Codes that they paste.
    pub pasted: mpsc::Receiver<AuthCode>,
}

/// News from a queue under way.
#[derive(Debug)]
pub enum News<'a> {
    /// The next key begins.
    Turn {
        /// From 1.
        number: usize,
        /// How many there are.
        of: usize,
        /// Its label.
        label: &'a Label,
    },
    /// Of the key whose turn it is, or of the one that is prepared meanwhile.
    Journey(Report),
    /// Its turn is over.
    End(&'a End),
}

/// What came of one key.
#[derive(Clone, Debug)]
pub struct End {
    /// The label it was asked for under.
    pub label: Label,
    /// The key as it is held; or why there is none (code 7: one may have been issued).
    pub result: Result<HeldKey, Trouble>,
    /// Something that did not keep it from being stored.
    pub note: Option<Trouble>,
}

/// The one queue at a time: waits for the other one, says so, and can be left.
pub async fn take_turn(
    services: &Services,
    stop: &mut watch::Receiver<bool>,
    waits: impl Fn(),
) -> Result<Option<Claim>, document::Error> {
    let mut told = false;
    loop {
        match services.place.claim("apply.lock") {
            Err(document::Error::Busy(_)) => {}
            claimed => return claimed.map(Some),
        }
        if !std::mem::replace(&mut told, true) {
            waits();
        }
        tokio::select! {
            () = tokio::time::sleep(AGAIN / 5) => {}
            () = provision::cancelled(stop) => return Ok(None),
        }
    }
}

/// The attempts that may have issued a key which nobody received: their labels are not asked for
/// again until they are dismissed. Changes nothing.
pub fn owed(services: &Services) -> Result<Vec<Unresolved>, Error> {
    let mut attempts = journal::attempts(&services.place, &services.server)?;
    attempts.retain(|attempt| attempt.stage >= Stage::Sent);
    Ok(attempts.into_iter().map(Unresolved::from).collect())
}

/// Why the label of such an attempt is not asked for again.
pub fn owing(unresolved: &Unresolved) -> Trouble {
    Trouble {
        message: format!(
            "a key may have been issued on {} and was not received",
            crate::key::instant(unresolved.at)
        ),
        advice: format!(
            "it is not asked for again: look for it at {}, delete it there, and dismiss the attempt",
            unresolved.page()
        ),
        code: 7,
    }
}

/// Cuts them one after the other; as many ends as requests, in their order.
pub async fn apply(
    requests: &[KeyRequest],
    way: Way,
    services: &Services,
    hands: Hands,
    report: &(dyn Fn(News<'_>) + Sync),
) -> Vec<End> {
    let controls = Controls { cancel: watch::channel(false).1, pasted: hands.pasted };
    let tell = |news| report(News::Journey(news));
    let mut queue = Queue {
        services,
        way,
        wishes: hands.wishes,
        controls,
        tell: &tell,
        ahead: None,
        stored: false,
    };
    let mut ends: Vec<End> = Vec::with_capacity(requests.len());
    let mut over: Option<u8> = None;
    for (at, request) in requests.iter().enumerate() {
        let label = request.label.clone();
        if let Some(code) = over {
            let trouble = Trouble {
                message: "not begun".into(),
                advice: "apply the plan again: it goes on from here".into(),
                code,
            };
            ends.push(End { label, result: Err(trouble), note: None });
            continue;
        }
        report(News::Turn { number: at + 1, of: requests.len(), label: &label });
        let (went, stop) = queue.turn(request, requests.get(at + 1)).await;
        let (result, note) = match went {
            Ok((held, note)) => (Ok(held), note),
            Err(trouble) => (Err(trouble), None),
        };
        let end = End { label, result, note };
        report(News::End(&end));
        if let Err(trouble) = &end.result
            && (stop || ends_all(trouble, ends.last()))
        {
            over = Some(trouble.code);
        }
        // A key that came while the person was leaving is kept, and the last one.
        if stop {
            over.get_or_insert(5);
        }
        ends.push(end);
    }
    queue.leave().await;
    ends
}

/// Whether what went wrong with one key goes wrong with all: no keychain, no server; or the same
/// trouble twice in a row, where going on would only repeat it.
fn ends_all(trouble: &Trouble, before: Option<&End>) -> bool {
    let same = |end: &End| end.result.as_ref().is_err_and(|other| other.message == trouble.message);
    match trouble.code {
        4 | 6 => true,
        1 | 7 => before.is_some_and(same),
        _ => false,
    }
}

type Preparing<'a> = Pin<Box<dyn Future<Output = Result<Prepared, provision::Error>> + Send + 'a>>;
type Went = Result<(HeldKey, Option<Trouble>), Trouble>;

struct Queue<'a> {
    services: &'a Services,
    way: Way,
    wishes: mpsc::Receiver<Wish>,
    controls: Controls,
    tell: &'a (dyn Fn(Report) + Sync),
    /// The next key's preparation.
    ahead: Option<Preparing<'a>>,
    /// Whether one was stored: the keychain does work.
    stored: bool,
}

impl<'a> Queue<'a> {
    fn prepare(&self, request: &'a KeyRequest) -> Preparing<'a> {
        Box::pin(provision::prepare(request, self.services, self.tell))
    }

    /// One key's turn, and whether the person wants no further one.
    async fn turn(
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
                Outcome::Stored { held, note, .. } => {
                    self.stored = true;
                    return (Ok((held, note)), stop);
                }
                Outcome::NotStored { held, key, trouble } => {
                    return match self.keep(held, key, trouble).await {
                        Ok(kept) => (Ok(kept), stop),
                        Err(trouble) => (Err(trouble), true),
                    };
                }
                Outcome::Failed(trouble) => match (trouble.code, wish) {
                    (5, Some(Wish::Retry)) => {}
                    (5, Some(Wish::Skip)) => return (Err(skipped()), false),
                    // Before anything was sent the keychain locked itself: it is waited for.
                    (4, None) if std::mem::take(&mut once_more) => {}
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
    ) -> Result<Prepared, (Trouble, Option<Wish>)> {
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
                (self.tell)(Report::Notice(format!(
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
    async fn journey(&mut self, prepared: Prepared) -> (Outcome, Option<Wish>) {
        let (leave, cancel) = watch::channel(false);
        self.controls.cancel = cancel;
        let asked = AtomicBool::new(false);
        let tell = |news: Report| {
            asked.fetch_or(matches!(news, Report::Address { .. }), Ordering::Relaxed);
            (self.tell)(news);
        };
        let mut wished = None;
        let mut ready = self.ahead.is_none();
        let outcome = {
            let journey = prepared.go(self.way.clone(), self.services, &mut self.controls, &tell);
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
    async fn keep(&mut self, mut held: HeldKey, mut key: ApiKey, mut trouble: Trouble) -> Went {
        (self.tell)(Report::Notice(format!(
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
                Outcome::Stored { held, note, .. } => {
                    self.stored = true;
                    return Ok((held, note));
                }
                Outcome::NotStored { held: still, key: same, trouble: why } => {
                    (held, key, trouble) = (still, same, why);
                }
                Outcome::Failed(trouble) => return Err(trouble),
            }
        }
        Err(Trouble {
            advice: format!("the key is lost with this program: revoke it at {}", held.page()),
            code: 7,
            ..trouble
        })
    }

    /// The end: what was prepared in vain leaves nothing behind.
    async fn leave(&mut self) {
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
fn left(wish: Wish) -> Option<Trouble> {
    match wish {
        Wish::Skip => Some(skipped()),
        Wish::Stop => Some(provision::Error::Cancelled.trouble()),
        Wish::Retry => None,
    }
}

fn skipped() -> Trouble {
    Trouble {
        message: "skipped".into(),
        advice: "no key was issued and nothing was spent; apply the plan again to cut it".into(),
        code: 5,
    }
}

/// Whether opening the keychain, or starting it again, would help.
const fn is_closed(error: &provision::Error) -> bool {
    matches!(
        error,
        provision::Error::Vault(
            vault::Error::Locked | vault::Error::NoAnswer | vault::Error::NoProvider
        )
    )
}
