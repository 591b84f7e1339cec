//! Entries of a shared store: their records, and what happens when two people create one label.

use std::collections::BTreeMap;
use std::time::Duration;

use super::unlisted_keys::log_error;
use super::{Error, ServiceContext, delete_attempt_secrets, exchange};
use crate::api::openrouter;
use crate::domain::{
    ErrorKind, Label, ManagementKey, PendingReplacement, ProvisioningOutcome, SharedFields,
    SharedRecord, StoredKey, UserError, collect_ordered, format_command, format_timestamp,
    join_pairs, merge_fields, set_writer, split_fields,
};
use crate::platform::blocking_call::run_blocking;
use crate::platform::environment::user_at_host;
use crate::storage::journal::{self, Attempt, AttemptGuard};
use crate::storage::secret_store;
use crate::storage::secret_store::bao::{BaoStore, EntryMetadata};

/// How often an entry that does not name its creator is read, and the pause between two readings.
const CREATOR_READS: usize = 4;
const CREATOR_PAUSE: Duration = Duration::from_millis(250);

/// Returns the version of the secret that the fields describe.
pub(crate) fn described_version(fields: &SharedFields) -> Option<u64> {
    fields.get("version")?.parse().ok()
}

/// Returns the fields with `version` as the version that they describe.
pub(crate) fn with_version(mut fields: SharedFields, version: u64) -> SharedFields {
    fields.insert("version".into(), version.to_string());
    fields
}

/// Writes the record of a key to its entry, and returns the record as it is then. Fails with
/// [`secret_store::Error::NoEntry`] if the entry has another key by now; the next reading of the
/// store adds that key to the inventory. Blocks.
pub(crate) fn write_record(
    store: &BaoStore,
    path: &str,
    key: &StoredKey,
) -> Result<SharedRecord, secret_store::Error> {
    let metadata = store.read_metadata(path)?;
    let version = metadata.current_version;
    let remote = join_pairs(metadata.custom_metadata.clone());
    let known =
        key.shared.as_deref().filter(|record| record.label == key.label && record.version > 0);
    let fields = match known {
        Some(record) if record.version != version => return Err(secret_store::Error::NoEntry),
        Some(record) => merge_fields(&record.fields, &key.to_shared_fields(), &remote),
        None => {
            let mut fields = key.shared_fields_over(&remote);
            set_writer(&mut fields, version, &user_at_host(), key.shared.is_none());
            fields
        }
    };
    let fields = with_version(fields, version);
    write_fields(store, path, &metadata, &fields)?;
    let loss = known.and_then(|record| record.loss);
    Ok(SharedRecord { loss, ..SharedRecord::new(key.label.clone(), version, fields) })
}

/// Writes those pairs of the fields that differ from what was read. Blocks.
pub(crate) fn write_fields(
    store: &BaoStore,
    path: &str,
    read: &EntryMetadata,
    fields: &SharedFields,
) -> Result<(), secret_store::Error> {
    let before = &read.custom_metadata;
    let pairs = split_fields(fields);
    let removed = before.keys().filter(|name| !pairs.contains_key(*name));
    let mut changed: BTreeMap<String, Option<String>> =
        collect_ordered(removed.map(|name| (name.clone(), None)));
    let differing = pairs.iter().filter(|(name, value)| before.get(*name) != Some(*value));
    changed.extend(differing.map(|(name, value)| (name.clone(), Some(value.clone()))));
    if changed.is_empty() { Ok(()) } else { store.write_metadata(path, changed) }
}

/// Writes the record of a key that was stored just now, so that someone who creates the same label
/// learns whose key it is. If that fails, the record is written with the next change.
pub(super) async fn record_new_key(services: &ServiceContext, key: &mut StoredKey) {
    let Some(store) = services.secret_store.as_bao().cloned() else { return };
    // A key that the store could not take waits on this machine.
    if !key.is_in_store(&services.secret_store.kind()) {
        return;
    }
    let path = store.entry_path(&services.entry_id(key.label.as_str()));
    let described = key.clone();
    let written = run_blocking(move || write_record(&store, &path, &described));
    match written.await {
        Some(Ok(record)) => key.shared = Some(Box::new(record)),
        Some(Err(error)) => tracing::warn!(%error, "the record of a new key is written later"),
        None => {}
    }
}

