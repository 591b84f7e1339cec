//! What an account has besides its keys: credits, activity, workspaces, guardrails and provider keys.
//! Amounts are in USD. Texts are safe to show.

use std::collections::BTreeMap;

use jiff::civil::Date;

use super::Reported;
use super::key_request::ResetInterval;

/// The credits of an account (`GET /credits`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Credits {
    /// Bought in total.
    pub total_credits: f64,
    /// Used in total.
    pub total_usage: f64,
}

impl Credits {
    /// Returns what is left; below zero if more was used.
    pub fn remaining(self) -> f64 {
        self.total_credits - self.total_usage
    }
}

/// The use of one model at one provider on one UTC day (`GET /activity`).
#[derive(Clone, Debug, PartialEq)]
pub struct ActivityRow {
    /// The completed UTC day.
    pub date: Date,
    /// The model.
    pub model: String,
    /// The number of requests.
    pub requests: u64,
    /// Spent credits.
    pub usage: f64,
}

/// A workspace of the account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workspace {
    /// Its UUID.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its slug, which a path accepts instead of the UUID.
    pub slug: String,
}

impl Workspace {
    /// Returns its slug, else its name, else its UUID.
    pub fn short_name(&self) -> &str {
        [&self.slug, &self.name].into_iter().find(|name| !name.is_empty()).unwrap_or(&self.id)
    }
}

/// The names of the account's workspaces and guardrails by their UUIDs, in small letters.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct AccountNames {
    /// The workspaces, by what [`Workspace::short_name`] returns.
    pub workspaces: BTreeMap<String, String>,
    /// The guardrails.
    pub guardrails: BTreeMap<String, String>,
}

impl AccountNames {
    /// Returns the name of a workspace, or its UUID where the name is not known.
    pub fn workspace_name<'a>(&'a self, id: &'a str) -> &'a str {
        self.workspaces.get(&id.to_lowercase()).map_or(id, String::as_str)
    }
}

/// A budget of a workspace.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkspaceBudget {
    /// Its UUID.
    pub id: String,
    /// The most that may be spent in one window.
    pub limit_usd: Option<f64>,
    /// The window; none is the lifetime.
    pub reset_interval: Reported<ResetInterval>,
}

/// A guardrail: rules for the requests of the keys that are assigned to it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Guardrail {
    /// Its UUID.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The most that each key may spend in one window.
    pub limit_usd: Reported<f64>,
    /// The window.
    pub reset_interval: Reported<ResetInterval>,
    /// Whether spending through provider keys counts.
    pub include_byok_in_budgets: Option<bool>,
    /// Whether only providers that keep no data are used.
    pub enforce_zdr: Option<bool>,
    /// The models that may be used; `None` is every model.
    pub allowed_models: Option<Vec<String>>,
    /// The providers that may be used; `None` is every provider.
    pub allowed_providers: Option<Vec<String>>,
    /// Models that may not be used.
    pub ignored_models: Option<Vec<String>>,
    /// Providers that may not be used.
    pub ignored_providers: Option<Vec<String>>,
    /// Where data may be processed.
    pub allowed_data_regions: Option<Vec<String>>,
    /// Its workspace's UUID.
    pub workspace_id: Option<String>,
}

/// A key that is assigned to a guardrail. A key has one guardrail at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardrailAssignment {
    /// The guardrail's UUID.
    pub guardrail_id: String,
    /// The key's hash.
    pub key_hash: String,
}

/// A provider's key that the account brought (BYOK).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByokCredential {
    /// Its UUID.
    pub id: String,
    /// Its name, or its masked key without one.
    pub name: String,
    /// The hashes of the keys that may use it; `None` is every key.
    pub allowed_api_key_hashes: Option<Vec<String>>,
}
