//! An account's keys under its management key. One request, one answer, as everywhere in this room:
//! paging and repeating are the caller's.

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Method, RequestBuilder};
use serde_json::{Map, Value, json};

use super::{Answer, Client, Error, Issued, Page, issued, wire};
use crate::domain::{Change, KeyRequest, ManagementKey, Patch, RemoteKey, Reset, is_hash};

/// The most that is read of a list, in bytes: a hundred rows of any sensible length.
const LIST_LIMIT: usize = 4 * 1024 * 1024;

impl Client {
    /// One page of the account's workspaces (`GET /api/v1/workspaces`), their UUIDs.
    pub async fn workspaces(
        &self,
        management: &ManagementKey,
        offset: usize,
    ) -> Result<Page<String>, Error> {
        let query = [("limit", "100".to_owned()), ("offset", offset.to_string())];
        let asked = self.managed(Method::GET, "api/v1/workspaces", &query, management)?;
        let answer = self.send_for(asked, LIST_LIMIT).await?;
        self.read(answer, "a list of workspaces", wire::workspaces)
    }

    /// One page of the account's keys (`GET /api/v1/keys`), the disabled and the expired too; of
    /// that workspace, else of the account's default one.
    pub async fn keys(
        &self,
        management: &ManagementKey,
        workspace: Option<&str>,
        offset: usize,
    ) -> Result<Page<RemoteKey>, Error> {
        let mut query = vec![
            ("offset", offset.to_string()),
            ("include_disabled", "true".into()),
            ("include_expired", "true".into()),
        ];
        query.extend(workspace.map(|id| ("workspace_id", id.into())));
        let asked = self.managed(Method::GET, "api/v1/keys", &query, management)?;
        let answer = self.send_for(asked, LIST_LIMIT).await?;
        self.read(answer, "a list of keys", wire::keys)
    }

    /// Cuts a key (`POST /api/v1/keys`), once: each call may issue another one.
    pub async fn create(
        &self,
        management: &ManagementKey,
        request: &KeyRequest,
    ) -> Result<Issued, Error> {
        let mut body = Map::from_iter([("name".into(), json!(request.label))]);
        for (name, value) in [
            ("limit", request.limit.map(|limit| json!(limit))),
            ("limit_reset", request.reset.map(|reset| json!(reset.as_str()))),
            ("expires_at", request.expiry.as_ref().map(|expiry| json!(expiry.wire()))),
            ("workspace_id", request.workspace.as_ref().map(|id| json!(id))),
        ] {
            body.extend(value.map(|value| (name.into(), value)));
        }
        let asked = self.managed(Method::POST, "api/v1/keys", &[], management)?;
        issued(self.send(with_body(asked, body)).await?)
    }

    /// One key (`GET /api/v1/keys/{hash}`).
    pub async fn find(&self, management: &ManagementKey, hash: &str) -> Result<RemoteKey, Error> {
        let asked = self.managed(Method::GET, &self.path(hash)?, &[], management)?;
        self.this_key(self.send(asked).await?, hash)
    }

    /// Changes a key (`PATCH /api/v1/keys/{hash}`): the key as it is afterwards.
    pub async fn patch(
        &self,
        management: &ManagementKey,
        hash: &str,
        patch: &Patch,
    ) -> Result<RemoteKey, Error> {
        let asked = self.managed(Method::PATCH, &self.path(hash)?, &[], management)?;
        self.this_key(self.send(with_body(asked, changes(patch))).await?, hash)
    }

    /// Deletes a key (`DELETE /api/v1/keys/{hash}`). Only an answer that says so is a deletion.
    pub async fn delete(&self, management: &ManagementKey, hash: &str) -> Result<(), Error> {
        let asked = self.managed(Method::DELETE, &self.path(hash)?, &[], management)?;
        let answer = self.send(asked).await?;
        self.read(answer, "a deletion", |body| wire::deleted(body).then_some(()))
    }

    fn managed(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        management: &ManagementKey,
    ) -> Result<RequestBuilder, Error> {
        let mut url = self.url(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(self.http.request(method, url).header(AUTHORIZATION, self.bearer(management)?))
    }

    /// Where a key is. What is not a hash never becomes part of a path.
    fn path(&self, hash: &str) -> Result<String, Error> {
        if is_hash(hash) {
            return Ok(format!("api/v1/keys/{hash}"));
        }
        Err(Error::NotSent { server: self.host.clone(), why: "the key's hash is damaged".into() })
    }

    /// An answer about another key is no answer.
    fn this_key(&self, answer: Answer, hash: &str) -> Result<RemoteKey, Error> {
        let this = |body: &str| wire::one_key(body).filter(|remote| remote.hash == hash);
        self.read(answer, "a description of this key", this)
    }

    fn read<T>(
        &self,
        answer: Answer,
        expected: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, Error> {
        match answer.broken {
            Some(error) => Err(error),
            None => read(&String::from_utf8_lossy(&answer.body))
                .ok_or_else(|| Error::Odd { server: self.host.clone(), expected }),
        }
    }
}

fn with_body(request: RequestBuilder, body: Map<String, Value>) -> RequestBuilder {
    request.header(CONTENT_TYPE, "application/json").body(Value::from(body).to_string())
}

/// An absent field is left alone, a null clears it.
fn changes(patch: &Patch) -> Map<String, Value> {
    let limit = match patch.limit {
        Change::Keep => None,
        Change::Clear => Some(Value::Null),
        Change::Set(limit) => Some(json!(limit)),
    };
    let reset = match patch.reset {
        Change::Keep => None,
        Change::Clear => Some(Value::Null),
        Change::Set(reset) => Some(json!(Reset::as_str(reset))),
    };
    [
        ("name", patch.name.as_ref().map(|name| json!(name))),
        ("disabled", patch.disabled.map(Value::from)),
        ("limit", limit),
        ("limit_reset", reset),
        ("include_byok_in_limit", patch.include_byok.map(Value::from)),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value?)))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_absent_and_what_is_cleared_is_null() {
        assert_eq!(Value::from(changes(&Patch::default())), json!({}));
        let patch = Patch {
            limit: Change::Clear,
            reset: Change::Set(Reset::Weekly),
            disabled: Some(true),
            ..Patch::default()
        };
        assert_eq!(
            Value::from(changes(&patch)),
            json!({"disabled": true, "limit": null, "limit_reset": "weekly"})
        );
    }
}