/// Returns who wrote the current version of an entry and when, such as `by eva@laptop on …`.
pub(crate) async fn describe_writer(services: &ServiceContext, label: &Label) -> String {
    let unknown = || "by someone else".to_owned();
    let Some(store) = services.secret_store.as_bao().cloned() else { return unknown() };
    let path = store.entry_path(&services.entry_id(label.as_str()));
    let mut description = None;
    for read in 0..CREATOR_READS {
        if read > 0 {
            tokio::time::sleep(CREATOR_PAUSE).await;
        }
        let (store, path) = (store.clone(), path.clone());
        let metadata = run_blocking(move || store.read_metadata(&path)).await;
        let Some(Ok(metadata)) = metadata else { continue };
        let version = metadata.current_version;
        let written = metadata.versions.get(&version).and_then(|version| version.created_time);
        let at = written.map_or(String::new(), |at| format!(" on {}", format_timestamp(at)));
        let fields = metadata.custom_metadata;
        let record = SharedRecord::new(label.clone(), version, fields);
        // The record is written right after the secret, so it may not be there yet.
        if let Some(writer) = record.writer(version) {
            return format!("by {writer}{at}");
        }
        description = Some(format!("by someone else{at}"));
    }
    description.unwrap_or_else(unknown)
}

/// Returns the error for a label that the inventory has already.
pub(super) fn taken_error(key: StoredKey, label: &Label) -> Error {
    match key.shared.as_ref().and_then(|record| record.created_by()) {
        Some(creator) => {
            Error::CreatedByOther { label: key.label.clone(), writer: format!("by {creator}") }
        }
        None => Error::LabelTaken(label.clone()),
    }
}

/// Returns the error for a label that the store has and the inventory does not.
pub(super) async fn stored_error(services: &ServiceContext, attempt: &Attempt) -> Error {
    let (label, replaces) = (&attempt.label, attempt.replaces.as_ref());
    if !services.secret_store.kind().is_shared() {
        let rotation =
            replaces.and_then(|replaces| find_other_rotation(services, replaces, &attempt.id));
        // Another program may have listed a key with this label since the inventory was read.
        let listed = || services.find_key(label.as_str()).ok().flatten();
        return rotation
            .or_else(|| Some(taken_error(listed()?, label)))
            .unwrap_or_else(|| Error::LabelInSecretStore(label.clone()));
    }
    let writer = describe_writer(services, label).await;
    match replaces {
        Some(replaces) => {
            let label = find_replaced_label(services, replaces).unwrap_or_else(|| label.clone());
            Error::ReplacedByOther { label, writer }
        }
        None => Error::CreatedByOther { label: label.clone(), writer },
    }
}

/// Returns the error of a rotation if another program with this data directory is replacing the same key,
/// in an attempt other than `own_attempt`.
pub(super) fn find_other_rotation(
    services: &ServiceContext,
    replaces: &PendingReplacement,
    own_attempt: &str,
) -> Option<Error> {
    let is_same = |other: &Option<PendingReplacement>| {
        other.as_ref().is_some_and(|o| o.hash == replaces.hash)
    };
    let attempts = journal::list_attempts(&services.location, &services.server).unwrap_or_default();
    let is_other = |attempt: &Attempt| attempt.id != own_attempt && is_same(&attempt.replaces);
    let is_listed =
        || services.filter_keys(|key| is_same(&key.replaces)).is_ok_and(|keys| !keys.is_empty());
    if !attempts.iter().any(is_other) && !is_listed() {
        return None;
    }
    let label = find_replaced_label(services, replaces)?;
    Some(Error::ReplacedByOther { label, writer: "by another program".into() })
}

