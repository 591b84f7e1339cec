//! What is remembered of a key that is held: everything but the key.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::account_key::{is_same_amount, normalize_reset};
use super::{ApiKey, Cents, ErrorKind, KeyRequest, Label, ResetInterval, UserError, sanitize};

/// What was asked for when the key was cut. Field names are OpenRouter's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RequestedPolicy {
    /// USD.
    pub limit: Option<Cents>,
    /// The reset interval.
    pub limit_reset: Option<ResetInterval>,
    /// The expiry, UTC.
    pub expires_at: Option<Timestamp>,
    /// The workspace's UUID.
    pub workspace_id: Option<String>,
    /// The expiry as it was typed (`30d`), the next key's default.
    #[serde(rename = "expires")]
    pub expires_input: Option<String>,
}

impl From<&KeyRequest> for RequestedPolicy {
    fn from(request: &KeyRequest) -> Self {
        Self {
            limit: request.limit,
            limit_reset: request.limit_reset,
            expires_at: request.expiry.as_ref().map(|expiry| expiry.at),
            workspace_id: request.workspace_id.clone(),
            expires_input: request.expiry.as_ref().map(|expiry| expiry.input.clone()),
        }
    }
}

/// What the server said the key is, asked right after it was cut.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GrantedPolicy {
    /// USD, as the server gave it.
    pub limit: Option<f64>,
    /// The reset interval, in the server's word.
    pub limit_reset: Option<String>,
    /// The expiry, UTC.
    pub expires_at: Option<Timestamp>,
}

impl RequestedPolicy {
    /// OpenRouter's names of what `granted` does not honour. Times are compared as instants.
    pub fn differing_fields(&self, granted: &GrantedPolicy) -> Vec<&'static str> {
        let mut names = Vec::new();
        if !is_same_amount(self.limit.map(Cents::to_dollars), granted.limit) {
            names.push("limit");
        }
        if self.limit_reset.map(ResetInterval::as_str)
            != normalize_reset(granted.limit_reset.as_deref())
        {
            names.push("limit_reset");
        }
        let second = |at: Option<Timestamp>| at.map(Timestamp::as_second);
        if second(self.expires_at) != second(granted.expires_at) {
            names.push("expires_at");
        }
        names
    }
}

/// One answer of `GET /key`: the key about itself. USD and UTC throughout; unknown is `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct KeyInfo {
    /// Credit limit of the window.
    pub limit: Option<f64>,
    /// What is left of it; `limit - limit_remaining` is what was spent in this window.
    pub limit_remaining: Option<f64>,
    /// The reset interval, in the server's word.
    pub limit_reset: Option<String>,
    /// Spent in the key's whole life.
    pub usage: Option<f64>,
    /// Spent in this UTC day.
    pub usage_daily: Option<f64>,
    /// Spent in this week, from Monday.
    pub usage_weekly: Option<f64>,
    /// Spent in this month.
    pub usage_monthly: Option<f64>,
    /// From when it no longer works.
    pub expires_at: Option<Timestamp>,
    /// Spent through the owner's own provider keys, in the key's whole life.
    pub byok_usage: Option<f64>,
    /// The same, in this UTC day.
    pub byok_usage_daily: Option<f64>,
    /// The same, in this week, from Monday.
    pub byok_usage_weekly: Option<f64>,
    /// The same, in this month.
    pub byok_usage_monthly: Option<f64>,
    /// Whether that counts against the limit.
    pub include_byok_in_limit: Option<bool>,
    /// Whether it is a management key: cannot call models.
    pub is_management_key: bool,
    /// The masked key, as the server shows it (its `label`).
    pub masked: Option<String>,
    /// The account's user.
    pub creator_user_id: Option<String>,
}

/// How asking a key about itself went.
#[derive(Clone, Debug, PartialEq)]
pub enum CheckResult {
    /// It told.
    Valid(Arc<KeyInfo>),
    /// The server knows no such key that works (401).
    Rejected,
    /// The account has no credit (402): nothing is wrong with the key.
    InsufficientCredits,
    /// It could not be asked, in words.
    Failed(String),
}

impl KeyInfo {
    /// What the key is, as if it had been asked for.
    pub fn to_requested_policy(&self) -> RequestedPolicy {
        RequestedPolicy {
            limit: self.limit.and_then(|limit| limit.try_into().ok()),
            limit_reset: self
                .limit_reset
                .as_deref()
                .and_then(|word| ResetInterval::parse(word).ok()?),
            expires_at: self.expires_at,
            ..RequestedPolicy::default()
        }
    }

    /// What the server granted, out of what it says the key is.
    pub fn to_granted_policy(&self) -> GrantedPolicy {
        GrantedPolicy {
            limit: self.limit,
            limit_reset: self.limit_reset.clone(),
            expires_at: self.expires_at,
        }
    }
}

/// What a new key is to replace, and what becomes of that one afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingReplacement {
    /// The hash of the key to be replaced.
    pub hash: String,
    /// How long its usage must then stand still before it may go, in seconds.
    #[serde(rename = "quiet_for")]
    pub unused_for: u64,
    /// Whether it is then deleted at the server without a question.
    #[serde(default)]
    #[serde(rename = "delete")]
    pub revoke_when_unused: bool,
}

/// A key that another took the place of: kept until nobody uses it any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Retirement {
    /// When the new key was handed over.
    #[serde(rename = "since")]
    pub replaced_at: Timestamp,
    /// How long its usage must stand still before it may go, in seconds.
    #[serde(rename = "quiet_for")]
    pub unused_for: u64,
    /// Whether it is then deleted at the server without a question.
    #[serde(default)]
    #[serde(rename = "delete")]
    pub revoke_when_unused: bool,
}

