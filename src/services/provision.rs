//! The whole journey of a key, from the request to the keychain's read-back: `run`, top to bottom.
//! Owns: the order of things and what is promised at each. Must not know: screens, arguments.
//!
//! The dashboard, the command line and the tests all walk it; they differ in their `report`.

mod consent;
mod context;
mod error;
mod exchange;
mod recover;
mod store;

pub use context::{PendingAttempts, ServiceContext};
pub use error::Error;
pub use recover::{RecoveredAttempts, dismiss_attempt, recover_attempts};
pub(crate) use store::lock_storing;
pub use store::{UnlistedKeys, retry_store, store_in_alternate};

use std::time::Duration;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};

use crate::api::oauth::{self, Pkce};
use crate::domain::{
    ApiKey, AuthCode, CodeVerifier, KeyRequest, Label, ManagementKey, PendingReplacement,
    ProvisioningEvent, ProvisioningOutcome, ProvisioningStep, RequestedPolicy, encode_hex,
};
use crate::storage::inventory;
use crate::storage::journal::{Attempt, AttemptGuard, AttemptStage};
use crate::storage::secret_store::{self, EntryId};

/// How the person signs in.
#[derive(Clone, Debug)]
pub enum AuthMethod {
    /// The browser is opened and answers the callback; where none starts, `Paste`.
    Browser,
    /// The callback waits; the person opens the address.
    OpenManually,
    /// No callback: the page shows a code, which the person pastes.
    PasteCode,
    /// A key of the account vouches in the person's place; where the account does not allow that,
    /// the other way is gone.
    ExistingKey(ApiKey, Box<Self>),
    /// The account's management key cuts it; no consent is asked for.
    ManagementKey(ManagementKey),
}

/// How a key is held that is to take another one's place.
#[derive(Clone, Debug)]
pub struct Replacement {
    /// Its label here until then; at the server it has the label of its request.
    pub label: Label,
    /// The key it is to replace.
    pub replaces: PendingReplacement,
}

/// The person's end of a journey under way.
pub struct ProvisioningControls {
    /// Turns true when the person leaves. Heeded until the code has reached the server; from then
    /// on the journey ends by itself, within its own timeouts, since a key may be on its way.
    pub cancel: watch::Receiver<bool>,
    /// Codes that the person pastes.
    pub pasted_codes: mpsc::Receiver<AuthCode>,
}

/// What lies in the vault under an attempt's id until the attempt ends.
#[derive(Serialize, Deserialize)]
struct AttemptSecrets {
    code_verifier: String,
    code: Option<String>,
}

/// How long the end of an attempt that came to nothing may take.
const ABANDON_TIMEOUT: Duration = Duration::from_secs(2);

/// The keychain service of attempts under way; the account is the attempt's id.
pub(crate) const ATTEMPTS_SERVICE: &str = "keywright-attempts";

/// Cuts a key: preflight, consent, exchange, store, read back, compare.
pub async fn run(
    request: &KeyRequest,
    auth_method: AuthMethod,
    services: &ServiceContext,
    controls: &mut ProvisioningControls,
    report: &(dyn Fn(ProvisioningEvent) + Sync),
) -> ProvisioningOutcome {
    run_inner(request, None, auth_method, services, controls, report).await
}

/// [`run`], for a key that is held beside the one it is to replace.
pub async fn run_replacement(
    request: &KeyRequest,
    replacement: &Replacement,
    auth_method: AuthMethod,
    services: &ServiceContext,
    controls: &mut ProvisioningControls,
    report: &(dyn Fn(ProvisioningEvent) + Sync),
) -> ProvisioningOutcome {
    run_inner(request, Some(replacement), auth_method, services, controls, report).await
}

