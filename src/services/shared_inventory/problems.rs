//! What is wrong with the entries of shared keys, with a next step for each.

use crate::domain::{
    ErrorKind, SecretLoss, StoredKey, UserError, format_command, quote_shell_word,
};
use crate::services::provision::ServiceContext;
use crate::storage::secret_store::bao;

/// Returns what is wrong with the entries of these keys: a secret that was deleted, and values that
/// cannot be read.
pub fn find_problems(services: &ServiceContext, keys: &[StoredKey]) -> Vec<UserError> {
    let of_key = |key| [loss_error(services, key), invalid_fields_error(services, key)];
    keys.iter().flat_map(of_key).flatten().collect()
}

/// Returns the error for a key whose text was deleted in the shared store, if it was.
pub fn loss_error(services: &ServiceContext, key: &StoredKey) -> Option<UserError> {
    let loss = key.secret_loss()?;
    let version = key.shared.as_ref()?.version;
    let path = full_path(services, key)?;
    let label = key.label.as_str();
    let history = format_command(&["show", "--history"], &[label]);
    let earlier = (version > 1).then(|| format!("bring back an earlier version: {history}"));
    let (error, advice) = match loss {
        SecretLoss::Deleted => {
            let error = bao::Error::VersionDeleted { path, version };
            let undelete = error.undelete_command().unwrap_or_default();
            let or = earlier.map_or(String::new(), |earlier| format!(", or {earlier}"));
            (error, format!("restore it: {undelete}{or}"))
        }
        SecretLoss::Destroyed => {
            let remove = format_command(&["rm", "--revoke"], &[label]);
            let replace = format!("delete the key and create another: {remove}");
            (bao::Error::VersionDestroyed { path, version }, earlier.unwrap_or(replace))
        }
    };
    let meaning = format!("the key {} stays valid at OpenRouter", key.masked);
    let message = format!("'{label}' cannot be used: {error}");
    Some(UserError::new(ErrorKind::SecretStore, message, advice).with_meaning(meaning))
}

fn invalid_fields_error(services: &ServiceContext, key: &StoredKey) -> Option<UserError> {
    let names = key.invalid_shared_fields();
    if names.is_empty() {
        return None;
    }
    let path = full_path(services, key)?;
    let message = format!(
        "the shared store has values of '{}' that cannot be read: {}",
        key.label,
        names.join(", ")
    );
    let advice = format!(
        "look at them: `bao kv metadata get {}`; the next command that changes a key replaces them",
        quote_shell_word(&path)
    );
    Some(
        UserError::failed(message, advice)
            .with_meaning("the key can be used; these values are left out"),
    )
}

/// Returns the path of the key's entry, with its mount.
fn full_path(services: &ServiceContext, key: &StoredKey) -> Option<String> {
    let services = services.for_key(key);
    let store = services.secret_store.as_bao()?;
    let path = store.entry_path(&services.entry_id(key.label.as_str()));
    Some(format!("{}/{path}", store.mount()))
}
