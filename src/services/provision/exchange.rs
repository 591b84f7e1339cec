//! The code for the key: sent as often as is safe, and not once more. Every stage is on disk
//! before the next begins.

use jiff::Timestamp;
use secrecy::SecretString;
use tokio::sync::watch;

use super::{Error, ServiceContext, attempt_entry_id, store_attempt_secrets, wait_for_cancel};
use crate::api::openrouter::{self, Client, CreateKeyResponse, CreatedKey};
use crate::domain::{AuthCode, CodeVerifier, KeyRequest, ManagementKey, ProvisioningEvent};
use crate::storage::journal::{AttemptGuard, AttemptStage};

/// How often a code is sent again whose fate is unknown, one at a time.
const MAX_RESENDS: u32 = 2;

/// What brings a key, and how often it may be sent again when its fate is unknown.
pub(super) enum CreateKeyRequest<'a> {
    /// A code works once: sent again it brings the same key, or none.
    ExchangeCode(&'a AuthCode, &'a CodeVerifier),
    /// Each sending may cut another key: never again.
    CreateKey(&'a ManagementKey, &'a KeyRequest),
}

impl CreateKeyRequest<'_> {
    async fn send_once(&self, client: &Client) -> Result<CreateKeyResponse, openrouter::Error> {
        match self {
            Self::ExchangeCode(code, verifier) => client.exchange_code(code, verifier).await,
            Self::CreateKey(management, request) => client.create_key(management, request).await,
        }
    }

    const fn max_resends(&self) -> u32 {
        match self {
            Self::ExchangeCode(..) => MAX_RESENDS,
            Self::CreateKey(..) => 0,
        }
    }

    fn wrap_error(&self, error: openrouter::Error) -> Error {
        match self {
            Self::ExchangeCode(..) => Error::ExchangeFailed(error),
            Self::CreateKey(..) => Error::CreateFailed(error),
        }
    }
}

/// Exchanges the code. On `Err` the attempt is still open: see [`Error::is_unresolved`].
pub(super) async fn exchange_code(
    guard: &mut AttemptGuard,
    code: &AuthCode,
    verifier: &CodeVerifier,
    services: &ServiceContext,
    cancel: &mut watch::Receiver<bool>,
    report: &(dyn Fn(ProvisioningEvent) + Sync),
) -> Result<CreatedKey, Error> {
    let client = services.build_client().map_err(Error::ExchangeFailed)?;
    // Nothing was sent yet: a keychain that locked itself meanwhile costs no more than this login.
    tokio::select! {
        result = store_attempt_secrets(guard, verifier, Some(code), services) => result?,
        () = wait_for_cancel(cancel) => return Err(Error::Cancelled),
    }
    let received = Timestamp::now();
    guard.update(|attempt| {
        attempt.stage = AttemptStage::CodeReceived;
        attempt.code_received_at = Some(received);
    })?;
    send_with_retries(
        guard,
        &client,
        &CreateKeyRequest::ExchangeCode(code, verifier),
        services,
        cancel,
        report,
    )
    .await
}

/// Has the management key cut the key. On `Err` the attempt is still open, as above.
pub(super) async fn create_with_management_key(
    guard: &mut AttemptGuard,
    management: &ManagementKey,
    request: &KeyRequest,
    services: &ServiceContext,
    cancel: &mut watch::Receiver<bool>,
    report: &(dyn Fn(ProvisioningEvent) + Sync),
) -> Result<CreatedKey, Error> {
    let client = services.build_client().map_err(Error::CreateFailed)?;
    send_with_retries(
        guard,
        &client,
        &CreateKeyRequest::CreateKey(management, request),
        services,
        cancel,
        report,
    )
    .await
}

