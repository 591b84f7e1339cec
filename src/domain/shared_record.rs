//! What a shared store records about a key besides its secret: pairs of text that any tool can
//! read. A field has the same name as in the inventory; a value that is not text is written as
//! JSON.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{ApiKey, KeyLocation, Label, StoredKey, StoredKeyFields, is_key_hash, sanitize};

/// The limits of custom metadata (KV version 2): pairs of an entry, and bytes of a value.
const MAX_PAIRS: usize = 64;
const MAX_VALUE_BYTES: usize = 512;

/// The longest field that is read.
const MAX_FIELD_BYTES: usize = 16 * MAX_VALUE_BYTES;

/// The fields that are text.
const TEXT_FIELDS: [&str; 7] =
    ["hash", "masked", "server", "created_at", "lifetime_from", "user_id", "refused_at"];
/// The fields that are JSON. What a check reports changes too often to be shared.
const JSON_FIELDS: [&str; 7] =
    ["requested", "granted", "disabled", "guardrail", "replaces", "retiring", "other_account"];
/// The fields without which a key is not known.
const IDENTITY_FIELDS: [&str; 4] = ["hash", "masked", "server", "created_at"];

const CREATED_BY: &str = "created_by";
const WRITER_PREFIX: &str = "writer_";

/// Fields by their name, each in one piece.
pub type SharedFields = BTreeMap<String, String>;

/// What the shared store had about a key when it was last read or written there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedRecord {
    /// The label of its entry.
    pub label: Label,
    /// The version of its secret, from 1; 0 where it is not known.
    #[serde(default)]
    pub version: u64,
    /// Its fields, also those that this version does not know.
    #[serde(default)]
    pub fields: SharedFields,
    /// Set where the version has no secret any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<SecretLoss>,
}

/// Why the current version of an entry has no secret any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretLoss {
    /// It was deleted, and can be restored.
    Deleted,
    /// It was destroyed.
    Destroyed,
}

impl SecretLoss {
    /// Returns the name, as in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::Destroyed => "destroyed",
        }
    }
}

impl SharedRecord {
    /// Returns the record of a version whose secret can be read.
    pub const fn new(label: Label, version: u64, fields: SharedFields) -> Self {
        Self { label, version, fields, loss: None }
    }

    /// Returns who created the key, if that is known.
    pub fn created_by(&self) -> Option<String> {
        self.fields.get(CREATED_BY).map(|name| sanitize(name, 100))
    }

    /// Returns who wrote a version, if that is known.
    pub fn writer(&self, version: u64) -> Option<String> {
        self.fields.get(&format!("{WRITER_PREFIX}{version}")).map(|name| sanitize(name, 100))
    }
}

impl StoredKey {
    /// Returns why the text of a shared key cannot be read, if it cannot.
    pub fn secret_loss(&self) -> Option<SecretLoss> {
        self.shared.as_ref().and_then(|record| record.loss)
    }

