//! Keys of a plan that are in the inventory and cannot be used.

use std::collections::HashMap;

use jiff::Timestamp;

use super::PlanRow;
use crate::cli::output::print_status;
use crate::domain::{ErrorKind, KeyState, Label, StoredKey, UserError};
use crate::services::keys;
use crate::services::provision::ServiceContext;

/// Finds the stored keys that cannot be used: the server rejects them, or their text is missing.
pub(super) fn mark_unusable_keys(rows: &mut [PlanRow], services: &ServiceContext) {
    let now = Timestamp::now();
    let stored = |row: &PlanRow| match row {
        PlanRow::Unchanged(key) | PlanRow::Differs { stored: key, .. } => Some(key.clone()),
        _ => None,
    };
    let keys: Vec<StoredKey> = rows.iter().filter_map(stored).collect();
    let missing = keys::find_missing_secrets(services, &keys.iter().collect::<Vec<_>>())
        .unwrap_or_else(|error| {
            print_status(&format!(
                "whether the keys are still in the secret store could not be checked: {error}"
            ));
            Vec::new()
        });
    let mut missing: HashMap<Label, UserError> = missing.into_iter().collect();
    for row in rows {
        let Some(key) = stored(row) else { continue };
        let replace = "replace it with a new key: apply the plan again with --replace";
        if let Some(error) = missing.remove(&key.label) {
            let is_elsewhere = error.kind == ErrorKind::SecretStore;
            let advice = if is_elsewhere { error.advice.clone() } else { replace.into() };
            *row = PlanRow::Unusable(key, UserError { advice, ..error });
        } else if key.state(now) == KeyState::Rejected {
            let message = "rejected by the server: it was deleted or disabled there";
            let error =
                UserError::failed(message, replace).with_meaning("programs that use it fail");
            *row = PlanRow::Unusable(key, error);
        }
    }
}
