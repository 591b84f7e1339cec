//! Effects on keys that exist already, and on the account's list.

use std::sync::Arc;

use secrecy::SecretString;
use tokio::sync::mpsc::UnboundedSender;

use super::super::LoopEvent;
use super::{EffectRunner, send_message};
use crate::domain::{
    AccountKey, AccountKeys, ApiKey, ErrorKind, Label, ProvisioningEvent, ProvisioningOutcome,
    RetirePolicy, RotationOutcome, StoredKey, UserError,
};
use crate::platform::browser::{self, BrowserAvailability};
use crate::services::keys::{self, Error, JoinedKey, UpdateOutcome, management_key};
use crate::services::provision::{self, AuthMethod, ServiceContext};
use crate::storage::inventory;
use crate::storage::secret_store;
use crate::storage::usage_history;
use crate::tui::state::{AuthChoice, KeyUpdate, KeyUpdateOutcome, Msg, Ticket};

impl EffectRunner {
    pub(super) fn rotate_key(&mut self, ticket: Ticket, held: StoredKey, terms: RetirePolicy) {
        let mut controls = self.register_run(ticket);
        self.spawn_task(move |services, results| async move {
            let report =
                |report| send_message(&results, Msg::ProvisioningEvent { ticket, event: report });
            let way = choose_auth_method(&services, &report).await;
            let rotation =
                keys::rotate_key(&services, &held, way, terms, &mut controls, &report).await;
            Msg::RotationFinished { ticket, outcome: rotation }
        });
    }

    pub(super) fn respond_to_leak(&mut self, ticket: Ticket, keys: Vec<StoredKey>) {
        let mut controls = self.register_run(ticket);
        self.spawn_task(move |services, results| async move {
            let report =
                |report| send_message(&results, Msg::ProvisioningEvent { ticket, event: report });
            let way = choose_auth_method(&services, &report).await;
            // A keychain that holds no management key for us must not keep the rest from being done.
            let management = management_key::load_management_key(&services)
                .await
                .ok()
                .flatten()
                .map(|(key, _)| key);
            let panicked = keys::respond_to_leak(
                &services,
                &keys,
                management.as_ref(),
                &way,
                &mut controls,
                &report,
            )
            .await;
            Msg::LeakResponseFinished { ticket, responses: panicked }
        });
    }

    /// A key that could not be stored is tried again; one that was to replace another then does.
    pub(super) fn retry_store(&self, ticket: Ticket, held: StoredKey, key: ApiKey) {
        let replaces = held.replaces.is_some();
        self.spawn_task(move |services, results| async move {
            let outcome = provision::retry_store(held, key, &services).await;
            let ProvisioningOutcome::Stored { stored_key: held, key, warning: note } = outcome
            else {
                return Msg::ProvisioningFinished { ticket, outcome };
            };
            if !replaces {
                return Msg::ProvisioningFinished {
                    ticket,
                    outcome: ProvisioningOutcome::Stored { stored_key: held, key, warning: note },
                };
            }
            let stored = ProvisioningOutcome::Stored {
                stored_key: held.clone(),
                key: key.clone(),
                warning: note.clone(),
            };
            let rotation = keys::finish_rotation(&services, stored).await;
            let now = match &rotation {
                RotationOutcome::Completed { rotated: handed, .. } => handed.new.clone(),
                _ => held,
            };
            let outcome = ProvisioningOutcome::Stored { stored_key: now, key, warning: note };
            // What closes the ticket comes last.
            send_message(&results, Msg::RotationFinished { ticket, outcome: rotation });
            Msg::ProvisioningFinished { ticket, outcome }
        });
    }

    /// A key that the store refuses, in the other one.
    pub(super) fn store_in_alternate(
        &self,
        ticket: Ticket,
        held: StoredKey,
        key: ApiKey,
        passphrase: Option<SecretString>,
    ) {
        self.spawn_task(move |services, _| async move {
            let missing = || secret_store::Error::NoPassphrase("no passphrase was given".into());
            let ask = Arc::new(move |_| passphrase.clone().ok_or_else(missing));
            let outcome = match services.alternate_secret_store(ask) {
                Some(vault) => provision::store_in_alternate(held, key, vault, &services).await,
                None => provision::retry_store(held, key, &services).await,
            };
            Msg::ProvisioningFinished { ticket, outcome }
        });
    }

    pub(super) fn fetch_account_key(&self, ticket: Ticket, hash: String) {
        self.spawn_task(move |services, _| async move {
            let remote =
                find_account_key(&services, &hash).await.map_err(|error| error.to_user_error());
            Msg::AccountKeyFetched { ticket, result: remote }
        });
    }

