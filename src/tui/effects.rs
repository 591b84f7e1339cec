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

use super::{Clock, LoopEvent, SandboxControls};
use crate::domain::{
    ApiKey, AuthCode, CheckResult, ErrorKind, KeyRequest, Label, ProvisioningOutcome, UserError,
};
use crate::platform::browser::{self, BrowserAvailability};
use crate::platform::clipboard::{self, Clipboard, CopyDestination, CopyMethod};
use crate::services::keys::{self, BatchCommand, RefreshReport, load_key};
use crate::services::provision::{self, ProvisioningControls, ServiceContext};
use crate::storage::inventory;
use crate::storage::json_store;
use crate::tui::state::{AuthChoice, Effect, Msg, Ticket};

/// What the loop does after the effects.
pub(super) enum LoopAction {
    Continue,
    Suspend,
    Quit,
}

pub(super) struct EffectRunner {
    services: ServiceContext,
    sandbox_controls: Option<SandboxControls>,
    clock: Clock,
    event_sender: UnboundedSender<LoopEvent>,
    runs: HashMap<Ticket, RunHandle>,
    /// The round of asking that is under way, and how to stop it.
    active_refresh: Option<(Ticket, watch::Sender<bool>)>,
    /// Shared with the threads that copy and the tasks that clear.
    clipboard: Arc<Mutex<Clipboard>>,
}

/// The person's end of a journey; see [`Controls`].
struct RunHandle {
    cancel: watch::Sender<bool>,
    code_sender: mpsc::Sender<AuthCode>,
    /// Of a queue of many.
    batch_commands: Option<mpsc::Sender<BatchCommand>>,
}

impl RunHandle {
    fn send_batch_command(&self, wish: BatchCommand) {
        if let Some(wishes) = &self.batch_commands {
            // A queue that hears no more is at its end.
            let _ = wishes.try_send(wish);
        }
    }
}

impl EffectRunner {
    pub(super) fn new(
        services: ServiceContext,
        play: Option<SandboxControls>,
        clock: Clock,
        results: UnboundedSender<LoopEvent>,
    ) -> Self {
        Self {
            services,
            sandbox_controls: play,
            clock,
            event_sender: results,
            runs: HashMap::new(),
            active_refresh: None,
            clipboard: Arc::default(),
        }
    }

    pub(super) fn run_effects(&mut self, effects: Vec<Effect>) -> LoopAction {
        let mut next = LoopAction::Continue;
        for effect in effects {
            match self.run_effect(effect) {
                LoopAction::Continue => {}
                other => next = other,
            }
        }
        next
    }

