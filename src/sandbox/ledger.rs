//! The account: its keys, what they spent, and the codes that wait to become keys.
//!
//! Pure: the time and everything random come in as arguments, so a test can be any day. Must not
//! know HTTP, JSON or a clock.

mod code;
mod spending;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

pub use code::{AuthorizationCode, ChallengeMethod, CodeChallenge, ExchangeError};
pub use spending::{MicroUsd, Reset, Spending};

/// The person whose account this is.
pub const USER_ID: &str = "user_2sandbox0000000000000000000";
/// Where keys live unless somebody asks for another workspace.
pub const DEFAULT_WORKSPACE_ID: &str = "5a0d8c3e-7b1f-4e52-9c64-1f2e3d4c5b6a";
/// Rows in one page of keys.
pub const PAGE_SIZE: usize = 100;

/// What a key may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPolicy {
    /// The person's name for it.
    pub name: String,
    /// What it may spend in one window.
    pub limit: Option<MicroUsd>,
    /// The window; without one the limit is for life.
    pub reset: Option<Reset>,
    /// When it dies.
    pub expires_at: Option<Timestamp>,
    /// Whether what it spends at a provider of the person's own counts.
    pub include_byok: bool,
    /// Where it lives, a UUID.
    pub workspace_id: Cow<'static, str>,
    /// Who made it.
    pub creator_user_id: Cow<'static, str>,
}

impl KeyPolicy {
    /// A key that may do everything.
    pub fn unrestricted(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            limit: None,
            reset: None,
            expires_at: None,
            include_byok: false,
            workspace_id: DEFAULT_WORKSPACE_ID.into(),
            creator_user_id: USER_ID.into(),
        }
    }
}

/// A key as the account knows it: by its hash, never by its secret.
#[derive(Clone, Debug)]
pub struct Key {
    /// The secret's SHA-256 in lower-case hexadecimal.
    pub hash: String,
    /// The secret with its middle left out.
    pub masked: String,
    /// What it may do.
    pub policy: KeyPolicy,
    /// Switched off by its owner.
    pub disabled: bool,
    /// When it was cut.
    pub created_at: Timestamp,
    /// When its policy changed last.
    pub updated_at: Option<Timestamp>,
    /// What it spent.
    pub spending: Spending,
}

impl Key {
    /// Whether its time is over.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.policy.expires_at.is_some_and(|at| at <= now)
    }

    /// What is left of the limit in the current window.
    pub fn remaining(&self, now: Timestamp) -> Option<MicroUsd> {
        let spent = self.spending.spent_in_window(self.policy.reset, now);
        self.policy.limit.map(|limit| limit.minus(spent))
    }
}

/// Whom a bearer token stands for.
#[derive(Clone, Copy, Debug)]
pub enum TokenOwner<'a> {
    /// The account's management key, masked.
    ManagementKey(&'a str),
    /// A live key.
    ApiKey(&'a Key),
}

/// Which keys a page shows.
#[derive(Clone, Debug, Default)]
pub struct ListFilter {
    /// How many to skip.
    pub offset: usize,
    /// Disabled ones too.
    pub include_disabled: bool,
    /// Expired ones too.
    pub include_expired: bool,
    /// Of this workspace instead of the default one.
    pub workspace_id: Option<String>,
}

/// What shall become of something that may also be nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// It stays as it is.
    #[default]
    Keep,
    /// It goes.
    Clear,
    /// It becomes this.
    Set(T),
}

impl<T> Change<T> {
    /// What there is after the change.
    pub fn apply_to(self, old: Option<T>) -> Option<T> {
        match self {
            Self::Keep => old,
            Self::Clear => None,
            Self::Set(new) => Some(new),
        }
    }
}

/// A change to a key: `None` leaves a field alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyPatch {
    /// Another name.
    pub name: Option<String>,
    /// On or off.
    pub disabled: Option<bool>,
    /// Another limit, or none.
    pub limit: Change<MicroUsd>,
    /// Another window, or none.
    pub reset: Change<Reset>,
    /// Whether spending at the person's own providers counts.
    pub include_byok: Option<bool>,
}

/// The books of one account.
pub struct Account {
    management_key: (String, String),
    keys: Vec<Key>,
    codes: HashMap<String, AuthorizationCode>,
    /// How far the account's clock was moved on.
    clock_offset: SignedDuration,
}

impl Account {
    /// An account with nothing but its management key.
    pub fn new(management_key: &str) -> Self {
        Self {
            management_key: (hash_key(management_key), mask_key(management_key)),
            keys: Vec::new(),
            codes: HashMap::new(),
            clock_offset: SignedDuration::ZERO,
        }
    }

    /// What the account's clock says at that time of the world's.
    pub fn account_time(&self, world: Timestamp) -> Timestamp {
        world.checked_add(self.clock_offset).unwrap_or(world)
    }

