//! Settings of a run: server, data directory, store. `main` reads them once and passes them on.

mod field;
mod file;
mod profile;
mod settings;

use std::path::PathBuf;
use std::time::Duration;

use etcetera::BaseStrategy;
use url::{Host, Url};

use crate::api::openrouter::{self, Attribution, Route};
use crate::domain::{ErrorKind, KeyInputError, ManagementKey, ProfileName, StoreKind, UserError};
use crate::platform::browser;
use crate::services::provision::{PendingAttempts, ServiceContext, SkippedRows};
use crate::storage::json_store::StoreLocation;
use crate::storage::secret_store::bao::{BaoOptions, BaoStore};
use crate::storage::secret_store::{self, SecretStore};

pub use field::{Field, parse_duration};
pub use file::{ConfigFile, ProfileTable, Setting, default_path, example};
pub use profile::{keychain_service, profile_dir, read_profile_in_use, use_profile};
pub use settings::{DashboardNames, LastView, Origin, Settings, Value};

/// Server to use without `--server`.
pub const DEFAULT_SERVER: &str = "https://openrouter.ai";

/// Parses a server address and returns it without a trailing slash. It must use https, or http on a
/// loopback address, and consist of a host and an optional port.
pub fn parse_server(text: &str) -> Result<String, String> {
    let url = Url::parse(text.trim()).map_err(|_| {
        String::from("a server address must be a URL such as https://openrouter.ai")
    })?;
    let loopback = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => {
            return Err(
                "a server address must contain a host, such as https://openrouter.ai".into()
            );
        }
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a server address must not contain a user name or a password".into());
    }
    match url.scheme() {
        "https" => {}
        "http" if loopback => {}
        "http" => {
            return Err("http sends keys in plaintext: use https (http is allowed only for 127.0.0.1 and localhost)".into());
        }
        _ => return Err("a server address must begin with https://".into()),
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(
            "a server address must end after the host and port, such as https://openrouter.ai"
                .into(),
        );
    }
    Ok(url.origin().ascii_serialization())
}

/// Checks that a header value contains only printable ASCII characters.
pub fn parse_header_value(text: &str) -> Result<String, String> {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        Ok(text.into())
    } else {
        Err("a header value must contain only printable ASCII characters".into())
    }
}

/// Replaces a leading `~` by the home directory: a shell leaves it as it is in `--data-dir=~/x`, and
/// files that set variables have no shell.
pub fn expand_home(path: PathBuf) -> Result<PathBuf, String> {
    if let Ok(rest) = path.strip_prefix("~") {
        return etcetera::home_dir()
            .map(|home| home.join(rest))
            .map_err(|_| "there is no home directory for ~: set HOME".into());
    }
    match path.to_str() {
        Some(text) if text.starts_with('~') => {
            Err("only ~ and ~/… are understood: give the whole path".into())
        }
        _ => Ok(path),
    }
}

/// Returns the management key from `OPENROUTER_MANAGEMENT_KEY`. An empty variable counts as unset.
pub fn read_management_key_env() -> Result<Option<ManagementKey>, UserError> {
    let Some(value) = std::env::var_os("OPENROUTER_MANAGEMENT_KEY") else { return Ok(None) };
    match ManagementKey::parse_input(&value.to_string_lossy()) {
        Ok(key) => Ok(Some(key)),
        Err(KeyInputError::Empty) => Ok(None),
        Err(error) => Err(UserError::new(
            ErrorKind::InvalidInput,
            format!("OPENROUTER_MANAGEMENT_KEY: {error}"),
            "set it to a management key, or run: unset OPENROUTER_MANAGEMENT_KEY",
        )
        .with_meaning("nothing was sent")),
    }
}

/// Asks the user for a passphrase when one is needed.
#[derive(Clone)]
pub struct PassphrasePrompt(pub secret_store::PassphraseFn);

impl std::fmt::Debug for PassphrasePrompt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PassphrasePrompt(…)")
    }
}

