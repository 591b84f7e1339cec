//! A stored key without its secret: its last check and retirement.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::reported::Reported;
use super::{
    ApiKey, Cents, CheckResult, ErrorKind, GrantedPolicy, GuardrailRef, KeyInfo, KeyLocation,
    Label, OtherAccount, RequestedPolicy, ResetInterval, SharedRecord, StoreKind, UserError,
    format_command, sanitize,
};

/// The key that a new key will replace, and when that key may be deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingReplacement {
    /// The hash of the key to be replaced.
    pub hash: String,
    /// How many seconds the key must be unused before it may be deleted.
    #[serde(rename = "quiet_for")]
    pub unused_for: u64,
    /// Whether it is then deleted at the server without confirmation.
    #[serde(default)]
    #[serde(rename = "delete")]
    pub revoke_when_unused: bool,
    /// Whether the new key has the policy of a plan, and not that of the key to be replaced.
    #[serde(default)]
    pub is_planned: bool,
}

/// Set on a replaced key, which stays stored until it is no longer used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Retirement {
    /// When the new key took the label.
    #[serde(rename = "since")]
    pub replaced_at: Timestamp,
    /// How many seconds the key must be unused before it may be deleted.
    #[serde(rename = "quiet_for")]
    pub unused_for: u64,
    /// Whether it is then deleted at the server without confirmation.
    #[serde(default)]
    #[serde(rename = "delete")]
    pub revoke_when_unused: bool,
}

impl Retirement {
    /// Returns the retirement of a key that may be deleted after an hour without use, if the user agrees.
    pub const fn new(replaced_at: Timestamp) -> Self {
        Self { replaced_at, unused_for: 3_600, revoke_when_unused: false }
    }
}

/// Deserializes text that will be shown, without control characters: the file may contain anything.
pub fn deserialize_sanitized<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<String, D::Error> {
    String::deserialize(deserializer).map(|text| sanitize(&text, 300))
}

/// One row of the inventory: a key in a secret store, without its secret. Clones share their fields, and
/// one that is changed gets its own: many rows are held by several parts of the program.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StoredKey(Arc<StoredKeyFields>);

impl From<StoredKeyFields> for StoredKey {
    fn from(fields: StoredKeyFields) -> Self {
        Self(Arc::new(fields))
    }
}

impl Deref for StoredKey {
    type Target = StoredKeyFields;

    fn deref(&self) -> &StoredKeyFields {
        &self.0
    }
}

impl DerefMut for StoredKey {
    fn deref_mut(&mut self) -> &mut StoredKeyFields {
        Arc::make_mut(&mut self.0)
    }
}

/// The fields of a [`StoredKey`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StoredKeyFields {
    /// The label.
    pub label: Label,
    /// Lower-case hexadecimal SHA-256 of the key.
    #[serde(deserialize_with = "deserialize_sanitized")]
    pub hash: String,
    /// `sk-or-v1-0e6...1c96`.
    #[serde(deserialize_with = "deserialize_sanitized")]
    pub masked: String,
    /// The URL of the server that issued it, without a trailing slash.
    #[serde(deserialize_with = "deserialize_sanitized")]
    pub server: String,
    /// Where the secret is.
    #[serde(rename = "store")]
    pub location: KeyLocation,
    /// The store that still has a copy, while the key is moved from there to another store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_from: Option<StoreKind>,
    /// While the key is renamed, the other label under which its store may have an entry of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_entry: Option<Label>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When the key was created whose fixed expiry this one has, if it replaced that key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime_from: Option<Timestamp>,
    /// The requested policy.
    #[serde(default, alias = "asked")]
    pub requested: RequestedPolicy,
    /// The granted policy; `None` if the server could not be reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted: Option<GrantedPolicy>,
    /// The user id of the account, if the server returned it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// Set if that account is another one than that of the other stored keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_account: Option<OtherAccount>,
    /// The last successful check.
    #[serde(default, rename = "reading", skip_serializing_if = "Option::is_none")]
    pub info: Option<Arc<KeyInfo>>,
    /// When that check was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked_at: Option<Timestamp>,
    /// When the server rejected the key (401), unless a later check succeeded.
    #[serde(default, rename = "refused_at", skip_serializing_if = "Option::is_none")]
    pub rejected_at: Option<Timestamp>,
    /// Whether it is disabled, as last reported to the management key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
    /// Whether it leaked and could not be disabled when the leak was reported.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub leaked: bool,
    /// The guardrail that it is assigned to, as last reported to the management key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guardrail: Option<GuardrailRef>,
    /// The key that this one will replace, until the replacement is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<PendingReplacement>,
    /// Set on a replaced key until it is deleted.
    #[serde(default, rename = "retiring", skip_serializing_if = "Option::is_none")]
    pub retirement: Option<Retirement>,
    /// Set on a key that a shared store could not take: it is in a store of this machine until it is
    /// moved there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub move_to: Option<StoreKind>,
    /// Set on a key of a shared store: what that store has about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<Box<SharedRecord>>,
    /// Fields written by a newer version, preserved on update.
    #[serde(flatten)]
    pub unknown_fields: serde_json::Map<String, serde_json::Value>,
}

