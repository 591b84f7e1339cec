//! The whole journey of a key, from the request to the keychain's read-back: `run`, top to bottom.
//! Owns: the order of things and what is promised at each. Must not know: screens, arguments.
//!
//! The dashboard, the command line and the tests all walk it; they differ in their `report`.

mod consent;
mod error;
mod exchange;
mod recover;
mod services;
mod store;

pub use error::Error;
pub use recover::{Recovered, dismiss, recover};
pub use services::{Kept, Services};
pub(crate) use store::turn;
pub use store::{Unlisted, store_again, store_elsewhere};

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

/// How long a code works, and so how long consent is waited for.
pub const CODE_LIFE: Duration = Duration::from_secs(600);

/// How the person signs in.
#[derive(Clone, Debug)]
pub enum Way {
    /// The browser is opened and answers the callback; where none starts, `Paste`.
    Browser,
    /// The callback waits; the person opens the address.
    NoOpen,
    /// No callback: the page shows a code, which the person pastes.
    Paste,
    /// A key of the account vouches in the person's place; where the account does not allow that,
    /// the other way is gone.
    Key(ApiKey, Box<Self>),
    /// The account's management key cuts it; no consent is asked for.
    Management(ManagementKey),
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
pub struct Controls {
    /// Turns true when the person leaves. Heeded until the code has reached the server; from then
    /// on the journey ends by itself, within its own timeouts, since a key may be on its way.
    pub cancel: watch::Receiver<bool>,
    /// Codes that the person pastes.
    pub pasted: mpsc::Receiver<AuthCode>,
}

/// What lies in the vault under an attempt's id until the attempt ends.
#[derive(Serialize, Deserialize)]
struct Secrets {
    code_verifier: String,
    code: Option<String>,
}

/// How long the end of an attempt that came to nothing may take.
const ABANDON: Duration = Duration::from_secs(2);

/// The keychain service of attempts under way; the account is the attempt's id.
pub(crate) const ATTEMPTS: &str = "keywright-attempts";

/// Cuts a key: preflight, consent, exchange, store, read back, compare.
pub async fn run(
    request: &KeyRequest,
    way: Way,
    services: &Services,
    controls: &mut Controls,
    report: &(dyn Fn(ProvisioningEvent) + Sync),
) -> ProvisioningOutcome {
    walk(request, None, way, services, controls, report).await
}

/// [`run`], for a key that is held beside the one it is to replace.
pub async fn replace(
    request: &KeyRequest,
    replacement: &Replacement,
    way: Way,
    services: &Services,
    controls: &mut Controls,
    report: &(dyn Fn(ProvisioningEvent) + Sync),
) -> ProvisioningOutcome {
    walk(request, Some(replacement), way, services, controls, report).await
}

async fn walk(
    request: &KeyRequest,
    replacement: Option<&Replacement>,
    way: Way,
    services: &Services,
    controls: &mut Controls,
    report: &(dyn Fn(ProvisioningEvent) + Sync),
) -> ProvisioningOutcome {
    report(ProvisioningEvent::StepStarted(ProvisioningStep::Preflight));
    let prepared = tokio::select! {
        biased;
        prepared = ready(request, replacement, services, report) => match prepared {
            Ok(prepared) => prepared,
            Err(error) => return ProvisioningOutcome::Failed(error.trouble()),
        },
        () = cancelled(&mut controls.cancel) => return ProvisioningOutcome::Failed(Error::Cancelled.trouble()),
    };
    prepared.go(way, services, None, controls, report).await
}

/// A journey whose preflight is done: the next one of a queue, while a person still confirms the
/// one before it.
pub struct Prepared {
    request: KeyRequest,
    pkce: Pkce,
    open: AttemptGuard,
}

/// The first part of [`run`]; [`Prepared::go`] is the rest.
pub async fn prepare(
    request: &KeyRequest,
    services: &Services,
    report: &(dyn Fn(ProvisioningEvent) + Sync),
) -> Result<Prepared, Error> {
    ready(request, None, services, report).await
}

impl Prepared {
    /// Consent, exchange, store, read back, compare. With `later` the key is put on the list by
    /// whoever asked for that, with others.
    pub async fn go(
        self,
        way: Way,
        services: &Services,
        later: Option<&mut Unlisted>,
        controls: &mut Controls,
        report: &(dyn Fn(ProvisioningEvent) + Sync),
    ) -> ProvisioningOutcome {
        let Self { request, pkce, mut open } = self;
        let issued = if let Way::Management(management) = way {
            report(ProvisioningEvent::StepStarted(ProvisioningStep::ExchangeCode));
            let cancel = &mut controls.cancel;
            exchange::cut(&mut open, &management, &request, services, cancel, report).await
        } else {
            let consent = tokio::select! {
                biased;
                () = cancelled(&mut controls.cancel) => Err(Error::Cancelled),
                consent = consent::consent(&request, way, services, &pkce, &mut controls.pasted, report) => consent,
            };
            let (code, page) = match consent {
                Ok(consent) => consent,
                Err(error) => {
                    abandon(open, services).await;
                    return ProvisioningOutcome::Failed(error.trouble());
                }
            };
            report(ProvisioningEvent::StepStarted(ProvisioningStep::ExchangeCode));
            let cancel = &mut controls.cancel;
            let issued =
                exchange::exchange(&mut open, &code, &pkce.verifier, services, cancel, report)
                    .await;
            drop(page);
            issued
        };
        match issued {
            Ok(issued) => {
                let cancel = &mut controls.cancel;
                store::finish(open, issued, services, later, cancel, report).await
            }
            Err(Error::OddAnswer { answer: Some(answer), place, more, .. }) => {
                let error = Error::OddAnswer { kept: None, place, answer: None, more };
                store::hand_back(open, answer, &error.trouble(), services)
            }
            Err(error) => {
                if error.is_unresolved() {
                    exchange::leave_unresolved(open);
                } else {
                    abandon(open, services).await;
                }
                ProvisioningOutcome::Failed(error.trouble())
            }
        }
    }

