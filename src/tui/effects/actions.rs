//! Effects on existing keys and on the keys of the account.

use std::sync::Arc;

use jiff::Timestamp;
use secrecy::SecretString;

use super::EffectRunner;
use crate::domain::{
    AccountKey, AccountKeys, ApiKey, ErrorKind, Expiry, FieldChange, KeyUpdate, Label,
    ManagementKey, ProvisioningEvent, ProvisioningOutcome, RetirePolicy, RotationOutcome,
    StoredKey, UserError,
};
use crate::platform::blocking_call::run_blocking;
use crate::platform::browser::{self, BrowserAvailability};
use crate::services::keys::{self, Error, JoinedKey, management_key};
use crate::services::provision::{self, AuthMethod, ServiceContext};
use crate::storage::secret_store;
use crate::storage::usage_history;
use crate::tui::state::{
    AuthChoice, FormChoices, KeyRight, Msg, Response, StoredManagementKey, Ticket,
};

impl EffectRunner {
    pub(super) fn rotate_key(
        &mut self,
        ticket: Ticket,
        stored_key: StoredKey,
        expiry: FieldChange<Expiry>,
        retire_policy: RetirePolicy,
    ) {
        let mut controls = self.register_run(ticket);
        self.spawn_request(ticket, move |services, responder| async move {
            let report = |event| responder.report(event);
            let method = choose_auth_method(&services, &report).await;
            let rotation = keys::rotate_key(
                &services,
                &stored_key,
                &expiry,
                method,
                retire_policy,
                &mut controls,
                &report,
            )
            .await;
            Response::RotationFinished(rotation)
        });
    }

    /// Rotates several keys. What a cancelled run has not begun is not rotated.
    pub(super) fn rotate_keys(
        &mut self,
        ticket: Ticket,
        keys: Vec<StoredKey>,
        expiry: FieldChange<Expiry>,
        retire_policy: RetirePolicy,
    ) {
        let mut controls = self.register_run(ticket);
        self.spawn_request(ticket, move |services, responder| async move {
            let report = |event| responder.report(event);
            let method = choose_auth_method(&services, &report).await;
            let mut outcomes = Vec::with_capacity(keys.len());
            for key in keys {
                let outcome = if *controls.cancel.borrow() {
                    RotationOutcome::Failed(cancelled_rotation_error())
                } else {
                    responder.send(Response::ItemStarted(key.label.clone()));
                    let needs_expiry = key.needs_new_expiry(Timestamp::now());
                    let rotation = keys::rotate_key(
                        &services,
                        &key,
                        if needs_expiry { &expiry } else { &FieldChange::Keep },
                        method.clone(),
                        retire_policy,
                        &mut controls,
                        &report,
                    );
                    // Boxed, since the future is large.
                    Box::pin(rotation).await
                };
                outcomes.push((key.label.clone(), outcome));
            }
            Response::RotationsFinished(outcomes)
        });
    }

    pub(super) fn respond_to_leak(&mut self, ticket: Ticket, named: Vec<StoredKey>) {
        let mut controls = self.register_run(ticket);
        self.spawn_request(ticket, move |services, responder| async move {
            let report = |event| responder.report(event);
            let (copy, leaked) = (services.clone(), named.clone());
            let leaked = run_blocking(move || keys::add_moved_keys(&copy, leaked)).await;
            let leaked = leaked.unwrap_or(named);
            let method = choose_auth_method(&services, &report).await;
            // If the management key cannot be read, the other steps must still be done.
            let management = management_key::load_management_key(&services).await.ok().flatten();
            let responses = keys::respond_to_leak(
                &services,
                &leaked,
                management.as_ref(),
                &method,
                &mut controls,
                &report,
            )
            .await;
            Response::LeakResponseFinished(responses)
        });
    }

    /// Reads what the replacements of these keys will lack.
    pub(super) fn preview_replacements(&self, ticket: Ticket, keys: Vec<StoredKey>) {
        self.spawn_request(ticket, move |services, _| async move {
            let management = management_key::load_management_key(&services).await;
            let management = management.ok().flatten();
            let mut losses = Vec::with_capacity(keys.len());
            for key in keys {
                let lost = keys::preview_replacement(&services, &key, management.as_ref()).await;
                losses.push((key.label.clone(), lost));
            }
            Response::LossesExpected(losses)
        });
    }

