//! The mount, the token and its rights.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};

use super::{Client, Result};
use crate::domain::sanitize;
use crate::storage::secret_store::bao::Error;
use crate::storage::secret_store::bao::wire::{
    Auth, AuthResponse, Body, Envelope, Health, Mount, TokenInfo,
};

impl Client {
    /// Returns what the token may do at each path of the API, in the same order.
    pub(in crate::storage::secret_store::bao) async fn capabilities(
        &self,
        api_paths: &[String],
    ) -> Result<Vec<Vec<String>>> {
        let session = self.session()?;
        let body = Body::json(&json!({ "paths": api_paths }));
        let response = self.send(Method::POST, "sys/capabilities-self", None, Some(&body)).await?;
        if response.status != 200 {
            return Err(self.to_error(&response, "read", "sys/capabilities-self").await.into());
        }
        let all: Envelope<BTreeMap<String, Value>> = response.parse(&session.address)?;
        let names = |path: &String| {
            let value = all.data.get(path).and_then(Value::as_array);
            let names = value.into_iter().flatten().filter_map(Value::as_str);
            names.map(str::to_owned).collect()
        };
        Ok(api_paths.iter().map(names).collect())
    }

    /// Checks that the token may create and replace the entry at `path`, without writing it.
    pub(in crate::storage::secret_store::bao) async fn check_writable(
        &self,
        path: &str,
    ) -> Result<()> {
        let api_path = self.api_path("data", path);
        let forbidden = || Error::Forbidden { operation: "write", path: self.full_path(path) };
        if let Ok(capabilities) = self.capabilities(std::slice::from_ref(&api_path)).await {
            let names = capabilities.into_iter().next().unwrap_or_default();
            let has = |name: &str| names.iter().any(|other| other == name);
            if !(has("root") || has("read") && has("create") && has("update")) {
                return Err(forbidden().into());
            }
            return self.check_mount().await.map_err(Into::into);
        }
        // A policy may hide what the token may do: this write is refused in any case.
        self.check_mount().await?;
        let body = json!({ "data": {}, "options": { "cas": u32::MAX } });
        let response = self.send(Method::POST, &api_path, None, Some(&Body::json(&body))).await?;
        match response.status {
            400 if response.message().contains("check-and-set") => Ok(()),
            _ => Err(self.to_error(&response, "write", path).await.into()),
        }
    }

    /// Checks that the mount is a KV engine of version 2.
    pub(in crate::storage::secret_store::bao) async fn check_mount(
        &self,
    ) -> std::result::Result<(), Error> {
        let mount = self.read_mount().await?;
        match mount {
            None => Err(Error::NoMount(self.mount().into())),
            Some(mount) if mount.is_kv2() => Ok(()),
            Some(mount) => {
                let kind = match mount.kind.as_str() {
                    "kv" | "generic" => "a KV engine of version 1".into(),
                    kind => format!("a {} engine", sanitize(kind, 30)),
                };
                Err(Error::WrongMount { mount: self.mount().into(), kind })
            }
        }
    }

    /// Returns the mount; `None` if there is none or the token has no right to anything below it.
    pub(in crate::storage::secret_store::bao) async fn read_mount(
        &self,
    ) -> std::result::Result<Option<Mount>, Error> {
        let session = self.session()?;
        let api_path = format!("sys/internal/ui/mounts/{}", self.mount());
        let response = self.send(Method::GET, &api_path, None, None).await?;
        match response.status {
            200 => Ok(Some(response.parse::<Envelope<Mount>>(&session.address)?.data)),
            // Also what the engine answers for a mount that does not exist.
            403 => match session.to_status_error(&response, "read", &api_path).await {
                Error::Forbidden { .. } => Ok(None),
                error => Err(error),
            },
            _ => Err(session.to_status_error(&response, "read", &api_path).await),
        }
    }

    /// Returns what is known about the token.
    pub(in crate::storage::secret_store::bao) async fn lookup_token(&self) -> Result<TokenInfo> {
        let session = self.session()?;
        let response = self.send(Method::GET, "auth/token/lookup-self", None, None).await?;
        match response.status {
            200 => Ok(response.parse::<Envelope<TokenInfo>>(&session.address)?.data),
            403 => Err(Error::BadToken(session.address.clone()).into()),
            _ => Err(session
                .to_status_error(&response, "read", "auth/token/lookup-self")
                .await
                .into()),
        }
    }

    /// Extends the life of the token and returns the seconds until it expires.
    pub(in crate::storage::secret_store::bao) async fn renew_token(&self) -> Result<u64> {
        let session = self.session()?;
        let body = Body::json(&json!({}));
        let response = self.send(Method::POST, "auth/token/renew-self", None, Some(&body)).await?;
        match response.status {
            200 => {
                let AuthResponse { auth: Auth { lease_duration, .. } } =
                    response.parse(&session.address)?;
                Ok(lease_duration)
            }
            _ => Err(session
                .to_status_error(&response, "write", "auth/token/renew-self")
                .await
                .into()),
        }
    }

    /// Returns the state of the engine; needs no token.
    pub(in crate::storage::secret_store::bao) async fn health(
        &self,
    ) -> std::result::Result<Health, Error> {
        let session = self.session()?;
        let query =
            "standbyok=true&perfstandbyok=true&sealedcode=200&uninitcode=200&drsecondarycode=200";
        let response = session.request_without_token("sys/health", Some(query)).await?;
        response.parse(&session.address)
    }
}
