//! What is known about a key at the server: the requested and the granted policy, and its last check.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::account_key::is_same_amount;
use super::reported::{Reported, ServerValue};
use super::{Budget, Cents, FreeModelRequests, GuardrailRef, KeyRequest, ResetInterval};

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
    /// The guardrail; `None` is none of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guardrail: Option<GuardrailRef>,
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
            guardrail: request.guardrail.clone(),
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

/// Returns whether what was granted is not what was requested. A missing field confirms no request,
/// and says nothing where none was made.
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
    /// Remaining part of the limit when the key was checked: show [`StoredKey::remaining`](super::StoredKey::remaining), which
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
    pub effective_budget: Option<Box<Budget>>,
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
    /// Takes what only `GET /key` reports from an earlier response; this one is a row of `/keys`.
    pub(super) fn keep_budgets_of(&mut self, earlier: &Self) {
        self.budgets.clone_from(&earlier.budgets);
        self.effective_budget.clone_from(&earlier.effective_budget);
        self.allowed_data_regions.clone_from(&earlier.allowed_data_regions);
        self.is_free_tier = earlier.is_free_tier;
        self.free_model_daily_requests.clone_from(&earlier.free_model_daily_requests);
    }

    /// Takes what only `/keys` reports from an earlier response; this one is of `GET /key`.
    pub(super) fn keep_last_use_of(&mut self, earlier: &Self) {
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
