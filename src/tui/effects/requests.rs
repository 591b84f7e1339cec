//! Runs requests: each response is sent with the ticket of its request.

use std::sync::{Arc, PoisonError};

use jiff::SignedDuration;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;

use super::super::{LoopEvent, SandboxControls};
use super::shared_store::write_shared_records;
use super::{EffectRunner, actions, send_message, spawn_task};
use crate::domain::{
    AuthCode, CheckResult, KeyRequest, ProvisioningEvent, ProvisioningOutcome, StoredKey, UserError,
};
use crate::platform::qr::QrImage;
use crate::services::keys::{self, RefreshReport, load_listed_key};
use crate::services::provision::ServiceContext;
use crate::storage::{account_names, inventory};
use crate::tui::state::{AuthChoice, Msg, Request, Response, Ticket};

/// Sends the responses to one request.
#[derive(Clone)]
pub(super) struct Responder {
    ticket: Ticket,
    pub(super) results: UnboundedSender<LoopEvent>,
}

impl Responder {
    pub(super) fn send(&self, response: Response) {
        send_message(&self.results, Msg::Response(self.ticket, response));
    }

    /// Sends the names from the account's lists, which were read just now.
    pub(super) fn send_names(&self, services: &ServiceContext) {
        send_message(&self.results, read_names(services));
    }

    pub(super) fn report(&self, event: ProvisioningEvent) {
        if let ProvisioningEvent::SignInUrl { url, .. } = &event {
            self.send(Response::QrCodeMeasured(QrImage::measure(url)));
        }
        self.send(Response::ProvisioningEvent(event));
    }
}

fn read_names(services: &ServiceContext) -> Msg {
    Msg::NamesRead(account_names::read_names(&services.location, &services.server))
}

impl EffectRunner {
    pub(super) fn run_request(&mut self, ticket: Ticket, request: Request) {
        match request {
            Request::LoadKeys => self.load_keys(ticket),
            Request::ReadSharedKeys => self.read_shared_keys(ticket),
            Request::RefreshKeys(keys) => self.refresh_keys(ticket, keys),
            Request::ProvisionKey { request, auth_choice } => {
                self.provision_key(ticket, request, auth_choice);
            }
            Request::LoadPlan(path) => self.read_plan(ticket, path),
            Request::ApplyPlan(requests) => self.apply_plan(ticket, requests),
            Request::RetryStore { entry, key } => self.retry_store(ticket, entry, key),
            Request::StoreInAlternate { entry, key, passphrase } => {
                self.store_in_alternate(ticket, entry, key, passphrase);
            }
            Request::RotateKey { stored_key, expiry, retire_policy } => {
                self.rotate_key(ticket, stored_key, expiry, retire_policy);
            }
            Request::RotateKeys { keys, expiry, retire_policy } => {
                self.rotate_keys(ticket, keys, expiry, retire_policy);
            }
            Request::RespondToLeak(keys) => self.respond_to_leak(ticket, keys),
            Request::PreviewReplacements(keys) => self.preview_replacements(ticket, keys),
            Request::FetchAccountKey(hash) => self.fetch_account_key(ticket, hash),
            Request::LoadFormChoices(hash) => self.load_form_choices(ticket, hash),
            Request::FetchAccountKeys(hashes) => self.fetch_account_keys(ticket, hashes),
            Request::UpdateKey(update) => self.update_key(ticket, *update),
            Request::ImportKey { label, key } => self.import_key(ticket, label, key),
            Request::StoreManagementKey(key) => self.store_management_key(ticket, key),
            Request::LoadAccountKeys => self.list_account_keys(ticket),
            Request::LoadUsageHistory(hashes) => self.load_usage_history(ticket, hashes),
            Request::LoadSpending => self.load_spending(ticket),
            Request::LoadAccount => self.load_account(ticket),
            Request::LoadTrash => self.load_trash(ticket),
            Request::ReadSecret(key) => self.spawn_blocking_request(ticket, move |services| {
                let result = load_listed_key(services, &key).map_err(UserError::from);
                Response::SecretRead { label: key.label.clone(), result }
            }),
            Request::DecideConsent { consent_url, approve } => {
                let Some(SandboxControls { decide_consent, .. }) = self.sandbox_controls else {
                    return;
                };
                self.spawn_blocking_request(ticket, move |_| {
                    let code = decide_consent(&consent_url, approve);
                    Response::ConsentDecided(code.map(|code| code.map(AuthCode::from)))
                });
            }
        }
    }

