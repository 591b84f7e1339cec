//! Errors of a shared store, with what they mean for the keys and what to do about them.

use std::borrow::Cow;

use super::TlsProblem;
use crate::domain::quote_shell_word;

/// An error of a shared store.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting cannot be used. Contains the variable or field, and what is wrong with it.
    #[error("{name} {problem}")]
    InvalidSetting {
        /// The variable, field or file.
        name: String,
        /// What is wrong.
        problem: String,
        /// What to do now.
        advice: String,
    },
    /// Nothing listens at the address, or it cannot be resolved.
    #[error("{address} cannot be reached: {reason}")]
    Unreachable {
        /// The engine's address.
        address: String,
        /// Why.
        reason: String,
    },
    /// TLS failed.
    #[error("{address} cannot be trusted: {problem}")]
    Untrusted {
        /// The engine's address.
        address: String,
        /// What is wrong.
        problem: TlsProblem,
    },
    /// A request was sent and not answered.
    #[error("{address} did not answer: {reason}")]
    NoResponse {
        /// The engine's address.
        address: String,
        /// What happened.
        reason: String,
    },
    /// The engine is sealed.
    #[error("{0} is sealed: it cannot decrypt its secrets until it is unsealed")]
    Sealed(String),
    /// The engine was never initialised.
    #[error("{0} is not initialised")]
    NotInitialized(String),
    /// The cluster has no leader now.
    #[error("the cluster at {0} has no leader at the moment")]
    NoLeader(String),
    /// The node has not received yet what the cluster has.
    #[error("the node at {0} lags behind its cluster")]
    Lagging(String),
    /// There is no token.
    #[error("there is no token for {0}")]
    NoToken(String),
    /// The token is unknown, expired or revoked.
    #[error("{0} does not accept the token: it has expired, was revoked, or is of another server")]
    BadToken(String),
    /// The login failed.
    #[error("the login by {method} at auth/{mount} failed: {reason}")]
    LoginFailed {
        /// `AppRole` or `Kubernetes`.
        method: &'static str,
        /// The mount of the login.
        mount: String,
        /// The engine's words.
        reason: String,
    },
    /// The token's policies do not allow this.
    #[error("the token may not {operation} {path}")]
    Forbidden {
        /// `read`, `write`, `delete` or `list`.
        operation: &'static str,
        /// The path, with its mount.
        path: String,
    },
    /// The mount does not exist, or the token may see nothing of it.
    #[error("there is no KV engine at {0}/")]
    NoMount(String),
    /// The mount is a KV engine of version 1, or another engine.
    #[error("{mount}/ is {kind}, and Keywright needs KV version 2")]
    WrongMount {
        /// The mount.
        mount: String,
        /// What it is.
        kind: String,
    },
    /// The current version was deleted; it can be restored.
    #[error("version {version} of {path} was deleted")]
    VersionDeleted {
        /// The path, with its mount.
        path: String,
        /// The version.
        version: u64,
    },
    /// The current version was destroyed.
    #[error("version {version} of {path} was destroyed: its key is gone for ever")]
    VersionDestroyed {
        /// The path, with its mount.
        path: String,
        /// The version.
        version: u64,
    },
    /// Another version was written in the meantime.
    #[error("{path} was changed by someone else in the meantime")]
    Conflict {
        /// The path, with its mount.
        path: String,
    },
    /// The entry has no text field `key`.
    #[error("{path} has no field 'key', so it is not an entry of Keywright")]
    NotAKey {
        /// The path, with its mount.
        path: String,
    },
    /// The engine limits requests.
    #[error("{0} refuses requests for now: there are too many")]
    TooManyRequests(String),
    /// Another response.
    #[error("{address} answered {status}: {message}")]
    Status {
        /// The engine's address.
        address: String,
        /// The HTTP status.
        status: u16,
        /// The engine's words.
        message: String,
    },
    /// A response that is not the engine's.
    #[error("{address} answered something that is not of a KV engine: {problem}")]
    UnexpectedResponse {
        /// The engine's address.
        address: String,
        /// What is wrong.
        problem: String,
    },
}

