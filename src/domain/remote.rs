//! A key as its account knows it, and changes to it. Must not know: how either travels.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Asked, HeldKey, Label, Reading, Reset, Usd, clean};

/// One row of the account's list. What is missing in an answer is `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RemoteKey {
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
    pub reading: Reading,
}

/// What an account knows, and what it knows no more.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Account {
    /// All its keys, held here or not.
    pub keys: Vec<RemoteKey>,
    /// The hashes of held keys that were deleted there.
    pub gone: Vec<String>,
}

impl RemoteKey {
    /// A row of the list for a key that is not held here; see [`HeldKey::is_here`].
    pub fn row(&self, server: &str, at: Timestamp) -> HeldKey {
        let masked = clean(self.reading.masked.as_deref().unwrap_or("–"), 24);
        let label = self.shown_name().parse().or_else(|_| masked.parse());
        let mut row = HeldKey {
            label: label.unwrap_or_else(|_| Label::unnamed()),
            hash: self.hash.clone(),
            masked,
            server: server.to_owned(),
            store: String::new(),
            created_at: self.created_at.unwrap_or(at),
            // Who asked for it did so elsewhere: what it is counts as that.
            asked: Asked { workspace_id: self.workspace_id.clone(), ..self.reading.asked() },
            granted: None,
            user_id: self.reading.creator_user_id.clone(),
            reading: None,
            checked_at: None,
            refused_at: None,
            disabled: None,
            replaces: None,
            retiring: None,
            unknown: serde_json::Map::default(),
        };
        row.note_remote(self, at);
        row
    }

    /// The name, fit for a terminal.
    pub fn shown_name(&self) -> String {
        clean(self.name.as_deref().unwrap_or_default(), 100)
    }

    /// OpenRouter's names of what a person can change and is not the same in `other`.
    pub fn differs_from(&self, other: &Self) -> Vec<&'static str> {
        let word = |key: &Self| never_is_none(key.reading.limit_reset.as_deref()).map(String::from);
        let byok = |key: &Self| key.reading.include_byok_in_limit.unwrap_or(false);
        let mut names = Vec::new();
        for (name, differs) in [
            ("name", self.name != other.name),
            ("disabled", self.disabled != other.disabled),
            ("limit", !same_amount(self.reading.limit, other.reading.limit)),
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

impl HeldKey {
    /// Whether the key itself lies on this machine; else this is a row of the account's list.
    pub const fn is_here(&self) -> bool {
        !self.store.is_empty()
    }

    /// Takes in a change that its owner made here: it is what is asked for from now on.
    pub fn note_patch(&mut self, patch: &Patch, remote: &RemoteKey, at: Timestamp) {
        match patch.limit {
            Change::Keep => {}
            Change::Clear => self.asked.limit = None,
            Change::Set(limit) => self.asked.limit = Some(limit),
        }
        match patch.reset {
            Change::Keep => {}
            Change::Clear => self.asked.limit_reset = None,
            Change::Set(reset) => self.asked.limit_reset = Some(reset),
        }
        self.note_remote(remote, at);
        self.granted = Some(remote.reading.granted());
    }

    /// Takes in what the account said of the key at that time.
    pub fn note_remote(&mut self, remote: &RemoteKey, at: Timestamp) {
        self.disabled = remote.disabled;
        self.granted.get_or_insert_with(|| remote.reading.granted());
        self.reading = Some(Arc::new(remote.reading.clone()));
        self.checked_at = Some(at);
        if remote.disabled == Some(false) {
            // It was refused while it was switched off.
            self.refused_at = None;
        }
    }
}

/// What shall become of a value that can also be none: in a `PATCH` an absent field is left alone,
/// and an explicit null clears it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// It stays as it is.
    #[default]
    Keep,
    /// It becomes none.
    Clear,
    /// It becomes this.
    Set(T),
}

impl<T> Change<T> {
    /// To this value, or to none.
    pub fn to(value: Option<T>) -> Self {
        value.map_or(Self::Clear, Self::Set)
    }
}

/// What to change about a key. An expiry cannot be: a later one takes a new key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patch {
    /// The name at the server.
    pub name: Option<Label>,
    /// On or off.
    pub disabled: Option<bool>,
    /// USD.
    pub limit: Change<Usd>,
    /// The window.
    pub reset: Change<Reset>,
    /// Whether spending at the owner's own providers counts against the limit.
    pub include_byok: Option<bool>,
}

