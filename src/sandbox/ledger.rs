//! The account: its keys, their spending, and unused authorization codes. Time and random values
//! are arguments.

mod code;
mod resources;
mod spending;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

pub use code::{AuthorizationCode, ChallengeMethod, CodeChallenge, ExchangeError};
pub use resources::{Assignment, Credential, Guardrail, Layer, Workspace, WorkspaceBudget};
pub use spending::{MicroUsd, Reset, Spending, utc_date};

/// The user ID of the account's owner.
pub const USER_ID: &str = "user_2sandbox0000000000000000000";
/// The workspace of a key if the request names none.
pub const DEFAULT_WORKSPACE_ID: &str = "5a0d8c3e-7b1f-4e52-9c64-1f2e3d4c5b6a";
/// The number of keys on one page.
pub const PAGE_SIZE: usize = 100;

/// The name, limits and workspace of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPolicy {
    /// The user's name for the key.
    pub name: String,
    /// The maximum spending in one window.
    pub limit: Option<MicroUsd>,
    /// When spending is reset; without it the limit applies to the lifetime of the key.
    pub reset: Option<Reset>,
    /// When the key expires.
    pub expires_at: Option<Timestamp>,
    /// Whether spending with the user's own provider keys (BYOK) counts.
    pub include_byok: bool,
    /// The UUID of the workspace.
    pub workspace_id: Cow<'static, str>,
    /// The user ID of the creator.
    pub creator_user_id: Cow<'static, str>,
}

impl KeyPolicy {
    /// Returns a policy without limits.
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

/// A key of the account. It is stored as a hash, without the secret.
#[derive(Clone, Debug)]
pub struct Key {
    /// The SHA-256 hash of the secret in lower-case hexadecimal.
    pub hash: String,
    /// The masked secret.
    pub masked: String,
    /// The limits of the key.
    pub policy: KeyPolicy,
    /// Whether the owner has disabled the key.
    pub disabled: bool,
    /// When the key was created.
    pub created_at: Timestamp,
    /// When the policy was last changed.
    pub updated_at: Option<Timestamp>,
    /// What the key has spent.
    pub spending: Spending,
    /// How many keys there were when it was created; decides which models it uses.
    pub number: usize,
}

impl Key {
    /// Returns whether the key has expired.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.policy.expires_at.is_some_and(|at| at <= now)
    }

    /// Returns the remaining limit in the current window.
    pub fn remaining(&self, now: Timestamp) -> Option<MicroUsd> {
        let spent = self.spending.spent_in_window(self.policy.reset, now);
        self.policy.limit.map(|limit| limit.minus(spent))
    }
}

/// The owner of a bearer token.
#[derive(Clone, Copy, Debug)]
pub enum TokenOwner<'a> {
    /// The account's management key, masked.
    ManagementKey(&'a str),
    /// An active key.
    ApiKey(&'a Key),
}

/// Which keys to list.
#[derive(Clone, Debug, Default)]
pub struct ListFilter {
    /// How many keys to skip.
    pub offset: usize,
    /// Whether to include disabled keys.
    pub include_disabled: bool,
    /// Whether to include expired keys.
    pub include_expired: bool,
    /// The workspace, if not the default one.
    pub workspace_id: Option<String>,
}

/// A change to an optional value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// Leaves the value unchanged.
    #[default]
    Keep,
    /// Removes the value.
    Clear,
    /// Sets a new value.
    Set(T),
}

impl<T> Change<T> {
    /// Returns the value after the change.
    pub fn apply_to(self, old: Option<T>) -> Option<T> {
        match self {
            Self::Keep => old,
            Self::Clear => None,
            Self::Set(new) => Some(new),
        }
    }
}

/// A change to a key; `None` leaves a field unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyPatch {
    /// The new name.
    pub name: Option<String>,
    /// Whether the key is disabled.
    pub disabled: Option<bool>,
    /// The change of the limit.
    pub limit: Change<MicroUsd>,
    /// The change of the reset interval.
    pub reset: Change<Reset>,
    /// Whether spending with the user's own provider keys counts.
    pub include_byok: Option<bool>,
    /// The workspace to move the key to.
    pub workspace_id: Option<String>,
}

/// One account.
pub struct Account {
    management_key: (String, String),
    keys: Vec<Key>,
    /// The workspaces, the default one first.
    pub workspaces: Vec<Workspace>,
    /// The guardrails.
    pub guardrails: Vec<Guardrail>,
    /// Which key has which guardrail.
    pub assignments: Vec<Assignment>,
    /// The provider keys.
    pub credentials: Vec<Credential>,
    /// The credits that were bought.
    pub total_credits: MicroUsd,
    last_id: u64,
    codes: HashMap<String, AuthorizationCode>,
    /// How far the account's clock is ahead of the real time.
    clock_offset: SignedDuration,
}

impl Account {
    /// Creates an account without keys.
    pub fn new(management_key: &str) -> Self {
        Self {
            management_key: (hash_key(management_key), mask_key(management_key)),
            keys: Vec::new(),
            workspaces: Vec::new(),
            guardrails: Vec::new(),
            assignments: Vec::new(),
            credentials: Vec::new(),
            total_credits: MicroUsd::from_dollars(250.0).unwrap_or_default(),
            last_id: 0,
            codes: HashMap::new(),
            clock_offset: SignedDuration::ZERO,
        }
    }

