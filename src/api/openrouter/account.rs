//! Requests with the management key about everything in the account except its keys. Paging is
//! up to the caller. A missing right (403) or an older server (404) fails only the one request.

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::keys::{MAX_LIST_RESPONSE_BYTES, with_json_body};
use super::wire::{self, account};
use super::{Error, ManagementClient, Page};
use crate::domain::{
    ActivityRow, ByokCredential, Credits, Guardrail, GuardrailAssignment, Workspace,
    WorkspaceBudget, collect_ordered, is_key_hash,
};

/// The maximum size of the activity of thirty days, which is not divided into pages.
const MAX_ACTIVITY_BYTES: usize = 32 * 1024 * 1024;

impl ManagementClient {
    /// Returns one page of the workspaces (`GET /api/v1/workspaces`).
    pub async fn list_workspaces(&self, offset: usize) -> Result<Page<Workspace>, Error> {
        let (expected, parse) = ("a list of workspaces", account::parse_workspace);
        self.list_page("workspaces", None, offset, expected, parse).await
    }

    /// Returns the budgets of a workspace by its UUID or slug (`GET /api/v1/workspaces/{id}/budgets`).
    pub async fn list_workspace_budgets(
        &self,
        workspace: &str,
    ) -> Result<Page<WorkspaceBudget>, Error> {
        let path = format!("workspaces/{}/budgets", self.path_segment(workspace)?);
        let parse = account::parse_workspace_budget;
        self.list_page(&path, None, 0, "a list of budgets", parse).await
    }

    /// Returns the credits of the account (`GET /api/v1/credits`).
    pub async fn get_credits(&self) -> Result<Credits, Error> {
        let request = self.management_request(Method::GET, "api/v1/credits", &[])?;
        self.fetch(request, "the account's credits", account::parse_credits).await
    }

    /// Returns the activity of the last thirty completed UTC days, of one key or of the account
    /// (`GET /api/v1/activity`).
    pub async fn list_activity(&self, key_hash: Option<&str>) -> Result<Page<ActivityRow>, Error> {
        let query: Vec<_> =
            key_hash.map(|hash| ("api_key_hash", hash.to_owned())).into_iter().collect();
        let request = self.management_request(Method::GET, "api/v1/activity", &query)?;
        let parse = |body: &str| wire::parse_page(body, account::parse_activity_row);
        self.fetch_with_limit(request, MAX_ACTIVITY_BYTES, "a list of activity", parse).await
    }

    /// Returns one page of the guardrails of a workspace or of the default one
    /// (`GET /api/v1/guardrails`).
    pub async fn list_guardrails(
        &self,
        workspace: Option<&str>,
        offset: usize,
    ) -> Result<Page<Guardrail>, Error> {
        let (expected, parse) = ("a list of guardrails", account::parse_guardrail);
        self.list_page("guardrails", workspace, offset, expected, parse).await
    }

    /// Returns a guardrail (`GET /api/v1/guardrails/{id}`).
    pub async fn get_guardrail(&self, id: &str) -> Result<Guardrail, Error> {
        let path = format!("api/v1/guardrails/{}", self.path_segment(id)?);
        let request = self.management_request(Method::GET, &path, &[])?;
        let parse = |body: &str| wire::parse_object(body, account::parse_guardrail);
        self.fetch(request, "a guardrail", parse).await
    }

    /// Returns one page of the keys that are assigned to a guardrail, or of all assignments
    /// (`GET /api/v1/guardrails/{id}/assignments/keys`, `GET /api/v1/guardrails/assignments/keys`).
    pub async fn list_guardrail_assignments(
        &self,
        guardrail: Option<&str>,
        offset: usize,
    ) -> Result<Page<GuardrailAssignment>, Error> {
        let path = match guardrail {
            Some(id) => format!("guardrails/{}/assignments/keys", self.path_segment(id)?),
            None => "guardrails/assignments/keys".to_owned(),
        };
        let parse = account::parse_assignment;
        self.list_page(&path, None, offset, "a list of assignments", parse).await
    }

