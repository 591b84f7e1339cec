//! Keys that the management key created and that were not received. Such a key is created under the
//! name of its attempt and gets its label only when it is stored: a key that still has the name of
//! an attempt and is not stored was never used, and can be deleted.

mod errors;
mod naming;

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

pub(crate) use errors::not_named_error;
use errors::{not_deleted_error, not_listed_error};
pub(super) use naming::name_key;
use naming::rename_stored_key;

use super::{ServiceContext, abandon_attempt, stored_text};
use crate::api::openrouter::{self, ManagementClient};
use crate::domain::{AccountKey, Label, ManagementKey, StoredKey, UserError, sort_by};
use crate::storage::inventory;
use crate::storage::journal::{self, Attempt, AttemptGuard, AttemptStage};
use crate::storage::json_store;
use crate::storage::secret_store;

/// How long the server may take to create the key of a request whose connection is closed.
const LATE_CREATION: Duration = Duration::from_secs(1);

/// The maximum number of pages of keys. It ends an endless list.
const MAX_PAGES: usize = 1_000;

/// The keys of some attempts that the account has.
#[derive(Debug, Default)]
pub(super) struct AttemptKeys {
    /// Ids of the attempts whose key was deleted.
    deleted: Vec<String>,
    /// Ids of the attempts whose key is in use, or perhaps stored, and was not deleted.
    in_use: Vec<String>,
    /// Id of the attempt of each key that is in the secret store although its journal does not say so.
    stored: Vec<(String, StoredKey)>,
    /// Id of the attempt, name and error of each key that could not be deleted.
    not_deleted: Vec<(String, String, openrouter::Error)>,
    /// Other keys with the labels of the attempts, which were not created here.
    foreign: Vec<AccountKey>,
    /// The number of rows of the account's list that could not be read: each may be a key of an attempt.
    skipped_rows: usize,
}

impl AttemptKeys {
    /// Returns whether every row of the account's list was read, and every key found deleted.
    pub(super) const fn is_complete(&self) -> bool {
        self.skipped_rows == 0 && self.not_deleted.is_empty()
    }
}

/// The result of [`settle_attempts`].
#[derive(Debug, Default)]
pub struct SettledAttempts {
    /// The labels of the attempts whose key was deleted.
    pub deleted: Vec<Label>,
    /// Keys of the same labels that someone else created.
    pub foreign: Vec<AccountKey>,
    /// The keys that are in the secret store and were in no list.
    pub stored: Vec<StoredKey>,
    /// The labels of the stored keys that had the name of their attempt, and were renamed.
    pub renamed: Vec<Label>,
    /// What failed.
    pub errors: Vec<UserError>,
}

/// Settles the interrupted attempts of the management key: gives stored keys their label at the
/// server, deletes the keys that were not received, and ends these attempts.
pub async fn settle_attempts(
    services: &ServiceContext,
    management: &ManagementKey,
) -> Result<SettledAttempts, json_store::Error> {
    let mut settled = SettledAttempts::default();
    let guards = journal::lock_interrupted_attempts(
        &services.location,
        &services.server,
        &services.store_kinds(),
    )?;
    let (stored, lost): (Vec<_>, Vec<_>) = guards
        .into_iter()
        .filter(|guard| guard.attempt().management_key.is_some())
        // Whether a received key is stored is known only when the secret store can be read.
        .filter(|guard| guard.attempt().stage != AttemptStage::KeyReceived)
        .partition(|guard| guard.attempt().stage == AttemptStage::Stored);
    let client = match services.build_management_client(management) {
        Ok(client) => client,
        Err(error) => {
            settled.errors.push(not_listed_error(&error));
            return Ok(settled);
        }
    };
    for guard in stored {
        match rename_stored_key(guard.attempt(), services, &client).await {
            Ok(label) => {
                settled.renamed.extend(label);
                abandon_attempt(guard, services).await;
            }
            Err(error) => {
                settled.errors.push(not_named_error(guard.attempt(), services, &error));
            }
        }
    }
    if let Err(error) = settle_lost(lost, services, &client, &mut settled).await {
        settled.errors.push(not_listed_error(&error));
    }
    Ok(settled)
}

