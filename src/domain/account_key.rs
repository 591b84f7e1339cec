//! Keys as their account lists them, and changes to them.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use super::{
    Cents, KeyInfo, Label, ProfileName, Reported, RequestedPolicy, ResetInterval, StoredKey,
    StoredKeyFields, sanitize,
};

/// One row of the account's key list. A field that the response lacks is `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AccountKey {
    /// Lower-case hexadecimal SHA-256 of the key: 64 digits.
    pub hash: String,
    /// The name at the server, unchecked: see [`Self::display_name`].
    pub name: Option<String>,
    /// Whether it is disabled.
    pub disabled: Option<bool>,
    /// When it was created.
    pub created_at: Option<Timestamp>,
    /// When it was last used.
    pub last_used_at: Option<Timestamp>,
    /// Its workspace's UUID.
    pub workspace_id: Option<String>,
    /// Its limit and usage, the same fields as in `GET /key`.
    pub info: KeyInfo,
}

/// The key list of an account.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AccountKeys {
    /// All keys of the account, stored here or not.
    pub keys: Vec<AccountKey>,
    /// The hashes of stored keys that were deleted at the server.
    pub revoked_hashes: Vec<String>,
}

/// Copies of keys in other profiles, by hash.
pub type ProfileCopies = HashMap<String, Vec<ProfileCopy>>;

/// A copy of a key in another profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileCopy {
    /// The profile.
    pub profile: ProfileName,
    /// The key's label there.
    pub label: Label,
}

impl fmt::Display for ProfileCopy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "also stored as '{}' in profile {}", self.label, self.profile)
    }
}

impl AccountKey {
    /// Returns whether the key was certainly never used, also without spending credits.
    pub fn is_unused(&self) -> bool {
        let KeyInfo { usage, byok_usage, last_used_at, .. } = &self.info;
        usage.is_some_and(|usd| usd <= 0.0)
            && byok_usage.is_none_or(|usd| usd <= 0.0)
            && self.last_used_at.or(*last_used_at).is_none()
    }

    /// Returns an inventory row for a key that is not stored here; see [`StoredKey::is_stored`].
    pub fn to_inventory_row(&self, server: &str, at: Timestamp) -> StoredKey {
        let masked = sanitize(self.info.masked.as_deref().unwrap_or("–"), 24);
        let label = self.display_name().parse().or_else(|_| masked.parse());
        let mut row = StoredKey::from(StoredKeyFields {
            label: label.unwrap_or_default(),
            hash: self.hash.clone(),
            masked,
            server: server.to_owned(),
            created_at: self.created_at.unwrap_or(at),
            // The requested policy is not known here, so the granted one is used.
            requested: RequestedPolicy {
                workspace_id: self.workspace_id.clone(),
                ..self.info.to_requested_policy()
            },
            user_id: self.info.creator_user_id.clone(),
            ..StoredKeyFields::default()
        });
        row.record_account_key(self, at);
        row
    }

    /// Returns the name, safe to show on a terminal.
    pub fn display_name(&self) -> String {
        sanitize(self.name.as_deref().unwrap_or_default(), 100)
    }

    /// Returns OpenRouter's names of the editable fields that differ from `other`.
    pub fn changed_fields(&self, other: &Self) -> Vec<&'static str> {
        let byok = |key: &Self| key.info.include_byok_in_limit.unwrap_or(false);
        let mut names = Vec::new();
        for (name, differs) in [
            ("name", self.name != other.name),
            ("disabled", self.disabled != other.disabled),
            ("limit", !is_same_reported_amount(&self.info.limit, &other.info.limit)),
            ("limit_reset", self.info.limit_reset != other.info.limit_reset),
            ("include_byok_in_limit", byok(self) != byok(other)),
            ("workspace_id", self.workspace_id != other.workspace_id),
        ] {
            if differs {
                names.push(name);
            }
        }
        names
    }
}

impl StoredKey {
    /// Records a change made here, which becomes the requested policy.
    pub fn record_patch(&mut self, patch: &KeyPatch, remote: &AccountKey, at: Timestamp) {
        self.requested.limit = patch.limit.apply_to(self.requested.limit);
        self.requested.limit_reset = patch.limit_reset.apply_to(self.requested.limit_reset);
        if let Some(id) = &patch.workspace_id {
            self.requested.workspace_id = Some(id.clone());
        }
        self.record_account_key(remote, at);
        self.granted = Some(remote.info.to_granted_policy());
    }

    /// Records when the account last saw the key used.
    pub fn record_last_use(&mut self, at: Option<Timestamp>) {
        // Changed only if it differs, because a changed key does not share its fields.
        if self.info.as_ref().is_some_and(|info| info.last_used_at < at)
            && let Some(info) = &mut self.info
        {
            Arc::make_mut(info).last_used_at = at;
        }
    }

