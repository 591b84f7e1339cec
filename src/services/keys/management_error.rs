//! What the failure of a request with the management key means.

use crate::api::openrouter;
use crate::domain::ErrorKind;

const UNREADABLE: &str = "this management key may not read it, or the server does not have it; another one: keywright management set";
const UNCHANGED: &str = "nothing was changed";
const OUTCOME_UNKNOWN: &str = "it is not known whether the change was made";

/// Returns kind, meaning and advice. Without a page the request only reads, so nothing could change.
pub(super) fn classify_management_error(
    error: &openrouter::Error,
    page_url: Option<&str>,
) -> (ErrorKind, &'static str, String) {
    use openrouter::Error as E;
    let Some(page_url) = page_url else {
        let (kind, _, advice) = classify_management_error(error, Some(""));
        let advice = match error {
            E::Rejected { status: 403..=405, .. } => UNREADABLE.into(),
            E::OutcomeUnknown { .. } => "try again".into(),
            E::Rejected { status: 401, .. } => advice,
            E::UnexpectedResponse { .. } | E::Rejected { .. } => "try again later".into(),
            _ => advice,
        };
        return (kind, "", advice);
    };
    match error {
        E::InvalidSetting { advice, .. } => (ErrorKind::InvalidInput, UNCHANGED, advice.clone()),
        E::NotSent { .. } | E::InvalidCertificate { .. } | E::ProxyFailed { .. } => {
            (ErrorKind::Unreachable, UNCHANGED, error.settings_advice().unwrap_or_default().into())
        }
        E::RateLimited { .. } => {
            (ErrorKind::Unreachable, UNCHANGED, "wait a minute, then try again".into())
        }
        E::OutcomeUnknown { .. } => {
            (ErrorKind::Unreachable, OUTCOME_UNKNOWN, format!("try again, or look at {page_url}"))
        }
        E::UnexpectedResponse { .. } => {
            (ErrorKind::Failed, OUTCOME_UNKNOWN, format!("look at {page_url}"))
        }
        E::Rejected { status: 401, .. } => (
            ErrorKind::Failed,
            UNCHANGED,
            "the management key no longer works: store another with keywright management set"
                .into(),
        ),
        E::Rejected { status: 403, .. } => (
            ErrorKind::Failed,
            UNCHANGED,
            format!("this management key may not do it: make the change at {page_url}"),
        ),
        E::Rejected { status: 404, .. } => (
            ErrorKind::Failed,
            "the account of the management key has no such key",
            "it was deleted, or belongs to another account".into(),
        ),
        E::Rejected { .. } => (ErrorKind::Failed, UNCHANGED, format!("look at {page_url}")),
    }
}