    fn run_effect(&mut self, effect: Effect) -> LoopAction {
        match effect {
            Effect::Quit => return LoopAction::Quit,
            Effect::Suspend => return LoopAction::Suspend,
            Effect::LoadKeys(ticket) => self.spawn_blocking(move |services| {
                let keys = inventory::list_keys(&services.location, &services.server);
                Some(Msg::KeysLoaded {
                    ticket,
                    result: keys.map_err(|error| error.to_user_error()),
                })
            }),
            Effect::RefreshKeys { ticket, keys } => self.refresh_keys(ticket, keys),
            Effect::StopRefresh(ticket) => {
                if let Some((_, stop)) = self.active_refresh.take_if(|(round, _)| *round == ticket)
                {
                    // A round that has ended needs no stopping.
                    let _ = stop.send(true);
                }
            }
            Effect::RecoverInterrupted => self.start_recovery(),
            Effect::ProvisionKey { ticket, request, auth_choice: road } => {
                self.provision_key(ticket, request, road)
            }
            Effect::CancelRun(ticket) => {
                if let Some(journey) = self.runs.remove(&ticket) {
                    journey.send_batch_command(BatchCommand::Stop);
                    // A journey that has ended needs no cancelling.
                    let _ = journey.cancel.send(true);
                }
            }
            Effect::LoadPlan { ticket, path } => self.read_plan(ticket, path),
            Effect::ApplyPlan { ticket, requests } => self.apply_plan(ticket, requests),
            Effect::SkipItem(ticket) => self.send_batch_command(ticket, BatchCommand::Skip),
            Effect::RetryItem(ticket) => self.send_batch_command(ticket, BatchCommand::Retry),
            Effect::SubmitCode(ticket, code) => {
                if let Some(journey) = self.runs.get(&ticket) {
                    // A second code while the first is being exchanged has no taker.
                    let _ = journey.code_sender.try_send(code);
                }
            }
            Effect::RetryStore { ticket, entry: held, key } => self.retry_store(ticket, held, key),
            Effect::StoreInAlternate { ticket, entry: held, key, passphrase } => {
                self.store_in_alternate(ticket, held, key, passphrase);
            }
            Effect::RotateKey { ticket, stored_key: held, retire_policy: terms } => {
                self.rotate_key(ticket, held, terms)
            }
            Effect::RespondToLeak { ticket, keys } => self.respond_to_leak(ticket, keys),
            Effect::FetchAccountKey { ticket, hash } => self.fetch_account_key(ticket, hash),
            Effect::UpdateKey { ticket, update: change } => self.update_key(ticket, *change),
            Effect::SetKeysDisabled { keys, disabled } => self.set_keys_disabled(keys, disabled),
            Effect::ImportKey { ticket, label, key } => self.import_key(ticket, label, key),
            Effect::RevokeKeys(keys) => self.revoke_keys(keys),
            Effect::LoadAccountKeys(ticket) => self.list_account_keys(ticket),
            Effect::DetectManagementKey => self.detect_management_key(),
            Effect::LoadUsageHistory { ticket, hashes } => self.load_usage_history(ticket, hashes),
            Effect::ReadSecret(ticket, label) => self.spawn_blocking(move |services| {
                let key = load_key(services, &label).map_err(|error| error.to_user_error());
                Some(Msg::SecretRead { ticket, label, result: key })
            }),
            Effect::CopyShownKey(key) => {
                self.copy_to_clipboard(move |_| Ok(to_secret_string(&key)))
            }
            Effect::CopyStoredKey(label) => {
                self.copy_to_clipboard(move |services| {
                    load_key(services, &label)
                        .map(|key| to_secret_string(&key))
                        .map_err(|error| error.to_user_error())
                });
            }
            Effect::CopyUrl(address) => {
                self.copy_to_clipboard(move |_| Ok(SecretString::from(address)))
            }
            Effect::OpenUrl(address) => self.spawn_blocking(move |services| {
                let url = Url::parse(&address).ok()?;
                let opened = match browser::detect_availability() {
                    BrowserAvailability::Available => (services.open_browser)(&url),
                    BrowserAvailability::Unavailable(why) => {
                        Err(format!("no browser is started here ({why})"))
                    }
                };
                Some(Msg::Notice(match opened {
                    Ok(()) => Ok("asked the browser to open it".into()),
                    Err(why) => Err(UserError::new(
                        ErrorKind::Failed,
                        why,
                        format!("open it by hand: {address}"),
                    )),
                }))
            }),
            Effect::RemoveKeys(labels) => {
                for label in labels {
                    self.spawn_blocking(move |services| {
                        let result = keys::remove_key(services, &label);
                        Some(Msg::KeyRemoved { label, result })
                    });
                }
            }
            Effect::DismissAttempt(id) => self.spawn_blocking(move |services| {
                let dismissed = provision::dismiss_attempt(services, &id);
                dismissed.err().map(|trouble| Msg::Notice(Err(trouble)))
            }),
            Effect::SpendOnKey { hash, usd } => self.run_sandbox_action(move |play, server| {
                (play.spend)(server, &hash, usd).map(|()| format!("${usd:.2} was spent on it"))
            }),
            Effect::SkipDay => {
                let clock = self.clock.clone();
                self.run_sandbox_action(move |play, server| {
                    (play.skip_day)(server)?;
                    clock.skip_day();
                    Ok("a day went by".into())
                });
            }
            Effect::DecideConsent { ticket, consent_url: address, approve } => {
                let Some(SandboxControls { decide_consent: decide, .. }) = self.sandbox_controls
                else {
                    return LoopAction::Continue;
                };
                self.spawn_blocking(move |_| {
                    let result = decide(&address, approve).and_then(|code| match code {
                        Some(code) => AuthCode::parse(&code).map(Some).map_err(String::from),
                        None => Ok(None),
                    });
                    Some(Msg::ConsentDecided { ticket, result })
                });
            }
        }
        LoopAction::Continue
    }