    /// Records what the account reported about the key at `at`.
    pub fn record_account_key(&mut self, remote: &AccountKey, at: Timestamp) {
        // A response without the field does not change it.
        self.disabled = remote.disabled.or(self.disabled);
        self.granted.get_or_insert_with(|| remote.info.to_granted_policy());
        let mut info = remote.info.clone();
        if let Some(earlier) = &self.info {
            info.keep_budgets_of(earlier);
            // A key that was used stays one, also in a response that does not say so.
            info.keep_last_use_of(earlier);
        }
        self.info = Some(Arc::new(info));
        // The clock of the caller may be behind, such as after a skipped day in the sandbox.
        self.checked_at = self.checked_at.max(Some(at));
        if remote.disabled == Some(false) {
            // The server rejects a disabled key, so an earlier rejection says nothing now.
            self.rejected_at = None;
        }
    }
}

/// A change to an optional field: a `PATCH` keeps an absent field and clears one that is null.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldChange<T> {
    /// Keeps the value.
    #[default]
    Keep,
    /// Clears the value.
    Clear,
    /// Sets this value.
    Set(T),
}

impl<T> FieldChange<T> {
    /// Returns `Set` for a value and `Clear` for `None`.
    pub fn from_option(value: Option<T>) -> Self {
        value.map_or(Self::Clear, Self::Set)
    }

    /// Returns the value after the change.
    pub fn apply_to(self, before: Option<T>) -> Option<T> {
        match self {
            Self::Keep => before,
            Self::Clear => None,
            Self::Set(value) => Some(value),
        }
    }
}

/// Changes to a key. OpenRouter does not allow a change of the expiry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyPatch {
    /// The name at the server.
    pub name: Option<Label>,
    /// Whether the key is disabled.
    pub disabled: Option<bool>,
    /// USD.
    pub limit: FieldChange<Cents>,
    /// The reset interval.
    pub limit_reset: FieldChange<ResetInterval>,
    /// Whether spending through the owner's provider keys counts against the limit.
    pub include_byok_in_limit: Option<bool>,
    /// The UUID of the workspace that the key moves to.
    pub workspace_id: Option<String>,
}

impl KeyPatch {
    /// Returns whether it changes nothing; the server rejects such a request.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns OpenRouter's names of the changes that `remote` does not have.
    pub fn unapplied_fields(&self, remote: &AccountKey) -> Vec<&'static str> {
        let info = &remote.info;
        let mut names = Vec::new();
        let name =
            self.name.as_ref().is_none_or(|name| remote.name.as_deref() == Some(name.as_str()));
        let limit = match self.limit {
            FieldChange::Keep => true,
            FieldChange::Clear => info.limit.is_none(),
            FieldChange::Set(limit) => is_same_amount(Some(limit.to_dollars()), info.limit.value()),
        };
        let reset = match self.limit_reset {
            FieldChange::Keep => true,
            FieldChange::Clear => info.limit_reset.is_none(),
            FieldChange::Set(reset) => info.limit_reset.value() == Some(reset),
        };
        let byok = self
            .include_byok_in_limit
            .is_none_or(|counts| info.include_byok_in_limit.unwrap_or(false) == counts);
        let workspace =
            self.workspace_id.as_ref().is_none_or(|id| remote.workspace_id.as_ref() == Some(id));
        for (field, applied) in [
            ("name", name),
            ("disabled", self.disabled.is_none_or(|disabled| remote.disabled == Some(disabled))),
            ("limit", limit),
            ("limit_reset", reset),
            ("include_byok_in_limit", byok),
            ("workspace_id", workspace),
        ] {
            if !applied {
                names.push(field);
            }
        }
        names
    }
}

/// Returns whether `text` is a key's hash, and so safe in a URL path.
pub fn is_key_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Returns whether two amounts in USD are equal to the cent.
pub(super) fn is_same_amount(one: Option<f64>, other: Option<f64>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => (one - other).abs() < 0.005,
        _ => false,
    }
}