    /// Ends it before it began: no key can have been issued.
    pub async fn abandon(self, services: &Services) {
        abandon(self.open, services).await;
    }
}

/// Comes to its end when the person leaves.
pub(crate) async fn cancelled(cancel: &mut watch::Receiver<bool>) {
    // A dropped sender is a person who cannot leave any more.
    if cancel.wait_for(|left| *left).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Everything that can be found wanting before a browser opens: the label is free, the data
/// directory takes files, the vault takes secrets and gives them back.
async fn ready(
    request: &KeyRequest,
    replacement: Option<&Replacement>,
    services: &Services,
    report: &(dyn Fn(ProvisioningEvent) + Sync),
) -> Result<Prepared, Error> {
    let pkce = Pkce::new();
    let label = replacement.map_or(&request.label, |replacement| &replacement.label);
    if inventory::find_key(&services.place, &services.server, label.as_str())?.is_some() {
        return Err(Error::LabelHeld(label.clone()));
    }
    services.place.check_writable()?;

    let attempt = Attempt {
        id: new_id(),
        started_at: Timestamp::now(),
        label: label.clone(),
        server: services.server.clone(),
        stage: AttemptStage::Prepared,
        store: services.vault.kind().to_string(),
        send_count: 0,
        has_saved_response: false,
        code_received_at: None,
        requested: RequestedPolicy::from(request),
        replaces: replacement.map(|replacement| replacement.replaces.clone()),
        received_key: None,
        unknown: serde_json::Map::default(),
    };
    // Journalled first: secrets in the vault without a line in the journal would stay for ever.
    let open = AttemptGuard::begin(&services.place, attempt)?;
    let work = async {
        let slot = services.slot(label.as_str());
        match services.vault(move |vault, patience| vault.get(&slot, patience)).await {
            Err(secret_store::Error::NoEntry) => {}
            Ok(_) => return Err(Error::LabelInVault(label.clone())),
            Err(error) => return Err(error.into()),
        }
        keep_secrets(&open, &pkce.verifier, None, services).await.map_err(Error::from)
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
        Ok(()) => Ok(Prepared { request: request.clone(), pkce, open }),
        Err(error) => {
            // The vault does not work: nothing of ours is in it, and no browser was opened.
            let _ = open.complete();
            Err(error)
        }
    }
}

/// Puts the attempt's secrets into the vault, read back.
#[expect(clippy::disallowed_methods, reason = "door: the vault")]
async fn keep_secrets(
    open: &AttemptGuard,
    verifier: &CodeVerifier,
    code: Option<&AuthCode>,
    services: &Services,
) -> Result<(), secret_store::Error> {
    let secrets = Secrets {
        code_verifier: verifier.expose_secret().into(),
        code: code.map(|code| code.expose_secret().into()),
    };
    let text = SecretString::from(serde_json::to_string(&secrets).unwrap_or_default());
    let slot = attempt_slot(open);
    services.vault(move |vault, patience| vault.set(&slot, &text, patience)).await
}

/// Ends an attempt in which no key can have been issued. A keychain that fails here leaves a
/// verifier behind that is worth nothing without its code.
async fn abandon(open: AttemptGuard, services: &Services) {
    // Nobody waits for a keychain that hangs, least of all to leave: what stays in it is struck off
    // at the next start.
    if tokio::time::timeout(ABANDON, forget_secrets(&open, services)).await.is_ok() {
        let _ = open.complete();
    }
}

async fn forget_secrets(open: &AttemptGuard, services: &Services) {
    let slot = attempt_slot(open);
    let _ = services.vault(move |vault, patience| vault.delete(&slot, patience)).await;
}

fn attempt_slot(open: &AttemptGuard) -> EntryId {
    EntryId { service: ATTEMPTS.into(), account: open.attempt().id.clone() }
}

fn new_id() -> String {
    encode_hex(&oauth::generate_nonce().as_bytes()[..16])
}
