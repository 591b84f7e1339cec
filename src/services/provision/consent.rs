//! The person's yes: from the browser, pasted, or from a key that vouches in their place. Must not
//! know: what the code is exchanged for.

use tokio::sync::mpsc;
use url::Url;

use super::{AuthMethod, Error, ServiceContext};
use crate::api::oauth::{self, AuthorizationResponse, CallbackListener, ListenerGuard, Pkce};
use crate::api::openrouter;
use crate::domain::{
    AUTH_CODE_LIFETIME, ApiKey, AuthCode, Expiry, KeyRequest, ProvisioningEvent, ProvisioningStep,
    ResetInterval,
};

/// Sends the person to the consent page and waits for the code.
pub(super) async fn obtain_auth_code(
    request: &KeyRequest,
    way: AuthMethod,
    services: &ServiceContext,
    pkce: &Pkce,
    pasted: &mut mpsc::Receiver<AuthCode>,
    report: &(dyn Fn(ProvisioningEvent) + Sync),
) -> Result<(AuthCode, Option<ListenerGuard>), Error> {
    let way = match way {
        AuthMethod::ExistingKey(key, otherwise) => {
            report(ProvisioningEvent::StepStarted(ProvisioningStep::AwaitConsent));
            match create_code_with_key(&key, request, services, pkce, report).await? {
                Some(code) => return Ok((code, None)),
                None => *otherwise,
            }
        }
        way => way,
    };
    report(ProvisioningEvent::StepStarted(ProvisioningStep::OpenBrowser));
    let server = Url::parse(&services.server).map_err(|_| Error::InvalidServerUrl)?;
    let limit = request.limit.map(|limit| limit.to_string());
    let expires = request.expiry.as_ref().map(Expiry::to_api_string);
    let asked = oauth::KeyParams {
        label: request.label.as_str(),
        limit: limit.as_deref(),
        usage_limit_type: request.limit_reset.map(ResetInterval::as_str),
        expires_at: expires.as_deref(),
        workspace_id: request.workspace_id.as_deref(),
    };
    let mut callback = match way {
        AuthMethod::Browser | AuthMethod::OpenManually => {
            Some(CallbackListener::bind(services.callback_port).await?)
        }
        AuthMethod::PasteCode | AuthMethod::ExistingKey(..) | AuthMethod::ManagementKey(_) => None,
    };
    let address = |callback: Option<&CallbackListener>| {
        oauth::build_authorize_url(
            &server,
            callback.map(CallbackListener::url),
            &pkce.challenge,
            &asked,
        )
    };
    let mut url = address(callback.as_ref());
    let browser = matches!(way, AuthMethod::Browser);
    if browser {
        // Shown before the browser is tried: a browser that hangs must not hide the address.
        report(ProvisioningEvent::SignInUrl { url: url.to_string(), needs_code: false });
        let open = services.open_browser;
        let target = url.clone();
        let opened = tokio::task::spawn_blocking(move || open(&target)).await;
        if let Ok(Err(why)) = opened {
            report(ProvisioningEvent::Notice(format!(
                "no browser could be started ({why}): open the address anywhere and paste the code it shows"
            )));
            callback = None;
            url = address(None);
        }
    }
    if !browser || callback.is_none() {
        report(ProvisioningEvent::SignInUrl {
            url: url.to_string(),
            needs_code: callback.is_none(),
        });
    }

    report(ProvisioningEvent::StepStarted(ProvisioningStep::AwaitConsent));
    let answered = async {
        match callback {
            Some(callback) => callback.wait_for_response().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        answer = answered => match answer? {
            (AuthorizationResponse::Code(code), page) => Ok((code, Some(page))),
            (AuthorizationResponse::Error { description }, _) => Err(Error::AuthorizationDenied(description)),
        },
        Some(code) = pasted.recv() => Ok((code, None)),
        () = tokio::time::sleep(AUTH_CODE_LIFETIME.unsigned_abs()) => Err(Error::ConsentTimedOut),
    }
}

/// A code that a key of the account gives; `None` where the account does not let it. Asking again
/// costs nothing: a code that nobody exchanges is no key.
async fn create_code_with_key(
    key: &ApiKey,
    request: &KeyRequest,
    services: &ServiceContext,
    pkce: &Pkce,
    report: &(dyn Fn(ProvisioningEvent) + Sync),
) -> Result<Option<AuthCode>, Error> {
    let client = services.build_client().map_err(Error::ExchangeFailed)?;
    let mut tries = 0;
    loop {
        let error = match client.create_auth_code(key, &pkce.challenge, request).await {
            Ok(code) => return Ok(Some(code)),
            Err(openrouter::Error::Rejected { status: 403, .. }) => {
                report(ProvisioningEvent::Notice(
                    "the account does not let a key cut another (403): sign in instead".into(),
                ));
                return Ok(None);
            }
            Err(error) => error,
        };
        let Some(pause) = error.retry_delay(tries).filter(|_| tries < services.max_retries) else {
            return Err(Error::CodeRequestFailed(error));
        };
        tries += 1;
        report(ProvisioningEvent::Notice(format!(
            "{error}; trying again in {} s",
            pause.as_secs().max(1)
        )));
        tokio::time::sleep(pause).await;
    }
}