fn is_same_reported_amount(one: &Reported<f64>, other: &Reported<f64>) -> bool {
    match (one.value(), other.value()) {
        (Some(one), Some(other)) => is_same_amount(Some(one), Some(other)),
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(limit: Option<f64>, reset: Option<&str>) -> AccountKey {
        AccountKey {
            hash: "a".repeat(64),
            name: Some("ci".into()),
            disabled: Some(false),
            info: KeyInfo {
                limit: limit.into(),
                limit_reset: reset
                    .map_or(Reported::None, |word| Reported::from_json(Some(&word.into()))),
                ..KeyInfo::default()
            },
            ..AccountKey::default()
        }
    }

    #[test]
    fn a_response_by_a_clock_that_is_behind_makes_no_check_older() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let mut key = StoredKey::sample("x", at("2026-11-01T00:00:00Z"));
        // In the sandbox, days can be skipped.
        let skipped = at("2026-11-26T12:00:00Z");
        key.record_account_key(&remote(Some(10.0), None), skipped);
        key.record_account_key(&remote(Some(20.0), None), at("2026-11-24T12:00:00Z"));
        assert_eq!(key.checked_at, Some(skipped));
        assert_eq!(key.limit().value(), Some(20.0));
    }

    #[test]
    fn the_last_use_of_a_key_outlasts_a_response_without_it() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let mut key = StoredKey::sample("x", at("2026-11-01T00:00:00Z"));
        let used = at("2026-11-20T08:00:00Z");
        let mut known = remote(Some(10.0), None);
        known.info.last_used_at = Some(used);
        key.record_account_key(&known, at("2026-11-21T00:00:00Z"));
        assert_eq!(key.last_used_at(), Some(used));
        key.record_account_key(&remote(Some(20.0), None), at("2026-11-22T00:00:00Z"));
        assert_eq!(key.last_used_at(), Some(used));
    }

    #[test]
    fn keep_clear_and_set_are_distinct() {
        let before = remote(Some(10.0), Some("daily"));
        let patch = |limit, reset| KeyPatch { limit, limit_reset: reset, ..KeyPatch::default() };
        assert!(patch(FieldChange::Keep, FieldChange::Keep).is_empty());
        assert!(!patch(FieldChange::Clear, FieldChange::Keep).is_empty());
        let none = [""; 0];
        assert_eq!(patch(FieldChange::Keep, FieldChange::Keep).unapplied_fields(&before), none);
        assert_eq!(
            patch(FieldChange::Clear, FieldChange::Clear).unapplied_fields(&before),
            ["limit", "limit_reset"]
        );
        assert_eq!(
            patch(FieldChange::Clear, FieldChange::Clear).unapplied_fields(&remote(None, None)),
            none
        );
        let ten = FieldChange::from_option("10".parse().ok());
        assert_eq!(
            patch(ten, FieldChange::Set(ResetInterval::Daily)).unapplied_fields(&before),
            none
        );
        assert_eq!(
            patch(ten, FieldChange::Set(ResetInterval::Weekly))
                .unapplied_fields(&remote(Some(0.0), Some("never"))),
            ["limit", "limit_reset"]
        );
        assert_eq!(FieldChange::<Cents>::from_option(None), FieldChange::Clear);
    }

    #[test]
    fn a_response_without_disabled_erases_nothing() {
        let (server, at) = (String::from("s"), Timestamp::UNIX_EPOCH);
        let mut row = remote(None, None).to_inventory_row(&server, at);
        let incomplete = AccountKey { disabled: None, ..remote(None, None) };
        for known in [Some(true), Some(false), None] {
            row.disabled = known;
            row.record_account_key(&incomplete, at);
            assert_eq!(row.disabled, known);
        }
    }

    #[test]
    fn unapplied_fields_are_listed() {
        let patch = KeyPatch {
            name: "cd".parse().ok(),
            disabled: Some(true),
            include_byok_in_limit: Some(true),
            ..KeyPatch::default()
        };
        assert_eq!(
            patch.unapplied_fields(&remote(None, None)),
            ["name", "disabled", "include_byok_in_limit"]
        );
        // A response without `disabled` does not confirm the change.
        let incomplete = AccountKey { disabled: None, ..remote(None, None) };
        assert_eq!(
            KeyPatch { disabled: Some(false), ..KeyPatch::default() }.unapplied_fields(&incomplete),
            ["disabled"]
        );
    }

    #[test]
    fn only_editable_fields_count_as_changed() {
        let before = remote(Some(10.0), None);
        let mut now = remote(Some(10.001), Some("never"));
        now.info.usage = Some(3.0);
        assert_eq!(now.changed_fields(&before), [""; 0]);
        now.info.limit = Reported::None;
        now.disabled = Some(true);
        assert_eq!(now.changed_fields(&before), ["disabled", "limit"]);
    }

    #[test]
    fn hash_is_exactly_64_lower_case_hexadecimal_digits() {
        assert!(is_key_hash(&"0af9".repeat(16)));
        for text in
            ["", "abc", &"A".repeat(64), &"g".repeat(64), &"a".repeat(65), &"../a".repeat(16)]
        {
            assert!(!is_key_hash(text), "{text}");
        }
    }
}
