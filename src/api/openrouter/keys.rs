//! Requests with the management key about the keys of the account. Paging is up to the caller.

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Method, RequestBuilder};
use serde_json::{Map, Value, json};

use super::{CreateKeyResponse, Error, ManagementClient, Page, parse_create_response, wire};
use crate::domain::{
    AccountKey, FieldChange, KeyPatch, KeyRequest, Label, ResetInterval, collect_ordered,
    is_key_hash,
};

/// The maximum size of a list response, which has at most a hundred rows.
pub(super) const MAX_LIST_RESPONSE_BYTES: usize = 4 * 1024 * 1024;

impl ManagementClient {
    /// Returns one page of the keys (`GET /api/v1/keys`) in `workspace` or in the default workspace,
    /// including disabled and expired ones.
    pub async fn list_keys(
        &self,
        workspace: Option<&str>,
        offset: usize,
    ) -> Result<Page<AccountKey>, Error> {
        let mut query = vec![
            ("offset", offset.to_string()),
            ("include_disabled", "true".into()),
            ("include_expired", "true".into()),
        ];
        query.extend(workspace.map(|id| ("workspace_id", id.into())));
        let request = self.management_request(Method::GET, "api/v1/keys", &query)?;
        let parse = wire::parse_key_list;
        self.fetch_with_limit(request, MAX_LIST_RESPONSE_BYTES, "a list of keys", parse).await
    }

    /// Creates a key (`POST /api/v1/keys`) with another name than the requested label. Not idempotent:
    /// each call may create another key.
    pub async fn create_key(
        &self,
        request: &KeyRequest,
        name: &Label,
    ) -> Result<CreateKeyResponse, Error> {
        let mut body = Map::new();
        body.insert("name".into(), json!(name));
        for (name, value) in [
            ("limit", request.limit.map(|limit| json!(limit))),
            ("limit_reset", request.limit_reset.map(|reset| json!(reset.as_str()))),
            ("expires_at", request.expiry.as_ref().map(|expiry| json!(expiry.to_api_string()))),
            ("workspace_id", request.workspace_id.as_ref().map(|id| json!(id))),
        ] {
            body.extend(value.map(|value| (name.into(), value)));
        }
        let request = self.management_request(Method::POST, "api/v1/keys", &[])?;
        parse_create_response(self.send_request(with_json_body(request, body)).await?)
    }

    /// Returns one key (`GET /api/v1/keys/{hash}`).
    pub async fn get_key(&self, hash: &str) -> Result<AccountKey, Error> {
        let request = self.management_request(Method::GET, &self.key_path(hash)?, &[])?;
        self.fetch_key(request, hash).await
    }

    /// Updates a key (`PATCH /api/v1/keys/{hash}`) and returns the updated key.
    pub async fn update_key(&self, hash: &str, patch: &KeyPatch) -> Result<AccountKey, Error> {
        let request = self.management_request(Method::PATCH, &self.key_path(hash)?, &[])?;
        self.fetch_key(with_json_body(request, patch_body(patch)), hash).await
    }

    /// Deletes a key (`DELETE /api/v1/keys/{hash}`). Fails unless the response confirms it.
    pub async fn delete_key(&self, hash: &str) -> Result<(), Error> {
        let request = self.management_request(Method::DELETE, &self.key_path(hash)?, &[])?;
        let parse = |body: &str| wire::is_deletion_confirmed(body).then_some(());
        self.fetch(request, "a deletion", parse).await
    }

    pub(super) fn management_request(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<RequestBuilder, Error> {
        let mut url = self.endpoint_url(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(self
            .http
            .request(method, url)
            .header(AUTHORIZATION, self.bearer_header(self.management_key())?))
    }

    /// Returns the path of a key. Only a valid hash may become part of a path.
    fn key_path(&self, hash: &str) -> Result<String, Error> {
        if is_key_hash(hash) {
            return Ok(format!("api/v1/keys/{hash}"));
        }
        Err(Error::NotSent {
            server: self.host.clone(),
            reason: "the stored hash of the key is invalid".into(),
        })
    }

    /// Sends a request about a key and rejects a response that describes another one.
    async fn fetch_key(&self, request: RequestBuilder, hash: &str) -> Result<AccountKey, Error> {
        let parse = |body: &str| wire::parse_account_key(body).filter(|remote| remote.hash == hash);
        self.fetch(request, "a description of this key", parse).await
    }
}

pub(super) fn with_json_body(request: RequestBuilder, body: Map<String, Value>) -> RequestBuilder {
    request.header(CONTENT_TYPE, "application/json").body(Value::from(body).to_string())
}

/// Returns the body of a `PATCH`: an absent field is unchanged, a null clears it.
fn patch_body(patch: &KeyPatch) -> Map<String, Value> {
    let limit = match patch.limit {
        FieldChange::Keep => None,
        FieldChange::Clear => Some(Value::Null),
        FieldChange::Set(limit) => Some(json!(limit)),
    };
    let reset = match patch.limit_reset {
        FieldChange::Keep => None,
        FieldChange::Clear => Some(Value::Null),
        FieldChange::Set(reset) => Some(json!(ResetInterval::as_str(reset))),
    };
    let fields = [
        ("name", patch.name.as_ref().map(|name| json!(name))),
        ("disabled", patch.disabled.map(Value::from)),
        ("limit", limit),
        ("limit_reset", reset),
        ("include_byok_in_limit", patch.include_byok_in_limit.map(Value::from)),
        ("workspace_id", patch.workspace_id.as_ref().map(|id| json!(id))),
    ];
    let changed = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    collect_ordered(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unchanged_fields_are_absent_and_cleared_ones_are_null() {
        assert_eq!(Value::from(patch_body(&KeyPatch::default())), json!({}));
        let patch = KeyPatch {
            limit: FieldChange::Clear,
            limit_reset: FieldChange::Set(ResetInterval::Weekly),
            disabled: Some(true),
            ..KeyPatch::default()
        };
        assert_eq!(
            Value::from(patch_body(&patch)),
            json!({"disabled": true, "limit": null, "limit_reset": "weekly"})
        );
    }
}