async fn settle_lost(
    mut lost: Vec<AttemptGuard>,
    services: &ServiceContext,
    client: &ManagementClient,
    settled: &mut SettledAttempts,
) -> Result<(), openrouter::Error> {
    // Only the account in which a key was created shows that it does not exist.
    let fingerprint = client.management_key().fingerprint();
    for is_last_look in [false, true] {
        if lost.is_empty() {
            break;
        }
        let attempts: Vec<&Attempt> = lost.iter().map(AttemptGuard::attempt).collect();
        let mut workspaces = requested_workspaces(&attempts);
        if is_last_look {
            // Someone may have moved the key to another workspace.
            workspaces.extend(list_workspaces(services, client).await?.map(Some));
        }
        let found = delete_keys_in(workspaces, &attempts, services, client).await?;
        settled.errors.extend(not_deleted_error(&found.not_deleted, services));
        let mut absent = Vec::new();
        for guard in lost {
            let attempt = guard.attempt();
            if let Some((_, key)) = found.stored.iter().find(|(id, _)| *id == attempt.id) {
                let error = list_stored_key(guard, key.clone(), services, client).await;
                settled.errors.extend(error);
                settled.stored.push(key.clone());
            } else if found.deleted.contains(&attempt.id) {
                settled.deleted.push(attempt.label.clone());
                abandon_attempt(guard, services).await;
            } else if found.in_use.contains(&attempt.id)
                || !found.is_complete()
                || attempt.management_key.as_ref() != Some(&fingerprint)
            {
                // The attempt stays unresolved.
            } else if is_last_look {
                abandon_attempt(guard, services).await;
            } else {
                absent.push(guard);
            }
        }
        if !is_last_look {
            settled.foreign = found.foreign;
            if !absent.is_empty() {
                tokio::time::sleep(LATE_CREATION).await;
            }
        }
        lost = absent;
    }
    Ok(())
}

/// Returns the workspaces in which the keys of the attempts were to be created; `None` is the default
/// one.
fn requested_workspaces(attempts: &[&Attempt]) -> Vec<Option<String>> {
    attempts.iter().map(|attempt| attempt.requested.workspace_id.clone()).collect()
}

/// Returns the ids of all workspaces; none if the server does not list them.
async fn list_workspaces(
    services: &ServiceContext,
    client: &ManagementClient,
) -> Result<impl Iterator<Item = String> + use<>, openrouter::Error> {
    let mut ids = BTreeSet::new();
    for _ in 0..MAX_PAGES {
        let page = match client.list_workspaces(ids.len()).await {
            Err(openrouter::Error::Rejected { status: 404 | 405, .. }) => break,
            page => page?,
        };
        if page.unreadable_count() > 0 {
            return Err(unexpected(services, "workspaces that can all be read"));
        }
        let before = ids.len();
        ids.extend(page.items.into_iter().map(|workspace| workspace.id));
        if ids.len() == before {
            break;
        }
    }
    Ok(ids.into_iter())
}

/// Deletes the keys that have the name of one of the attempts, unless they are stored or in use.
pub(super) async fn delete_keys_of_attempts(
    attempts: &[&Attempt],
    services: &ServiceContext,
    client: &ManagementClient,
) -> Result<AttemptKeys, openrouter::Error> {
    let workspaces = requested_workspaces(attempts);
    delete_keys_in(workspaces, attempts, services, client).await
}

/// Does what [`delete_keys_of_attempts`] does, in these workspaces.
async fn delete_keys_in(
    mut workspaces: Vec<Option<String>>,
    attempts: &[&Attempt],
    services: &ServiceContext,
    client: &ManagementClient,
) -> Result<AttemptKeys, openrouter::Error> {
    let stored = list_stored_keys(services)?;
    let is_stored = |attempt: Option<&Attempt>, hash: &str| {
        let received = attempt.filter(|attempt| attempt.stage == AttemptStage::Stored);
        let received = received.and_then(|attempt| attempt.received_key.as_ref());
        received.is_some_and(|key| key.hash == hash) || stored.iter().any(|key| key.hash == hash)
    };
    let mut found = AttemptKeys::default();
    sort_by(&mut workspaces, Ord::cmp);
    workspaces.dedup();
    // After a failure that is not an answer the server is not asked again.
    let mut failure: Option<openrouter::Error> = None;
    for workspace in workspaces {
        let workspace = workspace.as_deref();
        let keys = find_keys(attempts, services, client, workspace, &mut found).await?;
        for key in keys {
            let name = key.name.as_deref().unwrap_or_default();
            let attempt = attempts.iter().copied().find(|attempt| attempt.is_key_name(name));
            if is_stored(attempt, &key.hash) {
                continue;
            }
            let Some(of_attempt) = attempt.or_else(|| find_by_label(attempts, name)) else {
                found.foreign.push(key);
                continue;
            };
            // The journal could not be written when the key was stored, if the disk was full.
            let in_store = find_stored(of_attempt, &key, services).await;
            if let Ok(Some(stored_key)) = in_store {
                found.stored.push((of_attempt.id.clone(), stored_key));
                continue;
            }
            let Some(attempt) = attempt else {
                found.foreign.push(key);
                continue;
            };
            // Where the store cannot be read, it may have the key.
            if in_store.is_err() || !key.is_unused() {
                found.in_use.push(attempt.id.clone());
                continue;
            }
            let deleted = match &failure {
                Some(error) => Err(error.clone()),
                None => delete_key(client, &key.hash).await,
            };
            match deleted {
                Ok(()) => found.deleted.push(attempt.id.clone()),
                Err(error) => {
                    failure = Some(error.clone()).filter(|error| error.status().is_none());
                    found.not_deleted.push((attempt.id.clone(), name.to_owned(), error));
                }
            }
        }
    }
    Ok(found)
}