    /// Moves the account's clock on.
    pub fn advance_clock(&mut self, by: SignedDuration) {
        self.clock_offset = self.clock_offset.saturating_add(by);
    }

    /// Makes room for so many keys more.
    pub fn reserve_keys(&mut self, keys: usize) {
        self.keys.reserve(keys);
    }

    /// Cuts the key whose secret is `secret`.
    pub fn create_key(&mut self, policy: KeyPolicy, secret: &str, now: Timestamp) -> &mut Key {
        self.keys.push(Key {
            hash: hash_key(secret),
            masked: mask_key(secret),
            policy,
            disabled: false,
            created_at: now,
            updated_at: None,
            spending: Spending::default(),
        });
        let last = self.keys.len() - 1;
        &mut self.keys[last]
    }

    /// Whom a token stands for; nobody if it is unknown, deleted, disabled or expired.
    pub fn authenticate(&self, token: &str, now: Timestamp) -> Option<TokenOwner<'_>> {
        let hash = hash_key(token);
        if hash == self.management_key.0 {
            return Some(TokenOwner::ManagementKey(&self.management_key.1));
        }
        self.find_key(&hash)
            .filter(|key| !key.disabled && !key.is_expired(now))
            .map(TokenOwner::ApiKey)
    }

    /// A key by its hash.
    pub fn find_key(&self, hash: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.hash == hash)
    }

    fn find_key_mut(&mut self, hash: &str) -> Option<&mut Key> {
        self.keys.iter_mut().find(|key| key.hash == hash)
    }

    /// One page of keys, oldest first.
    pub fn list_keys(&self, filter: &ListFilter, now: Timestamp) -> Vec<&Key> {
        let workspace = filter.workspace_id.as_deref().unwrap_or(DEFAULT_WORKSPACE_ID);
        self.keys
            .iter()
            .filter(|key| key.policy.workspace_id == workspace)
            .filter(|key| filter.include_disabled || !key.disabled)
            .filter(|key| filter.include_expired || !key.is_expired(now))
            .skip(filter.offset)
            .take(PAGE_SIZE)
            .collect()
    }

    /// Changes a key; `None` if there is none.
    pub fn update_key(&mut self, hash: &str, patch: KeyPatch, now: Timestamp) -> Option<&Key> {
        let key = self.find_key_mut(hash)?;
        let policy = &mut key.policy;
        policy.name = patch.name.unwrap_or_else(|| policy.name.clone());
        policy.limit = patch.limit.apply_to(policy.limit);
        policy.reset = patch.reset.apply_to(policy.reset);
        policy.include_byok = patch.include_byok.unwrap_or(policy.include_byok);
        key.disabled = patch.disabled.unwrap_or(key.disabled);
        key.updated_at = Some(now);
        Some(key)
    }

    /// Deletes a key; false if there is none.
    pub fn delete_key(&mut self, hash: &str) -> bool {
        let before = self.keys.len();
        self.keys.retain(|key| key.hash != hash);
        self.keys.len() < before
    }

    /// Books what a key spent; false if there is no such key.
    pub fn record_spending(&mut self, hash: &str, amount: MicroUsd, at: Timestamp) -> bool {
        self.find_key_mut(hash).map(|key| key.spending.add(amount, at)).is_some()
    }

    /// Keeps what was consented to under a fresh code.
    pub fn store_code(&mut self, code: String, agreed: AuthorizationCode) {
        // A dead code is remembered for a day, so that it is told from one that never was.
        let day = SignedDuration::from_hours(24);
        self.codes.retain(|_, old| agreed.issued_at.duration_since(old.issued_at) < day);
        self.codes.insert(code, agreed);
    }

    /// Takes a code for the key that was agreed to, once. A refused attempt leaves the code whole.
    pub fn exchange_code(
        &mut self,
        code: &str,
        verifier: Option<&str>,
        method: Option<ChallengeMethod>,
        secret: &str,
        now: Timestamp,
    ) -> Result<Key, ExchangeError> {
        self.codes.get(code).ok_or(ExchangeError::InvalidGrant)?.verify(verifier, method, now)?;
        let taken = self.codes.remove(code).ok_or(ExchangeError::InvalidGrant)?;
        Ok(self.create_key(taken.policy, secret, now).clone())
    }
}

/// The name of a key: its SHA-256 in lower-case hexadecimal.
fn hash_key(secret: &str) -> String {
    encode_hex(&Sha256::digest(secret))
}

/// OpenRouter's short form of a key: `sk-or-v1-0e6...1c96`.
fn mask_key(secret: &str) -> String {
    let end = secret.char_indices().nth(12).map_or(secret.len(), |(at, _)| at);
    let start = secret.char_indices().nth_back(3).map_or(0, |(at, _)| at);
    [&secret[..end], "...", &secret[start..]].concat()
}

/// Lower-case hexadecimal.
pub fn encode_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.extend([byte >> 4, byte & 15].map(|digit| char::from(DIGITS[usize::from(digit)])));
    }
    text
}