    /// Assigns keys to a guardrail, which replaces the one they had; returns how many were assigned
    /// (`POST /api/v1/guardrails/{id}/assignments/keys`). Idempotent.
    pub async fn assign_guardrail(
        &self,
        guardrail: &str,
        key_hashes: &[String],
    ) -> Result<u64, Error> {
        let path = format!("api/v1/guardrails/{}/assignments/keys", self.path_segment(guardrail)?);
        self.change_assignments(&path, key_hashes, "assigned_count").await
    }

    /// Removes keys from a guardrail; returns how many were removed
    /// (`POST /api/v1/guardrails/{id}/assignments/keys/remove`). Idempotent.
    pub async fn unassign_guardrail(
        &self,
        guardrail: &str,
        key_hashes: &[String],
    ) -> Result<u64, Error> {
        let id = self.path_segment(guardrail)?;
        let path = format!("api/v1/guardrails/{id}/assignments/keys/remove");
        self.change_assignments(&path, key_hashes, "unassigned_count").await
    }

    async fn change_assignments(
        &self,
        path: &str,
        key_hashes: &[String],
        count: &str,
    ) -> Result<u64, Error> {
        let request = self.management_request(Method::POST, path, &[])?;
        let body = collect_ordered([("key_hashes".to_owned(), json!(key_hashes))]);
        self.fetch(with_json_body(request, body), "a number of keys", |body| {
            account::parse_count(body, count)
        })
        .await
    }

    /// Returns one page of the provider keys of a workspace or of the default one
    /// (`GET /api/v1/byok`).
    pub async fn list_byok_credentials(
        &self,
        workspace: Option<&str>,
        offset: usize,
    ) -> Result<Page<ByokCredential>, Error> {
        let (expected, parse) = ("a list of provider keys", account::parse_credential);
        self.list_page("byok", workspace, offset, expected, parse).await
    }

    /// Returns a provider key (`GET /api/v1/byok/{id}`).
    pub async fn get_byok_credential(&self, id: &str) -> Result<ByokCredential, Error> {
        let path = format!("api/v1/byok/{}", self.path_segment(id)?);
        let request = self.management_request(Method::GET, &path, &[])?;
        let parse = |body: &str| wire::parse_object(body, account::parse_credential);
        self.fetch(request, "a provider key", parse).await
    }

    /// Sets which keys may use a provider key (`PATCH /api/v1/byok/{id}`), and returns it as it is then.
    /// The whole list is replaced, so it must have been read before.
    pub async fn set_byok_key_hashes(
        &self,
        id: &str,
        key_hashes: &[String],
    ) -> Result<ByokCredential, Error> {
        let path = format!("api/v1/byok/{}", self.path_segment(id)?);
        let request = self.management_request(Method::PATCH, &path, &[])?;
        let body = collect_ordered([("allowed_api_key_hashes".to_owned(), json!(key_hashes))]);
        self.fetch(with_json_body(request, body), "a provider key", |body| {
            wire::parse_object(body, account::parse_credential)
        })
        .await
    }

    async fn list_page<T>(
        &self,
        path: &str,
        workspace: Option<&str>,
        offset: usize,
        expected: &'static str,
        parse: impl Fn(&Map<String, Value>) -> Option<T>,
    ) -> Result<Page<T>, Error> {
        let mut query = vec![("limit", "100".to_owned()), ("offset", offset.to_string())];
        query.extend(workspace.map(|id| ("workspace_id", id.to_owned())));
        let request = self.management_request(Method::GET, &format!("api/v1/{path}"), &query)?;
        let parse = |body: &str| wire::parse_page(body, parse);
        self.fetch_with_limit(request, MAX_LIST_RESPONSE_BYTES, expected, parse).await
    }

    /// Returns an id that may become part of a path: a UUID, a slug or a key's hash.
    fn path_segment<'a>(&self, id: &'a str) -> Result<&'a str, Error> {
        let is_safe = |id: &str| {
            (1..=100).contains(&id.len())
                && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        if is_safe(id) || is_key_hash(id) {
            return Ok(id);
        }
        Err(Error::NotSent {
            server: self.host.clone(),
            reason: "an id in its answer is invalid".into(),
        })
    }
}