fn find_by_label<'a>(attempts: &[&'a Attempt], name: &str) -> Option<&'a Attempt> {
    attempts.iter().copied().find(|attempt| attempt.label.as_str() == name)
}

/// Returns the key of an attempt as the inventory lists it, if the secret store has its text.
async fn find_stored(
    attempt: &Attempt,
    key: &AccountKey,
    services: &ServiceContext,
) -> Result<Option<StoredKey>, secret_store::Error> {
    let row = key.to_inventory_row(&services.server, Timestamp::now()).with(|key| {
        key.label = attempt.label.clone();
        key.requested = attempt.requested.clone();
        key.replaces.clone_from(&attempt.replaces);
    });
    stored_text::find_stored(&row, services).await
}

/// Adds a key that is in the secret store to the inventory, gives it its label at the server and ends its
/// attempt. Returns what failed; the next start continues.
async fn list_stored_key(
    mut guard: AttemptGuard,
    key: StoredKey,
    services: &ServiceContext,
    client: &ManagementClient,
) -> Option<UserError> {
    let listed = inventory::upsert_keys(&services.location, vec![key.clone()]).and_then(|()| {
        guard.update(|attempt| {
            attempt.stage = AttemptStage::Stored;
            attempt.received_key = Some(key);
        })
    });
    if let Err(error) = listed {
        return Some(error.to_user_error());
    }
    match rename_stored_key(guard.attempt(), services, client).await {
        Ok(_) => {
            abandon_attempt(guard, services).await;
            None
        }
        Err(error) => Some(not_named_error(guard.attempt(), services, &error)),
    }
}

/// Returns the keys with the name or the label of one of the attempts.
async fn find_keys(
    attempts: &[&Attempt],
    services: &ServiceContext,
    client: &ManagementClient,
    workspace: Option<&str>,
    found: &mut AttemptKeys,
) -> Result<Vec<AccountKey>, openrouter::Error> {
    let (mut keys, mut offset, mut skipped) = (Vec::new(), 0, 0);
    for _ in 0..MAX_PAGES {
        let page = client.list_keys(workspace, offset).await?;
        if page.row_count == 0 {
            services.skipped_rows.record("keys", workspace, skipped, offset);
            found.skipped_rows += skipped;
            return Ok(keys);
        }
        offset += page.row_count;
        skipped += page.unreadable_count();
        // Only these are kept: the list may be long.
        keys.extend(page.items.into_iter().filter(|key| {
            let name = key.name.as_deref().unwrap_or_default();
            attempts.iter().any(|row| row.is_key_name(name) || row.label.as_str() == name)
        }));
    }
    Err(unexpected(services, "a list with an end"))
}

async fn delete_key(client: &ManagementClient, hash: &str) -> Result<(), openrouter::Error> {
    match client.delete_key(hash).await {
        Err(openrouter::Error::Rejected { status: 404, .. }) => Ok(()),
        result => result,
    }
}

fn list_stored_keys(services: &ServiceContext) -> Result<Vec<StoredKey>, openrouter::Error> {
    services.list_keys().map_err(|error| openrouter::Error::NotSent {
        server: services.server.clone(),
        reason: error.to_string(),
    })
}

/// Returns the label of a received key by now: it may replace another key whose label it gets, or may
/// have been removed from this machine.
fn find_label(received: &StoredKey, services: &ServiceContext) -> Result<Label, openrouter::Error> {
    let keys = list_stored_keys(services)?;
    if let Some(key) = keys.iter().find(|key| key.hash == received.hash) {
        let replaced = key.replaces.as_ref();
        let replaced = replaced.and_then(|old| keys.iter().find(|key| key.hash == old.hash));
        return Ok(replaced.map_or(&key.label, |old| &old.label).clone());
    }
    let trash = services.list_trash().unwrap_or_default();
    let removed = trash.into_iter().find(|trashed| trashed.key.hash == received.hash);
    Ok(removed.map_or_else(|| received.label.clone(), |trashed| trashed.key.label.clone()))
}

fn unexpected(services: &ServiceContext, expected: &'static str) -> openrouter::Error {
    openrouter::Error::UnexpectedResponse { server: services.server.clone(), expected }
}
