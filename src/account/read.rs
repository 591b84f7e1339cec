//! Asking keys about themselves (`GET /key`): one, or many at a time. Must not know: who wants to
//! know, or how often.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Error, absent, opened};
use crate::inventory;
use crate::key::{ApiKey, Label, Read, Trouble};
use crate::openrouter::{self, Client};
use crate::provision::{self, Services};
use crate::vault;

/// How many are asked at a time.
const AT_A_TIME: usize = 8;

/// The key under a label that is on the list. Blocks, and can wait for a person.
pub fn take(services: &Services, label: &Label) -> Result<ApiKey, Error> {
    match services.vault.get(&services.slot(label.as_str()), services.patience) {
        Ok(secret) => Ok(opened(&secret)),
        Err(vault::Error::NoEntry) => Err(absent(services, label)),
        Err(error) => Err(error.into()),
    }
}

/// Asks one key about itself, once. An error is one of the vault, or a server that nobody needs to
/// ask further: it cannot be reached, or asks for patience.
pub async fn read(
    services: &Services,
    client: &Client,
    hash: &str,
    label: &Label,
) -> Result<(Timestamp, Read), (Trouble, Option<Duration>)> {
    let (vault, name) = (services.clone(), label.clone());
    let taken = tokio::task::spawn_blocking(move || take(&vault, &name)).await;
    let key = match taken.unwrap_or(Err(Error::Vault(vault::Error::NoAnswer))) {
        Ok(key) if key.hash() == hash => key,
        // One entry that is wrong says nothing about the others.
        Ok(_) => {
            let words = Error::AnotherKey(label.clone()).to_string();
            return Ok((Timestamp::now(), Read::Failed(words)));
        }
        Err(error @ (Error::Absent { .. } | Error::Elsewhere(_))) => {
            return Ok((Timestamp::now(), Read::Failed(error.to_string())));
        }
        Err(error) => return Err((error.trouble(), None)),
    };
    let answer = client.key(&key).await;
    match &answer {
        Err(error @ openrouter::Error::SlowDown { retry_after, .. }) => {
            Err((unasked(error), *retry_after))
        }
        Err(error @ openrouter::Error::NotSent { .. }) => Err((unasked(error), None)),
        _ => Ok((Timestamp::now(), Read::from(answer))),
    }
}

/// How a round of asking ended.
#[derive(Debug, Default)]
pub struct Round {
    /// Why it ended early.
    pub trouble: Option<Trouble>,
    /// How long the server asks to be left alone.
    pub wait: Option<Duration>,
    /// Those that were not asked: hashes and labels.
    pub rest: Vec<(String, Label)>,
}

struct Asking<F> {
    services: Services,
    client: Client,
    told: F,
    rest: Mutex<VecDeque<(String, Label)>>,
    reads: Mutex<HashMap<String, (Timestamp, Read)>>,
    ended: Mutex<Option<(Trouble, Option<Duration>)>>,
}

/// Asks keys (hash and label), eight at a time and in this order, until all have answered, the
/// server asks for patience or cannot be reached, the vault fails, or `stop` turns true. Each
/// answer is `told` at once; all are noted in the inventory at the end, in one transaction.
pub async fn refresh(
    services: &Services,
    keys: Vec<(String, Label)>,
    told: impl Fn(&str, &Read, Timestamp) + Send + Sync + 'static,
    mut stop: watch::Receiver<bool>,
) -> Round {
    let client = match services.client() {
        Ok(client) => client,
        Err(error) => {
            return Round { trouble: Some(unasked(&error)), wait: None, rest: keys };
        }
    };
    let asking = Arc::new(Asking {
        services: services.clone(),
        client,
        told,
        rest: Mutex::new(keys.into()),
        reads: Mutex::default(),
        ended: Mutex::default(),
    });
    let mut askers = JoinSet::new();
    for _ in 0..AT_A_TIME {
        let asking = Arc::clone(&asking);
        askers.spawn(async move { asking.ask().await });
    }
    tokio::select! {
        () = async { while askers.join_next().await.is_some() {} } => {}
        () = provision::cancelled(&mut stop) => askers.shutdown().await,
    }
    let noting = Arc::clone(&asking);
    let noted = tokio::task::spawn_blocking(move || {
        inventory::note(&noting.services.place, &noting.services.server, &lock(&noting.reads))
    })
    .await;
    let (mut trouble, wait) =
        lock(&asking.ended).take().map_or((None, None), |(trouble, wait)| (Some(trouble), wait));
    if let (Ok(Err(error)), None) = (&noted, &trouble) {
        trouble = Some(error.trouble());
    }
    let rest = lock(&asking.rest).drain(..).collect();
    Round { trouble, wait, rest }
}

impl<F: Fn(&str, &Read, Timestamp)> Asking<F> {
    async fn ask(&self) {
        while lock(&self.ended).is_none() {
            let Some((hash, label)) = lock(&self.rest).pop_front() else { return };
            match read(&self.services, &self.client, &hash, &label).await {
                Ok((at, read)) => {
                    (self.told)(&hash, &read, at);
                    lock(&self.reads).insert(hash, (at, read));
                }
                Err(end) => {
                    lock(&self.rest).push_front((hash, label));
                    lock(&self.ended).get_or_insert(end);
                }
            }
        }
    }
}

fn unasked(error: &openrouter::Error) -> Trouble {
    Trouble {
        message: error.to_string(),
        advice: "the figures are those of the last time; try again later".into(),
        code: 6,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