/// Validated settings of one run.
#[derive(Clone, Debug)]
pub struct Config {
    /// Address of the server, as [`parse_server`] returns it.
    pub server: String,
    /// The profile whose keys are used.
    pub profile: ProfileName,
    /// The other profiles, each with its data directory.
    pub other_profiles: Vec<(ProfileName, PathBuf)>,
    /// Where the choice of the profile comes from.
    pub profile_origin: Origin,
    /// Path from `--config`.
    pub config_path: Option<PathBuf>,
    /// Whether the server is the built-in sandbox.
    pub sandbox: bool,
    /// Management key from the environment.
    pub management_key: Option<ManagementKey>,
    /// Kind of the secret store.
    pub store_kind: StoreKind,
    /// Whether `--store` names the only store to use; otherwise a key is looked for where the inventory
    /// says.
    pub is_store_fixed: bool,
    /// Asks for the passphrase of the `file` store.
    pub passphrase_prompt: PassphrasePrompt,
    /// Directory from `--data-dir`: that of the default profile, and above those of the others.
    pub data_dir: Option<PathBuf>,
    /// Directory from the profile's table, used without `--data-dir`.
    pub profile_data_dir: Option<PathBuf>,
    /// Timeout of one request.
    pub request_timeout: Duration,
    /// Maximum retries for idempotent requests.
    pub max_retries: u32,
    /// Port of the callback listener; 0 for an ephemeral port.
    pub callback_port: u16,
    /// Headers that name the application.
    pub attribution: Attribution,
    /// The settings that only a part of the program needs, with their origins.
    pub settings: Settings,
}

/// Returns the default profile's data directory without `--data-dir`.
pub fn default_data_dir() -> Result<PathBuf, UserError> {
    // A relative directory would be another one in each working directory.
    let strategy = etcetera::choose_base_strategy().ok();
    let dir = strategy.map(|strategy| strategy.data_dir()).filter(|dir| dir.is_absolute());
    let dir = dir.ok_or_else(|| {
        UserError::failed(
            "no home directory found for the inventory",
            "set HOME to an absolute path, or choose a directory with --data-dir",
        )
        .with_meaning("nothing was done")
    })?;
    Ok(dir.join("keywright"))
}

/// Returns the proxy for a shared store, by the same variables as for OpenRouter.
fn find_proxy(server: &Url) -> Result<Option<reqwest::Proxy>, (String, String, String)> {
    let failed = |error: openrouter::Error| match error {
        openrouter::Error::InvalidSetting { variable, problem, advice } => {
            (variable.to_owned(), problem, advice)
        }
        error => ("the proxy".into(), error.to_string(), "unset it".into()),
    };
    match Route::from_env(server).map_err(failed)? {
        Route::Proxy(proxy) => proxy
            .to_reqwest()
            .map(Some)
            .map_err(|_| (proxy.variable().into(), "cannot be used".into(), "unset it".into())),
        Route::Loopback | Route::Direct | Route::Excepted(_) => Ok(None),
    }
}

impl Config {
    /// Returns the directory of the inventory, the journal and the log.
    pub fn resolve_data_dir(&self) -> Result<PathBuf, UserError> {
        let base = match (&self.data_dir, &self.profile_data_dir) {
            (Some(dir), _) => dir.clone(),
            (None, Some(dir)) => return Ok(dir.clone()),
            (None, None) => default_data_dir()?,
        };
        Ok(profile_dir(base, &self.profile))
    }

    /// Returns the keychain service name of the profile's keys for a server.
    pub fn keychain_service(&self, server: &str) -> String {
        keychain_service(&self.profile, server)
    }

    /// Returns a secret store of this kind. Does not connect to it.
    pub fn build_secret_store(&self, kind: &StoreKind) -> Result<SecretStore, UserError> {
        Ok(match kind {
            StoreKind::Keychain => SecretStore::keychain(),
            StoreKind::File => {
                SecretStore::age_file(self.resolve_data_dir()?, self.passphrase_prompt.0.clone())
            }
            StoreKind::Memory => SecretStore::memory_with_entries(Vec::new()),
            StoreKind::Exec(program) => SecretStore::exec(program.clone()),
            StoreKind::Bao => SecretStore::bao(BaoStore::new(self.bao_options())),
            StoreKind::Unknown(name) => {
                return Err(UserError::new(
                    ErrorKind::SecretStore,
                    format!("this version of Keywright cannot open the {name} store"),
                    "install the version that stored the key there",
                )
                .with_meaning("nothing was changed"));
            }
        })
    }

