//! Effects done: each on a task or a thread of its own, its result sent back as one message.
//! Must not know: what follows from a result.

mod actions;
mod plan;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::SignedDuration;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::sync::watch;
use url::Url;

use super::{Clock, Incoming, Play};
use crate::domain::{ApiKey, AuthCode, ErrorKind, KeyRequest, Label, Outcome, Read, UserError};
use crate::platform::browser::{self, Reach};
use crate::platform::clipboard::{self, Clipboard, Copied, Route};
use crate::services::keys::{self, Round, Wish, take};
use crate::services::provision::{self, Controls, Services};
use crate::storage::inventory;
use crate::storage::json_store;
use crate::tui::state::{Effect, Msg, Road, Ticket};

/// What the loop does after the effects.
pub(super) enum Next {
    Wait,
    Suspend,
    Quit,
}

pub(super) struct Runner {
    services: Services,
    play: Option<Play>,
    clock: Clock,
    results: UnboundedSender<Incoming>,
    journeys: HashMap<Ticket, Journey>,
    /// The round of asking that is under way, and how to stop it.
    round: Option<(Ticket, watch::Sender<bool>)>,
    /// Shared with the threads that copy and the tasks that clear.
    board: Arc<Mutex<Board>>,
}

/// The person's end of a journey; see [`Controls`].
struct Journey {
    cancel: watch::Sender<bool>,
    code: mpsc::Sender<AuthCode>,
    /// Of a queue of many.
    wishes: Option<mpsc::Sender<Wish>>,
}

impl Journey {
    fn wish(&self, wish: Wish) {
        if let Some(wishes) = &self.wishes {
            // A queue that hears no more is at its end.
            let _ = wishes.try_send(wish);
        }
    }
}

/// The clipboard, and how often it was copied to: only the last copy's time clears it.
#[derive(Default)]
struct Board {
    clipboard: Clipboard,
    copies: u64,
}

impl Runner {
    pub(super) fn new(
        services: Services,
        play: Option<Play>,
        clock: Clock,
        results: UnboundedSender<Incoming>,
    ) -> Self {
        Self {
            services,
            play,
            clock,
            results,
            journeys: HashMap::new(),
            round: None,
            board: Arc::default(),
        }
    }

    pub(super) fn run_all(&mut self, effects: Vec<Effect>) -> Next {
        let mut next = Next::Wait;
        for effect in effects {
            match self.run(effect) {
                Next::Wait => {}
                other => next = other,
            }
        }
        next
    }

