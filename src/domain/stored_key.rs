//! A stored key without its secret: policies, last check and retirement.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::account_key::is_same_amount;
use super::reported::{Reported, ServerValue};
use super::{
    ApiKey, Budget, Cents, ErrorKind, FreeModelRequests, GuardrailRef, KeyLocation, KeyRequest,
    Label, OtherAccount, ResetInterval, StoreKind, UserError, format_command, sanitize,
};

/// The policy requested when the key was created. Field names are OpenRouter's.
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
    /// The expiry as typed (`30d`), the default for the next key.
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

/// The policy that the server reported right after the key was created.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GrantedPolicy {
    /// USD.
    #[serde(skip_serializing_if = "Reported::is_missing")]
    pub limit: Reported<f64>,
    /// The reset interval.
    #[serde(skip_serializing_if = "Reported::is_missing")]
    pub limit_reset: Reported<ResetInterval>,
    /// The expiry, UTC.
    #[serde(skip_serializing_if = "Reported::is_missing")]
    pub expires_at: Reported<Timestamp>,
}

impl RequestedPolicy {
    /// Returns OpenRouter's names of the fields that `granted` does not match. Times are compared to
    /// the second.
    pub fn differing_fields(&self, granted: &GrantedPolicy) -> Vec<&'static str> {
        let mut names = Vec::new();
        let limit = self.limit.map(Cents::to_dollars);
        if differs(limit, &granted.limit, |one, other| is_same_amount(Some(one), Some(other))) {
            names.push("limit");
        }
        if differs(self.limit_reset, &granted.limit_reset, |one, other| one == other) {
            names.push("limit_reset");
        }
        let is_same_second =
            |one: Timestamp, other: Timestamp| one.as_second() == other.as_second();
        if differs(self.expires_at, &granted.expires_at, is_same_second) {
            names.push("expires_at");
        }
        names
    }
}

/// Whether what was granted is not what was requested. A missing field confirms no request, and says
/// nothing where none was made.
fn differs<T: ServerValue>(
    requested: Option<T>,
    granted: &Reported<T>,
    is_same: impl FnOnce(T, T) -> bool,
) -> bool {
    match (requested, granted.to_known()) {
        (Some(requested), Ok(Some(granted))) => !is_same(requested, granted),
        (None, Ok(None)) => false,
        (None, Err(_)) => !granted.is_missing(),
        (None, Ok(Some(_))) | (Some(_), _) => true,
    }
}

/// The response of `GET /key`. Amounts are in USD, times in UTC; unknown is `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct KeyInfo {
    /// Credit limit of the reset interval.
    #[serde(skip_serializing_if = "Reported::is_missing")]
    pub limit: Reported<f64>,
    /// Remaining part of the limit when the key was checked: show [`StoredKey::remaining`], which
    /// knows when it is out of date.
    pub limit_remaining: Option<f64>,
    /// The reset interval.
    #[serde(skip_serializing_if = "Reported::is_missing")]
    pub limit_reset: Reported<ResetInterval>,
    /// Lifetime spending.
    pub usage: Option<f64>,
    /// Spent in this UTC day.
    pub usage_daily: Option<f64>,
    /// Spent in this week, from Monday.
    pub usage_weekly: Option<f64>,
    /// Spent in this month.
    pub usage_monthly: Option<f64>,
    /// When the key stops working.
    #[serde(skip_serializing_if = "Reported::is_missing")]
    pub expires_at: Reported<Timestamp>,
    /// Lifetime spending through the owner's provider keys (BYOK).
    pub byok_usage: Option<f64>,
    /// BYOK spending in this UTC day.
    pub byok_usage_daily: Option<f64>,
    /// BYOK spending in this week, from Monday.
    pub byok_usage_weekly: Option<f64>,
    /// BYOK spending in this month.
    pub byok_usage_monthly: Option<f64>,
    /// Whether BYOK spending counts against the limit.
    pub include_byok_in_limit: Option<bool>,
    /// Whether it is a management key, which cannot call models.
    pub is_management_key: bool,
    /// The masked key, which the server calls `label`.
    pub masked: Option<String>,
    /// The user id of the account.
    pub creator_user_id: Option<String>,
    /// Every layer that can reject a request, in the order in which they are enforced. `GET /key` only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<Budget>,
    /// The budget that blocks first. `GET /key` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective_budget: Option<Budget>,
    /// Where data may be processed; empty if not reported. `GET /key` only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_data_regions: Vec<String>,
    /// Whether the account has never bought credits. `GET /key` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_free_tier: Option<bool>,
    /// The account's requests to free models. `GET /key` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free_model_daily_requests: Option<FreeModelRequests>,
    /// The workspace's UUID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace_id: Option<String>,
    /// When it was last used. Known to the management key only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
}