    pub(super) fn update_key(&self, ticket: Ticket, changes: KeyUpdate) {
        self.spawn_task(move |services, _| async move {
            let outcome = apply_changes(&services, changes)
                .await
                .unwrap_or_else(|error| KeyUpdateOutcome::Failed(error.to_user_error()));
            Msg::KeyUpdated { ticket, outcome }
        });
    }

    pub(super) fn set_keys_disabled(&self, keys: Vec<StoredKey>, disabled: bool) {
        self.spawn_for_each_key(keys, move |services, held| async move {
            let result = async {
                let management =
                    management_key::require_management_key(&services, &held.page_url()).await?;
                keys::set_disabled(&services, &management, &held, disabled).await
            };
            let (result, warning) = match result.await {
                Ok(updated) => (Ok(updated.account_key), updated.warning),
                Err(error) => (Err(error.to_user_error()), None),
            };
            Msg::KeyDisabledSet { label: held.label, result, warning }
        });
    }

    pub(super) fn revoke_keys(&self, keys: Vec<StoredKey>) {
        self.spawn_for_each_key(keys, move |services, held| async move {
            let result = async {
                let management =
                    management_key::require_management_key(&services, &held.page_url()).await?;
                if held.is_stored() {
                    keys::revoke_and_remove(&services, &management, &held).await
                } else {
                    keys::revoke_key(&services, &management, &held.hash).await
                }
            };
            let result = result.await.map(|_| ()).map_err(|error| error.to_user_error());
            Msg::KeyRevoked { hash: held.hash, label: held.label, result }
        });
    }

    pub(super) fn import_key(&self, ticket: Ticket, label: Label, key: ApiKey) {
        self.spawn_task(move |services, _| async move {
            let result = keys::import_key(&services, &label, &key).await;
            Msg::KeyImported { ticket, result: result.map_err(|error| error.to_user_error()) }
        });
    }

    pub(super) fn list_account_keys(&self, ticket: Ticket) {
        self.spawn_task(move |services, _| async move {
            let account = load_account_keys(&services).await.map_err(|error| error.to_user_error());
            Msg::AccountKeysLoaded { ticket, result: account }
        });
    }

    pub(super) fn detect_management_key(&self) {
        self.spawn_task(move |services, _| async move {
            Msg::ManagementKeyDetected(matches!(
                management_key::load_management_key(&services).await,
                Ok(Some(_))
            ))
        });
    }

    pub(super) fn load_usage_history(&self, ticket: Ticket, hashes: Vec<String>) {
        self.spawn_blocking(move |services| {
            // Without a past there is no chart; that is all.
            let mut known = usage_history::read_samples(&services.location).unwrap_or_default();
            let past = hashes.into_iter().map(|hash| {
                let samples = known.remove(&hash).unwrap_or_default();
                (hash, samples)
            });
            Some(Msg::UsageHistoryLoaded { ticket, history: past.collect() })
        });
    }

    /// One task whose end is one message. All of them share the loop's thread.
    pub(super) fn spawn_task<T: Future<Output = Msg> + 'static>(
        &self,
        task: impl FnOnce(ServiceContext, UnboundedSender<LoopEvent>) -> T,
    ) {
        let results = self.event_sender.clone();
        let task = task(self.services.clone(), results.clone());
        tokio::task::spawn_local(async move { send_message(&results, task.await) });
    }

    /// One after the other, each with its message.
    fn spawn_for_each_key<T: Future<Output = Msg>>(
        &self,
        keys: Vec<StoredKey>,
        deed: impl Fn(ServiceContext, StoredKey) -> T + 'static,
    ) {
        let (services, results) = (self.services.clone(), self.event_sender.clone());
        tokio::task::spawn_local(async move {
            for held in keys {
                let msg = deed(services.clone(), held).await;
                send_message(&results, msg);
            }
        });
    }
}

/// The best road there is: the management key, the browser, an address to be opened by hand.
pub(super) async fn choose_auth_method(
    services: &ServiceContext,
    report: &(dyn Fn(ProvisioningEvent) + Sync),
) -> AuthMethod {
    if let Ok(Some((management, _))) = management_key::load_management_key(services).await {
        return AuthMethod::ManagementKey(management);
    }
    choose_interactive_auth_method(services, report)
}

