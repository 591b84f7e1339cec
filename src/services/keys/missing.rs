//! Why the secret store has no entry for a key.

use super::Error;
use super::current_key::find_change_by_others;
use super::moving_label::check_label_not_moving;
use crate::domain::{Label, StoreKind, StoredKey, UserError};
use crate::services::provision::{self, ServiceContext};
use crate::storage::secret_store;

/// Returns the error for a label without a key in the secret store: it is in another store, someone
/// else changed it in a shared one, an interrupted rotation moved its label, another keychain answers, or the
/// entry was removed. Blocks.
pub fn missing_error(services: &ServiceContext, label: &Label) -> Error {
    let key = services.find_key(label.as_str()).ok().flatten();
    match key.map(|key| check_label_not_moving(services, &key)) {
        Some(Err(error @ Error::Refused(_))) => error,
        _ => find_reason(services, label),
    }
}

/// Returns why a label has no key in the secret store, which is so for each that it does not have. Blocks.
fn find_reason(services: &ServiceContext, label: &Label) -> Error {
    let removed = || Error::MissingSecret {
        label: label.clone(),
        store_name: services.secret_store.display_name(),
    };
    let Ok(stored_keys) = services.list_keys() else {
        return removed();
    };
    let kind = services.secret_store.kind();
    let stored_key = stored_keys.iter().find(|key| key.label == *label);
    if let Some(error) = stored_key.and_then(|key| key.other_store_error(&kind)) {
        return Error::InOtherStore(error);
    }
    if let Some(error) = stored_key.and_then(|key| find_change_by_others(services, key)) {
        return Error::ChangedByOther(error);
    }
    match provision::find_other_keychain(services, label, &stored_keys) {
        Some(error) => Error::OtherKeychain(error),
        None => removed(),
    }
}

/// Returns the keys whose text is not in their store, with the error about each. Lists each keychain and each
/// credential helper once; other programs do not write the other stores. Blocks.
pub fn find_missing_secrets(
    services: &ServiceContext,
    keys: &[&StoredKey],
) -> Result<Vec<(Label, UserError)>, secret_store::Error> {
    let mut missing = Vec::new();
    let mut stores: Vec<ServiceContext> = Vec::new();
    for key in keys {
        let of_key = services.for_key(key);
        let kind = of_key.secret_store.kind();
        let is_listed = stores.iter().any(|other| other.secret_store.kind() == kind);
        if key.is_in_store(&kind)
            && matches!(kind, StoreKind::Keychain | StoreKind::Exec(_))
            && !is_listed
        {
            stores.push(of_key);
        }
    }
    for services in &stores {
        let (store, timeout) = (&services.secret_store, services.secret_store_timeout);
        let kind = store.kind();
        let accounts = store.list_accounts(&services.keychain_service, timeout)?;
        let is_missing = |key: &&&StoredKey| {
            let label = key.label.as_str();
            key.is_in_store(&kind)
                && accounts.binary_search_by(|account| account.as_str().cmp(label)).is_err()
        };
        let mut reason = None;
        for key in keys.iter().filter(is_missing) {
            let label = key.label.clone();
            // Why is found out once.
            let error = match reason.get_or_insert_with(|| find_reason(services, &label)) {
                Error::MissingSecret { store_name, .. } => {
                    let (label, store_name) = (label.clone(), store_name.clone());
                    Error::MissingSecret { label, store_name }.to_user_error()
                }
                error => error.to_user_error(),
            };
            missing.push((label, error));
        }
    }
    Ok(missing)
}
