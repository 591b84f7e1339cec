//! Errors of attempts of the management key that could not be settled.

use std::fmt;

use super::find_label;
use crate::api::openrouter;
use crate::domain::UserError;
use crate::services::provision::ServiceContext;
use crate::services::provision::error::classify_api_error;
use crate::storage::journal::Attempt;

/// Returns the error of attempts whose keys could not be looked for.
pub(super) fn not_listed_error(error: &openrouter::Error) -> UserError {
    UserError::new(
        classify_api_error(error).0,
        format!("the keys of interrupted attempts could not be listed: {error}"),
        settle_advice(error, ""),
    )
    .with_meaning(
        "whether one was created is not known; nobody can spend with a key that was not received",
    )
}

/// Returns the error of keys that were found and could not be deleted, if there are any.
pub(super) fn not_deleted_error(
    not_deleted: &[(String, String, openrouter::Error)],
    services: &ServiceContext,
) -> Option<UserError> {
    let (_, _, error) = not_deleted.first()?;
    let names: Vec<_> = not_deleted.iter().map(|(_, name, _)| format!("'{name}'")).collect();
    let (them, keys) = if names.len() == 1 { ("it", "key") } else { ("them", "keys") };
    let or_delete = format!("delete {them} at {}/keys, or ", services.server);
    Some(
        UserError::new(
            classify_api_error(error).0,
            format!("the {keys} of interrupted attempts could not be deleted: {error}"),
            settle_advice(error, &or_delete),
        )
        .with_meaning(format!(
            "{} may still exist; nobody can spend with a key that was not received",
            names.join(", ")
        )),
    )
}

/// Returns how to settle the attempts later.
fn settle_advice(error: &openrouter::Error, alternative: &str) -> String {
    const RECOVER: &str = "run: keywright recover";
    if let Some(advice) = error.settings_advice() {
        return format!("{advice}; then {RECOVER}");
    }
    match error.status() {
        Some(401) => format!(
            "the management key no longer works: store another with keywright management set; then {RECOVER}"
        ),
        Some(403) => format!(
            "{alternative}store a management key that may do it: keywright management set; then {RECOVER}"
        ),
        _ => format!("try again later; {RECOVER}"),
    }
}

/// Returns the error of a stored key that still has the name of its attempt at the server.
pub(crate) fn not_named_error(
    attempt: &Attempt,
    services: &ServiceContext,
    reason: &impl fmt::Display,
) -> UserError {
    let received = attempt.received_key.as_ref();
    let label = received.and_then(|received| find_label(received, services).ok());
    UserError::failed(
        format!(
            "'{}' could not be renamed at the server: {reason}",
            label.as_ref().unwrap_or(&attempt.label)
        ),
        "try again: keywright recover",
    )
    .with_meaning(format!(
        "the key is stored and works; its name there is '{}'",
        attempt.key_name()
    ))
}