    fn run(&mut self, effect: Effect) -> Next {
        match effect {
            Effect::Quit => return Next::Quit,
            Effect::Suspend => return Next::Suspend,
            Effect::LoadKeys(ticket) => self.blocking(move |services| {
                let keys = inventory::list_keys(&services.place, &services.server);
                Some(Msg::KeysLoaded { ticket, keys: keys.map_err(|error| error.to_user_error()) })
            }),
            Effect::Refresh { ticket, keys } => self.refresh(ticket, keys),
            Effect::StopRefresh(ticket) => {
                if let Some((_, stop)) = self.round.take_if(|(round, _)| *round == ticket) {
                    // A round that has ended needs no stopping.
                    let _ = stop.send(true);
                }
            }
            Effect::Recover => self.recover(),
            Effect::Provision { ticket, request, road } => self.provision(ticket, request, road),
            Effect::Cancel(ticket) => {
                if let Some(journey) = self.journeys.remove(&ticket) {
                    journey.wish(Wish::Stop);
                    // A journey that has ended needs no cancelling.
                    let _ = journey.cancel.send(true);
                }
            }
            Effect::ReadPlan { ticket, path } => self.read_plan(ticket, path),
            Effect::Apply { ticket, requests } => self.apply(ticket, requests),
            Effect::Skip(ticket) => self.wish(ticket, Wish::Skip),
            Effect::Anew(ticket) => self.wish(ticket, Wish::Retry),
            Effect::GiveCode(ticket, code) => {
                if let Some(journey) = self.journeys.get(&ticket) {
                    // A second code while the first is being exchanged has no taker.
                    let _ = journey.code.try_send(code);
                }
            }
            Effect::StoreAgain { ticket, held, key } => self.store_again(ticket, held, key),
            Effect::StoreElsewhere { ticket, held, key, passphrase } => {
                self.store_elsewhere(ticket, held, key, passphrase);
            }
            Effect::Rotate { ticket, held, terms } => self.rotate(ticket, held, terms),
            Effect::Panic { ticket, keys } => self.panic(ticket, keys),
            Effect::Look { ticket, hash } => self.look(ticket, hash),
            Effect::Change { ticket, change } => self.change(ticket, *change),
            Effect::Switch { keys, disabled } => self.switch(keys, disabled),
            Effect::Import { ticket, label, key } => self.import(ticket, label, key),
            Effect::Revoke(keys) => self.revoke(keys),
            Effect::ReadAccount(ticket) => self.read_account(ticket),
            Effect::LookForManagement => self.look_for_management(),
            Effect::ReadPast { ticket, hashes } => self.read_past(ticket, hashes),
            Effect::Fetch(ticket, label) => self.blocking(move |services| {
                let key = take(services, &label).map_err(|error| error.trouble());
                Some(Msg::Fetched { ticket, label, key })
            }),
            Effect::CopyKey(key) => self.copy(move |_| Ok(secret(&key))),
            Effect::CopyHeld(label) => {
                self.copy(move |services| {
                    take(services, &label).map(|key| secret(&key)).map_err(|error| error.trouble())
                });
            }
            Effect::CopyAddress(address) => self.copy(move |_| Ok(SecretString::from(address))),
            Effect::Open(address) => self.blocking(move |services| {
                let url = Url::parse(&address).ok()?;
                let opened = match browser::reach() {
                    Reach::Here => (services.open)(&url),
                    Reach::NotHere(why) => Err(format!("no browser is started here ({why})")),
                };
                Some(Msg::Noticed(match opened {
                    Ok(()) => Ok("asked the browser to open it".into()),
                    Err(why) => Err(UserError::new(
                        ErrorKind::Failed,
                        why,
                        format!("open it by hand: {address}"),
                    )),
                }))
            }),
            Effect::Remove(labels) => {
                for label in labels {
                    self.blocking(move |services| {
                        let result = keys::forget(services, &label);
                        Some(Msg::Removed { label, result })
                    });
                }
            }
            Effect::Dismiss(id) => self.blocking(move |services| {
                let dismissed = provision::dismiss(services, &id);
                dismissed.err().map(|trouble| Msg::Noticed(Err(trouble)))
            }),
            Effect::Spend { hash, usd } => self.play(move |play, server| {
                (play.spend)(server, &hash, usd).map(|()| format!("${usd:.2} was spent on it"))
            }),
            Effect::SkipDay => {
                let clock = self.clock.clone();
                self.play(move |play, server| {
                    (play.skip_a_day)(server)?;
                    clock.skip_a_day();
                    Ok("a day went by".into())
                });
            }
            Effect::Decide { ticket, address, approve } => {
                let Some(Play { decide, .. }) = self.play else { return Next::Wait };
                self.blocking(move |_| {
                    let result = decide(&address, approve).and_then(|code| match code {
                        Some(code) => AuthCode::parse(&code).map(Some).map_err(String::from),
                        None => Ok(None),
                    });
                    Some(Msg::Decided { ticket, result })
                });
            }
        }
        Next::Wait
    }

    fn wish(&self, ticket: Ticket, wish: Wish) {
        if let Some(journey) = self.journeys.get(&ticket) {
            journey.wish(wish);
        }
    }

    /// Something done in the sandbox; then the keys are asked anew.
    fn play(&self, deed: impl FnOnce(&Play, &str) -> Result<String, String> + Send + 'static) {
        let Some(play) = self.play else { return };
        self.blocking(move |services| {
            Some(Msg::Played(deed(&play, &services.server).map_err(|why| {
                UserError::new(ErrorKind::Failed, why, "the sandbox goes on without it")
            })))
        });
    }

    /// A call that may block, on a thread that may.
    fn blocking(&self, call: impl FnOnce(&Services) -> Option<Msg> + Send + 'static) {
        let (services, results) = (self.services.clone(), self.results.clone());
        tokio::task::spawn_blocking(move || {
            if let Some(msg) = call(&services) {
                tell(&results, msg);
            }
        });
    }

    fn refresh(&mut self, ticket: Ticket, keys: Vec<(String, Label)>) {
        let (stop, stopped) = watch::channel(false);
        self.round = Some((ticket, stop));
        let (services, results) = (self.services.clone(), self.results.clone());
        let clock = self.clock.clone();
        tokio::spawn(async move {
            let telling = results.clone();
            let told = move |hash: &str, read: &Read, at| {
                let (hash, read) = (hash.to_owned(), read.clone());
                tell(&telling, Msg::Refreshed { ticket, hash, read, at });
            };
            // The loop's own time, which in the sandbox is not the world's.
            let now = move || clock.now();
            let Round { trouble, wait, refused, .. } =
                keys::refresh(&services, keys, now, told, stopped).await;
            let wait = wait.and_then(|wait| SignedDuration::try_from(wait).ok());
            tell(&results, Msg::RefreshEnded { ticket, trouble, wait, refused });
        });
    }