    fn send_batch_command(&self, ticket: Ticket, wish: BatchCommand) {
        if let Some(journey) = self.runs.get(&ticket) {
            journey.send_batch_command(wish);
        }
    }

    /// Something done in the sandbox; then the keys are asked anew.
    fn run_sandbox_action(
        &self,
        deed: impl FnOnce(&SandboxControls, &str) -> Result<String, String> + Send + 'static,
    ) {
        let Some(play) = self.sandbox_controls else { return };
        self.spawn_blocking(move |services| {
            Some(Msg::SandboxActionFinished(deed(&play, &services.server).map_err(|why| {
                UserError::new(ErrorKind::Failed, why, "the sandbox goes on without it")
            })))
        });
    }

    /// A call that may block, on a thread that may.
    fn spawn_blocking(&self, call: impl FnOnce(&ServiceContext) -> Option<Msg> + Send + 'static) {
        let (services, results) = (self.services.clone(), self.event_sender.clone());
        tokio::task::spawn_blocking(move || {
            if let Some(msg) = call(&services) {
                send_message(&results, msg);
            }
        });
    }

    fn refresh_keys(&mut self, ticket: Ticket, keys: Vec<(String, Label)>) {
        let (stop, stopped) = watch::channel(false);
        self.active_refresh = Some((ticket, stop));
        let (services, results) = (self.services.clone(), self.event_sender.clone());
        let clock = self.clock.clone();
        tokio::spawn(async move {
            let telling = results.clone();
            let told = move |hash: &str, read: &CheckResult, at| {
                let (hash, read) = (hash.to_owned(), read.clone());
                send_message(
                    &telling,
                    Msg::KeyChecked { ticket, hash, result: read, checked_at: at },
                );
            };
            // The loop's own time, which in the sandbox is not the world's.
            let now = move || clock.now();
            let RefreshReport { error: trouble, retry_after: wait, rejected_keys: refused, .. } =
                keys::refresh_keys(&services, keys, now, told, stopped).await;
            let wait = wait.and_then(|wait| SignedDuration::try_from(wait).ok());
            send_message(
                &results,
                Msg::RefreshFinished {
                    ticket,
                    error: trouble,
                    retry_after: wait,
                    rejected_keys: refused,
                },
            );
        });
    }

    fn start_recovery(&self) {
        let (services, results) = (self.services.clone(), self.event_sender.clone());
        tokio::task::spawn_local(async move {
            send_message(&results, recover_interrupted(&services).await)
        });
    }

    fn provision_key(&mut self, ticket: Ticket, request: KeyRequest, road: AuthChoice) {
        let mut controls = self.register_run(ticket);
        let (services, results) = (self.services.clone(), self.event_sender.clone());
        tokio::spawn(async move {
            let report =
                |report| send_message(&results, Msg::ProvisioningEvent { ticket, event: report });
            let outcome = match actions::resolve_auth_choice(road, &services, &report).await {
                Ok(way) => provision::run(&request, way, &services, &mut controls, &report).await,
                Err(trouble) => ProvisioningOutcome::Failed(trouble),
            };
            send_message(&results, Msg::ProvisioningFinished { ticket, outcome });
        });
    }