    /// Returns the names of the known fields whose value in the shared store cannot be read.
    pub fn invalid_shared_fields(&self) -> Vec<&'static str> {
        let Some(record) = &self.shared else { return Vec::new() };
        let base = self.identity_fields();
        let is_valid = |name: &str, text: &str| match name {
            "hash" => is_key_hash(text),
            "created_at" => text.parse::<Timestamp>().is_ok(),
            _ => parse_field(name, text)
                .is_some_and(|value| with_fields(&base, [(name, value)]).is_some()),
        };
        let names = TEXT_FIELDS.iter().chain(&JSON_FIELDS).copied();
        let text = |name| record.fields.get(name);
        names.filter(|name| text(*name).is_some_and(|text| !is_valid(name, text))).collect()
    }

    /// Returns the JSON of a key of which nothing is known besides its identity.
    fn identity_fields(&self) -> Map<String, Value> {
        let identity = StoredKeyFields {
            label: self.label.clone(),
            hash: self.hash.clone(),
            masked: self.masked.clone(),
            server: self.server.clone(),
            location: self.location.clone(),
            created_at: self.created_at,
            ..StoredKeyFields::default()
        };
        to_json(&identity).unwrap_or_default()
    }

    /// Returns the fields that the shared store should have: those of this key, and the others that it
    /// has already.
    pub fn to_shared_fields(&self) -> SharedFields {
        let known = self.shared.as_ref().map(|record| record.fields.clone());
        let mut fields = known.unwrap_or_default();
        fields.retain(|name, _| !is_field(name));
        let Some(json) = to_json(self) else { return fields };
        for (name, value) in json {
            let text = match value {
                Value::Null => continue,
                Value::String(text) if TEXT_FIELDS.contains(&&*name) => text,
                value if JSON_FIELDS.contains(&&*name) => value.to_string(),
                _ => continue,
            };
            fields.insert(name, text);
        }
        fields
    }

    /// Returns the fields for an entry that the key did not have before and that has the fields
    /// `remote`. The writers of the versions are those of the entry; the creator is that of the
    /// key.
    pub fn shared_fields_over(&self, remote: &SharedFields) -> SharedFields {
        let mut fields = remote.clone();
        fields.retain(|name, _| !is_field(name) && name != CREATED_BY);
        let own = self.to_shared_fields().into_iter();
        fields.extend(own.filter(|(name, _)| !name.starts_with(WRITER_PREFIX)));
        fields
    }

    /// Returns the key that these fields describe; `None` where they do not say which key it is. The
    /// server is the one whose keys are read: an entry cannot send a key elsewhere.
    pub fn from_shared_record(
        record: SharedRecord,
        server: &str,
        location: KeyLocation,
        created_at: Timestamp,
    ) -> Option<Self> {
        let fields = &record.fields;
        let hash = fields.get("hash").filter(|hash| is_key_hash(hash))?.clone();
        let masked = fields.get("masked").map(|masked| sanitize(masked, 24)).unwrap_or_default();
        let created_at =
            fields.get("created_at").and_then(|at| at.parse().ok()).unwrap_or(created_at);
        let (label, server) = (record.label.clone(), server.to_owned());
        let base = StoredKeyFields {
            label,
            hash,
            masked,
            server,
            location,
            created_at,
            ..StoredKeyFields::default()
        };
        let base = Self::from(base).identity_fields();
        let optional: Vec<(&str, Value)> = fields
            .iter()
            .filter(|(name, _)| !IDENTITY_FIELDS.contains(&name.as_str()))
            .filter_map(|(name, text)| Some((name.as_str(), parse_field(name, text)?)))
            .collect();
        // A field that cannot be read does not hide the others.
        let mut key = with_fields(&base, optional.clone()).or_else(|| {
            let is_readable = |field: &(&str, Value)| with_fields(&base, [field.clone()]).is_some();
            with_fields(&base, optional.into_iter().filter(is_readable))
        })?;
        key.shared = Some(Box::new(record));
        Some(key)
    }

    /// Returns the key as `read` from the store, with the fields that only this machine knows.
    #[must_use]
    pub fn with_shared_state(&self, read: Self) -> Self {
        read.with(|read| {
            read.info.clone_from(&self.info);
            read.checked_at = self.checked_at;
            read.unknown_fields.clone_from(&self.unknown_fields);
        })
    }

    /// Returns whether the shared store has other fields than it should.
    pub fn is_unshared(&self) -> bool {
        match &self.shared {
            Some(record) => {
                record.version == 0
                    || record.label != self.label
                    || record.fields != self.to_shared_fields()
            }
            None => true,
        }
    }
}

/// Returns the key with these fields besides its identity; `None` if one of them cannot be read.
fn with_fields<'a>(
    identity: &Map<String, Value>,
    fields: impl IntoIterator<Item = (&'a str, Value)>,
) -> Option<StoredKey> {
    let mut json = identity.clone();
    json.extend(fields.into_iter().map(|(name, value)| (name.to_owned(), value)));
    serde_json::from_str(&Value::Object(json).to_string()).ok()
}

/// Returns the fields of the key's JSON. Goes through text, for which the inventory needs the code of this
/// conversion anyway: conversions of values would add 60 kilobytes to the binary.
fn to_json(key: &StoredKeyFields) -> Option<Map<String, Value>> {
    serde_json::from_str(&serde_json::to_string(key).ok()?).ok()
}