    fn recover(&self) {
        let (services, results) = (self.services.clone(), self.results.clone());
        tokio::task::spawn_local(async move { tell(&results, recovered(&services).await) });
    }

    fn provision(&mut self, ticket: Ticket, request: KeyRequest, road: Road) {
        let mut controls = self.set_out(ticket);
        let (services, results) = (self.services.clone(), self.results.clone());
        tokio::spawn(async move {
            let report = |report| tell(&results, Msg::Reported { ticket, report });
            let outcome = match actions::on(road, &services, &report).await {
                Ok(way) => provision::run(&request, way, &services, &mut controls, &report).await,
                Err(trouble) => Outcome::Failed(trouble),
            };
            tell(&results, Msg::Provisioned { ticket, outcome });
        });
    }

    /// A journey begins: its own end of the person's controls.
    fn set_out(&mut self, ticket: Ticket) -> Controls {
        let (cancel, cancelled) = watch::channel(false);
        let (code, pasted) = mpsc::channel(1);
        // Those that have ended have let go of their end.
        self.journeys.retain(|_, journey| !journey.code.is_closed());
        self.journeys.insert(ticket, Journey { cancel, code, wishes: None });
        Controls { cancel: cancelled, pasted }
    }

    fn copy(
        &self,
        text: impl FnOnce(&Services) -> Result<SecretString, UserError> + Send + 'static,
    ) {
        let (results, board) = (self.results.clone(), Arc::clone(&self.board));
        let services = self.services.clone();
        let runtime = tokio::runtime::Handle::current();
        tokio::task::spawn_blocking(move || {
            let text = match text(&services) {
                Ok(text) => text,
                Err(trouble) => return tell(&results, Msg::Noticed(Err(trouble))),
            };
            let (outcome, copies) = {
                let mut board = board.lock().unwrap_or_else(PoisonError::into_inner);
                board.copies += 1;
                (board.clipboard.copy(&text, Route::Auto), board.copies)
            };
            let noticed = match outcome {
                Ok(Copied::Clipboard { clears_in }) => {
                    let seconds = clears_in.as_secs();
                    runtime.spawn(clear_later(board, copies, results.clone()));
                    Ok(format!("copied, clears in {seconds} s"))
                }
                Ok(Copied::Terminal) => {
                    // The loop may be gone; then there is nobody to copy for.
                    let _ = results.send(Incoming::Write(clipboard::osc52(&text)));
                    Ok("sent to the terminal for its clipboard; it gives no answer".into())
                }
                Ok(Copied::Tmux) => {
                    runtime.spawn(clear_later(board, copies, results.clone()));
                    Ok("in a buffer of tmux, which sends it to its terminal's clipboard".into())
                }
                Err(error) => {
                    Err(UserError::new(ErrorKind::Failed, error.to_string(), error.advice()))
                }
            };
            tell(&results, Msg::Noticed(noticed));
        });
    }

    /// Takes back what was copied; last words about it.
    pub(super) fn farewell(&self) -> Option<String> {
        let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        if board.copies == 0 {
            return None;
        }
        let cleared = board.clipboard.clear_if_ours();
        cleared.then(|| "what was copied left the clipboard with the program".into())
    }
}

/// What dead programs left behind is brought to its end.
async fn recovered(services: &Services) -> Msg {
    let (recovered, trouble) = match provision::recover(services).await {
        Ok(recovered) => (recovered, None),
        Err(error) => {
            (provision::Recovered::default(), Some(json_store::Error::to_user_error(&error)))
        }
    };
    let rotations = keys::resume_rotations(services).await.unwrap_or_default();
    Msg::Recovered {
        stored: recovered.stored,
        not_stored: recovered.not_stored,
        rotations,
        unresolved: recovered.unresolved,
        trouble,
    }
}

async fn clear_later(board: Arc<Mutex<Board>>, copies: u64, results: UnboundedSender<Incoming>) {
    tokio::time::sleep(clipboard::CLEARS_IN).await;
    tokio::task::spawn_blocking(move || {
        let mut board = board.lock().unwrap_or_else(PoisonError::into_inner);
        if board.copies == copies && board.clipboard.clear_if_ours() {
            tell(&results, Msg::Noticed(Ok("the clipboard was cleared".into())));
        }
    });
}

#[expect(clippy::disallowed_methods, reason = "door: copy")]
fn secret(key: &ApiKey) -> SecretString {
    SecretString::from(key.expose_secret())
}

/// The loop may have ended; then nobody is interested.
fn tell(results: &UnboundedSender<Incoming>, msg: Msg) {
    let _ = results.send(Incoming::Told(msg));
}
