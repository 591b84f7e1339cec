//! What a run works with: server, data directory, store. Read once by `main`, passed down.
//! Must not know: commands, screens.

use std::path::PathBuf;
use std::time::Duration;

use etcetera::BaseStrategy;
use url::{Host, Url};

use crate::api::openrouter::Attribution;
use crate::domain::{ErrorKind, ManagementKey, UserError};
use crate::platform::browser;
use crate::services::provision::{PendingAttempts, ServiceContext};
use crate::storage::json_store::StoreLocation;
use crate::storage::secret_store::{self, SecretStore, StoreKind};

/// Where keys come from unless `--server` says otherwise.
pub const DEFAULT_SERVER: &str = "https://openrouter.ai";

/// The server's address: https, or http on loopback alone; a host and perhaps a port, nothing
/// else. Returned without a slash at its end.
pub fn parse_server(text: &str) -> Result<String, String> {
    let url = Url::parse(text.trim())
        .map_err(|_| String::from("a server is an address such as https://openrouter.ai"))?;
    let loopback = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => return Err("a server's address names a host, such as https://openrouter.ai".into()),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a server's address holds no user name and no password".into());
    }
    match url.scheme() {
        "https" => {}
        "http" if loopback => {}
        "http" => {
            return Err("http would send keys in the clear: use https (http is for 127.0.0.1 and localhost alone)".into());
        }
        _ => return Err("a server's address begins with https://".into()),
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(
            "a server's address ends with its host and port, such as https://openrouter.ai".into(),
        );
    }
    Ok(url.origin().ascii_serialization())
}

/// The keychain service of a server's keys.
pub fn keychain_service(server: &str) -> String {
    match server.split_once("://") {
        Some((_, host)) if server != DEFAULT_SERVER => format!("keywright/{host}"),
        _ => "keywright".into(),
    }
}

/// A header value: printable ASCII.
pub fn parse_header_value(text: &str) -> Result<String, String> {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        Ok(text.into())
    } else {
        Err("only printable ASCII can be sent in a header".into())
    }
}

/// The management key that the environment gives. An empty variable is none.
pub fn read_management_key_env() -> Option<ManagementKey> {
    let key = std::env::var("OPENROUTER_MANAGEMENT_KEY").ok()?;
    Some(key.trim().to_owned()).filter(|key| !key.is_empty()).map(ManagementKey::from)
}

/// Asks for a passphrase, when it is needed.
#[derive(Clone)]
pub struct PassphrasePrompt(pub secret_store::PassphraseFn);

impl std::fmt::Debug for PassphrasePrompt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase(…)")
    }
}

/// The settings of one run, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// See [`parse_server`].
    pub server: String,
    /// Whether the server is the built-in sandbox.
    pub sandbox: bool,
    /// What `OPENROUTER_MANAGEMENT_KEY` holds.
    pub management_key: Option<ManagementKey>,
    /// The store.
    pub store_kind: StoreKind,
    /// Who asks for the passphrase of the `file` store.
    pub passphrase_prompt: PassphrasePrompt,
    /// `--data-dir`, if given.
    pub data_dir: Option<PathBuf>,
    /// One request's time.
    pub request_timeout: Duration,
    /// How often what is safe is repeated.
    pub max_retries: u32,
    /// 0 for an ephemeral one.
    pub callback_port: u16,
    /// Who we say we are.
    pub attribution: Attribution,
}

impl Config {
    /// The directory of inventory, journal and log.
    pub fn resolve_data_dir(&self) -> Result<PathBuf, UserError> {
        if let Some(dir) = &self.data_dir {
            return Ok(dir.clone());
        }
        let strategy = etcetera::choose_base_strategy().map_err(|_| {
            UserError::new(
                ErrorKind::Failed,
                "there is no home directory to keep the list of keys in",
                "nothing was done; set HOME, or name a directory with --data-dir",
            )
        })?;
        Ok(strategy.data_dir().join("keywright"))
    }

    /// A store. Connects to nothing.
    pub fn build_secret_store(&self, kind: StoreKind) -> Result<SecretStore, UserError> {
        Ok(match kind {
            StoreKind::Keychain => SecretStore::keychain(),
            StoreKind::File => {
                SecretStore::age_file(self.resolve_data_dir()?, self.passphrase_prompt.0.clone())
            }
            StoreKind::Memory => SecretStore::memory_with_entries(Vec::new()),
        })
    }

    /// Everything a journey needs. Connects to nothing.
    pub fn build_context(&self) -> Result<ServiceContext, UserError> {
        let vault = self.build_secret_store(self.store_kind)?;
        // Keys in memory and their list on disk would part at the end of the run: on disk only
        // where a directory was named for it, and never the sandbox's.
        let place = match (self.store_kind, &self.data_dir) {
            (StoreKind::Memory, None) => StoreLocation::in_memory(),
            (StoreKind::Memory, Some(_)) if self.sandbox => StoreLocation::in_memory(),
            _ => StoreLocation::Directory(self.resolve_data_dir()?),
        };
        Ok(ServiceContext {
            server: self.server.clone(),
            keychain_service: keychain_service(&self.server),
            management_key: self.management_key.clone(),
            secret_store: vault,
            secret_store_timeout: secret_store::keychain_timeout(),
            location: place,
            pending_attempts: PendingAttempts::default(),
            attribution: self.attribution.clone(),
            request_timeout: self.request_timeout,
            max_retries: self.max_retries,
            callback_port: self.callback_port,
            open_browser: |url| browser::open_url(url).map_err(|error| error.to_string()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_https_or_loopback_and_nothing_else() {
        for (text, server) in [
            ("https://openrouter.ai", "https://openrouter.ai"),
            ("https://openrouter.ai/", "https://openrouter.ai"),
            ("https://OpenRouter.ai:8443/", "https://openrouter.ai:8443"),
            ("http://127.0.0.1:4000", "http://127.0.0.1:4000"),
            ("http://localhost:4000/", "http://localhost:4000"),
            ("http://[::1]:4000", "http://[::1]:4000"),
        ] {
            assert_eq!(parse_server(text).as_deref(), Ok(server));
        }
        for text in [
            "http://example.com",
            "ftp://127.0.0.1",
            "https://me:secret@openrouter.ai",
            "https://user@openrouter.ai",
            "openrouter.ai",
            "",
            "https://",
            "https://a/b",
            "https://a/?q",
            "https://a/#f",
            "http://127.0.0.1.example.com",
            "file:///etc",
            "http://0.0.0.0:1",
        ] {
            let error = parse_server(text).expect_err(text);
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn each_server_has_a_keychain_service_of_its_own() {
        assert_eq!(keychain_service("https://openrouter.ai"), "keywright");
        assert_eq!(keychain_service("http://127.0.0.1:4000"), "keywright/127.0.0.1:4000");
    }
}