    /// A journey begins: its own end of the person's controls.
    fn register_run(&mut self, ticket: Ticket) -> ProvisioningControls {
        let (cancel, cancelled) = watch::channel(false);
        let (code, pasted) = mpsc::channel(1);
        // Those that have ended have let go of their end.
        self.runs.retain(|_, journey| !journey.code_sender.is_closed());
        self.runs.insert(ticket, RunHandle { cancel, code_sender: code, batch_commands: None });
        ProvisioningControls { cancel: cancelled, pasted_codes: pasted }
    }

    fn copy_to_clipboard(
        &self,
        text: impl FnOnce(&ServiceContext) -> Result<SecretString, UserError> + Send + 'static,
    ) {
        let (results, board) = (self.event_sender.clone(), Arc::clone(&self.clipboard));
        let services = self.services.clone();
        let runtime = tokio::runtime::Handle::current();
        tokio::task::spawn_blocking(move || {
            let text = match text(&services) {
                Ok(text) => text,
                Err(trouble) => return send_message(&results, Msg::Notice(Err(trouble))),
            };
            let (outcome, copy_number) = {
                let mut board = board.lock().unwrap_or_else(PoisonError::into_inner);
                (board.copy(&text, CopyMethod::Auto), board.copy_number())
            };
            let noticed = match outcome {
                Ok(CopyDestination::Clipboard { clear_after: clears_in }) => {
                    let seconds = clears_in.as_secs();
                    runtime.spawn(clear_clipboard_later(board, copy_number, results.clone()));
                    Ok(format!("copied, clears in {seconds} s"))
                }
                Ok(CopyDestination::Terminal) => {
                    // The loop may be gone; then there is nobody to copy for.
                    let _ =
                        results.send(LoopEvent::TerminalWrite(clipboard::osc52_sequence(&text)));
                    Ok("sent to the terminal for its clipboard; it gives no answer".into())
                }
                Ok(CopyDestination::Tmux) => {
                    runtime.spawn(clear_clipboard_later(board, copy_number, results.clone()));
                    Ok("in a buffer of tmux, which sends it to its terminal's clipboard".into())
                }
                Err(error) => {
                    Err(UserError::new(ErrorKind::Failed, error.to_string(), error.advice()))
                }
            };
            send_message(&results, Msg::Notice(noticed));
        });
    }

    /// Takes back what was copied; last words about it.
    pub(super) fn clear_clipboard_on_exit(&self) -> Option<String> {
        let mut board = self.clipboard.lock().unwrap_or_else(PoisonError::into_inner);
        let cleared = board.clear_last_copy();
        cleared.then(|| "what was copied left the clipboard with the program".into())
    }
}

/// What dead programs left behind is brought to its end.
async fn recover_interrupted(services: &ServiceContext) -> Msg {
    let (recovered, trouble) = match provision::recover_attempts(services).await {
        Ok(recovered) => (recovered, None),
        Err(error) => (
            provision::RecoveredAttempts::default(),
            Some(json_store::Error::to_user_error(&error)),
        ),
    };
    let rotations = keys::resume_rotations(services).await.unwrap_or_default();
    Msg::RecoveryFinished {
        stored_keys: recovered.stored,
        unstored_keys: recovered.not_stored,
        rotations,
        unresolved_attempts: recovered.unresolved,
        error: trouble,
    }
}

async fn clear_clipboard_later(
    board: Arc<Mutex<Clipboard>>,
    copy_number: u64,
    results: UnboundedSender<LoopEvent>,
) {
    tokio::time::sleep(clipboard::CLEAR_AFTER).await;
    tokio::task::spawn_blocking(move || {
        let mut board = board.lock().unwrap_or_else(PoisonError::into_inner);
        if board.clear_copy(copy_number) {
            send_message(&results, Msg::Notice(Ok("the clipboard was cleared".into())));
        }
    });
}

#[expect(clippy::disallowed_methods, reason = "door: copy")]
fn to_secret_string(key: &ApiKey) -> SecretString {
    SecretString::from(key.expose_secret())
}

/// The loop may have ended; then nobody is interested.
fn send_message(results: &UnboundedSender<LoopEvent>, msg: Msg) {
    let _ = results.send(LoopEvent::Message(msg));
}