/// Returns the label of the key that is to be replaced. The label of its replacement is gone as
/// soon as the other rotation ends.
fn find_replaced_label(services: &ServiceContext, replaces: &PendingReplacement) -> Option<Label> {
    services.find_hash(&replaces.hash).ok().flatten().map(|key| key.label.clone())
}

/// What became of a key that is not needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnneededKey {
    /// It is gone.
    Deleted,
    /// It was not deleted.
    Kept,
    /// The account of the management key does not have it. It may be the key of another account.
    NotFound,
    /// The response to its deletion was lost.
    Unknown,
}

/// Deletes a key at OpenRouter that is not needed, because someone else created one for the same
/// label.
pub(crate) async fn delete_unneeded_key(
    services: &ServiceContext,
    management: Option<&ManagementKey>,
    hash: &str,
) -> UnneededKey {
    let management = management.or(services.management_key.as_ref());
    let Some(management) = management else { return UnneededKey::Kept };
    let Ok(client) = services.build_management_client(management) else {
        return UnneededKey::Kept;
    };
    // Another account never had the key, so that its 404 does not show that the key is gone.
    let has_key = client.get_key(hash).await.is_ok();
    match client.delete_key(hash).await {
        Ok(()) => UnneededKey::Deleted,
        // The response to an earlier try was lost, or someone else deleted it meanwhile.
        Err(openrouter::Error::Rejected { status: 404, .. }) if has_key => UnneededKey::Deleted,
        Err(error) => {
            tracing::warn!(%error, "a key that is not needed could not be deleted");
            match error {
                openrouter::Error::Rejected { status: 404, .. } => UnneededKey::NotFound,
                openrouter::Error::OutcomeUnknown { .. }
                | openrouter::Error::UnexpectedResponse { .. } => UnneededKey::Unknown,
                _ => UnneededKey::Kept,
            }
        }
    }
}

/// Ends an attempt whose label someone else took in the shared store while its key was created.
/// Deletes the key at OpenRouter; if that fails, the attempt stays listed.
pub(super) async fn yield_label(
    guard: Option<AttemptGuard>,
    key: &StoredKey,
    management: Option<&ManagementKey>,
    services: &ServiceContext,
) -> ProvisioningOutcome {
    // Boxed: the futures of requests are large, and this one is rarely needed.
    ProvisioningOutcome::Failed(Box::pin(discard_key(guard, key, management, services)).await)
}

async fn discard_key(
    guard: Option<AttemptGuard>,
    key: &StoredKey,
    management: Option<&ManagementKey>,
    services: &ServiceContext,
) -> UserError {
    let label = &key.label;
    let writer = describe_writer(services, label).await;
    let is_deleted =
        delete_unneeded_key(services, management, &key.hash).await == UnneededKey::Deleted;
    let id = guard.as_ref().map(|guard| guard.attempt().id.clone()).unwrap_or_default();
    if let Some(guard) = guard {
        if is_deleted {
            delete_attempt_secrets(&guard, services).await;
            log_error(guard.complete());
        } else {
            exchange::mark_unresolved(guard);
        }
    }
    let (message, advice) = match &key.replaces {
        Some(replaces) => {
            let label = find_replaced_label(services, replaces).unwrap_or_else(|| label.clone());
            let show = label.command("show");
            let message =
                format!("the key of '{label}' is being replaced {writer}; yours was not needed");
            (message, format!("see the result: {show}"))
        }
        None => (
            format!("'{label}' was created {writer}, while your key was created"),
            format!("use that key: {}", label.command("get")),
        ),
    };
    if is_deleted {
        return UserError::failed(message, advice)
            .with_meaning("your new key was deleted at OpenRouter; the other one is unchanged");
    }
    let dismiss = format_command(&["recover", "--dismiss"], &[&id]);
    let advice = format!("delete your key at {}, then run {dismiss}", key.page_url());
    UserError::new(ErrorKind::Unresolved, message, advice).with_meaning(format!(
        "your new key {} is valid at OpenRouter and stored nowhere; the other one is unchanged",
        key.masked
    ))
}
