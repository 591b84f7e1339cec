//! Lists the account's keys and joins them with the stored keys.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::error::is_not_found;
use super::paging::{List, ListBudget, fetch_all_pages};
use super::{Error, account_resources, management_key};
use crate::api::openrouter::{self, ManagementClient};
use crate::domain::{AccountKey, ManagementKey, ProfileCopies, ProfileCopy, StoredKey};
use crate::services::provision::ServiceContext;
use crate::storage::inventory;
use crate::storage::json_store::StoreLocation;

/// A key that is stored here, belongs to the account, or both.
#[derive(Clone, Debug, PartialEq)]
pub enum JoinedKey {
    /// Stored here, and listed by the account.
    Both(StoredKey, Box<AccountKey>),
    /// Listed by the account, and not stored here.
    AccountOnly(Box<AccountKey>),
    /// Stored here, and not listed by the account: it belongs to another account or was deleted.
    NotListed(StoredKey),
    /// Stored here, and deleted at the server, as a request for this key confirmed.
    Revoked(StoredKey),
}

/// Joins by hash: first the stored keys in their order, then the account's other keys in theirs.
pub fn join_by_hash(stored_keys: Vec<StoredKey>, account_keys: Vec<AccountKey>) -> Vec<JoinedKey> {
    let mut order = Vec::with_capacity(account_keys.len());
    let mut known = HashMap::with_capacity(account_keys.len());
    for key in account_keys {
        order.push(key.hash.clone());
        known.entry(key.hash.clone()).or_insert(key);
    }
    let mut joined: Vec<JoinedKey> = stored_keys
        .into_iter()
        .map(|stored_key| match known.remove(&stored_key.hash) {
            Some(account_key) => JoinedKey::Both(stored_key, Box::new(account_key)),
            None => JoinedKey::NotListed(stored_key),
        })
        .collect();
    joined.extend(
        order
            .into_iter()
            .filter_map(|hash| known.remove(&hash))
            .map(Box::new)
            .map(JoinedKey::AccountOnly),
    );
    joined
}

/// Returns all keys of the account, also disabled and expired ones. Lists every workspace, or only
/// the default one if the server does not list workspaces.
pub async fn list_account_keys(
    services: &ServiceContext,
    management: &ManagementKey,
) -> Result<Vec<AccountKey>, Error> {
    Ok(list_keys_of_workspaces(services, management).await?.keys)
}

/// The keys of an account.
pub struct AccountKeyList {
    /// The keys.
    pub keys: Vec<AccountKey>,
    /// Why other workspaces than the default one could not be listed.
    pub unlisted_workspaces: Option<openrouter::Error>,
    /// The number of rows that could not be read.
    pub skipped_rows: usize,
}

/// Does what [`list_account_keys`] does, and returns whether the list is complete.
pub(super) async fn list_keys_of_workspaces(
    services: &ServiceContext,
    management: &ManagementKey,
) -> Result<AccountKeyList, Error> {
    let client = services.build_management_client(management).map_err(Error::from_read_request)?;
    list_keys_with(services, &client).await
}

/// Does what [`list_account_keys`] does with this client, which then knows the server's clock.
pub async fn list_keys_with(
    services: &ServiceContext,
    client: &ManagementClient,
) -> Result<AccountKeyList, Error> {
    let failed = Error::from_read_request;
    let mut budget = ListBudget::new();
    let mut unlisted_workspaces = None;
    let fetched = account_resources::fetch_workspaces(services, &mut budget, client).await;
    let workspaces = match fetched {
        Ok(workspaces) if !workspaces.is_empty() => {
            account_resources::remember_workspaces(services, &workspaces);
            workspaces.into_iter().map(|workspace| Some(workspace.id)).collect()
        }
        // Without workspaces the server still lists the keys of the default one.
        Ok(_) | Err(openrouter::Error::Rejected { status: 404 | 405, .. }) => vec![None],
        Err(
            error @ (openrouter::Error::UnexpectedResponse { .. }
            | openrouter::Error::Rejected { .. }),
        ) if error.status() != Some(401) => {
            unlisted_workspaces = Some(error);
            vec![None]
        }
        Err(error) => return Err(failed(error)),
    };
    let (mut keys, mut seen) = (Vec::new(), HashSet::new());
    for workspace in workspaces {
        let found = list_workspace_keys(services, &mut budget, client, workspace.as_deref()).await;
        keys.extend(found.map_err(failed)?.into_iter().filter(|key| seen.insert(key.hash.clone())));
    }
    Ok(AccountKeyList { keys, unlisted_workspaces, skipped_rows: budget.skipped_rows() })
}

async fn list_workspace_keys(
    services: &ServiceContext,
    budget: &mut ListBudget,
    client: &ManagementClient,
    workspace: Option<&str>,
) -> Result<Vec<AccountKey>, openrouter::Error> {
    let hash = |key: &AccountKey| key.hash.clone();
    let list = List { noun: "keys", workspace };
    fetch_all_pages(services, budget, list, hash, async |offset| {
        client.list_keys(workspace, offset).await
    })
    .await
}

