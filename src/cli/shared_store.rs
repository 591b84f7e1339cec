//! Shared stores: what the token may do, checked before OpenRouter is asked for anything, and keys
//! that wait for the store.

use jiff::Timestamp;

use super::output::{print_status, print_warning};
use crate::domain::{Label, StoredKey, UserError, format_command};
use crate::services::provision::ServiceContext;
use crate::storage::secret_store::{self, bao};

/// Checks that the entries of these labels may be written. Only a shared store is asked.
pub(super) fn check_may_write<'a>(
    services: &ServiceContext,
    labels: impl IntoIterator<Item = &'a str>,
) -> Result<(), UserError> {
    for label in labels {
        check_entry(services, label)?;
    }
    Ok(())
}

/// Checks that the token may write the entries of these leaked keys. A store that cannot be asked must
/// not keep a leaked key alive, so only a missing right is an error.
pub(super) fn check_may_replace_leaked(
    services: &ServiceContext,
    leaked: &[StoredKey],
) -> Result<(), UserError> {
    for key in leaked {
        if let Err(error @ secret_store::Error::Bao(bao::Error::Forbidden { .. })) =
            check_entry(services, key.label.as_str())
        {
            let page = format!("{}/keys/{}", services.server, key.hash);
            let meaning = format!(
                "nothing was done, and the leaked key still works: disable it now at {page}"
            );
            return Err(error.to_user_error().with_meaning(meaning));
        }
    }
    Ok(())
}

fn check_entry(services: &ServiceContext, label: &str) -> Result<(), secret_store::Error> {
    let services = services.for_label(label);
    if services.secret_store.as_bao().is_none() {
        return Ok(());
    }
    let (service, entry_id) = (&services.keychain_service, services.entry_id(label));
    services.secret_store.check_storable(service, &entry_id, services.secret_store_timeout)
}

/// Returns what happens to the history of a shared key when its entry is deleted, as the end of a
/// question; empty if it has none. `label` is the key's label afterwards.
pub(super) fn describe_history_loss(key: &StoredKey, label: &Label) -> String {
    if !key.has_history() {
        return String::new();
    }
    format!(
        " The history of its versions in the shared store is deleted; keys of it that still work are kept as '{}'.",
        label.with_suffix("(old)")
    )
}

/// Prints a warning for each key that leaked and may still be used.
pub(super) fn warn_about_exposed_keys(keys: &[StoredKey], now: Timestamp) {
    let exposed = keys.iter().filter(|key| key.is_exposed(now));
    exposed.for_each(|key| print_warning(&key.exposed_error()));
}

/// Says which keys are on this machine because their shared store could not take them.
pub(super) fn print_waiting_keys(keys: &[StoredKey]) {
    for key in keys.iter().filter(|key| key.move_to.is_some()) {
        print_status(&format!(
            "'{}' is on this machine only, because the shared store could not take it; move it there: {}",
            key.label,
            format_command(&["recover"], &[])
        ));
    }
}

/// Prints which keys an interrupted run left unfinished, and what finishes them.
pub(super) fn print_unfinished_keys(keys: &[StoredKey]) {
    for key in keys.iter().filter(|key| key.is_unfinished()) {
        print_status(&format!(
            "'{}' is not finished: {}; finish it: {}",
            key.label,
            key.unfinished_part(),
            format_command(&["recover"], &[])
        ));
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::domain::{ApiKey, SharedFields, SharedRecord, StoreKind};

    #[test]
    fn a_question_names_the_history_that_is_deleted() {
        let (label, new): (Label, Label) = ("ci".parse().unwrap(), "build".parse().unwrap());
        let secret = ApiKey::from("k".to_owned());
        let now = Timestamp::UNIX_EPOCH;
        let mut key = StoredKey::new(label.clone(), &secret, "s".into(), StoreKind::Bao, now);
        for (version, is_named) in [(1, false), (2, true)] {
            let record = SharedRecord::new(label.clone(), version, SharedFields::new());
            key.shared = Some(Box::new(record));
            let loss = describe_history_loss(&key, &new);
            assert_eq!(loss.contains("is deleted") && loss.contains("'build (old)'"), is_named);
        }
    }
}
