//! Why the secret store has no entry for a key.

use super::Error;
use super::current_key::find_change_by_others;
use crate::domain::{ErrorKind, Label, StoreKind, StoredKey, UserError};
use crate::services::provision::ServiceContext;
use crate::storage::keychain_providers;
use crate::storage::secret_store::{self, Provider};

/// Returns the error for a label without a key in the secret store: it is in another store, someone
/// else changed it in a shared one, another keychain answers, or the entry was removed. Blocks.
pub fn missing_error(services: &ServiceContext, label: &Label) -> Error {
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
    let known = keychain_providers::list_providers(&services.location).unwrap_or_default();
    let provider = match kind {
        StoreKind::Keychain => {
            services.secret_store.provider_info(services.secret_store_timeout).ok()
        }
        _ => None,
    };
    let provider = provider.map(|info| info.provider).unwrap_or_default();
    let store_name = services.secret_store.display_name();
    let others: Vec<_> = known.iter().filter(|other| **other != provider).collect();
    if !provider.is_unknown() && !others.is_empty() {
        return Error::OtherKeychain(other_provider_error(label, &store_name, &provider, &others));
    }
    let labels: Vec<_> =
        stored_keys.iter().filter(|key| key.is_in_store(&kind)).map(|key| &key.label).collect();
    let accounts = services
        .secret_store
        .list_accounts(&services.keychain_service, services.secret_store_timeout);
    if labels.len() > 1
        && accounts.is_ok_and(|accounts| {
            !labels.iter().any(|label| accounts.iter().any(|account| account == label.as_str()))
        })
    {
        return Error::OtherKeychain(all_missing_error(labels.len(), &store_name, &provider));
    }
    removed()
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
            let error = match reason.get_or_insert_with(|| missing_error(services, &label)) {
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

fn other_provider_error(
    label: &Label,
    store_name: &str,
    provider: &Provider,
    others: &[&Provider],
) -> UserError {
    let names: Vec<_> = others.iter().map(ToString::to_string).collect();
    let names = names.join(" or ");
    UserError::new(
        ErrorKind::SecretStore,
        format!(
            "'{label}' is not in {store_name}, which {provider} provides now; keys were stored with {names}"
        ),
        format!("start {names} again instead of {provider}, then try again"),
    )
    .with_meaning("another keychain answers; Keywright removed nothing")
}

fn all_missing_error(count: usize, store_name: &str, provider: &Provider) -> UserError {
    let answering =
        if provider.is_unknown() { String::new() } else { format!(" (answered by {provider})") };
    UserError::new(
        ErrorKind::SecretStore,
        format!("none of the {count} stored keys is in {store_name}{answering}"),
        "start the keychain in which the keys were stored, then try again; keywright doctor shows which one answers",
    )
    .with_meaning("another keychain or collection probably answers; Keywright removed nothing")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_names_the_keychain_that_answers_and_the_one_with_the_keys() {
        let provider = |program: &str, collection: &str| Provider {
            program: Some(program.into()),
            collection: Some(collection.into()),
        };
        let (gnome, kwallet) =
            (provider("gnome-keyring-daemon", "login"), provider("kwalletd6", "kdewallet"));
        let error =
            other_provider_error(&"ci".parse().unwrap(), "the keychain", &kwallet, &[&gnome]);
        assert_eq!(
            error.message,
            "'ci' is not in the keychain, which kwalletd6 (collection kdewallet) provides now; keys were stored with gnome-keyring-daemon (collection login)"
        );
        assert_eq!(error.kind, ErrorKind::SecretStore);
        assert!(!error.one_line().contains("create a new key"));
    }
}