/// Joins the stored keys with the account's keys, and records the account's data in the inventory.
/// A stored key that is not listed is requested by its hash before it counts as revoked.
pub async fn join_account_keys(
    services: &ServiceContext,
    management: &ManagementKey,
) -> Result<Vec<JoinedKey>, Error> {
    let account_keys = list_account_keys(services, management).await?;
    // Without the right to read guardrails the last known ones stay.
    let guardrails = match account_resources::list_assigned_guardrails(services, management).await {
        Ok(guardrails) => Some(guardrails),
        Err(error) => {
            tracing::warn!(%error, "the guardrails of the keys could not be read");
            None
        }
    };
    let at = Timestamp::now();
    let known: HashMap<_, _> = account_keys.iter().map(|key| (key.hash.as_str(), key)).collect();
    inventory::update_keys(&services.location, |keys| {
        for stored_key in keys.iter_mut().filter(|stored_key| stored_key.server == services.server)
        {
            if let Some(account_key) = known.get(stored_key.hash.as_str()) {
                stored_key.record_account_key(account_key, at);
                if let Some(guardrails) = &guardrails {
                    stored_key.record_guardrail(guardrails.get(&stored_key.hash).cloned());
                }
            }
        }
    })?;
    let stored_keys = services.list_keys()?;
    let client = services.build_management_client(management).map_err(Error::from_read_request)?;
    let mut joined = join_by_hash(stored_keys, account_keys);
    for row in &mut joined {
        let JoinedKey::NotListed(stored_key) = row else { continue };
        let found = client.get_key(&stored_key.hash).await;
        match found {
            Ok(account_key) => *row = JoinedKey::Both(stored_key.clone(), Box::new(account_key)),
            Err(error) if is_not_found(&error) => *row = JoinedKey::Revoked(stored_key.clone()),
            // Whether it exists is not known.
            Err(error) => tracing::warn!(%error, "a key that is not listed could not be fetched"),
        }
    }
    Ok(joined)
}

/// Records the guardrail of each stored key as the account reports it, with one request for all keys;
/// without a management key nothing. On an error the last known guardrails stay.
pub async fn refresh_guardrails(services: &ServiceContext) -> Result<(), Error> {
    let Some(management) = management_key::load_management_key(services).await? else {
        return Ok(());
    };
    let assigned = account_resources::list_assigned_guardrails(services, &management).await?;
    let client = services.build_management_client(&management).map_err(Error::from_read_request)?;
    let mut changed = HashMap::new();
    for key in services.list_keys()? {
        let guardrail = assigned.get(&key.hash).cloned();
        if guardrail == key.guardrail {
            continue;
        }
        // The account has no assignment of a key of another account either.
        if guardrail.is_some() || client.get_key(&key.hash).await.is_ok() {
            changed.insert(key.hash.clone(), guardrail);
        }
    }
    if changed.is_empty() {
        return Ok(());
    }
    inventory::update_keys(&services.location, |keys| {
        for key in keys.iter_mut().filter(|key| key.server == services.server) {
            if let Some(guardrail) = changed.remove(&key.hash) {
                key.record_guardrail(guardrail);
            }
        }
    })?;
    Ok(())
}

/// Returns the copies of keys in other profiles, by hash. A profile whose inventory cannot be read has
/// no keys here. Blocks.
pub fn find_in_other_profiles(services: &ServiceContext) -> ProfileCopies {
    let mut found = ProfileCopies::new();
    for (profile, dir) in &services.other_profiles {
        let location = StoreLocation::Directory(dir.clone());
        let keys = inventory::list_keys(&location, &services.server).unwrap_or_else(|error| {
            tracing::warn!(%error, %profile, "the keys of another profile could not be read");
            Vec::new()
        });
        for key in keys {
            let copy = ProfileCopy { profile: profile.clone(), label: key.label.clone() };
            found.entry(key.hash.clone()).or_default().push(copy);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ApiKey;

    fn account_key(label: &str) -> AccountKey {
        AccountKey { hash: ApiKey::from(label.to_owned()).hash(), ..AccountKey::default() }
    }

    #[test]
    fn keys_are_joined_by_their_hash_and_none_appears_twice() {
        let [a, b] = ["a", "b"].map(|label| StoredKey::sample(label, Timestamp::UNIX_EPOCH));
        let joined = join_by_hash(
            vec![b.clone(), a.clone()],
            vec![account_key("c"), account_key("a"), account_key("c")],
        );
        assert_eq!(
            joined,
            [
                JoinedKey::NotListed(b),
                JoinedKey::Both(a, Box::new(account_key("a"))),
                JoinedKey::AccountOnly(Box::new(account_key("c"))),
            ]
        );
        assert_eq!(join_by_hash(Vec::new(), Vec::new()), []);
    }
}