/// Sets the fields that identify `key`. Fields about a key that was in the entry before are
/// removed.
pub fn set_identity(fields: &mut SharedFields, key: &ApiKey) {
    let hash = key.hash();
    if fields.get("hash") != Some(&hash) {
        fields.retain(|name, _| !is_field(name) && name != CREATED_BY);
        fields.insert("hash".into(), hash);
        fields.insert("masked".into(), key.masked());
    }
}

/// Records who created a key, unless that is known, and who wrote this version of its secret.
pub fn set_writer(fields: &mut SharedFields, version: u64, who: &str, is_new: bool) {
    let who = sanitize(who, 100);
    if is_new {
        fields.entry(CREATED_BY.into()).or_insert_with(|| who.clone());
    }
    if version > 0 {
        fields.entry(format!("{WRITER_PREFIX}{version}")).or_insert(who);
    }
}

fn is_field(name: &str) -> bool {
    TEXT_FIELDS.contains(&name) || JSON_FIELDS.contains(&name)
}

fn parse_field(name: &str, text: &str) -> Option<Value> {
    if text.len() > MAX_FIELD_BYTES {
        return None;
    }
    if TEXT_FIELDS.contains(&name) {
        return Some(Value::String(sanitize(text, 300)));
    }
    let mut value = JSON_FIELDS.contains(&name).then(|| serde_json::from_str(text).ok())??;
    sanitize_json(&mut value);
    Some(value)
}

/// Removes control characters from every text of a document: anybody may have written it.
fn sanitize_json(value: &mut Value) {
    match value {
        Value::String(text) => *text = sanitize(text, 300),
        Value::Array(values) => values.iter_mut().for_each(sanitize_json),
        Value::Object(fields) => fields.values_mut().for_each(sanitize_json),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Returns the fields after two people changed them. What only one changed is as they left it;
/// where both changed a field, the value in the store is kept, because others have already seen it.
pub fn merge_fields(
    base: &SharedFields,
    local: &SharedFields,
    remote: &SharedFields,
) -> SharedFields {
    let mut merged = remote.clone();
    for name in base.keys().chain(local.keys()) {
        if remote.get(name) != base.get(name) {
            continue;
        }
        match local.get(name) {
            Some(value) => merged.insert(name.clone(), value.clone()),
            None => merged.remove(name),
        };
    }
    merged
}

/// Returns the pairs in which a store keeps these fields: a long one is continued as `NAME.2`,
/// `NAME.3` and so on.
pub fn split_fields(fields: &SharedFields) -> BTreeMap<String, String> {
    let mut pairs = BTreeMap::new();
    for (name, value) in fields {
        let mut rest = value.as_str();
        let mut number = 1;
        while !rest.is_empty() {
            let is_boundary = |end: &usize| rest.is_char_boundary(*end);
            let most = rest.len().min(MAX_VALUE_BYTES);
            let end = (1..=most).rev().find(is_boundary).unwrap_or(rest.len());
            let (part, tail) = rest.split_at(end);
            pairs.insert(part_name(name, number), part.to_owned());
            (rest, number) = (tail, number + 1);
        }
    }
    // The writers of old versions are the least important pairs, so they are left out first.
    let version = |name: &String| name.strip_prefix(WRITER_PREFIX)?.parse::<u64>().ok();
    while pairs.len() > MAX_PAIRS {
        let Some(oldest) = pairs.keys().filter_map(version).min() else { break };
        pairs.remove(&format!("{WRITER_PREFIX}{oldest}"));
    }
    pairs
}

/// Returns the fields that these pairs contain.
pub fn join_pairs(mut pairs: BTreeMap<String, String>) -> SharedFields {
    for name in TEXT_FIELDS.iter().chain(&JSON_FIELDS) {
        let Some(mut value) = pairs.remove(*name) else { continue };
        let mut number = 2;
        while let Some(part) = pairs.remove(&part_name(name, number)) {
            value.push_str(&part);
            number += 1;
        }
        pairs.insert((*name).to_owned(), value);
    }
    pairs
}

fn part_name(name: &str, number: usize) -> String {
    if number == 1 { name.to_owned() } else { format!("{name}.{number}") }
}

#[cfg(test)]
mod tests;
