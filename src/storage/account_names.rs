//! `names.json`: a cache of the names of the account's workspaces and guardrails, for screens that
//! send no request and for shell completion.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::AccountNames;
use crate::storage::json_store::{Error, SchemaVersion, StoreLocation};

const FILE_NAME: &str = "names.json";

#[derive(Clone, Default, Serialize, Deserialize)]
struct Document {
    #[serde(default)]
    version: SchemaVersion,
    /// By server.
    #[serde(default)]
    servers: BTreeMap<String, AccountNames>,
}

/// Returns the names that the account on `server` had; none where they cannot be read.
pub fn read_names(location: &StoreLocation, server: &str) -> AccountNames {
    let document = location.read::<Document>(FILE_NAME).unwrap_or_else(|error| {
        tracing::warn!(%error, "the names of workspaces and guardrails could not be read");
        Document::default()
    });
    document.servers.get(server).cloned().unwrap_or_default()
}

/// Changes the names of the account on `server`. Writes nothing where they stay the same.
pub fn update_names(
    location: &StoreLocation,
    server: &str,
    change: impl FnOnce(&mut AccountNames),
) -> Result<(), Error> {
    let mut document = location.read::<Document>(FILE_NAME).unwrap_or_default();
    let names = document.servers.entry(server.to_owned()).or_default();
    let before = names.clone();
    change(names);
    if *names == before { Ok(()) } else { location.replace(FILE_NAME, document) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_for_each_server_and_a_damaged_file_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let location = StoreLocation::Directory(dir.path().join("data"));
        let id = "0DF9E665-AAAA";
        let add = |names: &mut AccountNames| {
            names.workspaces.insert(id.to_lowercase(), "research".into());
        };
        update_names(&location, "a", add).unwrap();
        assert_eq!(read_names(&location, "a").workspace_name(id), "research");
        assert_eq!(read_names(&location, "b").workspace_name(id), id);
        let path = dir.path().join("data").join(FILE_NAME);
        let written = std::fs::metadata(&path).unwrap().modified().unwrap();
        update_names(&location, "a", add).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().modified().unwrap(), written);
        std::fs::write(&path, "{").unwrap();
        assert_eq!(read_names(&location, "a"), AccountNames::default());
        update_names(&location, "a", add).unwrap();
        assert_eq!(read_names(&location, "a").workspace_name(id), "research");
    }
}
