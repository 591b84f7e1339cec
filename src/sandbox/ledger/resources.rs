//! The resources of the account besides its keys: workspaces, guardrails, provider keys and
//! credits.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{Account, DEFAULT_WORKSPACE_ID, Key, MicroUsd, Reset};

/// A workspace.
#[derive(Clone, Debug)]
pub struct Workspace {
    /// Its UUID.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its slug.
    pub slug: String,
    /// The guardrail that applies to every key without one of its own.
    pub default_guardrail_id: String,
    /// Whether BYOK spending counts against its budgets.
    pub include_byok: bool,
    /// Its budgets, one for each window at most.
    pub budgets: Vec<WorkspaceBudget>,
    /// When it was created.
    pub created_at: Timestamp,
}

/// A budget of a workspace.
#[derive(Clone, Debug)]
pub struct WorkspaceBudget {
    /// Its UUID.
    pub id: String,
    /// The most that may be spent in one window.
    pub limit: MicroUsd,
    /// The window; `None` is the lifetime.
    pub reset: Option<Reset>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A guardrail.
#[derive(Clone, Debug)]
pub struct Guardrail {
    /// Its UUID.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The most that each assigned key may spend in one window.
    pub limit: Option<MicroUsd>,
    /// The window.
    pub reset: Option<Reset>,
    /// Whether BYOK spending counts.
    pub include_byok: bool,
    /// The workspace's UUID.
    pub workspace_id: String,
    /// The other settings by name, as they were sent.
    pub settings: Map<String, Value>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Option<Timestamp>,
}

/// A key that is assigned to a guardrail.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// Its UUID.
    pub id: String,
    /// The guardrail.
    pub guardrail_id: String,
    /// The key.
    pub key_hash: String,
    /// When it was assigned.
    pub created_at: Timestamp,
}

/// A provider key of the account (BYOK).
#[derive(Clone, Debug)]
pub struct Credential {
    /// Its UUID.
    pub id: String,
    /// The provider's slug.
    pub provider: &'static str,
    /// The masked provider key.
    pub masked: &'static str,
    /// Its name.
    pub name: Option<String>,
    /// The keys that may use it; `None` is every key.
    pub allowed_key_hashes: Option<Vec<String>>,
    /// Whether it is disabled.
    pub disabled: bool,
    /// Whether it is used only after OpenRouter's own keys.
    pub is_fallback: bool,
    /// The workspace's UUID.
    pub workspace_id: String,
    /// When it was created.
    pub created_at: Timestamp,
}

/// One layer that can reject a request of a key.
pub struct Layer<'a> {
    /// OpenRouter's name of the layer.
    pub scope: &'static str,
    /// The most that may be spent in one window.
    pub limit: MicroUsd,
    /// What was spent in the present window.
    pub spent: MicroUsd,
    /// The window.
    pub reset: Option<Reset>,
    /// Whether BYOK spending counts.
    pub include_byok: bool,
    /// The guardrail that it belongs to.
    pub guardrail_id: Option<&'a str>,
    /// The budget's UUID.
    pub budget_id: Option<&'a str>,
}

impl Layer<'_> {
    /// Returns what remains; zero or less rejects every request.
    pub fn remaining(&self) -> MicroUsd {
        self.limit.minus(self.spent)
    }
}

impl Account {
    /// Returns a UUID that no other object of the account has.
    pub fn next_id(&mut self) -> String {
        self.last_id += 1;
        format!("5a0d8c3e-0000-4000-8000-{:012x}", self.last_id)
    }

    /// Creates the default workspace, a second one, a guardrail and a provider key.
    pub fn create_resources(&mut self, now: Timestamp) {
        self.add_workspace(DEFAULT_WORKSPACE_ID, "Default", "default", now);
        let id = self.next_id();
        self.add_workspace(&id, "Research", "research", now);
        let id = self.next_id();
        self.guardrails.push(Guardrail {
            id,
            name: "research".into(),
            limit: MicroUsd::from_dollars(20.0),
            reset: Some(Reset::Monthly),
            include_byok: false,
            workspace_id: DEFAULT_WORKSPACE_ID.into(),
            settings: Map::new(),
            created_at: now,
            updated_at: None,
        });
        let id = self.next_id();
        self.credentials.push(Credential {
            id,
            provider: "openai",
            masked: "sk-...4abc",
            name: Some("OpenAI".into()),
            allowed_key_hashes: None,
            disabled: false,
            is_fallback: false,
            workspace_id: DEFAULT_WORKSPACE_ID.into(),
            created_at: now,
        });
    }

    fn add_workspace(&mut self, id: &str, name: &str, slug: &str, now: Timestamp) {
        let default_guardrail_id = self.next_id();
        self.workspaces.push(Workspace {
            id: id.to_owned(),
            name: name.to_owned(),
            slug: slug.to_owned(),
            default_guardrail_id,
            include_byok: false,
            budgets: Vec::new(),
            created_at: now,
        });
    }

