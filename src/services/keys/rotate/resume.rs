//! Continues rotations that were interrupted after the new key was stored.

use super::super::Error;
use super::super::management_key::{NO_MANAGEMENT_KEY, load_access};
use super::move_label_or_discard;
use super::unmoved::explain_unmoved;
use crate::domain::{Label, Rotated, UserError};
use crate::services::provision::ServiceContext;
use crate::storage::json_store;

/// Continues interrupted rotations like [`resume_rotations`]. Returns those that are complete, and the
/// errors, among them what a new key lacks.
pub async fn finish_rotations(
    services: &ServiceContext,
) -> Result<(Vec<Rotated>, Vec<UserError>), json_store::Error> {
    let (mut complete, mut errors) = (Vec::new(), Vec::new());
    for (label, result) in resume_rotations(services).await? {
        match result {
            Ok(rotated) => {
                errors.extend(rotated.weaker_error());
                // Without a management key nothing can be compared, and a script is not stopped by that.
                if rotated.not_carried.iter().any(|part| part.reason != NO_MANAGEMENT_KEY) {
                    errors.extend(rotated.unread_error());
                }
                complete.push(rotated);
            }
            Err(error) => {
                errors.push(error.prefixed(format!("the rotation of '{label}' cannot continue")));
            }
        }
    }
    Ok((complete, errors))
}

/// Continues interrupted rotations. Skips those that another process is working on.
pub async fn resume_rotations(
    services: &ServiceContext,
) -> Result<Vec<(Label, Result<Rotated, UserError>)>, json_store::Error> {
    let mut resumed = Vec::new();
    for new_key in services.filter_keys(|new_key| new_key.replaces.is_some())? {
        let access = load_access(services).await;
        match move_label_or_discard(services, &access, &new_key).await {
            Err(Error::JsonStore(json_store::Error::LockHeld(_))) => {}
            result => {
                let result = match result {
                    Ok(rotated) => Ok(rotated),
                    Err(Error::ChangedByOther(error) | Error::ReplacedByOther(error)) => Err(error),
                    Err(error) => Err(explain_unmoved(services, &new_key, error).await),
                };
                resumed.push((new_key.label.clone(), result));
            }
        }
    }
    Ok(resumed)
}
