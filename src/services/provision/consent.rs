//! Obtains an authorization code: from the browser, pasted by the user, or with an existing key.

use tokio::sync::mpsc;
use url::Url;

use super::{AuthMethod, Error, ServiceContext};
use crate::api::oauth::{self, CallbackListener, ListenerGuard, Pkce};
use crate::api::openrouter;
use crate::domain::{
    AUTH_CODE_LIFETIME, ApiKey, AuthCode, AuthorizationResponse, Expiry, KeyRequest,
    ProvisioningEvent, ProvisioningStep, ResetInterval,
};
use crate::platform::browser;

/// Opens the consent page, or uses the existing key, and returns the code.
pub(super) async fn obtain_auth_code(
    request: &KeyRequest,
    auth_method: AuthMethod,
    services: &ServiceContext,
    pkce: &Pkce,
    pasted_codes: &mut mpsc::Receiver<AuthorizationResponse>,
    report: &(dyn Fn(ProvisioningEvent) + Sync),
) -> Result<(AuthCode, Option<ListenerGuard>), Error> {
    let auth_method = match auth_method {
        AuthMethod::ExistingKey(key, fallback) => {
            report(ProvisioningEvent::StepStarted(ProvisioningStep::AwaitConsent));
            match create_code_with_key(&key, request, services, pkce, report).await? {
                Some(code) => return Ok((code, None)),
                None => *fallback,
            }
        }
        auth_method => auth_method,
    };
    report(ProvisioningEvent::StepStarted(ProvisioningStep::OpenBrowser));
    let server = Url::parse(&services.server).map_err(|_| Error::InvalidServerUrl)?;
    let limit = request.limit.map(|limit| limit.to_string());
    let expires = request.expiry.as_ref().map(Expiry::to_api_string);
    let params = oauth::KeyParams {
        label: request.label.as_str(),
        limit: limit.as_deref(),
        usage_limit_type: request.limit_reset.map(ResetInterval::as_str),
        expires_at: expires.as_deref(),
        workspace_id: request.workspace_id.as_deref(),
    };
    let mut callback = match auth_method {
        AuthMethod::Browser | AuthMethod::OpenManually => {
            Some(CallbackListener::bind(services.callback_port).await?)
        }
        AuthMethod::PasteCode | AuthMethod::ExistingKey(..) | AuthMethod::ManagementKey(_) => None,
    };
    let build_url = |callback: Option<&CallbackListener>| {
        oauth::build_authorize_url(
            &server,
            callback.map(CallbackListener::url),
            &pkce.challenge,
            &params,
        )
    };
    let mut url = build_url(callback.as_ref());
    let opens_browser = matches!(auth_method, AuthMethod::Browser);
    let mut opening = None;
    if opens_browser {
        // Reported first: a browser that hangs must not hide the URL.
        report(ProvisioningEvent::SignInUrl { url: url.to_string(), needs_code: false });
        let mut result = services.open_in_background(url.clone());
        if let Ok(Ok(Err(error))) = tokio::time::timeout(browser::OPEN_TIMEOUT, &mut result).await {
            report(ProvisioningEvent::Notice(format!(
                "no browser could be started ({error}): open the URL anywhere and paste the code it shows"
            )));
            callback = None;
            url = build_url(None);
        } else {
            opening = (!result.is_terminated()).then_some(result);
        }
    }
    if !opens_browser || callback.is_none() {
        report(ProvisioningEvent::SignInUrl {
            url: url.to_string(),
            needs_code: callback.is_none(),
        });
    }

    report(ProvisioningEvent::StepStarted(ProvisioningStep::AwaitConsent));
    let response = async {
        match callback {
            Some(callback) => callback.wait_for_response().await,
            None => std::future::pending().await,
        }
    };
    let late_failure = async {
        if let Some(opening) = opening
            && let Ok(Err(error)) = opening.await
        {
            report(ProvisioningEvent::BrowserFailed(format!("{error}: open the address yourself")));
        }
        std::future::pending().await
    };
    let (response, listener_guard) = tokio::select! {
        biased;
        response = response => {
            let (response, listener_guard) = response?;
            (response, Some(listener_guard))
        }
        Some(response) = pasted_codes.recv() => (response, None),
        forever = late_failure => forever,
        () = tokio::time::sleep(AUTH_CODE_LIFETIME.unsigned_abs()) => return Err(Error::ConsentTimedOut),
    };
    match response {
        AuthorizationResponse::Code(code) => Ok((code, listener_guard)),
        AuthorizationResponse::Error { description } => {
            Err(Error::AuthorizationDenied(description))
        }
    }
}

/// Returns a code created with an existing key, or `None` if the account does not allow that.
/// Retrying is safe: a code that is never exchanged creates no key.
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
                    "the account does not let a key create another (403): sign in instead".into(),
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