    fn bao_options(&self) -> BaoOptions {
        let text = |field| self.settings.text(field).map(str::to_owned);
        BaoOptions {
            address: text(Field::BaoAddress),
            namespace: text(Field::BaoNamespace),
            mount: text(Field::BaoMount).unwrap_or_else(|| "secret".into()),
            path: text(Field::BaoPath).map_or_else(
                || format!("keywright/{}", self.profile),
                |path| path.trim_matches('/').to_owned(),
            ),
            base_service: self.keychain_service(DEFAULT_SERVER),
            service: self.keychain_service(&self.server),
            role_id: text(Field::BaoRoleId),
            kubernetes_role: text(Field::BaoKubernetesRole),
            auth_mount: text(Field::BaoAuthMount),
            request_timeout: self.request_timeout,
            read_var: |name| std::env::var_os(name),
            find_proxy,
        }
    }

    /// Returns the store of this machine that goes with `secret_store`: the file store where there is one
    /// or a passphrase for it, as on a machine without a desktop; else the keychain. `None` if it is local.
    fn build_local_store(&self) -> Result<Option<SecretStore>, UserError> {
        if self.store_kind.is_local() {
            return Ok(None);
        }
        let file = self.build_secret_store(&StoreKind::File)?;
        let has_passphrase = std::env::var_os("KEYWRIGHT_PASSPHRASE_FILE").is_some();
        if has_passphrase || file.exists() {
            return Ok(Some(file));
        }
        self.build_secret_store(&StoreKind::Keychain).map(Some)
    }

    /// Returns the context for all services. Does not connect to anything.
    pub fn build_context(&self) -> Result<ServiceContext, UserError> {
        let secret_store = self.build_secret_store(&self.store_kind)?;
        // Keys in memory are lost at the end of the run, so their inventory is in memory too. It is on
        // disk only with --data-dir, and never for the sandbox.
        let location = match (&self.store_kind, &self.data_dir) {
            (StoreKind::Memory, None) => StoreLocation::in_memory(),
            (StoreKind::Memory, Some(_)) if self.sandbox => StoreLocation::in_memory(),
            _ => StoreLocation::Directory(self.resolve_data_dir()?),
        };
        let other_stores = [StoreKind::Keychain, StoreKind::File, StoreKind::Bao]
            .iter()
            .filter(|kind| {
                !self.is_store_fixed
                    && self.store_kind != StoreKind::Memory
                    && **kind != self.store_kind
            })
            .map(|kind| self.build_secret_store(kind))
            .filter(|store| {
                // A KV engine that is not configured has no keys of this program.
                store
                    .as_ref()
                    .map_or(true, |store| store.kind() != StoreKind::Bao || store.exists())
            })
            .collect::<Result<_, _>>()?;
        Ok(ServiceContext {
            server: self.server.clone(),
            profile: self.profile.clone(),
            other_profiles: self.other_profiles.clone(),
            key_defaults: self.settings.key_defaults(),
            keychain_service: self.keychain_service(&self.server),
            management_key: self.management_key.clone(),
            local_store: self.build_local_store()?,
            secret_store,
            other_stores,
            is_store_fixed: self.is_store_fixed,
            secret_store_timeout: secret_store::keychain_timeout(),
            location,
            pending_attempts: PendingAttempts::default(),
            skipped_rows: SkippedRows::default(),
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
    fn a_server_address_must_be_https_or_loopback() {
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
    fn a_tilde_is_the_home_directory_and_never_a_directory_of_that_name() {
        let home = etcetera::home_dir().unwrap();
        let expand = |text: &str| expand_home(PathBuf::from(text));
        assert_eq!(expand("~/keys"), Ok(home.join("keys")));
        assert_eq!(expand("/a/~/b"), Ok(PathBuf::from("/a/~/b")));
        assert_eq!(expand("./~x"), Ok(PathBuf::from("./~x")));
        assert!(expand("~other/keys").is_err());
    }
}