async fn run_inner(
    request: &KeyRequest,
    replacement: Option<&Replacement>,
    auth_method: AuthMethod,
    services: &ServiceContext,
    controls: &mut ProvisioningControls,
    report: &(dyn Fn(ProvisioningEvent) + Sync),
) -> ProvisioningOutcome {
    report(ProvisioningEvent::StepStarted(ProvisioningStep::Preflight));
    let prepared = tokio::select! {
        biased;
        prepared = preflight(request, replacement, services, report) => match prepared {
            Ok(prepared) => prepared,
            Err(error) => return ProvisioningOutcome::Failed(error.to_user_error()),
        },
        () = wait_for_cancel(&mut controls.cancel) => return ProvisioningOutcome::Failed(Error::Cancelled.to_user_error()),
    };
    prepared.finish(auth_method, services, None, controls, report).await
}

/// A journey whose preflight is done: the next one of a queue, while a person still confirms the
/// one before it.
pub struct PreparedAttempt {
    request: KeyRequest,
    pkce: Pkce,
    attempt_guard: AttemptGuard,
}

/// The first part of [`run`]; [`Prepared::go`] is the rest.
pub async fn prepare_attempt(
    request: &KeyRequest,
    services: &ServiceContext,
    report: &(dyn Fn(ProvisioningEvent) + Sync),
) -> Result<PreparedAttempt, Error> {
    preflight(request, None, services, report).await
}

impl PreparedAttempt {
    /// Consent, exchange, store, read back, compare. With `later` the key is put on the list by
    /// whoever asked for that, with others.
    pub async fn finish(
        self,
        auth_method: AuthMethod,
        services: &ServiceContext,
        later: Option<&mut UnlistedKeys>,
        controls: &mut ProvisioningControls,
        report: &(dyn Fn(ProvisioningEvent) + Sync),
    ) -> ProvisioningOutcome {
        let Self { request, pkce, attempt_guard: mut guard } = self;
        let issued = if let AuthMethod::ManagementKey(management) = auth_method {
            report(ProvisioningEvent::StepStarted(ProvisioningStep::ExchangeCode));
            let cancel = &mut controls.cancel;
            exchange::create_with_management_key(
                &mut guard,
                &management,
                &request,
                services,
                cancel,
                report,
            )
            .await
        } else {
            let consent = tokio::select! {
                biased;
                () = wait_for_cancel(&mut controls.cancel) => Err(Error::Cancelled),
                consent = consent::obtain_auth_code(&request, auth_method, services, &pkce, &mut controls.pasted_codes, report) => consent,
            };
            let (code, page) = match consent {
                Ok(consent) => consent,
                Err(error) => {
                    abandon_attempt(guard, services).await;
                    return ProvisioningOutcome::Failed(error.to_user_error());
                }
            };
            report(ProvisioningEvent::StepStarted(ProvisioningStep::ExchangeCode));
            let cancel = &mut controls.cancel;
            let issued = exchange::exchange_code(
                &mut guard,
                &code,
                &pkce.verifier,
                services,
                cancel,
                report,
            )
            .await;
            drop(page);
            issued
        };
        match issued {
            Ok(issued) => {
                let cancel = &mut controls.cancel;
                store::store_received_key(guard, issued, services, later, cancel, report).await
            }
            Err(Error::UnexpectedResponse {
                response: Some(answer),
                store_name,
                truncated: more,
                ..
            }) => {
                let error = Error::UnexpectedResponse {
                    saved_as: None,
                    store_name,
                    response: None,
                    truncated: more,
                };
                store::return_unstored(guard, answer, &error.to_user_error(), services)
            }
            Err(error) => {
                if error.is_unresolved() {
                    exchange::mark_unresolved(guard);
                } else {
                    abandon_attempt(guard, services).await;
                }
                ProvisioningOutcome::Failed(error.to_user_error())
            }
        }
    }

    /// Ends it before it began: no key can have been issued.
    pub async fn discard(self, services: &ServiceContext) {
        abandon_attempt(self.attempt_guard, services).await;
    }
}

