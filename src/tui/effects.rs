//! Runs effects, each on its own task or thread, and sends the result back as one message.

mod account;
mod actions;
mod bulk;
mod plan;
mod recovery;
mod requests;
mod shared_store;

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::sync::watch;
use url::Url;

use super::{Clock, LoopEvent, SandboxControls};
use crate::domain::{
    ApiKey, AuthorizationResponse, ManagementKey, ProfileName, StoredKey, UserError, format_usd,
};
use crate::platform::blocking_call;
use crate::platform::browser::{self, BrowserAvailability};
use crate::platform::clipboard::{self, Clipboard, CopyDestination, CopyMethod};
use crate::services::keys::{BatchCommand, load_listed_key};
use crate::services::provision::{self, ProvisioningControls, ServiceContext};
use crate::storage::inventory::InventoryStamp;
use crate::storage::json_store::StoreLocation;
use crate::tui::state::{Effect, Msg, Ticket, ViewState};

/// The view of the last run, in the data directory.
const VIEW_FILE_NAME: &str = "view.json";

/// Returns the view of the last run. A damaged file counts as missing.
pub(super) fn load_view(location: &StoreLocation) -> ViewState {
    location.read(VIEW_FILE_NAME).unwrap_or_default()
}

/// What the event loop does after the effects.
pub(super) enum LoopAction {
    Continue,
    Suspend,
    SwitchProfile(ProfileName),
    Quit,
}

/// Reads a text that is to be copied.
type ReadText = Box<dyn FnOnce(&ServiceContext) -> Result<SecretString, UserError> + Send>;

pub(super) struct EffectRunner {
    services: ServiceContext,
    /// The environment's management key, until the user agrees to its use.
    environment_key: Option<ManagementKey>,
    /// The inventory as it was read last.
    inventory_stamp: Arc<Mutex<InventoryStamp>>,
    sandbox_controls: Option<SandboxControls>,
    clock: Clock,
    event_sender: UnboundedSender<LoopEvent>,
    runs: HashMap<Ticket, RunHandle>,
    /// The refresh that is running, and the sender that stops it.
    active_refresh: Option<(Ticket, watch::Sender<bool>)>,
    /// Shared with the threads that copy and the tasks that clear the clipboard.
    clipboard: Arc<Mutex<Clipboard>>,
}

/// The controls of a running provisioning; the other ends are in [`ProvisioningControls`].
struct RunHandle {
    cancel: watch::Sender<bool>,
    code_sender: mpsc::Sender<AuthorizationResponse>,
    /// Set while a plan is applied.
    batch_commands: Option<mpsc::Sender<BatchCommand>>,
}

impl RunHandle {
    fn send_batch_command(&self, command: BatchCommand) {
        if let Some(commands) = &self.batch_commands {
            // The batch may have ended.
            let _ = commands.try_send(command);
        }
    }
}

impl EffectRunner {
    pub(super) fn new(
        services: ServiceContext,
        environment_key: Option<ManagementKey>,
        sandbox_controls: Option<SandboxControls>,
        clock: Clock,
        results: UnboundedSender<LoopEvent>,
    ) -> Self {
        Self {
            services,
            environment_key,
            inventory_stamp: Arc::default(),
            sandbox_controls,
            clock,
            event_sender: results,
            runs: HashMap::new(),
            active_refresh: None,
            clipboard: Arc::default(),
        }
    }

