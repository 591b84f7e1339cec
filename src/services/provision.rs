//! Provisioning of a key, from the request to the stored and checked key: [`run`].
//!
//! The dashboard, the command line and the tests all call it, each with another `report`.

mod consent;
mod context;
mod error;
mod exchange;
mod free_label;
mod other_keychain;
mod preflight;
mod recover;
mod shared;
mod shared_entry;
mod skipped_rows;
mod store;
mod stored_text;
mod unlisted_keys;
mod unreceived;
mod unstored;

pub use context::{PendingAttempts, ServiceContext};
pub use error::Error;
pub(crate) use free_label::MAX_NUMBER;
pub use other_keychain::find_other_keychain;
pub use preflight::{PreparedAttempt, check_label, discard_attempts, prepare_attempts};
pub use recover::{RecoveredAttempts, dismiss_attempt, recover_attempts};
pub use shared::move_waiting_keys;
pub(crate) use shared_entry::{
    UnneededKey, delete_unneeded_key, describe_writer, described_version, with_version,
    write_fields, write_record,
};
pub use skipped_rows::SkippedRows;
pub(crate) use store::{lock_storing, lock_storing_blocking};
pub use unlisted_keys::{BatchItem, UnlistedKeys};
pub(crate) use unreceived::not_named_error;
pub use unreceived::{SettledAttempts, settle_attempts};
pub(crate) use unstored::{KEYCHAIN_TIMEOUT, RETRY_INTERVAL};
pub use unstored::{key_lost_error, retry_store, store_in_alternate, store_with_retries};

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};

use crate::domain::{
    ApiKey, AuthCode, AuthorizationResponse, CodeVerifier, KeyRequest, Label, ManagementKey,
    PendingReplacement, ProvisioningEvent, ProvisioningOutcome, ProvisioningStep,
};
use crate::platform::browser::BrowserAvailability;
use crate::storage::journal::AttemptGuard;
use crate::storage::secret_store::{self, EntryId};

/// How the creation of a key is authorised.
#[derive(Clone, Debug)]
pub enum AuthMethod {
    /// The browser is opened and calls the callback. Falls back to `PasteCode`.
    Browser,
    /// The callback listens, and the user opens the URL.
    OpenManually,
    /// Without a callback: the page shows a code, and the user pastes it.
    PasteCode,
    /// An existing key of the account authorises the new one. If the account does not allow that,
    /// the second method is used.
    ExistingKey(ApiKey, Box<Self>),
    /// The account's management key creates the key without consent.
    ManagementKey(ManagementKey),
}

impl AuthMethod {
    /// Returns the method by which the user signs in on this machine.
    pub const fn interactive(browser: BrowserAvailability, callback_port: u16) -> Self {
        match browser {
            BrowserAvailability::Available => Self::Browser,
            BrowserAvailability::Unavailable(_) if callback_port == 0 => Self::PasteCode,
            // A fixed port means that the user forwards it with `ssh -L`.
            BrowserAvailability::Unavailable(_) => Self::OpenManually,
        }
    }

    /// Returns whether the user opens the address of a callback, perhaps in a browser that cannot
    /// reach it.
    pub fn opens_manually(&self) -> bool {
        match self {
            Self::OpenManually => true,
            Self::ExistingKey(_, fallback) => fallback.opens_manually(),
            Self::Browser | Self::PasteCode | Self::ManagementKey(_) => false,
        }
    }
}

/// A new key that is to replace an existing one.
#[derive(Clone, Debug)]
pub struct Replacement {
    /// The label under which it is stored until then; at the server it has the requested label.
    pub label: Label,
    /// The key to replace.
    pub replaces: PendingReplacement,
}

/// The user's controls of a running provisioning.
pub struct ProvisioningControls {
    /// Becomes true when the user cancels. It is ignored once the code may have reached the server:
    /// a key may exist then, and the run ends within its own timeouts.
    pub cancel: watch::Receiver<bool>,
    /// Codes and refusals that the user pastes.
    pub pasted_codes: mpsc::Receiver<AuthorizationResponse>,
}

/// The secrets of an attempt, stored under its id until it ends.
#[derive(Serialize, Deserialize)]
struct AttemptSecrets {
    code_verifier: String,
    code: Option<String>,
}

/// How long the clean-up of an attempt without a key may take.
pub(crate) const ABANDON_TIMEOUT: Duration = Duration::from_secs(2);

/// The keychain service of pending attempts; the account is the attempt's id.
pub(crate) const ATTEMPTS_SERVICE: &str = "keywright-attempts";