    /// Tries again to store a key; if it replaces another key, finishes the rotation.
    pub(super) fn retry_store(&self, ticket: Ticket, stored_key: StoredKey, key: ApiKey) {
        let replaces = stored_key.replaces.is_some();
        self.spawn_request(ticket, move |services, responder| async move {
            let mut outcome = provision::retry_store(stored_key, key, &services).await;
            if let (ProvisioningOutcome::Stored { .. }, true) = (&outcome, replaces) {
                let rotation = keys::finish_rotation(&services, outcome.clone()).await;
                if let ProvisioningOutcome::Stored { stored_key, .. } = &mut outcome
                    && let RotationOutcome::Completed { rotated, .. } = &rotation
                {
                    stored_key.clone_from(&rotated.new);
                }
                // The message that ends the ticket comes last.
                responder.send(Response::RotationFinished(rotation));
            }
            Response::ProvisioningFinished(outcome)
        });
    }

    /// Stores a key in the alternate store.
    pub(super) fn store_in_alternate(
        &self,
        ticket: Ticket,
        stored_key: StoredKey,
        key: ApiKey,
        passphrase: Option<SecretString>,
    ) {
        self.spawn_request(ticket, move |services, _| async move {
            let missing = || secret_store::Error::NoPassphrase("no passphrase was given".into());
            let ask_passphrase = Arc::new(move |_| passphrase.clone().ok_or_else(missing));
            let outcome = match services.alternate_secret_store(ask_passphrase) {
                Some(store) => {
                    provision::store_in_alternate(stored_key, key, store, &services).await
                }
                None => provision::retry_store(stored_key, key, &services).await,
            };
            Response::ProvisioningFinished(outcome)
        });
    }

    pub(super) fn fetch_account_key(&self, ticket: Ticket, hash: String) {
        self.spawn_request(ticket, move |services, _| async move {
            let remote = find_account_key(&services, &hash).await.map_err(UserError::from);
            Response::AccountKeyFetched(remote)
        });
    }

    pub(super) fn update_key(&self, ticket: Ticket, changes: KeyUpdate) {
        self.spawn_request(ticket, move |services, _| async move {
            Response::KeyUpdated(keys::apply_key_update(&services, changes).await)
        });
    }

    pub(super) fn import_key(&self, ticket: Ticket, label: Label, key: ApiKey) {
        self.spawn_request(ticket, move |services, _| async move {
            let result = keys::import_key(&services, &label, &key).await;
            Response::KeyImported(result.map_err(UserError::from))
        });
    }

    pub(super) fn confirm_account(&self, key: StoredKey) {
        self.spawn_for_each_key(vec![key], move |services, key| async move {
            let result = keys::confirm_account(&services, &key).await;
            let result = result.map_err(UserError::from);
            Msg::AccountConfirmed { label: key.label.clone(), result }
        });
    }

    pub(super) fn list_account_keys(&self, ticket: Ticket) {
        self.spawn_request(ticket, move |services, responder| async move {
            let account = load_account_keys(&services).await.map_err(|error| match error {
                Error::NoManagementKey { .. } => UserError::failed(
                    "the other keys of the account need a management key, and none is stored",
                    "store one: keywright management set",
                ),
                error => error.to_user_error(),
            });
            responder.send_names(&services);
            Response::AccountKeysLoaded(account)
        });
    }

    pub(super) fn store_management_key(&self, ticket: Ticket, key: ManagementKey) {
        self.spawn_request(ticket, move |services, _| async move {
            let result = match management_key::store_management_key(&services, &key).await {
                Ok(()) => Ok(StoredManagementKey {
                    masked: key.masked(),
                    store_name: services.local_store().display_name(),
                    rights: management_key::probe_rights(&services, &key)
                        .await
                        .into_iter()
                        .map(|(name, refused)| KeyRight { name, refused })
                        .collect(),
                    is_overridden: services.management_key.is_some(),
                }),
                Err(error) => Err(error.to_user_error()),
            };
            Response::ManagementKeyStored(result)
        });
    }

    /// Reads what a form offers, each list for itself.
    pub(super) fn load_form_choices(&self, ticket: Ticket, hash: Option<String>) {
        self.spawn_request(ticket, |services, _| async move {
            let choices = fetch_form_choices(&services, hash.as_deref()).await;
            Response::FormChoicesLoaded(choices.unwrap_or_else(|error| {
                let error = error.to_user_error();
                Some(FormChoices {
                    workspaces: Err(error.clone()),
                    guardrails: Err(error),
                    assigned_guardrail: None,
                })
            }))
        });
    }