impl Error {
    /// Returns what the error means for the stored keys.
    pub(in crate::storage::secret_store) fn meaning(&self) -> &'static str {
        match self {
            Self::InvalidSetting { .. } | Self::Untrusted { .. } | Self::NoToken(_) => {
                "nothing was sent, and the stored keys are unchanged"
            }
            Self::NoResponse { .. } | Self::UnexpectedResponse { .. } => {
                "the stored keys are safe; if a key was being stored, it may not have been saved"
            }
            Self::VersionDestroyed { .. } => "the key may still be valid at OpenRouter",
            Self::Conflict { .. } => "nothing was overwritten",
            Self::VersionDeleted { .. } => "the key can be restored",
            _ => "nothing was changed, and the stored keys are safe",
        }
    }

    /// Returns what to do now.
    pub(in crate::storage::secret_store) fn advice(&self) -> Cow<'static, str> {
        match self {
            Self::InvalidSetting { advice, .. } => advice.clone().into(),
            Self::Unreachable { .. } => {
                "start the engine, or set BAO_ADDR (or VAULT_ADDR) to its address; check with `bao status`".into()
            }
            Self::Untrusted { problem, .. } => problem.advice().into(),
            Self::NoResponse { .. } => {
                "check with `bao status`, then run the same command again; it finds out what was saved".into()
            }
            Self::Sealed(_) => {
                "ask its operator to run `bao operator unseal`, then try again".into()
            }
            Self::NotInitialized(_) => {
                "ask its operator to run `bao operator init`, or set BAO_ADDR to another server".into()
            }
            Self::NoLeader(_) => {
                "wait some seconds for the election, then try again; see `bao operator raft list-peers`".into()
            }
            Self::Lagging(_) => "wait some seconds, then try again".into(),
            Self::NoToken(_) => {
                "log in with `bao login`, or set BAO_TOKEN (or VAULT_TOKEN); machines set BAO_ROLE_ID and BAO_SECRET_ID".into()
            }
            Self::BadToken(_) => {
                "log in again with `bao login`, or set BAO_TOKEN (or VAULT_TOKEN) to a valid token".into()
            }
            Self::LoginFailed { method: "Kubernetes", mount, .. } => format!(
                "check the role's service accounts with `bao read {}`, and the login with `bao read {}`; another mount is set with bao_auth_mount in config.toml",
                quote_shell_word(&format!("auth/{mount}/role/ROLE")),
                quote_shell_word(&format!("auth/{mount}/config"))
            )
            .into(),
            Self::LoginFailed { mount, reason, .. } if reason == "permission denied" => format!(
                "check with `bao auth list` that auth/{mount} is an AppRole login; another mount is set with bao_auth_mount in config.toml"
            )
            .into(),
            Self::LoginFailed { mount, .. } => format!(
                "create a new secret id with `bao write -f {}`, and set BAO_SECRET_ID",
                quote_shell_word(&format!("auth/{mount}/role/ROLE/secret-id"))
            )
            .into(),
            Self::Forbidden { operation, path } => {
                // Policies name the paths of the API, which have the kind after the mount.
                let kind = if matches!(*operation, "read" | "write") { "data" } else { "metadata" };
                let (mount, rest) = path.split_once('/').unwrap_or((path, ""));
                let path = format!("{mount}/{kind}/{rest}");
                format!(
                    "ask for a policy with the path {path}; see what the token may do with `bao token capabilities {}`",
                    quote_shell_word(&path)
                )
                .into()
            }
            Self::NoMount(mount) => format!(
                "create it with `bao secrets enable -path={} -version=2 kv`, or name another with bao_mount in config.toml",
                quote_shell_word(mount)
            )
            .into(),
            Self::WrongMount { mount, kind } if kind.contains("version 1") => format!(
                "upgrade it with `bao kv enable-versioning {}`, or name another with bao_mount in config.toml",
                quote_shell_word(&format!("{mount}/"))
            )
            .into(),
            Self::WrongMount { .. } => {
                "name a mount of KV version 2 with bao_mount in config.toml; see `bao secrets list -detailed`".into()
            }
            Self::VersionDeleted { path, .. } => format!(
                "restore it with {}, or free the label with `bao kv metadata delete {}`",
                self.undelete_command().unwrap_or_default(),
                quote_shell_word(path)
            )
            .into(),
            Self::VersionDestroyed { path, .. } => format!(
                "free the label with `bao kv metadata delete {}`, and create a new key",
                quote_shell_word(path)
            )
            .into(),
            Self::Conflict { .. } => {
                "look at it with `keywright list`, then run the command again".into()
            }
            Self::NotAKey { path } => format!(
                "choose another label, or look at the entry with `bao kv get {}`",
                quote_shell_word(path)
            )
            .into(),
            Self::TooManyRequests(_) => "wait a minute, then try again".into(),
            Self::Status { .. } => "check with `bao status` and `keywright doctor`".into(),
            Self::UnexpectedResponse { .. } => {
                "set BAO_ADDR (or VAULT_ADDR) to the address of OpenBao or Vault; check with `bao status`".into()
            }
        }
    }

    /// Returns the command of the engine that restores a deleted version, in backquotes.
    pub fn undelete_command(&self) -> Option<String> {
        let Self::VersionDeleted { path, version } = self else { return None };
        Some(format!("`bao kv undelete -versions={version} {}`", quote_shell_word(path)))
    }

    /// Returns whether the error is about one entry; the store itself works.
    pub const fn is_about_entry(&self) -> bool {
        matches!(
            self,
            Self::VersionDeleted { .. }
                | Self::VersionDestroyed { .. }
                | Self::Conflict { .. }
                | Self::NotAKey { .. }
        )
    }

    /// Returns whether the same request may succeed in some seconds.
    pub(super) const fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::NoResponse { .. }
                | Self::NoLeader(_)
                | Self::Lagging(_)
                | Self::TooManyRequests(_)
                | Self::Status { status: 500.., .. }
        )
    }

    /// Returns whether the engine cannot be used at all now, for a reason that can pass.
    pub const fn is_outage(&self) -> bool {
        self.is_temporary() || matches!(self, Self::Unreachable { .. } | Self::Sealed(_))
    }
}
