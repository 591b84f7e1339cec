//! The management key: from the environment, else from a slot of its own in the vault, where it is
//! never taken for a held key. Must not know: what it is used for.

use super::{Error, closed, opened, patiently};
use crate::api::openrouter;
use crate::domain::{ApiKey, ManagementKey};
use crate::services::provision::Services;
use crate::storage::secret_store::{self, EntryId};
use secrecy::ExposeSecret;

/// Where a management key comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// `OPENROUTER_MANAGEMENT_KEY`, or the sandbox's own.
    Environment,
    /// The vault.
    Vault,
}

/// The management key that is used, and where it comes from. Waits for the vault.
pub async fn read(services: &Services) -> Result<Option<(ManagementKey, Source)>, Error> {
    if let Some(key) = &services.management {
        return Ok(Some((key.clone(), Source::Environment)));
    }
    let slot = slot(services);
    match services.vault(move |vault, patience| vault.get(&slot, patience)).await {
        #[expect(clippy::disallowed_methods, reason = "door: the vault")]
        Ok(secret) => {
            Ok(Some((ManagementKey::from(secret.expose_secret().to_owned()), Source::Vault)))
        }
        Err(secret_store::Error::NoEntry) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The management key, or the sentence that one is needed; `page` is where its owner can do by
/// hand what it is needed for.
pub async fn require(services: &Services, page: &str) -> Result<ManagementKey, Error> {
    match read(services).await? {
        Some((key, _)) => Ok(key),
        None => Err(Error::NoManagementKey { page: page.into() }),
    }
}

/// Stores a management key, read back, after it has said of itself that it is one.
pub async fn set(services: &Services, key: &ManagementKey) -> Result<(), Error> {
    let client = services.client().map_err(Error::Unchecked)?;
    let asked: ApiKey = opened(&closed(key));
    match patiently(services, async || client.get_current_key(&asked).await).await {
        Ok(reading) if reading.is_management_key => {}
        Ok(_) => return Err(Error::NotManagement),
        Err(openrouter::Error::Rejected { status: 401, .. }) => return Err(Error::DeadKey),
        Err(error) => return Err(Error::Unchecked(error)),
    }
    let (slot, secret) = (slot(services), closed(key));
    Ok(services.vault(move |vault, patience| vault.set(&slot, &secret, patience)).await?)
}

/// Removes the stored management key; whether there was one. It stays valid at the server.
pub async fn forget(services: &Services) -> Result<bool, Error> {
    let slot = slot(services);
    match services.vault(move |vault, patience| vault.delete(&slot, patience)).await {
        Ok(()) => Ok(true),
        Err(secret_store::Error::NoEntry) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn slot(services: &Services) -> EntryId {
    slot_of(&services.service)
}

/// A service of its own: what lies under the keys' service is a key.
pub(super) fn slot_of(service: &str) -> EntryId {
    EntryId { service: format!("{service} management"), account: "management".into() }
}
