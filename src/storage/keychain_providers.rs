//! `keychain.json`: the keychains that keys were stored in. If another program or collection
//! answers later, the entries are missing there although nothing removed them.

use serde::{Deserialize, Serialize};

use crate::storage::json_store::{Error, SchemaVersion, StoreLocation};
use crate::storage::secret_store::Provider;

const FILE_NAME: &str = "keychain.json";

#[derive(Clone, Default, Serialize, Deserialize)]
struct Record {
    #[serde(default)]
    version: SchemaVersion,
    #[serde(default)]
    providers: Vec<Provider>,
    /// Fields written by a newer version, preserved on update.
    #[serde(flatten)]
    unknown: serde_json::Map<String, serde_json::Value>,
}

/// Returns the keychains that keys were stored in, the oldest first.
pub fn list_providers(location: &StoreLocation) -> Result<Vec<Provider>, Error> {
    Ok(location.read::<Record>(FILE_NAME)?.providers)
}

/// Adds a keychain, if it is not there yet.
pub fn add_provider(location: &StoreLocation, provider: Provider) -> Result<(), Error> {
    if list_providers(location)?.contains(&provider) {
        return Ok(());
    }
    location.update(FILE_NAME, |record: &mut Record| record.providers.push(provider))
}
