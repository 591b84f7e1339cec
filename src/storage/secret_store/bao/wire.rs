//! The engine's requests and responses, read leniently: an unknown field is ignored, a missing one is
//! empty.

use std::collections::BTreeMap;

use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// The field of an entry's data that has the key.
pub(super) const KEY_FIELD: &str = "key";

/// An entry with its secret.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The secret.
    pub secret: SecretString,
    /// Its version, from 1.
    pub version: u64,
    /// When this version was written.
    pub created_time: Option<Timestamp>,
}

/// What the engine knows about an entry without its secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct EntryMetadata {
    /// The version that is read without a number; 0 before the first write.
    pub current_version: u64,
    /// The versions that still exist, by number.
    #[serde(deserialize_with = "null_to_default")]
    pub versions: BTreeMap<u64, VersionInfo>,
    /// What is known about the entry besides its secret.
    #[serde(deserialize_with = "null_to_default")]
    pub custom_metadata: BTreeMap<String, String>,
}

/// One version of an entry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct VersionInfo {
    /// When it was written.
    #[serde(deserialize_with = "lenient_time")]
    pub created_time: Option<Timestamp>,
    /// When it was or will be deleted; such a version can be restored.
    #[serde(deserialize_with = "lenient_time")]
    pub deletion_time: Option<Timestamp>,
    /// Whether its secret is gone for ever.
    pub destroyed: bool,
}

/// What the token may do.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct TokenInfo {
    /// The name of the login.
    #[serde(deserialize_with = "null_to_default")]
    pub display_name: String,
    /// The policies.
    #[serde(deserialize_with = "null_to_default")]
    pub policies: Vec<String>,
    /// The policies of the login's identity.
    #[serde(deserialize_with = "null_to_default")]
    pub identity_policies: Vec<String>,
    /// Seconds until it expires; 0 for one that never does.
    pub ttl: u64,
    /// Whether its life can be extended.
    #[serde(deserialize_with = "null_to_default")]
    pub renewable: bool,
}

/// The state of the engine, as `sys/health` has it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Health {
    /// Whether it was set up.
    pub initialized: bool,
    /// Whether it must be unsealed.
    pub sealed: bool,
    /// Whether another node leads the cluster.
    pub standby: bool,
    /// Its version.
    pub version: String,
    /// Its clock, in seconds since 1970.
    pub server_time_utc: i64,
}

/// A mount, as `sys/internal/ui/mounts/PATH` has it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Mount {
    /// The kind of engine, `kv`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its options; `version` is `2` for entries with versions.
    #[serde(deserialize_with = "null_to_default")]
    pub options: BTreeMap<String, String>,
}

impl Mount {
    /// Returns whether it is a KV engine of version 2.
    pub fn is_kv2(&self) -> bool {
        self.kind == "kv" && self.options.get("version").is_some_and(|version| version == "2")
    }
}

/// The envelope of most responses.
#[derive(Deserialize)]
pub(super) struct Envelope<T> {
    pub data: T,
}

/// The data of a read entry. A deleted version has metadata only.
#[derive(Deserialize)]
pub(super) struct ReadData {
    pub data: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    pub metadata: ReadMetadata,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct ReadMetadata {
    pub version: u64,
    pub destroyed: bool,
    #[serde(deserialize_with = "lenient_time")]
    pub created_time: Option<Timestamp>,
}

#[derive(Deserialize)]
pub(super) struct WrittenData {
    pub version: u64,
}

#[derive(Deserialize)]
pub(super) struct ListData {
    #[serde(default)]
    pub keys: Vec<String>,
}

/// A list with the metadata of each entry; a folder has none.
#[derive(Deserialize)]
pub(super) struct DetailedListData {
    #[serde(default)]
    pub keys: Vec<String>,
    #[serde(default, deserialize_with = "null_to_default")]
    pub key_info: BTreeMap<String, EntryMetadata>,
}

/// The response to a login or a renewal.
#[derive(Deserialize)]
pub(super) struct AuthResponse {
    pub auth: Auth,
}

#[derive(Deserialize)]
pub(super) struct Auth {
    pub client_token: SecretString,
    #[serde(default)]
    pub lease_duration: u64,
}

#[derive(Deserialize, Default)]
pub(super) struct Errors {
    #[serde(default)]
    pub errors: Vec<Value>,
}

fn null_to_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads a time; an empty or odd one is `None`.
fn lenient_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text: Option<String> = Option::deserialize(deserializer)?;
    Ok(text.and_then(|text| text.parse().ok()))
}

/// The body of a request, and its content type.
pub(super) struct Body(pub(super) SecretString, pub(super) &'static str);

impl Body {
    pub(super) fn json(value: &Value) -> Self {
        Self(SecretString::from(value.to_string()), "application/json")
    }

    pub(super) fn merge_patch(value: &Value) -> Self {
        Self(SecretString::from(value.to_string()), "application/merge-patch+json")
    }
}