    /// Continues with the services of another profile. The clipboard is the same.
    pub(super) fn switch_services(
        &mut self,
        services: ServiceContext,
        environment_key: Option<ManagementKey>,
        results: UnboundedSender<LoopEvent>,
    ) {
        if let Some((_, stop)) = self.active_refresh.take() {
            // The refresh may have ended.
            let _ = stop.send(true);
        }
        self.services = services;
        self.environment_key = environment_key;
        self.inventory_stamp = Arc::default();
        self.event_sender = results;
        self.runs.clear();
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
            Effect::Request(ticket, request) => self.run_request(ticket, request),
            Effect::Quit => return LoopAction::Quit,
            Effect::Suspend => return LoopAction::Suspend,
            Effect::SwitchProfile(name) => return LoopAction::SwitchProfile(name),
            Effect::StopRefresh(ticket) => {
                if let Some((_, stop)) = self.active_refresh.take_if(|(round, _)| *round == ticket)
                {
                    // The refresh may have ended.
                    let _ = stop.send(true);
                }
            }
            Effect::RecoverInterrupted => self.start_recovery(),
            Effect::CancelRun(ticket) => {
                if let Some(run) = self.runs.remove(&ticket) {
                    run.send_batch_command(BatchCommand::Stop);
                    // The run may have ended.
                    let _ = run.cancel.send(true);
                }
            }
            Effect::SkipItem(ticket) => self.send_batch_command(ticket, BatchCommand::Skip),
            Effect::RetryItem(ticket) => self.send_batch_command(ticket, BatchCommand::Retry),
            Effect::SubmitCode(ticket, code) => {
                if let Some(run) = self.runs.get(&ticket) {
                    // A second code is dropped while the first is exchanged.
                    let _ = run.code_sender.try_send(code);
                }
            }
            Effect::SetKeysDisabled { keys, disabled } => self.set_keys_disabled(keys, disabled),
            Effect::RevokeKeys(keys) => self.revoke_keys(keys),
            Effect::RevokeUnusedKeys(keys) => self.revoke_unused_keys(keys),
            Effect::CheckInventory => self.check_inventory(),
            Effect::SaveView(view) => self.spawn_blocking(move |services| {
                // A failure only means that the next run starts with the default view.
                let _ = services.location.replace(VIEW_FILE_NAME, view);
                None
            }),
            Effect::UseEnvironmentKey => {
                self.services.management_key = self.environment_key.take();
            }
            Effect::CopyShownKey(key) => {
                self.copy_to_clipboard("the key", move |_| Ok(to_secret_string(&key)));
            }
            Effect::CopyStoredKey(key) => {
                let name = format!("the key '{}'", key.label);
                self.copy_to_clipboard(name, move |services| {
                    load_listed_key(services, &key)
                        .map(|key| to_secret_string(&key))
                        .map_err(UserError::from)
                });
            }
            Effect::CopyAsVariables(keys) => {
                let name = format!("{} keys as .env", keys.len());
                self.copy_to_clipboard(name, move |services| format_variables(services, &keys));
            }
            Effect::CopyUrl(address) => {
                self.copy_to_clipboard("the address", move |_| Ok(SecretString::from(address)));
            }
            Effect::OpenUrl(address) => self.open_url(address),
            Effect::RemoveKeys(keys) => self.remove_keys(keys),
            Effect::RestoreKeys(keys) => self.restore_keys(keys),
            Effect::EditLimits(updates) => self.edit_limits(updates),
            Effect::ConfirmAccount(key) => self.confirm_account(key),
            Effect::DismissAttempt(id) => self.spawn_blocking(move |services| {
                let dismissed = provision::dismiss_attempt(services, &id);
                dismissed.err().map(|error| Msg::Notice(Err(error)))
            }),
            Effect::SpendOnKey { hash, usd } => self.run_sandbox_action(move |controls, server| {
                (controls.spend)(server, &hash, usd)
                    .map(|()| format!("{} spent on this key", format_usd(usd)))
            }),
            Effect::SkipDay => {
                let clock = self.clock.clone();
                self.run_sandbox_action(move |controls, server| {
                    (controls.skip_day)(server)?;
                    clock.skip_day();
                    Ok("one day passed".into())
                });
            }
        }
        LoopAction::Continue
    }

    fn send_batch_command(&self, ticket: Ticket, command: BatchCommand) {
        if let Some(run) = self.runs.get(&ticket) {
            run.send_batch_command(command);
        }
    }

    /// Runs an action of the sandbox; the keys are checked again after it.
    fn run_sandbox_action(
        &self,
        action: impl FnOnce(&SandboxControls, &str) -> Result<String, String> + Send + 'static,
    ) {
        let Some(controls) = self.sandbox_controls else { return };
        self.spawn_blocking(move |services| {
            Some(Msg::SandboxActionFinished(
                action(&controls, &services.server)
                    .map_err(|why| UserError::failed(why, "nothing was changed in the sandbox")),
            ))
        });
    }

    /// Opens a page, and reports a failure also if it comes after a few seconds.
    fn open_url(&self, address: String) {
        let (services, results) = (self.services.clone(), self.event_sender.clone());
        spawn_task(async move {
            let Ok(url) = Url::parse(&address) else { return };
            let report = |opened: Result<(), String>| {
                let notice = opened.map(|()| "opened the page in the browser".into());
                let notice = notice.map_err(|why| {
                    let advice = format!("open the page yourself: {address}");
                    UserError::failed(why, advice)
                });
                send_message(&results, Msg::Notice(notice));
            };
            if let BrowserAvailability::Unavailable(why) = browser::detect_availability() {
                return report(Err(format!("no browser can be opened here ({why})")));
            }
            let mut opening = services.open_in_background(url);
            if let Ok(opened) = tokio::time::timeout(browser::OPEN_TIMEOUT, &mut opening).await {
                return report(opened.unwrap_or(Ok(())));
            }
            report(Ok(()));
            if let Ok(Err(why)) = opening.await {
                report(Err(why));
            }
        });
    }

    /// Runs a blocking call on a thread for blocking calls.
    fn spawn_blocking(&self, call: impl FnOnce(&ServiceContext) -> Option<Msg> + Send + 'static) {
        let (services, results) = (self.services.clone(), self.event_sender.clone());
        blocking_call::spawn_blocking(move || {
            if let Some(msg) = call(&services) {
                send_message(&results, msg);
            }
        });
    }

    /// Registers a run and returns its ends of the controls.
    fn register_run(&mut self, ticket: Ticket) -> ProvisioningControls {
        let (cancel, cancelled) = watch::channel(false);
        let (code_sender, pasted_codes) = mpsc::channel(1);
        // Runs that have ended have dropped their receiver.
        self.runs.retain(|_, run| !run.code_sender.is_closed());
        self.runs.insert(ticket, RunHandle { cancel, code_sender, batch_commands: None });
        ProvisioningControls { cancel: cancelled, pasted_codes }
    }

    /// Copies a text that is read on a thread for blocking calls; messages call it `name`.
    fn copy_to_clipboard(
        &self,
        name: impl Into<String>,
        text: impl FnOnce(&ServiceContext) -> Result<SecretString, UserError> + Send + 'static,
    ) {
        self.copy_boxed(name.into(), Box::new(text));
    }

    /// Copies a text. Not generic, so that the code exists only once.
    fn copy_boxed(&self, name: String, text: ReadText) {
        let (results, clipboard) = (self.event_sender.clone(), Arc::clone(&self.clipboard));
        let services = self.services.clone();
        let runtime = tokio::runtime::Handle::current();
        blocking_call::spawn_blocking(move || {
            let text = match text(&services) {
                Ok(text) => text,
                Err(error) => return send_message(&results, Msg::Notice(Err(error))),
            };
            let (outcome, copy_number) = {
                let mut clipboard = clipboard.lock().unwrap_or_else(PoisonError::into_inner);
                (clipboard.copy(&text, CopyMethod::Auto), clipboard.copy_number())
            };
            let noticed = match outcome {
                Ok(CopyDestination::Clipboard { clear_after }) => {
                    let seconds = clear_after.as_secs();
                    runtime.spawn(clear_clipboard_later(clipboard, copy_number, results.clone()));
                    Ok(format!("copied {name}; clears in {seconds} s"))
                }
                Ok(CopyDestination::Terminal) => {
                    // The loop may have ended.
                    let _ =
                        results.send(LoopEvent::TerminalWrite(clipboard::osc52_sequence(&text)));
                    Ok(format!(
                        "sent {name} to the terminal's clipboard, which sends no confirmation and is not cleared"
                    ))
                }
                Ok(tmux @ CopyDestination::Tmux(_)) => {
                    runtime.spawn(clear_clipboard_later(clipboard, copy_number, results.clone()));
                    Ok(format!("copied {name} {tmux}"))
                }
                Err(error) => Err(UserError::failed(error.to_string(), error.advice())),
            };
            send_message(&results, Msg::Notice(noticed));
        });
    }

    /// Clears the clipboard if it still holds the last copy, and returns a message about it.
    pub(super) fn clear_clipboard_on_exit(&self) -> Option<String> {
        let mut clipboard = self.clipboard.lock().unwrap_or_else(PoisonError::into_inner);
        let cleared = clipboard.clear_last_copy();
        cleared.then(|| "cleared the clipboard".into())
    }
}