    /// Adds the workspace of a key, which may be any: OpenRouter has it if a client names it.
    pub(super) fn ensure_workspace(&mut self, id: &str, now: Timestamp) {
        if !self.workspaces.iter().any(|workspace| workspace.id == id) {
            let slug = format!("workspace-{}", &id[..id.len().min(8)]);
            self.add_workspace(id, &format!("Workspace {}", &id[..id.len().min(8)]), &slug, now);
        }
    }

    /// Returns the workspace with this UUID or slug.
    pub fn find_workspace(&mut self, id: &str) -> Option<&mut Workspace> {
        let is_named = |workspace: &&mut Workspace| workspace.id == id || workspace.slug == id;
        self.workspaces.iter_mut().find(is_named)
    }

    /// Returns the guardrail with this UUID.
    pub fn find_guardrail(&mut self, id: &str) -> Option<&mut Guardrail> {
        self.guardrails.iter_mut().find(|guardrail| guardrail.id == id)
    }

    /// Deletes a guardrail and its assignments. Returns `false` if there is no such guardrail.
    pub fn delete_guardrail(&mut self, id: &str) -> bool {
        let before = self.guardrails.len();
        self.guardrails.retain(|guardrail| guardrail.id != id);
        self.assignments.retain(|assignment| assignment.guardrail_id != id);
        self.guardrails.len() < before
    }

    /// Assigns keys to a guardrail in place of the one they had. Returns how many exist.
    pub fn assign_keys(&mut self, guardrail: &str, hashes: &[String], now: Timestamp) -> usize {
        let mut count = 0;
        for hash in hashes {
            if self.find_key(hash).is_none() {
                continue;
            }
            count += 1;
            self.assignments.retain(|assignment| assignment.key_hash != *hash);
            let id = self.next_id();
            self.assignments.push(Assignment {
                id,
                guardrail_id: guardrail.to_owned(),
                key_hash: hash.clone(),
                created_at: now,
            });
        }
        count
    }

    /// Removes keys from a guardrail. Returns how many were assigned to it.
    pub fn unassign_keys(&mut self, guardrail: &str, hashes: &[String]) -> usize {
        let before = self.assignments.len();
        self.assignments.retain(|assignment| {
            assignment.guardrail_id != guardrail || !hashes.contains(&assignment.key_hash)
        });
        before - self.assignments.len()
    }

    /// Returns every layer that can reject a request of a key, in the order in which they are
    /// enforced. The account has one member, whose spending is that of all keys of the workspace.
    pub fn layers<'a>(&'a self, key: &'a Key, now: Timestamp) -> Vec<Layer<'a>> {
        let policy = &key.policy;
        let workspace_spent = |reset: Option<Reset>| -> MicroUsd {
            let in_workspace =
                self.keys.iter().filter(|other| other.policy.workspace_id == policy.workspace_id);
            in_workspace.map(|other| other.spending.spent_in_window(reset, now)).sum()
        };
        let workspace =
            self.workspaces.iter().find(|workspace| workspace.id == policy.workspace_id);
        let mut layers = Vec::new();
        let mut add_guardrail = |scope, guardrail: &'a Guardrail| {
            if let Some(limit) = guardrail.limit {
                layers.push(Layer {
                    scope,
                    limit,
                    spent: key.spending.spent_in_window(guardrail.reset, now),
                    reset: guardrail.reset,
                    include_byok: guardrail.include_byok,
                    guardrail_id: Some(&guardrail.id),
                    budget_id: None,
                });
            }
        };
        let by_id = |id: &str| self.guardrails.iter().find(|guardrail| guardrail.id == id);
        if let Some(default) =
            workspace.and_then(|workspace| by_id(&workspace.default_guardrail_id))
        {
            add_guardrail("workspace_default_key", default);
        }
        let assigned = self.assignments.iter().find(|assigned| assigned.key_hash == key.hash);
        if let Some(guardrail) = assigned.and_then(|assigned| by_id(&assigned.guardrail_id)) {
            add_guardrail("api_key", guardrail);
        }
        if let Some(workspace) = workspace {
            layers.extend(workspace.budgets.iter().map(|budget| Layer {
                scope: "workspace",
                limit: budget.limit,
                spent: workspace_spent(budget.reset),
                reset: budget.reset,
                include_byok: workspace.include_byok,
                guardrail_id: None,
                budget_id: Some(&budget.id),
            }));
        }
        if let Some(limit) = policy.limit {
            layers.push(Layer {
                scope: "key_limit",
                limit,
                spent: key.spending.spent_in_window(policy.reset, now),
                reset: policy.reset,
                include_byok: policy.include_byok,
                guardrail_id: None,
                budget_id: None,
            });
        }
        layers
    }

    /// Returns the keys whose activity is asked for, or `None` if there is no such key.
    pub fn select_keys(&self, hash: Option<&str>, workspace: Option<&str>) -> Option<Vec<&Key>> {
        if hash.is_some_and(|hash| self.find_key(hash).is_none()) {
            return None;
        }
        let is_wanted = |key: &&Key| {
            hash.is_none_or(|hash| key.hash == hash)
                && workspace.is_none_or(|id| key.policy.workspace_id == id)
        };
        Some(self.keys.iter().filter(is_wanted).collect())
    }
}