    pub(super) fn load_usage_history(&self, ticket: Ticket, hashes: Vec<String>) {
        self.spawn_blocking_request(ticket, move |services| {
            // Without a history only the chart is missing.
            let mut known = usage_history::read_samples(&services.location).unwrap_or_default();
            let past = hashes.into_iter().map(|hash| {
                let samples = known.remove(&hash).unwrap_or_default();
                (hash, samples)
            });
            Response::UsageHistoryLoaded(past.collect())
        });
    }
}

fn cancelled_rotation_error() -> UserError {
    UserError::new(ErrorKind::Cancelled, "the run was cancelled before this key", "rotate it again")
        .with_meaning("the key is unchanged")
}

/// Returns the management key if there is one, otherwise an interactive method.
pub(super) async fn choose_auth_method(
    services: &ServiceContext,
    report: &(dyn Fn(ProvisioningEvent) + Sync),
) -> AuthMethod {
    if let Ok(Some(management)) = management_key::load_management_key(services).await {
        return AuthMethod::ManagementKey(management);
    }
    choose_interactive_auth_method(services, report)
}

/// Returns the method that was chosen for a new key.
pub(super) async fn resolve_auth_choice(
    choice: AuthChoice,
    services: &ServiceContext,
    report: &(dyn Fn(ProvisioningEvent) + Sync),
) -> Result<AuthMethod, UserError> {
    match choice {
        AuthChoice::Automatic => Ok(choose_interactive_auth_method(services, report)),
        AuthChoice::PasteCode => Ok(AuthMethod::PasteCode),
        AuthChoice::ExistingKey(label) => {
            let services_copy = services.clone();
            let key =
                run_blocking(move || keys::load_authorizing_key(&services_copy, &label)).await;
            match key {
                Some(Ok(key)) => Ok(AuthMethod::ExistingKey(
                    key,
                    Box::new(choose_interactive_auth_method(services, report)),
                )),
                Some(Err(error)) => Err(error.to_user_error()),
                None => Err(UserError::new(
                    ErrorKind::SecretStore,
                    "the stored key could not be read",
                    "try again",
                )
                .with_meaning("nothing was sent")),
            }
        }
    }
}

/// Returns how the user consents: in a browser, at an address they open, or with a pasted code.
pub(super) fn choose_interactive_auth_method(
    services: &ServiceContext,
    report: &(dyn Fn(ProvisioningEvent) + Sync),
) -> AuthMethod {
    let browser = browser::detect_availability();
    if let BrowserAvailability::Unavailable(reason) = browser {
        report(ProvisioningEvent::Notice(format!("no browser is available ({reason})")));
    }
    AuthMethod::interactive(browser, services.callback_port)
}

/// Returns the key as the account has it, or `None` without a management key.
async fn find_account_key(
    services: &ServiceContext,
    hash: &str,
) -> Result<Option<AccountKey>, Error> {
    match management_key::load_management_key(services).await? {
        Some(management) => keys::fetch_account_key(services, &management, hash).await.map(Some),
        None => Ok(None),
    }
}

async fn load_account_keys(services: &ServiceContext) -> Result<AccountKeys, Error> {
    let page_url = format!("{}/keys", services.server);
    let management = management_key::require_management_key(services, &page_url).await?;
    let mut account = AccountKeys::default();
    for row in keys::join_account_keys(services, &management).await? {
        match row {
            JoinedKey::Both(_, remote) | JoinedKey::AccountOnly(remote) => {
                account.keys.push(*remote);
            }
            JoinedKey::Revoked(stored_key) => account.revoked_hashes.push(stored_key.hash.clone()),
            JoinedKey::NotListed(_) => {}
        }
    }
    Ok(account)
}

/// Returns the workspaces and guardrails of the account, and the guardrail of the key with this hash.
/// Returns `None` without a management key.
async fn fetch_form_choices(
    services: &ServiceContext,
    hash: Option<&str>,
) -> Result<Option<FormChoices>, Error> {
    let Some(management) = management_key::load_management_key(services).await? else {
        return Ok(None);
    };
    let (workspaces, guardrails, assigned) = tokio::join!(
        keys::list_workspaces(services, &management),
        keys::list_guardrails(services, &management),
        async {
            match hash {
                Some(hash) => keys::get_assigned_guardrail(services, &management, hash).await,
                None => Ok(None),
            }
        },
    );
    // Another guardrail can only replace the one that is known.
    let (guardrails, assigned_guardrail) = match assigned {
        Ok(assigned) => (guardrails, assigned),
        Err(error) => (Err(error), None),
    };
    Ok(Some(FormChoices {
        workspaces: workspaces.map_err(UserError::from),
        guardrails: guardrails.map_err(UserError::from),
        assigned_guardrail,
    }))
}