/// Creates a key: preflight, consent, exchange, store, read back, compare.
pub async fn run(
    request: &KeyRequest,
    auth_method: AuthMethod,
    services: &ServiceContext,
    controls: &mut ProvisioningControls,
    report: &(dyn Fn(ProvisioningEvent) + Sync),
) -> ProvisioningOutcome {
    run_inner(request, None, auth_method, services, controls, report).await
}

/// Creates a key like [`run`] and stores it beside the one it is to replace.
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
        prepared = preflight::prepare_attempt(request, replacement, services, report) => match prepared {
            Ok(prepared) => prepared,
            Err(error) => return ProvisioningOutcome::Failed(error.to_user_error()),
        },
        () = wait_for_cancel(&mut controls.cancel) => return ProvisioningOutcome::Failed(Error::Cancelled.to_user_error()),
    };
    prepared.finish(auth_method, services, None, controls, report).await
}

impl PreparedAttempt {
    /// Obtains consent, exchanges the code, stores the key and compares its policy. In a batch the
    /// caller adds the key to the inventory later, together with others.
    pub async fn finish(
        self,
        auth_method: AuthMethod,
        services: &ServiceContext,
        batch: Option<BatchItem<'_>>,
        controls: &mut ProvisioningControls,
        report: &(dyn Fn(ProvisioningEvent) + Sync),
    ) -> ProvisioningOutcome {
        let Self { request, pkce, attempt_guard: mut guard, reserve, .. } = self;
        let services = &services.for_attempt(guard.attempt());
        let reserve = match reserve {
            Some(reserve) => Ok(reserve),
            None => preflight::check_again(&guard, services).await,
        };
        let reserve = match reserve {
            Ok(reserve) => reserve,
            Err(error) => {
                abandon_attempt(guard, services).await;
                return ProvisioningOutcome::Failed(error.to_user_error());
            }
        };
        let mut created_with = None;
        let issued = if let AuthMethod::ManagementKey(management) = auth_method {
            let management = &*created_with.insert(management);
            report(ProvisioningEvent::StepStarted(ProvisioningStep::ExchangeCode));
            let cancel = &mut controls.cancel;
            exchange::create_with_management_key(
                &mut guard, management, &request, services, cancel, report,
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
        drop(reserve);
        match issued {
            Ok(issued) => {
                let cancel = &mut controls.cancel;
                let naming = created_with.as_ref().map(|management| (management, &request.label));
                store::store_received_key(guard, issued, naming, services, batch, cancel, report)
                    .await
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
}

/// Completes when the user cancels.
pub(crate) async fn wait_for_cancel(cancel: &mut watch::Receiver<bool>) {
    // Without a sender, nothing can cancel the run any more.
    if cancel.wait_for(|left| *left).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Stores the attempt's secrets.
#[expect(clippy::disallowed_methods, reason = "the secret store takes plain secrets")]
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
    let services = services.for_attempt_secrets(guard.attempt());
    services.call_secret_store(move |store, timeout| store.set(&entry_id, &text, timeout)).await
}

/// Ends an attempt that certainly created no key. If the secret store fails here, a verifier stays
/// in it. It is useless without its code.
async fn abandon_attempt(guard: AttemptGuard, services: &ServiceContext) {
    // Cancelling must not wait for a keychain that hangs; the next start deletes what remains.
    if !guard.attempt().may_have_entry()
        || tokio::time::timeout(ABANDON_TIMEOUT, delete_attempt_secrets(&guard, services))
            .await
            .is_ok()
    {
        let _ = guard.complete();
    }
}

async fn delete_attempt_secrets(guard: &AttemptGuard, services: &ServiceContext) {
    let entry_id = attempt_entry_id(guard);
    let services = services.for_attempt_secrets(guard.attempt());
    let _ =
        services.call_secret_store(move |store, timeout| store.delete(&entry_id, timeout)).await;
}

fn attempt_entry_id(guard: &AttemptGuard) -> EntryId {
    EntryId { service: ATTEMPTS_SERVICE.into(), account: guard.attempt().id.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_browser_a_fixed_port_is_opened_manually_and_else_a_code_is_pasted() {
        let method = AuthMethod::interactive;
        let unavailable = BrowserAvailability::Unavailable("over SSH");
        assert!(matches!(method(BrowserAvailability::Available, 0), AuthMethod::Browser));
        assert!(matches!(method(unavailable, 0), AuthMethod::PasteCode));
        assert!(matches!(method(unavailable, 8_765), AuthMethod::OpenManually));
    }
}
