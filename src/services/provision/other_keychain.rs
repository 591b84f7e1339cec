//! Whether another keychain answers than the one in which keys were stored. A key that it does not have may
//! be in that one.

use super::ServiceContext;
use crate::domain::{ErrorKind, Label, StoreKind, StoredKey, UserError};
use crate::storage::keychain_providers;
use crate::storage::secret_store::Provider;

/// Returns the error for a label without a key in the secret store if another keychain probably answers: a
/// program or collection in which no key was stored, or one that has none of `stored_keys`. Blocks.
pub fn find_other_keychain(
    services: &ServiceContext,
    label: &Label,
    stored_keys: &[StoredKey],
) -> Option<UserError> {
    let (store, timeout) = (&services.secret_store, services.secret_store_timeout);
    let (kind, store_name) = (store.kind(), store.display_name());
    let known = keychain_providers::list_providers(&services.location).unwrap_or_default();
    let provider = match kind {
        StoreKind::Keychain => store.provider_info(timeout).ok(),
        _ => None,
    };
    let provider = provider.map(|info| info.provider).unwrap_or_default();
    let others: Vec<_> = known.iter().filter(|other| **other != provider).collect();
    if !provider.is_unknown() && !others.is_empty() {
        return Some(other_provider_error(label, &store_name, &provider, &others));
    }
    let labels: Vec<_> =
        stored_keys.iter().filter(|key| key.is_in_store(&kind)).map(|key| &key.label).collect();
    let is_present = |accounts: &[String]| {
        labels.iter().any(|label| accounts.iter().any(|a| a == label.as_str()))
    };
    let accounts = (labels.len() > 1)
        .then(|| store.list_accounts(&services.keychain_service, timeout).ok())
        .flatten()?;
    (!is_present(&accounts)).then(|| all_missing_error(labels.len(), &store_name, &provider))
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
