//! A key as its account knows it, and changes to it. Must not know: how either travels.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Cents, KeyInfo, Label, RequestedPolicy, ResetInterval, StoredKey, sanitize};

/// One row of the account's list. What is missing in an answer is `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AccountKey {
    /// Lower-case hexadecimal SHA-256 of the key: 64 digits.
    pub hash: String,
    /// The person's name for it, as the server has it: see [`Self::shown_name`].
    pub name: Option<String>,
    /// Whether it is switched off.
    pub disabled: Option<bool>,
    /// When it was cut.
    pub created_at: Option<Timestamp>,
    /// When it was changed last.
    pub updated_at: Option<Timestamp>,
    /// When it was used last.
    pub last_used_at: Option<Timestamp>,
    /// Its workspace's UUID.
    pub workspace_id: Option<String>,
    /// Its figures, the ones that the key tells of itself.
    pub info: KeyInfo,
}

/// What an account knows, and what it knows no more.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AccountKeys {
    /// All its keys, held here or not.
    pub keys: Vec<AccountKey>,
    /// The hashes of held keys that were deleted there.
    pub revoked_hashes: Vec<String>,
}

impl AccountKey {
    /// A row of the list for a key that is not held here; see [`HeldKey::is_here`].
    pub fn to_inventory_row(&self, server: &str, at: Timestamp) -> StoredKey {
        let masked = sanitize(self.info.masked.as_deref().unwrap_or("–"), 24);
        let label = self.display_name().parse().or_else(|_| masked.parse());
        let mut row = StoredKey {
            label: label.unwrap_or_else(|_| Label::placeholder()),
            hash: self.hash.clone(),
            masked,
            server: server.to_owned(),
            store: String::new(),
            created_at: self.created_at.unwrap_or(at),
            // Who asked for it did so elsewhere: what it is counts as that.
            requested: RequestedPolicy {
                workspace_id: self.workspace_id.clone(),
                ..self.info.to_requested_policy()
            },
            granted: None,
            user_id: self.info.creator_user_id.clone(),
            info: None,
            checked_at: None,
            rejected_at: None,
            disabled: None,
            replaces: None,
            retirement: None,
            unknown_fields: serde_json::Map::default(),
        };
        row.record_account_key(self, at);
        row
    }

    /// The name, fit for a terminal.
    pub fn display_name(&self) -> String {
        sanitize(self.name.as_deref().unwrap_or_default(), 100)
    }

    /// OpenRouter's names of what a person can change and is not the same in `other`.
    pub fn changed_fields(&self, other: &Self) -> Vec<&'static str> {
        let word = |key: &Self| normalize_reset(key.info.limit_reset.as_deref()).map(String::from);
        let byok = |key: &Self| key.info.include_byok_in_limit.unwrap_or(false);
        let mut names = Vec::new();
        for (name, differs) in [
            ("name", self.name != other.name),
            ("disabled", self.disabled != other.disabled),
            ("limit", !is_same_amount(self.info.limit, other.info.limit)),
            ("limit_reset", word(self) != word(other)),
            ("include_byok_in_limit", byok(self) != byok(other)),
        ] {
            if differs {
                names.push(name);
            }
        }
        names
    }
}

impl StoredKey {
    /// Whether the key itself lies on this machine; else this is a row of the account's list.
    pub const fn is_stored(&self) -> bool {
        !self.store.is_empty()
    }

    /// Takes in a change that its owner made here: it is what is asked for from now on.
    pub fn record_patch(&mut self, patch: &KeyPatch, remote: &AccountKey, at: Timestamp) {
        match patch.limit {
            FieldChange::Keep => {}
            FieldChange::Clear => self.requested.limit = None,
            FieldChange::Set(limit) => self.requested.limit = Some(limit),
        }
        match patch.limit_reset {
            FieldChange::Keep => {}
            FieldChange::Clear => self.requested.limit_reset = None,
            FieldChange::Set(reset) => self.requested.limit_reset = Some(reset),
        }
        self.record_account_key(remote, at);
        self.granted = Some(remote.info.to_granted_policy());
    }

    /// Takes in what the account said of the key at that time.
    pub fn record_account_key(&mut self, remote: &AccountKey, at: Timestamp) {
        self.disabled = remote.disabled;
        self.granted.get_or_insert_with(|| remote.info.to_granted_policy());
        self.info = Some(Arc::new(remote.info.clone()));
        self.checked_at = Some(at);
        if remote.disabled == Some(false) {
            // It was refused while it was switched off.
            self.rejected_at = None;
        }
    }
}