    /// Returns the time of the account's clock at the real time `now`.
    pub fn account_time(&self, now: Timestamp) -> Timestamp {
        now.checked_add(self.clock_offset).unwrap_or(now)
    }

    /// Advances the account's clock.
    pub fn advance_clock(&mut self, by: SignedDuration) {
        self.clock_offset = self.clock_offset.saturating_add(by);
    }

    /// Reserves capacity for additional keys.
    pub fn reserve_keys(&mut self, additional: usize) {
        self.keys.reserve(additional);
    }

    /// Creates a key with this secret.
    pub fn create_key(&mut self, policy: KeyPolicy, secret: &str, now: Timestamp) -> &mut Key {
        self.ensure_workspace(&policy.workspace_id, now);
        self.keys.push(Key {
            hash: hash_key(secret),
            masked: mask_key(secret),
            policy,
            disabled: false,
            created_at: now,
            updated_at: None,
            spending: Spending::default(),
            number: self.keys.len(),
        });
        let last = self.keys.len() - 1;
        &mut self.keys[last]
    }

    /// Returns the owner of a token, or `None` if it is unknown, deleted, disabled or expired.
    pub fn authenticate(&self, token: &str, now: Timestamp) -> Option<TokenOwner<'_>> {
        let hash = hash_key(token);
        if hash == self.management_key.0 {
            return Some(TokenOwner::ManagementKey(&self.management_key.1));
        }
        self.find_key(&hash)
            .filter(|key| !key.disabled && !key.is_expired(now))
            .map(TokenOwner::ApiKey)
    }

    /// Returns all keys.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// Returns the key with this hash.
    pub fn find_key(&self, hash: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.hash == hash)
    }

    fn find_key_mut(&mut self, hash: &str) -> Option<&mut Key> {
        self.keys.iter_mut().find(|key| key.hash == hash)
    }

    /// Returns one page of keys, oldest first.
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

    /// Updates a key and returns it, or `None` if there is no such key.
    pub fn update_key(&mut self, hash: &str, patch: KeyPatch, now: Timestamp) -> Option<&Key> {
        if let Some(id) = &patch.workspace_id {
            self.find_key(hash)?;
            self.ensure_workspace(id, now);
        }
        let key = self.find_key_mut(hash)?;
        let policy = &mut key.policy;
        policy.name = patch.name.unwrap_or_else(|| policy.name.clone());
        policy.limit = patch.limit.apply_to(policy.limit);
        policy.reset = patch.reset.apply_to(policy.reset);
        policy.include_byok = patch.include_byok.unwrap_or(policy.include_byok);
        if let Some(id) = patch.workspace_id {
            policy.workspace_id = id.into();
        }
        key.disabled = patch.disabled.unwrap_or(key.disabled);
        key.updated_at = Some(now);
        Some(key)
    }

    /// Deletes a key. Returns `false` if there is no such key.
    pub fn delete_key(&mut self, hash: &str) -> bool {
        let before = self.keys.len();
        self.keys.retain(|key| key.hash != hash);
        self.assignments.retain(|assignment| assignment.key_hash != hash);
        self.keys.len() < before
    }

    /// Records spending of a key. Returns `false` if there is no such key.
    pub fn record_spending(&mut self, hash: &str, amount: MicroUsd, at: Timestamp) -> bool {
        self.find_key_mut(hash).map(|key| key.spending.add(amount, at)).is_some()
    }

    /// Stores an authorization under its code.
    pub fn store_code(&mut self, code: String, authorization: AuthorizationCode) {
        // An expired code is kept for a day, to distinguish it from an unknown one.
        let day = SignedDuration::from_hours(24);
        self.codes.retain(|_, old| authorization.issued_at.duration_since(old.issued_at) < day);
        self.codes.insert(code, authorization);
    }

    /// Exchanges a code for a key, once. After a rejected attempt the code can still be used.
    pub fn exchange_code(
        &mut self,
        code: &str,
        verifier: Option<&str>,
        method: Option<ChallengeMethod>,
        secret: &str,
        now: Timestamp,
    ) -> Result<Key, ExchangeError> {
        self.codes.get(code).ok_or(ExchangeError::InvalidGrant)?.verify(verifier, method, now)?;
        let authorization = self.codes.remove(code).ok_or(ExchangeError::InvalidGrant)?;
        Ok(self.create_key(authorization.policy, secret, now).clone())
    }
}

/// Returns the SHA-256 hash of a key in lower-case hexadecimal.
fn hash_key(secret: &str) -> String {
    encode_hex(&Sha256::digest(secret))
}

/// Returns the masked form of a key as OpenRouter shows it: `sk-or-v1-0e6...1c96`.
fn mask_key(secret: &str) -> String {
    let end = secret.char_indices().nth(12).map_or(secret.len(), |(at, _)| at);
    let start = secret.char_indices().nth_back(3).map_or(0, |(at, _)| at);
    [&secret[..end], "...", &secret[start..]].concat()
}

/// Encodes bytes as lower-case hexadecimal.
pub fn encode_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.extend([byte >> 4, byte & 15].map(|digit| char::from(DIGITS[usize::from(digit)])));
    }
    text
}