/// Text of a file that anything may have been written to, and that is shown: without escapes.
pub fn deserialize_sanitized<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<String, D::Error> {
    String::deserialize(deserializer).map(|text| sanitize(&text, 300))
}

/// One row of the inventory: a key held in a vault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredKey {
    /// The person's name for it.
    pub label: Label,
    /// Lower-case hexadecimal SHA-256 of the key.
    #[serde(deserialize_with = "deserialize_sanitized")]
    pub hash: String,
    /// `sk-or-v1-0e6...1c96`.
    #[serde(deserialize_with = "deserialize_sanitized")]
    pub masked: String,
    /// The server that issued it, without a slash at its end.
    #[serde(deserialize_with = "deserialize_sanitized")]
    pub server: String,
    /// Where the key lies: `os`, `file` or `memory`.
    #[serde(deserialize_with = "deserialize_sanitized")]
    pub store: String,
    /// When it was cut.
    pub created_at: Timestamp,
    /// What was asked for.
    #[serde(default)]
    #[serde(alias = "asked")]
    pub requested: RequestedPolicy,
    /// What was granted; `None` when the server could not be asked.
    #[serde(default)]
    pub granted: Option<GrantedPolicy>,
    /// The account that consented, if the server said so.
    #[serde(default)]
    pub user_id: Option<String>,
    /// The last answer about it.
    #[serde(default)]
    #[serde(rename = "reading")]
    pub info: Option<Arc<KeyInfo>>,
    /// When that answer came.
    #[serde(default)]
    pub checked_at: Option<Timestamp>,
    /// When the server last refused it (401), if it has not answered since.
    #[serde(default)]
    #[serde(rename = "refused_at")]
    pub rejected_at: Option<Timestamp>,
    /// Whether its owner switched it off, as last heard under the management key.
    #[serde(default)]
    pub disabled: Option<bool>,
    /// The key that this one is to replace, until it was handed over.
    #[serde(default)]
    pub replaces: Option<PendingReplacement>,
    /// Set on a key that was replaced, until it is deleted.
    #[serde(default)]
    #[serde(rename = "retiring")]
    pub retirement: Option<Retirement>,
    /// Fields of a newer version, kept as they are.
    #[serde(flatten)]
    pub unknown_fields: serde_json::Map<String, serde_json::Value>,
}

impl StoredKey {
    /// A key that was just received or taken over: nothing is known of it but itself.
    pub fn new(label: Label, key: &ApiKey, server: String, store: String, at: Timestamp) -> Self {
        Self {
            label,
            hash: key.hash(),
            masked: key.masked(),
            server,
            store,
            created_at: at,
            requested: RequestedPolicy::default(),
            granted: None,
            user_id: None,
            info: None,
            checked_at: None,
            rejected_at: None,
            disabled: None,
            replaces: None,
            retirement: None,
            unknown_fields: serde_json::Map::default(),
        }
    }

    /// Takes in what the key said about itself at that time, or why it did not.
    pub fn record_check(&mut self, read: &CheckResult, at: Timestamp) {
        match read {
            CheckResult::Valid(reading) => {
                self.granted.get_or_insert_with(|| reading.to_granted_policy());
                self.info = Some(Arc::clone(reading));
                self.checked_at = Some(at);
                self.rejected_at = None;
            }
            CheckResult::Rejected => self.rejected_at = Some(at),
            // Neither says anything about this key: what was known stays, and grows old.
            CheckResult::InsufficientCredits | CheckResult::Failed(_) => {}
        }
    }

    /// What is not as it was asked for, in OpenRouter's names; nothing while unknown.
    pub fn differing_fields(&self) -> Vec<&'static str> {
        self.granted
            .as_ref()
            .map(|granted| self.requested.differing_fields(granted))
            .unwrap_or_default()
    }

    /// UserError, where it is kept in another store than the one that was asked.
    pub fn other_store_error(&self, asked: &str) -> Option<UserError> {
        // What was kept in memory is nowhere any more.
        (self.store != asked && self.store != "memory").then(|| UserError::new(ErrorKind::NotFound, format!(
                "'{}' is kept in the {} store, which was not asked",
                self.label, self.store
            ), format!(
                "nothing was changed; ask there with --store {}, or bring all keys together with keywright vault move",
                self.store
            )))
    }

    /// The key's own page at the server, where its owner can see and revoke it.
    pub fn page_url(&self) -> String {
        format!("{}/keys/{}", self.server, self.hash)
    }

    /// When it stops working: as granted, else as asked.
    pub fn expires_at(&self) -> Option<Timestamp> {
        match (&self.info, &self.granted) {
            (Some(reading), _) => reading.expires_at,
            (None, Some(granted)) => granted.expires_at,
            (None, None) => self.requested.expires_at,
        }
    }

    /// The limit in USD: as last read, as granted, else as asked.
    pub fn limit(&self) -> Option<f64> {
        match (&self.info, &self.granted) {
            (Some(reading), _) => reading.limit,
            (None, Some(granted)) => granted.limit,
            (None, None) => self.requested.limit.map(Cents::to_dollars),
        }
    }

    /// The reset interval: as last read, as granted, else as asked.
    pub fn reset(&self) -> Option<ResetInterval> {
        let word = match (&self.info, &self.granted) {
            (Some(reading), _) => reading.limit_reset.as_deref(),
            (None, Some(granted)) => granted.limit_reset.as_deref(),
            (None, None) => return self.requested.limit_reset,
        };
        word.and_then(|word| ResetInterval::parse(word).ok().flatten())
    }
}