/// What shall become of a value that can also be none: in a `PATCH` an absent field is left alone,
/// and an explicit null clears it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldChange<T> {
    /// It stays as it is.
    #[default]
    Keep,
    /// It becomes none.
    Clear,
    /// It becomes this.
    Set(T),
}

impl<T> FieldChange<T> {
    /// To this value, or to none.
    pub fn from_option(value: Option<T>) -> Self {
        value.map_or(Self::Clear, Self::Set)
    }
}

/// What to change about a key. An expiry cannot be: a later one takes a new key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyPatch {
    /// The name at the server.
    pub name: Option<Label>,
    /// On or off.
    pub disabled: Option<bool>,
    /// USD.
    pub limit: FieldChange<Cents>,
    /// The window.
    pub limit_reset: FieldChange<ResetInterval>,
    /// Whether spending at the owner's own providers counts against the limit.
    pub include_byok_in_limit: Option<bool>,
}

impl KeyPatch {
    /// Whether it changes nothing; the server refuses that.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// OpenRouter's names of what is not so in `remote`, which was to become so.
    pub fn unapplied_fields(&self, remote: &AccountKey) -> Vec<&'static str> {
        let reading = &remote.info;
        let mut names = Vec::new();
        let name =
            self.name.as_ref().is_none_or(|name| remote.name.as_deref() == Some(name.as_str()));
        let limit = match self.limit {
            FieldChange::Keep => true,
            FieldChange::Clear => reading.limit.is_none(),
            FieldChange::Set(limit) => is_same_amount(Some(limit.to_dollars()), reading.limit),
        };
        let word = normalize_reset(reading.limit_reset.as_deref());
        let reset = match self.limit_reset {
            FieldChange::Keep => true,
            FieldChange::Clear => word.is_none(),
            FieldChange::Set(reset) => word == Some(reset.as_str()),
        };
        let byok = self
            .include_byok_in_limit
            .is_none_or(|counts| reading.include_byok_in_limit.unwrap_or(false) == counts);
        for (field, done) in [
            ("name", name),
            ("disabled", self.disabled.is_none_or(|off| remote.disabled == Some(off))),
            ("limit", limit),
            ("limit_reset", reset),
            ("include_byok_in_limit", byok),
        ] {
            if !done {
                names.push(field);
            }
        }
        names
    }
}

/// Whether it is a key's hash, and so fit for a path.
pub fn is_key_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Amounts in USD that no cent separates.
pub(super) fn is_same_amount(one: Option<f64>, other: Option<f64>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => (one - other).abs() < 0.005,
        _ => false,
    }
}

/// A server may spell "never" as null or as a word.
pub(super) fn normalize_reset(word: Option<&str>) -> Option<&str> {
    word.filter(|word| !matches!(*word, "never" | "none" | ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(limit: Option<f64>, reset: Option<&str>) -> AccountKey {
        AccountKey {
            hash: "a".repeat(64),
            name: Some("ci".into()),
            disabled: Some(false),
            info: KeyInfo { limit, limit_reset: reset.map(Into::into), ..KeyInfo::default() },
            ..AccountKey::default()
        }
    }

    #[test]
    fn keeping_clearing_and_setting_are_three_things() {
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
    fn a_name_or_a_switch_that_was_not_taken_is_named() {
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
        // An answer that leaves the switch out does not say that it was turned.
        let silent = AccountKey { disabled: None, ..remote(None, None) };
        assert_eq!(
            KeyPatch { disabled: Some(false), ..KeyPatch::default() }.unapplied_fields(&silent),
            ["disabled"]
        );
    }

    #[test]
    fn only_what_a_person_can_change_counts_as_changed() {
        let seen = remote(Some(10.0), None);
        let mut now = remote(Some(10.001), Some("never"));
        now.info.usage = Some(3.0);
        now.updated_at = "2026-11-24T12:00:00Z".parse().ok();
        assert_eq!(now.changed_fields(&seen), [""; 0]);
        now.info.limit = None;
        now.disabled = Some(true);
        assert_eq!(now.changed_fields(&seen), ["disabled", "limit"]);
    }

    #[test]
    fn a_hash_is_64_lower_case_hexadecimal_digits_and_nothing_else() {
        assert!(is_key_hash(&"0af9".repeat(16)));
        for text in
            ["", "abc", &"A".repeat(64), &"g".repeat(64), &"a".repeat(65), &"../a".repeat(16)]
        {
            assert!(!is_key_hash(text), "{text}");
        }
    }
}