/// Spawns a task on the loop's thread. The task is boxed, because each type of future would add a copy
/// of the runtime's code.
fn spawn_task(task: impl Future<Output = ()> + 'static) {
    let task: Pin<Box<dyn Future<Output = ()>>> = Box::pin(task);
    tokio::task::spawn_local(task);
}

async fn clear_clipboard_later(
    clipboard: Arc<Mutex<Clipboard>>,
    copy_number: u64,
    results: UnboundedSender<LoopEvent>,
) {
    tokio::time::sleep(clipboard::CLEAR_AFTER).await;
    blocking_call::spawn_blocking(move || {
        let mut clipboard = clipboard.lock().unwrap_or_else(PoisonError::into_inner);
        if clipboard.clear_copy(copy_number) {
            send_message(&results, Msg::Notice(Ok("cleared the clipboard".into())));
        }
    });
}

/// Returns the keys as environment variables, one a line.
#[expect(clippy::disallowed_methods, reason = "copies the key")]
fn format_variables(
    services: &ServiceContext,
    keys: &[StoredKey],
) -> Result<SecretString, UserError> {
    let mut text = Zeroizing::new(String::new());
    let mut names: Vec<String> = Vec::new();
    for stored_key in keys {
        let key = load_listed_key(services, stored_key)?;
        let base = stored_key.label.to_variable_name();
        let mut name = base.clone();
        // Two labels may differ only in characters that a variable cannot have.
        for number in 2.. {
            if !names.contains(&name) {
                break;
            }
            name = format!("{base}_{number}");
        }
        text.push_str(&name);
        text.push('=');
        text.push_str(key.expose_secret());
        text.push('\n');
        names.push(name);
    }
    Ok(SecretString::from(text.as_str()))
}

#[expect(clippy::disallowed_methods, reason = "copies the key")]
fn to_secret_string(key: &ApiKey) -> SecretString {
    SecretString::from(key.expose_secret())
}

/// Sends a message to the event loop, which may have ended.
fn send_message(results: &UnboundedSender<LoopEvent>, msg: Msg) {
    let _ = results.send(LoopEvent::Message(msg));
}
