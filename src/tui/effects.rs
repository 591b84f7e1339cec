//! Runs effects, each on its own task or thread, and sends the result back as one message.

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
use crate::api::oauth::AuthorizationResponse;
use crate::domain::{
    ApiKey, AuthCode, CheckResult, ErrorKind, KeyRequest, Label, ProvisioningOutcome, UserError,
};
use crate::platform::browser::{self, BrowserAvailability};
use crate::platform::clipboard::{self, Clipboard, CopyDestination, CopyMethod};
use crate::services::keys::{self, BatchCommand, RefreshReport, load_key};
use crate::services::provision::{self, ProvisioningControls, ServiceContext};
use crate::storage::inventory;
use crate::storage::json_store;
use crate::tui::state::{AuthChoice, Effect, Msg, Request, Response, Ticket};

/// What the event loop does after the effects.
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
        sandbox_controls: Option<SandboxControls>,
        clock: Clock,
        results: UnboundedSender<LoopEvent>,
    ) -> Self {
        Self {
            services,
            sandbox_controls,
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
            Effect::Request(ticket, Request::LoadKeys) => self.spawn_blocking(move |services| {
                let keys = inventory::list_keys(&services.location, &services.server);
                Some(Msg::Response(
                    ticket,
                    Response::KeysLoaded(keys.map_err(|error| error.to_user_error())),
                ))
            }),
            Effect::Request(ticket, Request::RefreshKeys(keys)) => self.refresh_keys(ticket, keys),
            Effect::StopRefresh(ticket) => {
                if let Some((_, stop)) = self.active_refresh.take_if(|(round, _)| *round == ticket)
                {
                    // The refresh may have ended.
                    let _ = stop.send(true);
                }
            }
            Effect::RecoverInterrupted => self.start_recovery(),
            Effect::Request(ticket, Request::ProvisionKey { request, auth_choice }) => {
                self.provision_key(ticket, request, auth_choice);
            }
            Effect::CancelRun(ticket) => {
                if let Some(run) = self.runs.remove(&ticket) {
                    run.send_batch_command(BatchCommand::Stop);
                    // The run may have ended.
                    let _ = run.cancel.send(true);
                }
            }
            Effect::Request(ticket, Request::LoadPlan(path)) => self.read_plan(ticket, path),
            Effect::Request(ticket, Request::ApplyPlan(requests)) => {
                self.apply_plan(ticket, requests)
            }
            Effect::SkipItem(ticket) => self.send_batch_command(ticket, BatchCommand::Skip),
            Effect::RetryItem(ticket) => self.send_batch_command(ticket, BatchCommand::Retry),
            Effect::SubmitCode(ticket, code) => {
                if let Some(run) = self.runs.get(&ticket) {
                    // A second code is dropped while the first is exchanged.
                    let _ = run.code_sender.try_send(code);
                }
            }
            Effect::Request(ticket, Request::RetryStore { entry, key }) => {
                self.retry_store(ticket, entry, key)
            }
            Effect::Request(ticket, Request::StoreInAlternate { entry, key, passphrase }) => {
                self.store_in_alternate(ticket, entry, key, passphrase);
            }
            Effect::Request(ticket, Request::RotateKey { stored_key, retire_policy }) => {
                self.rotate_key(ticket, stored_key, retire_policy);
            }
            Effect::Request(ticket, Request::RespondToLeak(keys)) => {
                self.respond_to_leak(ticket, keys)
            }
            Effect::Request(ticket, Request::FetchAccountKey(hash)) => {
                self.fetch_account_key(ticket, hash)
            }
            Effect::Request(ticket, Request::UpdateKey(update)) => self.update_key(ticket, *update),
            Effect::SetKeysDisabled { keys, disabled } => self.set_keys_disabled(keys, disabled),
            Effect::Request(ticket, Request::ImportKey { label, key }) => {
                self.import_key(ticket, label, key)
            }
            Effect::RevokeKeys(keys) => self.revoke_keys(keys),
            Effect::Request(ticket, Request::LoadAccountKeys) => self.list_account_keys(ticket),
            Effect::DetectManagementKey => self.detect_management_key(),
            Effect::Request(ticket, Request::LoadUsageHistory(hashes)) => {
                self.load_usage_history(ticket, hashes)
            }
            Effect::Request(ticket, Request::ReadSecret(label)) => {
                self.spawn_blocking(move |services| {
                    let key = load_key(services, &label).map_err(|error| error.to_user_error());
                    Some(Msg::Response(ticket, Response::SecretRead { label, result: key }))
                })
            }
            Effect::CopyShownKey(key) => {
                self.copy_to_clipboard(move |_| Ok(to_secret_string(&key)));
            }
            Effect::CopyStoredKey(label) => {
                self.copy_to_clipboard(move |services| {
                    load_key(services, &label)
                        .map(|key| to_secret_string(&key))
                        .map_err(|error| error.to_user_error())
                });
            }
            Effect::CopyUrl(address) => {
                self.copy_to_clipboard(move |_| Ok(SecretString::from(address)));
            }
            Effect::OpenUrl(address) => self.spawn_blocking(move |services| {
                let url = Url::parse(&address).ok()?;
                let opened = match browser::detect_availability() {
                    BrowserAvailability::Available => (services.open_browser)(&url),
                    BrowserAvailability::Unavailable(why) => {
                        Err(format!("no browser can be opened here ({why})"))
                    }
                };
                Some(Msg::Notice(match opened {
                    Ok(()) => Ok("opened the page in the browser".into()),
                    Err(why) => Err(UserError::new(
                        ErrorKind::Failed,
                        why,
                        format!("open the page yourself: {address}"),
                    )),
                }))
            }),
            Effect::RemoveKeys(labels) => {
                for label in labels {
                    self.spawn_blocking(move |services| {
                        let result = keys::remove_key(services, &label)
                            .map_err(|error| error.to_user_error());
                        Some(Msg::KeyRemoved { label, result })
                    });
                }
            }
            Effect::DismissAttempt(id) => self.spawn_blocking(move |services| {
                let dismissed = provision::dismiss_attempt(services, &id);
                dismissed.err().map(|error| Msg::Notice(Err(error)))
            }),
            Effect::SpendOnKey { hash, usd } => self.run_sandbox_action(move |controls, server| {
                (controls.spend)(server, &hash, usd)
                    .map(|()| format!("${usd:.2} spent on this key"))
            }),
            Effect::SkipDay => {
                let clock = self.clock.clone();
                self.run_sandbox_action(move |controls, server| {
                    (controls.skip_day)(server)?;
                    clock.skip_day();
                    Ok("one day passed".into())
                });
            }
            Effect::Request(ticket, Request::DecideConsent { consent_url, approve }) => {
                let Some(SandboxControls { decide_consent, .. }) = self.sandbox_controls else {
                    return LoopAction::Continue;
                };
                self.spawn_blocking(move |_| {
