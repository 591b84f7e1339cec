//! The token of a session: one that exists, or that of a login.

use reqwest::Method;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::{Session, Token};
use crate::storage::secret_store::bao::Error;
use crate::storage::secret_store::bao::settings::{Credentials, invalid};
use crate::storage::secret_store::bao::wire::{AuthResponse, Body};

impl Session {
    pub(super) async fn token(&self) -> Result<Token, Error> {
        if let Some(token) = self.lock_token().clone() {
            return Ok(token);
        }
        let _login = self.login.lock().await;
        if let Some(token) = self.lock_token().clone() {
            return Ok(token);
        }
        let no_token = || Error::NoToken(self.address.clone());
        #[expect(clippy::disallowed_methods, reason = "the engine receives its own credentials")]
        let (secret, is_from_login) = match self.credentials.as_ref().ok_or_else(no_token)? {
            Credentials::Token(token) => (token.clone(), false),
            Credentials::AppRole { mount, role_id, secret_id } => {
                let secret_id = secret_id.expose_secret();
                let body = json!({ "role_id": role_id, "secret_id": secret_id });
                let result = self.login("AppRole", mount, &body).await;
                (result.map_err(|error| explain_secret_id(error, secret_id))?, true)
            }
            Credentials::Kubernetes { mount, role, jwt } => {
                let body = json!({ "role": role, "jwt": jwt.expose_secret() });
                (self.login("Kubernetes", mount, &body).await?, true)
            }
        };
        #[expect(clippy::disallowed_methods, reason = "the engine receives its own token")]
        let mut header = HeaderValue::from_str(secret.expose_secret()).map_err(|_| no_token())?;
        header.set_sensitive(true);
        let token = Token { header, is_from_login };
        *self.lock_token() = Some(token.clone());
        Ok(token)
    }

    async fn login(
        &self,
        method: &'static str,
        mount: &str,
        body: &Value,
    ) -> Result<SecretString, Error> {
        let body = Body::json(body);
        let mount = mount.trim_matches('/');
        let path = format!("auth/{mount}/login");
        let (status, message) = match self.send(Method::POST, &path, None, Some(&body), None).await
        {
            Ok(response) if response.status == 200 => {
                let response: AuthResponse = response.parse(&self.address)?;
                return Ok(response.auth.client_token);
            }
            Ok(response) => (response.status, response.message()),
            // The login is set up wrongly; the engine itself works.
            Err(Error::Status { status: status @ 500, message, .. }) => (status, message),
            Err(error) => return Err(error),
        };
        let reason = if message.is_empty() { format!("status {status}") } else { message };
        Err(Error::LoginFailed { method, mount: mount.into(), reason })
    }
}

/// Returns the error of a login for which a token was sent as the secret id: a secret id may be delivered
/// wrapped.
fn explain_secret_id(error: Error, secret_id: &str) -> Error {
    let is_token = ["s.", "hvs.", "b.", "hvb."].iter().any(|start| secret_id.starts_with(start));
    match error {
        Error::LoginFailed { .. } if is_token => invalid(
            "BAO_SECRET_ID",
            "is a token, perhaps one that wraps the secret id",
            "unwrap it once and set BAO_SECRET_ID to the result: BAO_TOKEN=$BAO_SECRET_ID bao unwrap -field=secret_id",
        ),
        error => error,
    }
}