impl Patch {
    /// Whether it changes nothing; the server refuses that.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// OpenRouter's names of what is not so in `remote`, which was to become so.
    pub fn differences(&self, remote: &RemoteKey) -> Vec<&'static str> {
        let reading = &remote.reading;
        let mut names = Vec::new();
        let name =
            self.name.as_ref().is_none_or(|name| remote.name.as_deref() == Some(name.as_str()));
        let limit = match self.limit {
            Change::Keep => true,
            Change::Clear => reading.limit.is_none(),
            Change::Set(limit) => same_amount(Some(limit.dollars()), reading.limit),
        };
        let word = never_is_none(reading.limit_reset.as_deref());
        let reset = match self.reset {
            Change::Keep => true,
            Change::Clear => word.is_none(),
            Change::Set(reset) => word == Some(reset.as_str()),
        };
        let byok = self
            .include_byok
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
pub fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Amounts in USD that no cent separates.
pub(super) fn same_amount(one: Option<f64>, other: Option<f64>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => (one - other).abs() < 0.005,
        _ => false,
    }
}

/// A server may spell "never" as null or as a word.
pub(super) fn never_is_none(word: Option<&str>) -> Option<&str> {
    word.filter(|word| !matches!(*word, "never" | "none" | ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(limit: Option<f64>, reset: Option<&str>) -> RemoteKey {
        RemoteKey {
            hash: "a".repeat(64),
            name: Some("ci".into()),
            disabled: Some(false),
            reading: Reading { limit, limit_reset: reset.map(Into::into), ..Reading::default() },
            ..RemoteKey::default()
        }
    }

    #[test]
    fn keeping_clearing_and_setting_are_three_things() {
        let before = remote(Some(10.0), Some("daily"));
        let patch = |limit, reset| Patch { limit, reset, ..Patch::default() };
        assert!(patch(Change::Keep, Change::Keep).is_empty());
        assert!(!patch(Change::Clear, Change::Keep).is_empty());
        let none = [""; 0];
        assert_eq!(patch(Change::Keep, Change::Keep).differences(&before), none);
        assert_eq!(
            patch(Change::Clear, Change::Clear).differences(&before),
            ["limit", "limit_reset"]
        );
        assert_eq!(patch(Change::Clear, Change::Clear).differences(&remote(None, None)), none);
        let ten = Change::to("10".parse().ok());
        assert_eq!(patch(ten, Change::Set(Reset::Daily)).differences(&before), none);
        assert_eq!(
            patch(ten, Change::Set(Reset::Weekly)).differences(&remote(Some(0.0), Some("never"))),
            ["limit", "limit_reset"]
        );
        assert_eq!(Change::<Usd>::to(None), Change::Clear);
    }

    #[test]
    fn a_name_or_a_switch_that_was_not_taken_is_named() {
        let patch = Patch {
            name: "cd".parse().ok(),
            disabled: Some(true),
            include_byok: Some(true),
            ..Patch::default()
        };
        assert_eq!(
            patch.differences(&remote(None, None)),
            ["name", "disabled", "include_byok_in_limit"]
        );
        // An answer that leaves the switch out does not say that it was turned.
        let silent = RemoteKey { disabled: None, ..remote(None, None) };
        assert_eq!(
            Patch { disabled: Some(false), ..Patch::default() }.differences(&silent),
            ["disabled"]
        );
    }

    #[test]
    fn only_what_a_person_can_change_counts_as_changed() {
        let seen = remote(Some(10.0), None);
        let mut now = remote(Some(10.001), Some("never"));
        now.reading.usage = Some(3.0);
        now.updated_at = "2026-11-24T12:00:00Z".parse().ok();
        assert_eq!(now.differs_from(&seen), [""; 0]);
        now.reading.limit = None;
        now.disabled = Some(true);
        assert_eq!(now.differs_from(&seen), ["disabled", "limit"]);
    }

    #[test]
    fn a_hash_is_64_lower_case_hexadecimal_digits_and_nothing_else() {
        assert!(is_hash(&"0af9".repeat(16)));
        for text in
            ["", "abc", &"A".repeat(64), &"g".repeat(64), &"a".repeat(65), &"../a".repeat(16)]
        {
            assert!(!is_hash(text), "{text}");
        }
    }
}