    /// Reads the inventory, and after it what the first list does not need.
    fn load_keys(&self, ticket: Ticket) {
        let responder = self.responder(ticket);
        let last_stamp = Arc::clone(&self.inventory_stamp);
        self.spawn_blocking(move |services| {
            // Taken before the reading, so that the next check finds a change made during it.
            *last_stamp.lock().unwrap_or_else(PoisonError::into_inner) =
                inventory::inventory_stamp(&services.location);
            let keys = services.list_keys();
            responder.send(Response::KeysLoaded(keys.map_err(UserError::from)));
            send_message(&responder.results, read_names(services));
            let has_other_profiles = !services.other_profiles.is_empty();
            has_other_profiles
                .then(|| Msg::OtherProfilesRead(keys::find_in_other_profiles(services)))
        });
    }

    /// Reads the inventory again if it was written since it was read. An unreadable one is reported by
    /// the next action.
    pub(super) fn check_inventory(&self) {
        let last_stamp = Arc::clone(&self.inventory_stamp);
        self.spawn_blocking(move |services| {
            let stamp = inventory::inventory_stamp(&services.location);
            let mut last_stamp = last_stamp.lock().unwrap_or_else(PoisonError::into_inner);
            if std::mem::replace(&mut *last_stamp, stamp) == stamp {
                return None;
            }
            let keys = services.list_keys().ok()?;
            Some(Msg::InventoryChanged(keys))
        });
    }

    /// Spawns a task on the loop's thread that ends with one response.
    pub(super) fn spawn_request<T: Future<Output = Response> + 'static>(
        &self,
        ticket: Ticket,
        task: impl FnOnce(ServiceContext, Responder) -> T,
    ) {
        let responder = self.responder(ticket);
        let services = self.services.clone();
        let task = task(services.clone(), responder.clone());
        spawn_task(async move {
            let response = task.await;
            for error in services.skipped_rows.take_errors() {
                send_message(&responder.results, Msg::RowsSkipped(error));
            }
            write_shared_records(&services, &responder.results).await;
            responder.send(response);
        });
    }

    /// Runs a blocking call on a thread for blocking calls.
    pub(super) fn spawn_blocking_request(
        &self,
        ticket: Ticket,
        call: impl FnOnce(&ServiceContext) -> Response + Send + 'static,
    ) {
        self.spawn_blocking(move |services| Some(Msg::Response(ticket, call(services))));
    }

    fn responder(&self, ticket: Ticket) -> Responder {
        Responder { ticket, results: self.event_sender.clone() }
    }

    fn refresh_keys(&mut self, ticket: Ticket, keys: Vec<StoredKey>) {
        let (stop, stopped) = watch::channel(false);
        self.active_refresh = Some((ticket, stop));
        let (services, responder) = (self.services.clone(), self.responder(ticket));
        let clock = self.clock.clone();
        spawn_task(async move {
            let check_responder = responder.clone();
            let on_check = move |hash: &str, result: &CheckResult, checked_at| {
                let (hash, result) = (hash.to_owned(), result.clone());
                check_responder.send(Response::KeyChecked { hash, result, checked_at });
            };
            // In the sandbox the clock may be ahead of the system time.
            let now = move || clock.now();
            let RefreshReport { error, retry_after, rejected_keys, .. } =
                keys::refresh_keys(&services, keys, now, on_check, stopped).await;
            let retry_after = retry_after.and_then(|wait| SignedDuration::try_from(wait).ok());
            responder.send(Response::RefreshFinished { error, retry_after, rejected_keys });
        });
    }

    fn provision_key(&mut self, ticket: Ticket, request: KeyRequest, auth_choice: AuthChoice) {
        let mut controls = self.register_run(ticket);
        self.spawn_request(ticket, move |services, responder| async move {
            let report = |event| responder.report(event);
            let outcome = match actions::resolve_auth_choice(auth_choice, &services, &report).await
            {
                Ok(method) => {
                    keys::create_key(&request, method, &services, &mut controls, &report).await
                }
                Err(error) => ProvisioningOutcome::Failed(error),
            };
            Response::ProvisioningFinished(outcome)
        });
    }
}
