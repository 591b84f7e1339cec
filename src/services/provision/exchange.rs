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
    open: &mut AttemptGuard,
    code: &AuthCode,
    verifier: &CodeVerifier,
    services: &ServiceContext,
    cancel: &mut watch::Receiver<bool>,
    report: &(dyn Fn(ProvisioningEvent) + Sync),
) -> Result<CreatedKey, Error> {
    let client = services.build_client().map_err(Error::ExchangeFailed)?;
    // Nothing was sent yet: a keychain that locked itself meanwhile costs no more than this login.
    tokio::select! {
        kept = store_attempt_secrets(open, verifier, Some(code), services) => kept?,
        () = wait_for_cancel(cancel) => return Err(Error::Cancelled),
    }
    let received = Timestamp::now();
    open.update(|attempt| {
        attempt.stage = AttemptStage::CodeReceived;
        attempt.code_received_at = Some(received);
    })?;
    send_with_retries(
        open,
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
    open: &mut AttemptGuard,
    management: &ManagementKey,
    request: &KeyRequest,
    services: &ServiceContext,
    cancel: &mut watch::Receiver<bool>,
    report: &(dyn Fn(ProvisioningEvent) + Sync),
) -> Result<CreatedKey, Error> {
    let client = services.build_client().map_err(Error::CreateFailed)?;
    send_with_retries(
        open,
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
    open: &mut AttemptGuard,
    client: &Client,
    ask: &CreateKeyRequest<'_>,
    services: &ServiceContext,
    cancel: &mut watch::Receiver<bool>,
    report: &(dyn Fn(ProvisioningEvent) + Sync),
) -> Result<CreatedKey, Error> {
    let mut ambiguous = open.attempt().stage == AttemptStage::RequestSent;
    // What another run sent counts, and after a crash there is one more try, not a new beginning.
    let before = open.attempt().send_count.max(u32::from(ambiguous));
    let allowed = if ambiguous { 1 } else { 1 + ask.max_resends().min(services.max_retries) };
    let most = (before + allowed).min(1 + ask.max_resends());
    if before >= most {
        return Err(Error::Unresolved(openrouter::Error::OutcomeUnknown {
            server: services.server.clone(),
            reason: "the code was sent as often as it may be".into(),
        }));
    }
    let mut tries = 0;
    // Sendings of which nothing is known. One that was answered with a refusal is known of.
    let mut lost = before;
    loop {
        open.update(|attempt| {
            attempt.stage = AttemptStage::RequestSent;
            attempt.send_count = lost + 1;
        })?;
        let error = match ask.send_once(client).await {
            Ok(CreateKeyResponse::Key(exchanged)) => return Ok(exchanged),
            Ok(CreateKeyResponse::Unexpected { body, truncated: more }) => {
                return Err(save_unexpected_response(open, body, more, services).await);
            }
            Err(error) => error,
        };
        let again = if matches!(error, openrouter::Error::OutcomeUnknown { .. }) {
            ambiguous = true;
            lost += 1;
            lost < most
        } else {
            tries < services.max_retries
        };
        let Some(pause) = error.retry_delay(tries).filter(|_| again) else {
            // After a send whose fate is unknown even a clean refusal proves nothing: the code may
            // be used up because the key exists.
            return Err(if ambiguous { Error::Unresolved(error) } else { ask.wrap_error(error) });
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
    open: &mut AttemptGuard,
    body: SecretString,
    more: bool,
    services: &ServiceContext,
) -> Error {
    let slot = attempt_entry_id(open);
    let account = slot.account.clone();
    let (kept, answer) = (body.clone(), body);
    let place = services.secret_store.display_name();
    match services.call_secret_store(move |vault, patience| vault.set(&slot, &kept, patience)).await
    {
        Ok(()) => {
            if let Err(error) = open.update(|attempt| attempt.has_saved_response = true) {
                tracing::warn!(%error, "the journal could not be written");
            }
            Error::UnexpectedResponse {
                saved_as: Some(account),
                store_name: place,
                response: None,
                truncated: more,
            }
        }
        Err(_) => Error::UnexpectedResponse {
            saved_as: None,
            store_name: place,
            response: Some(answer),
            truncated: more,
        },
    }
}

/// Leaves the attempt on the list of what may have been issued. What the vault keeps under its id
/// stays too: it may be the answer itself.
pub(super) fn mark_unresolved(mut open: AttemptGuard) {
    if let Err(error) = open.update(|attempt| attempt.stage = AttemptStage::Unresolved) {
        // The journal still says `sent`: the next start lists it all the same.
        tracing::warn!(%error, "the journal could not be written");
    }
}