/// Sends it. A code is in the vault by now; an attempt that was `Sent` before starts as ambiguous.
pub(super) async fn send_with_retries(
    guard: &mut AttemptGuard,
    client: &Client,
    request: &CreateKeyRequest<'_>,
    services: &ServiceContext,
    cancel: &mut watch::Receiver<bool>,
    report: &(dyn Fn(ProvisioningEvent) + Sync),
) -> Result<CreatedKey, Error> {
    let mut ambiguous = guard.attempt().stage == AttemptStage::RequestSent;
    // What another run sent counts, and after a crash there is one more try, not a new beginning.
    let earlier_sends = guard.attempt().send_count.max(u32::from(ambiguous));
    let allowed = if ambiguous { 1 } else { 1 + request.max_resends().min(services.max_retries) };
    let max_sends = (earlier_sends + allowed).min(1 + request.max_resends());
    if earlier_sends >= max_sends {
        return Err(Error::Unresolved(openrouter::Error::OutcomeUnknown {
            server: services.server.clone(),
            reason: "the code was sent as often as it may be".into(),
        }));
    }
    let mut tries = 0;
    // Sendings of which nothing is known. One that was answered with a refusal is known of.
    let mut unanswered_sends = earlier_sends;
    loop {
        guard.update(|attempt| {
            attempt.stage = AttemptStage::RequestSent;
            attempt.send_count = unanswered_sends + 1;
        })?;
        let error = match request.send_once(client).await {
            Ok(CreateKeyResponse::Key(exchanged)) => return Ok(exchanged),
            Ok(CreateKeyResponse::Unexpected { body, truncated }) => {
                return Err(save_unexpected_response(guard, body, truncated, services).await);
            }
            Err(error) => error,
        };
        let again = if matches!(error, openrouter::Error::OutcomeUnknown { .. }) {
            ambiguous = true;
            unanswered_sends += 1;
            unanswered_sends < max_sends
        } else {
            tries < services.max_retries
        };
        let Some(pause) = error.retry_delay(tries).filter(|_| again) else {
            // After a send whose fate is unknown even a clean refusal proves nothing: the code may
            // be used up because the key exists.
            return Err(if ambiguous {
                Error::Unresolved(error)
            } else {
                request.wrap_error(error)
            });
        };
        tries += 1;
        report(ProvisioningEvent::Notice(format!(
            "{error}; trying again in {} s",
            pause.as_secs().max(1)
        )));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            // As long as the server has not seen the code, nothing can be lost by leaving.
            () = wait_for_cancel(cancel), if !ambiguous => return Err(Error::Cancelled),
        }
    }
}

/// Keeps an answer of success in which no key could be found: under the attempt's id in the vault,
/// or else in the hands of the person.
async fn save_unexpected_response(
    guard: &mut AttemptGuard,
    body: SecretString,
    truncated: bool,
    services: &ServiceContext,
) -> Error {
    let entry_id = attempt_entry_id(guard);
    let account = entry_id.account.clone();
    let (result, response) = (body.clone(), body);
    let store_name = services.secret_store.display_name();
    match services
        .call_secret_store(move |store, timeout| store.set(&entry_id, &result, timeout))
        .await
    {
        Ok(()) => {
            if let Err(error) = guard.update(|attempt| attempt.has_saved_response = true) {
                tracing::warn!(%error, "the journal could not be written");
            }
            Error::UnexpectedResponse {
                saved_as: Some(account),
                store_name,
                response: None,
                truncated,
            }
        }
        Err(_) => Error::UnexpectedResponse {
            saved_as: None,
            store_name,
            response: Some(response),
            truncated,
        },
    }
}

/// Leaves the attempt on the list of what may have been issued. What the vault keeps under its id
/// stays too: it may be the answer itself.
pub(super) fn mark_unresolved(mut guard: AttemptGuard) {
    if let Err(error) = guard.update(|attempt| attempt.stage = AttemptStage::Unresolved) {
        // The journal still says `sent`: the next start lists it all the same.
        tracing::warn!(%error, "the journal could not be written");
    }
}