/// The result of checking a key with `GET /key`.
#[derive(Clone, Debug, PartialEq)]
pub enum CheckResult {
    /// The server accepted the key.
    Valid(Arc<KeyInfo>),
    /// The server rejected the key (401).
    Rejected,
    /// The account has no credit (402). The key itself is valid.
    InsufficientCredits,
    /// The check failed, with the reason.
    Failed(String),
}

impl KeyInfo {
    /// Takes what only `GET /key` reports from an earlier answer; this one is a row of `/keys`.
    pub(super) fn keep_budgets_of(&mut self, earlier: &Self) {
        self.budgets.clone_from(&earlier.budgets);
        self.effective_budget.clone_from(&earlier.effective_budget);
        self.allowed_data_regions.clone_from(&earlier.allowed_data_regions);
        self.is_free_tier = earlier.is_free_tier;
        self.free_model_daily_requests.clone_from(&earlier.free_model_daily_requests);
    }

    /// Takes what only `/keys` reports from an earlier answer; this one is of `GET /key`.
    fn keep_last_use_of(&mut self, earlier: &Self) {
        self.last_used_at = self.last_used_at.or(earlier.last_used_at);
    }

    /// Returns the present policy as a request.
    pub fn to_requested_policy(&self) -> RequestedPolicy {
        RequestedPolicy {
            limit: self.limit.value().and_then(|limit| limit.try_into().ok()),
            limit_reset: self.limit_reset.value(),
            expires_at: self.expires_at.value(),
            ..RequestedPolicy::default()
        }
    }

    /// Returns the policy that the server granted.
    pub fn to_granted_policy(&self) -> GrantedPolicy {
        GrantedPolicy {
            limit: self.limit.clone(),
            limit_reset: self.limit_reset.clone(),
            expires_at: self.expires_at.clone(),
        }
    }
}

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

/// Deserializes text that will be shown, without control characters: the file may contain anything.
pub fn deserialize_sanitized<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<String, D::Error> {
    String::deserialize(deserializer).map(|text| sanitize(&text, 300))
}

/// One row of the inventory: a key in a secret store, without its secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredKey {
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
    /// When it was created.
    pub created_at: Timestamp,
    /// The requested policy.
    #[serde(default)]
    #[serde(alias = "asked")]
    pub requested: RequestedPolicy,
    /// The granted policy; `None` if the server could not be reached.
    #[serde(default)]
    pub granted: Option<GrantedPolicy>,
    /// The user id of the account, if the server returned it.
    #[serde(default)]
    pub user_id: Option<String>,
    /// Set if that account is another one than that of the other stored keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_account: Option<OtherAccount>,
    /// The last successful check.
    #[serde(default)]
    #[serde(rename = "reading")]
    pub info: Option<Arc<KeyInfo>>,
    /// When that check was made.
    #[serde(default)]
    pub checked_at: Option<Timestamp>,
    /// When the server rejected the key (401), unless a later check succeeded.
    #[serde(default)]
    #[serde(rename = "refused_at")]
    pub rejected_at: Option<Timestamp>,
    /// Whether it is disabled, as last reported to the management key.
    #[serde(default)]
    pub disabled: Option<bool>,
    /// The guardrail that it is assigned to, as last reported to the management key.
    #[serde(default)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guardrail: Option<GuardrailRef>,
    /// The key that this one will replace, until the replacement is done.
    #[serde(default)]
    pub replaces: Option<PendingReplacement>,
    /// Set on a replaced key until it is deleted.
    #[serde(default)]
    #[serde(rename = "retiring")]
    pub retirement: Option<Retirement>,
    /// Fields written by a newer version, preserved on update.
    #[serde(flatten)]
    pub unknown_fields: serde_json::Map<String, serde_json::Value>,
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
        Self {
            label,
            hash: key.hash(),
            masked: key.masked(),
            server,
            location: KeyLocation::Stored(store),
            created_at: at,
            requested: RequestedPolicy::default(),
            granted: None,
            user_id: None,
            other_account: None,
            info: None,
            checked_at: None,
            rejected_at: None,
            disabled: None,
            guardrail: None,
            replaces: None,
            retirement: None,
            unknown_fields: serde_json::Map::default(),
        }
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

    /// Returns whether the secret is stored here; otherwise this is a row of the account's list.
    pub const fn is_stored(&self) -> bool {
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

    /// Returns the next reset after `now`, if the interval is known.
    pub fn next_reset(&self, now: Timestamp) -> Option<Timestamp> {
        self.reset().value()?.next_after(now)
    }
}