/// The road that was chosen for a new key.
pub(super) async fn resolve_auth_choice(
    road: AuthChoice,
    services: &ServiceContext,
    report: &(dyn Fn(ProvisioningEvent) + Sync),
) -> Result<AuthMethod, UserError> {
    match road {
        AuthChoice::Automatic => Ok(choose_interactive_auth_method(services, report)),
        AuthChoice::PasteCode => Ok(AuthMethod::PasteCode),
        AuthChoice::ExistingKey(label) => {
            let taking = services.clone();
            let key = tokio::task::spawn_blocking(move || keys::load_key(&taking, &label)).await;
            match key {
                Ok(Ok(key)) => Ok(AuthMethod::ExistingKey(
                    key,
                    Box::new(choose_interactive_auth_method(services, report)),
                )),
                Ok(Err(error)) => Err(error.to_user_error()),
                Err(_) => Err(UserError::new(
                    ErrorKind::SecretStore,
                    "the held key could not be taken out",
                    "nothing was sent; try again",
                )),
            }
        }
    }
}

/// The road by which a person consents.
pub(super) fn choose_interactive_auth_method(
    services: &ServiceContext,
    report: &(dyn Fn(ProvisioningEvent) + Sync),
) -> AuthMethod {
    let BrowserAvailability::Unavailable(why) = browser::detect_availability() else {
        return AuthMethod::Browser;
    };
    report(ProvisioningEvent::Notice(format!("no browser is started here ({why})")));
    // A fixed port is one that someone forwards: `ssh -L`.
    if services.callback_port == 0 { AuthMethod::PasteCode } else { AuthMethod::OpenManually }
}

/// The key as the account has it; `None` where no management key is known.
async fn find_account_key(
    services: &ServiceContext,
    hash: &str,
) -> Result<Option<AccountKey>, Error> {
    match management_key::load_management_key(services).await? {
        Some((management, _)) => {
            keys::fetch_account_key(services, &management, hash).await.map(Some)
        }
        None => Ok(None),
    }
}

async fn apply_changes(
    services: &ServiceContext,
    changes: KeyUpdate,
) -> Result<KeyUpdateOutcome, Error> {
    let KeyUpdate { key: held, account_patch: there, new_label: label } = changes;
    let management = management_key::load_management_key(services).await?.map(|(key, _)| key);
    let (mut now, mut note) = (None, None);
    if let Some((seen, patch)) = there {
        let Some(management) = &management else {
            return Err(Error::NoManagementKey { page_url: held.page_url() });
        };
        match keys::update_key(services, management, &seen, &patch).await? {
            UpdateOutcome::Conflict { current: now, changed_fields: differences, .. } => {
                return Ok(KeyUpdateOutcome::Conflict {
                    current: *now,
                    changed_fields: differences,
                });
            }
            UpdateOutcome::Applied { current: remote, unapplied_fields: differences, warning } => {
                note = warning;
                if !differences.is_empty() {
                    let names = differences;
                    note = Some(
                        Error::UpdateNotApplied { fields: names, page_url: held.page_url() }
                            .to_user_error(),
                    );
                }
                now = Some(*remote);
            }
        }
    }
    let mut here = None;
    if let Some(label) = label {
        let renamed = keys::rename_key(services, &held, &label, management.as_ref()).await;
        match renamed {
            Ok(renamed) => {
                here = Some(renamed.stored_key);
                note = note.or(renamed.warning);
            }
            // What was changed at the server is not taken back by a name.
            Err(error) if now.is_some() => {
                let trouble = error.to_user_error();
                note = note.or(Some(UserError {
                    message: format!("the rest is changed; the name is not: {}", trouble.message),
                    ..trouble
                }));
            }
            Err(error) => return Err(error),
        }
    }
    if here.is_none() && held.is_stored() {
        let (place, server) = (services.location.clone(), services.server.clone());
        let read = move || inventory::filter_keys(&place, &server, |row| row.hash == held.hash);
        here = tokio::task::spawn_blocking(read).await.unwrap_or_else(|_| Ok(Vec::new()))?.pop();
    }
    Ok(KeyUpdateOutcome::Updated { account_key: now, stored_key: here, warning: note })
}

async fn load_account_keys(services: &ServiceContext) -> Result<AccountKeys, Error> {
    let page = format!("{}/keys", services.server);
    let management = management_key::require_management_key(services, &page).await?;
    let mut account = AccountKeys::default();
    for row in keys::join_account_keys(services, &management).await? {
        match row {
            JoinedKey::Both(_, remote) | JoinedKey::AccountOnly(remote) => {
                account.keys.push(*remote)
            }
            JoinedKey::Revoked(held) => account.revoked_hashes.push(held.hash),
            JoinedKey::NotListed(_) => {}
        }
    }
    Ok(account)
}
