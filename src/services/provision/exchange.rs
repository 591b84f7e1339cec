//! Exchanges the code for the key. Retries only where that is safe; writes every stage to the
//! journal before the next begins.

use jiff::Timestamp;
use secrecy::SecretString;
use tokio::sync::watch;

use super::{
    Error, ServiceContext, attempt_entry_id, store_attempt_secrets, unreceived, wait_for_cancel,
};
use crate::api::openrouter::{self, Client, CreateKeyResponse, CreatedKey, ManagementClient};
use crate::domain::{AuthCode, CodeVerifier, KeyRequest, Label, ManagementKey, ProvisioningEvent};
use crate::storage::journal::{AttemptGuard, AttemptStage};

/// How often a code is sent again if it is not known whether the server received it.
const MAX_RESENDS: u32 = 2;

/// A request that creates a key.
pub(super) enum CreateKeyRequest<'a> {
    /// A code works once: sending it again creates no second key.
    ExchangeCode(&'a AuthCode, &'a CodeVerifier),
    /// Each request may create another key, so it is never repeated as it is.
    CreateKey {
        client: &'a ManagementClient,
        request: &'a KeyRequest,
        /// The name of the attempt.
        name: &'a Label,
    },
}

impl CreateKeyRequest<'_> {
    async fn send_once(&self, client: &Client) -> Result<CreateKeyResponse, openrouter::Error> {
        match self {
            Self::ExchangeCode(code, verifier) => client.exchange_code(code, verifier).await,
            Self::CreateKey { client, request, name } => client.create_key(request, name).await,
        }
    }

    /// Returns how often the request may be sent in all if it was sent `earlier_sends` times.
    fn max_sends(&self, earlier_sends: u32, services: &ServiceContext, is_ambiguous: bool) -> u32 {
        match self {
            Self::ExchangeCode(..) if is_ambiguous => (earlier_sends + 1).min(1 + MAX_RESENDS),
            Self::ExchangeCode(..) => {
                let allowed = 1 + MAX_RESENDS.min(services.max_retries);
                (earlier_sends + allowed).min(1 + MAX_RESENDS)
            }
            Self::CreateKey { .. } => earlier_sends + 1,
        }
    }

    fn management_fingerprint(&self) -> Option<String> {
        match self {
            Self::ExchangeCode(..) => None,
            Self::CreateKey { client, .. } => Some(client.management_key().fingerprint()),
        }
    }

    fn wrap_error(&self, error: openrouter::Error) -> Error {
        match self {
            Self::ExchangeCode(..) => Error::ExchangeFailed(error),
            Self::CreateKey { .. } => Error::CreateFailed(error),
        }
    }
}

/// Exchanges the code. On an error the attempt is still open: see [`Error::is_unresolved`].
pub(super) async fn exchange_code(
    guard: &mut AttemptGuard,
    code: &AuthCode,
    verifier: &CodeVerifier,
    services: &ServiceContext,
    cancel: &mut watch::Receiver<bool>,
    report: &(dyn Fn(ProvisioningEvent) + Sync),
) -> Result<CreatedKey, Error> {
    let client = services.build_client().map_err(Error::ExchangeFailed)?;
    // Nothing was sent yet, so it is safe to fail if the keychain is locked by now.
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

/// Creates the key with the management key, under the name of the attempt: if a response is lost, the
/// key can be found by that name, deleted, and created again. On an error the attempt is still open.
pub(super) async fn create_with_management_key(
    guard: &mut AttemptGuard,
    management: &ManagementKey,
    request: &KeyRequest,
    services: &ServiceContext,
    cancel: &mut watch::Receiver<bool>,
    report: &(dyn Fn(ProvisioningEvent) + Sync),
) -> Result<CreatedKey, Error> {
    let client = services.build_management_client(management).map_err(Error::CreateFailed)?;
    let name = guard.attempt().key_name();
    let create = CreateKeyRequest::CreateKey { client: &client, request, name: &name };
    loop {
        let result = send_with_retries(guard, &client, &create, services, cancel, report).await;
        let Err(Error::Unresolved(error @ openrouter::Error::OutcomeUnknown { .. })) = result
        else {
            return result.map_err(|error| match error {
                Error::Unresolved(error) => Error::UnresolvedNamed { name: name.clone(), error },
                error => error,
            });
        };
        if guard.attempt().send_count > services.max_retries.min(MAX_RESENDS) {
            return Err(Error::UnresolvedNamed { name, error });
        }
        report(ProvisioningEvent::Notice(format!(
            "{error}: deleting the key if it was created, and creating it again"
        )));
        let attempts = [guard.attempt()];
        // Boxed: the futures of many requests are large, and this one is rarely needed.
        let delete = Box::pin(unreceived::delete_keys_of_attempts(&attempts, services, &client));
        // A row that cannot be read may be the key.
        if !delete.await.is_ok_and(|found| found.is_complete()) {
            return Err(Error::UnresolvedNamed { name, error });
        }
    }
}

/// Sends the request. An attempt that a previous run already sent starts as ambiguous.
pub(super) async fn send_with_retries(
    guard: &mut AttemptGuard,
    client: &Client,
    request: &CreateKeyRequest<'_>,
    services: &ServiceContext,
    cancel: &mut watch::Receiver<bool>,
    report: &(dyn Fn(ProvisioningEvent) + Sync),
) -> Result<CreatedKey, Error> {
    let is_announced = guard.take_announcement();
    let mut ambiguous = !is_announced && guard.attempt().stage == AttemptStage::RequestSent;
    // Requests of a previous run count: after a crash the code is sent once more at most.
    let earlier_sends =
        if is_announced { 0 } else { guard.attempt().send_count.max(u32::from(ambiguous)) };
    let max_sends = request.max_sends(earlier_sends, services, ambiguous);
    if earlier_sends >= max_sends {
        return Err(Error::Unresolved(openrouter::Error::OutcomeUnknown {
            server: services.server.clone(),
            reason: "the code must not be sent again".into(),
        }));
    }
    let mut tries = 0;
    // Requests without any response. A rejected request does not count.
    let mut unanswered_sends = earlier_sends;
    loop {
        let send_count = unanswered_sends + 1;
        guard.update(|attempt| attempt.mark_sent(send_count, request.management_fingerprint()))?;
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
            // After a request without a response even a rejection proves nothing: the code may be
            // used up because the key exists.
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
            // As long as the server has not received the code, cancelling loses no key.
            () = wait_for_cancel(cancel), if !ambiguous => return Err(Error::Cancelled),
        }
    }
}

/// Stores a successful response without a key under the attempt's id. If that fails, the returned
/// error contains the response.
async fn save_unexpected_response(
    guard: &mut AttemptGuard,
    body: SecretString,
    truncated: bool,
    services: &ServiceContext,
) -> Error {
    let entry_id = attempt_entry_id(guard);
    let account = entry_id.account.clone();
    let secret = body.clone();
    let services = services.for_attempt_secrets(guard.attempt());
    let store_name = services.secret_store.display_name();
    match services
        .call_secret_store(move |store, timeout| store.set(&entry_id, &secret, timeout))
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
            response: Some(body),
            truncated,
        },
    }
}

/// Marks the attempt as unresolved. Its secrets stay stored, since they may include the response.
pub(super) fn mark_unresolved(mut guard: AttemptGuard) {
    if let Err(error) = guard.update(|attempt| attempt.stage = AttemptStage::Unresolved) {
        // The journal still says that the request was sent, so the next start lists the attempt.
        tracing::warn!(%error, "the journal could not be written");
    }
}