/// Comes to its end when the person leaves.
pub(crate) async fn wait_for_cancel(cancel: &mut watch::Receiver<bool>) {
    // A dropped sender is a person who cannot leave any more.
    if cancel.wait_for(|left| *left).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Everything that can be found wanting before a browser opens: the label is free, the data
/// directory takes files, the vault takes secrets and gives them back.
async fn preflight(
    request: &KeyRequest,
    replacement: Option<&Replacement>,
    services: &ServiceContext,
    report: &(dyn Fn(ProvisioningEvent) + Sync),
) -> Result<PreparedAttempt, Error> {
    let pkce = Pkce::new();
    let label = replacement.map_or(&request.label, |replacement| &replacement.label);
    if inventory::find_key(&services.location, &services.server, label.as_str())?.is_some() {
        return Err(Error::LabelTaken(label.clone()));
    }
    services.location.check_writable()?;

    let attempt = Attempt {
        id: generate_attempt_id(),
        started_at: Timestamp::now(),
        label: label.clone(),
        server: services.server.clone(),
        stage: AttemptStage::Prepared,
        store: services.secret_store.kind().to_string(),
        send_count: 0,
        has_saved_response: false,
        code_received_at: None,
        requested: RequestedPolicy::from(request),
        replaces: replacement.map(|replacement| replacement.replaces.clone()),
        received_key: None,
        unknown: serde_json::Map::default(),
    };
    // Journalled first: secrets in the vault without a line in the journal would stay for ever.
    let guard = AttemptGuard::begin(&services.location, attempt)?;
    let work = async {
        let entry_id = services.entry_id(label.as_str());
        match services.call_secret_store(move |store, timeout| store.get(&entry_id, timeout)).await
        {
            Err(secret_store::Error::NoEntry) => {}
            Ok(_) => return Err(Error::LabelInSecretStore(label.clone())),
            Err(error) => return Err(error.into()),
        }
        store_attempt_secrets(&guard, &pkce.verifier, None, services).await.map_err(Error::from)
    };
    let slow = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        report(ProvisioningEvent::Notice(
            "waiting for the keychain: it may be asking you to unlock it".into(),
        ));
        std::future::pending::<()>().await;
    };
    let result = tokio::select! {
        result = work => result,
        () = slow => Ok(()),
    };
    match result {
        Ok(()) => Ok(PreparedAttempt { request: request.clone(), pkce, attempt_guard: guard }),
        Err(error) => {
            // The vault does not work: nothing of ours is in it, and no browser was opened.
            let _ = guard.complete();
            Err(error)
        }
    }
}

/// Puts the attempt's secrets into the vault, read back.
#[expect(clippy::disallowed_methods, reason = "door: the vault")]
async fn store_attempt_secrets(
    guard: &AttemptGuard,
    verifier: &CodeVerifier,
    code: Option<&AuthCode>,
    services: &ServiceContext,
) -> Result<(), secret_store::Error> {
    let secrets = AttemptSecrets {
        code_verifier: verifier.expose_secret().into(),
        code: code.map(|code| code.expose_secret().into()),
    };
    let text = SecretString::from(serde_json::to_string(&secrets).unwrap_or_default());
    let entry_id = attempt_entry_id(guard);
    services.call_secret_store(move |store, timeout| store.set(&entry_id, &text, timeout)).await
}

/// Ends an attempt in which no key can have been issued. A keychain that fails here leaves a
/// verifier behind that is worth nothing without its code.
async fn abandon_attempt(guard: AttemptGuard, services: &ServiceContext) {
    // Nobody waits for a keychain that hangs, least of all to leave: what stays in it is struck off
    // at the next start.
    if tokio::time::timeout(ABANDON_TIMEOUT, delete_attempt_secrets(&guard, services)).await.is_ok()
    {
        let _ = guard.complete();
    }
}

async fn delete_attempt_secrets(guard: &AttemptGuard, services: &ServiceContext) {
    let entry_id = attempt_entry_id(guard);
    let _ =
        services.call_secret_store(move |store, timeout| store.delete(&entry_id, timeout)).await;
}

fn attempt_entry_id(guard: &AttemptGuard) -> EntryId {
    EntryId { service: ATTEMPTS_SERVICE.into(), account: guard.attempt().id.clone() }
}

fn generate_attempt_id() -> String {
    encode_hex(&oauth::generate_nonce().as_bytes()[..16])
}
