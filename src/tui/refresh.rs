//! A round of asking keys about themselves: a few at a time, in the order given, until all have
//! answered, the server asks for patience, or it cannot be reached.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::runner::{take, tell};
use super::{Clock, Incoming};
use crate::app::{Msg, Ticket};
use crate::inventory;
use crate::key::{Label, Read, Trouble};
use crate::openrouter::{Client, Error};
use crate::provision::Services;

/// How many are asked at a time.
const AT_A_TIME: usize = 8;

/// What the askers share.
struct Round {
    services: Services,
    client: Client,
    clock: Clock,
    ticket: Ticket,
    results: UnboundedSender<Incoming>,
    rest: Mutex<VecDeque<(String, Label)>>,
    reads: Mutex<HashMap<String, (Timestamp, Read)>>,
    ended: Mutex<Option<(Trouble, Option<SignedDuration>)>>,
}

/// Asks them all, unless told to stop; notes what they said.
pub(super) async fn round(
    services: Services,
    ticket: Ticket,
    keys: Vec<(String, Label)>,
    results: UnboundedSender<Incoming>,
    (mut stop, clock): (watch::Receiver<bool>, Clock),
) {
    let ended = |trouble, wait| Msg::RefreshEnded { ticket, trouble, wait };
    let client = match services.client() {
        Ok(client) => client,
        Err(error) => return tell(&results, ended(Some(trouble(&error)), None)),
    };
    let round = Arc::new(Round {
        services,
        client,
        clock,
        ticket,
        results,
        rest: Mutex::new(keys.into()),
        reads: Mutex::default(),
        ended: Mutex::default(),
    });
    let mut askers = JoinSet::new();
    for _ in 0..AT_A_TIME {
        let round = Arc::clone(&round);
        askers.spawn(async move { round.ask().await });
    }
    tokio::select! {
        () = async { while askers.join_next().await.is_some() {} } => {}
        () = stopped(&mut stop) => askers.shutdown().await,
    }
    let written = {
        let round = Arc::clone(&round);
        tokio::task::spawn_blocking(move || {
            inventory::note(&round.services.place, &round.services.server, &lock(&round.reads))
        })
        .await
    };
    let (mut trouble, wait) = match lock(&round.ended).take() {
        Some((trouble, wait)) => (Some(trouble), wait),
        None => (None, None),
    };
    if let (Ok(Err(error)), None) = (&written, &trouble) {
        trouble = Some(error.trouble());
    }
    tell(&round.results, ended(trouble, wait));
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A sender that is gone stops nothing: the next round has one of its own.
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

impl Round {
    async fn ask(&self) {
        loop {
            let Some((hash, label)) = lock(&self.rest).pop_front() else { return };
            let services = self.services.clone();
            let secret = tokio::task::spawn_blocking(move || take(&services, &label)).await;
            let key = match secret {
                Ok(Ok(key)) => key,
                Ok(Err(trouble)) if trouble.code == 4 => return self.end(trouble, None),
                // One entry that is not there says nothing about the others.
                Ok(Err(trouble)) => {
                    self.told(hash, Read::Failed(trouble.message));
                    continue;
                }
                Err(_) => return,
            };
            let answer = self.client.key(&key).await;
            match &answer {
                Err(error @ Error::SlowDown { retry_after, .. }) => {
                    let wait = retry_after.and_then(|wait| SignedDuration::try_from(wait).ok());
                    return self.end(trouble(error), wait);
                }
                Err(error @ Error::NotSent { .. }) => return self.end(trouble(error), None),
                _ => self.told(hash, Read::from(answer)),
            }
        }
    }

    fn told(&self, hash: String, read: Read) {
        let at = self.clock.now();
        lock(&self.reads).insert(hash.clone(), (at, read.clone()));
        tell(&self.results, Msg::Refreshed { ticket: self.ticket, hash, read, at });
    }

    /// Nobody else needs to be asked.
    fn end(&self, trouble: Trouble, wait: Option<SignedDuration>) {
        lock(&self.rest).clear();
        lock(&self.ended).get_or_insert((trouble, wait));
    }
}

fn trouble(error: &Error) -> Trouble {
    Trouble {
        message: error.to_string(),
        advice: "the figures are those of the last time; r asks again".into(),
        code: 6,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