#[cfg(test)]
impl StoredKey {
    /// Returns a key of the server `s` in the keychain, whose text is its label.
    pub(crate) fn sample(label: &str, created_at: Timestamp) -> Self {
        let (key, store) = (ApiKey::from(label.to_owned()), StoreKind::Keychain);
        Self::new(label.parse().unwrap(), &key, "s".into(), store, created_at)
    }

    /// Sets the last successful check.
    pub(crate) fn with_check(self, at: Timestamp, info: KeyInfo) -> Self {
        self.with(|key| {
            key.checked_at = Some(at);
            key.info = Some(Arc::new(info));
        })
    }
}

impl StoredKey {
    /// Returns the entry of a key that was just received or imported.
    pub fn new(
        label: Label,
        key: &ApiKey,
        server: String,
        store: StoreKind,
        at: Timestamp,
    ) -> Self {
        Self::from(StoredKeyFields {
            label,
            hash: key.hash(),
            masked: key.masked(),
            server,
            location: KeyLocation::Stored(store),
            created_at: at,
            ..StoredKeyFields::default()
        })
    }

    /// Returns the key with a change.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut StoredKeyFields)) -> Self {
        change(&mut self);
        self
    }

    /// Returns whether it was requested under a guardrail and is under none since: its creation was
    /// interrupted before that. A replacement gets its guardrail with its label.
    pub fn awaits_guardrail(&self) -> bool {
        self.requested.guardrail.is_some()
            && self.guardrail.is_none()
            && self.replaces.is_none()
            && self.retirement.is_none()
    }

    /// Returns whether its creation, its rotation or its renaming was interrupted before the end, or is
    /// under way.
    pub fn is_unfinished(&self) -> bool {
        self.replaces.is_some() || self.other_entry.is_some() || self.awaits_guardrail()
    }

    /// Returns what is left to do for a key that [`Self::is_unfinished`].
    pub fn unfinished_part(&self) -> &'static str {
        if self.replaces.is_some() {
            "it does not have the label of the key that it replaces yet"
        } else if self.other_entry.is_some() {
            "a copy of it may be stored under another label"
        } else {
            "it is not under the requested guardrail yet"
        }
    }

    /// Records which guardrail the account reports. One that someone removed is not assigned again.
    pub fn record_guardrail(&mut self, guardrail: Option<GuardrailRef>) {
        if self.guardrail.is_some() && guardrail.is_none() {
            self.requested.guardrail = None;
        }
        self.guardrail = guardrail;
    }

    /// Takes over the policy and the account that the server reports.
    pub fn take_policy_of(&mut self, info: KeyInfo) {
        self.requested = info.to_requested_policy();
        self.granted = Some(info.to_granted_policy());
        self.user_id = info.creator_user_id;
    }

    /// Records the result of a check made at `at`.
    pub fn record_check(&mut self, result: &CheckResult, at: Timestamp) {
        match result {
            CheckResult::Valid(info) => {
                self.granted.get_or_insert_with(|| info.to_granted_policy());
                let mut info = Arc::clone(info);
                if let Some(earlier) =
                    self.info.as_deref().filter(|earlier| earlier.last_used_at.is_some())
                {
                    Arc::make_mut(&mut info).keep_last_use_of(earlier);
                }
                self.info = Some(info);
                self.checked_at = Some(at);
                self.rejected_at = None;
            }
            CheckResult::Rejected => self.rejected_at = Some(at),
            // Neither says anything about this key: the last known values stay.
            CheckResult::InsufficientCredits | CheckResult::Failed(_) => {}
        }
    }

    /// Returns OpenRouter's names of the fields in which the granted policy differs from the
    /// requested one; empty while the granted policy is unknown.
    pub fn differing_fields(&self) -> Vec<&'static str> {
        self.granted
            .as_ref()
            .map(|granted| self.requested.differing_fields(granted))
            .unwrap_or_default()
    }

    /// Returns an error if the key is in another secret store than `store`.
    pub fn other_store_error(&self, store: &StoreKind) -> Option<UserError> {
        match &self.location {
            // A key of the memory store ended with its process, so no other store has it.
            KeyLocation::AccountOnly | KeyLocation::Stored(StoreKind::Memory) => None,
            KeyLocation::Stored(other) if other == store => None,
            KeyLocation::Stored(other) => Some(
                UserError::new(
                    ErrorKind::NotFound,
                    format!("'{}' is in the {other} store, not in the {store} store", self.label),
                    format!(
                        "use it with --store {other}, or move all keys into one store: {}",
                        format_command(&["store", "move", "--to", &store.to_string()], &[])
                    ),
                )
                .with_meaning("nothing was changed"),
            ),
        }
    }

    /// Returns whether the secret is in a store of this kind.
    pub fn is_in_store(&self, store: &StoreKind) -> bool {
        matches!(&self.location, KeyLocation::Stored(kind) if kind == store)
    }

    /// Returns whether the secret is in a store that others use too.
    pub fn is_shared(&self) -> bool {
        matches!(&self.location, KeyLocation::Stored(kind) if kind.is_shared())
    }

    /// Returns from where a removal takes the key, for use after "removed".
    pub fn removal_place(&self) -> &'static str {
        if self.is_shared() { "from the shared store" } else { "here" }
    }

    /// Returns the state of the key at OpenRouter after it is removed here, such as `stays valid at OpenRouter`.
    pub fn validity_when_removed(&self) -> &'static str {
        if self.disabled == Some(true) {
            "stays disabled at OpenRouter"
        } else if self.rejected_at.is_some() {
            "is not accepted by OpenRouter any more"
        } else {
            "stays valid at OpenRouter"
        }
    }

    /// Returns whether a shared store has earlier versions of the key, or had them.
    pub fn has_history(&self) -> bool {
        self.shared.as_ref().is_some_and(|record| record.version > 1)
    }

    /// Returns whether the secret is stored here; otherwise this is a row of the account's list.
    pub fn is_stored(&self) -> bool {
        matches!(self.location, KeyLocation::Stored(_))
    }

    /// Returns the URL of the key's page, where its owner can see and revoke it.
    pub fn page_url(&self) -> String {
        format!("{}/keys/{}", self.server, self.hash)
    }

    /// Returns when the key stops working: as last checked, as granted, else as requested.
    pub fn expires_at(&self) -> Reported<Timestamp> {
        match (&self.info, &self.granted) {
            (Some(info), _) => info.expires_at.clone(),
            (None, Some(granted)) => granted.expires_at.clone(),
            (None, None) => self.requested.expires_at.into(),
        }
    }

    /// Returns the UUID of the workspace: as last checked, else as requested.
    pub fn workspace_id(&self) -> Option<&String> {
        let reported = self.info.as_ref().and_then(|info| info.workspace_id.as_ref());
        reported.or(self.requested.workspace_id.as_ref())
    }

    /// Returns the limit in USD: as last checked, as granted, else as requested.
    pub fn limit(&self) -> Reported<f64> {
        match (&self.info, &self.granted) {
            (Some(info), _) => info.limit.clone(),
            (None, Some(granted)) => granted.limit.clone(),
            (None, None) => self.requested.limit.map(Cents::to_dollars).into(),
        }
    }

    /// Returns the reset interval: as last checked, as granted, else as requested.
    pub fn reset(&self) -> Reported<ResetInterval> {
        match (&self.info, &self.granted) {
            (Some(info), _) => info.limit_reset.clone(),
            (None, Some(granted)) => granted.limit_reset.clone(),
            (None, None) => self.requested.limit_reset.into(),
        }
    }

    /// Returns the next reset after `now`, if the interval is known. An expired key has none.
    pub fn next_reset(&self, now: Timestamp) -> Option<Timestamp> {
        if self.expires_at().value().is_some_and(|at| at <= now) {
            return None;
        }
        self.reset().value()?.next_after(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::mark_other_accounts;

    #[test]
    fn clones_share_their_fields_until_one_is_changed() {
        let key = StoredKey::sample("ci", Timestamp::UNIX_EPOCH)
            .with_check(Timestamp::UNIX_EPOCH, KeyInfo::default());
        let mut other = key.clone();
        let mut keys = [other.clone()];
        other.record_last_use(None);
        mark_other_accounts(&mut keys);
        assert!([&other, &keys[0]].iter().all(|clone| Arc::ptr_eq(&clone.0, &key.0)));
        other.leaked = true;
        assert!(!key.leaked && !Arc::ptr_eq(&other.0, &key.0));
    }
}
