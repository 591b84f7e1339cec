//! Where the engine is and how to log in: from the engine's own variables and files, and from the
//! configuration.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use secrecy::SecretString;
use url::{Host, Url};

use super::Error;
use crate::domain::sanitize;
use crate::platform::child_process::remove_secret_variables;

/// Where the service account's token is in a container of Kubernetes.
const KUBERNETES_TOKEN_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// A token or a token file that is longer is none.
const MAX_TOKEN_BYTES: usize = 64 * 1024;

/// What the configuration says about a shared store. The engine's variables take precedence.
#[derive(Clone, Debug)]
pub struct BaoOptions {
    /// Address of the engine.
    pub address: Option<String>,
    /// Namespace of the mount.
    pub namespace: Option<String>,
    /// Mount of the KV engine.
    pub mount: String,
    /// Where the profile's keys are below the mount.
    pub path: String,
    /// The keychain service of the profile's keys on the default server.
    pub base_service: String,
    /// The keychain service of the server in use, whose keys messages are about.
    pub service: String,
    /// The id of an AppRole.
    pub role_id: Option<String>,
    /// The name of a role of the Kubernetes login.
    pub kubernetes_role: Option<String>,
    /// The mount of the login, where it is not `approle` or `kubernetes`.
    pub auth_mount: Option<String>,
    /// Timeout of one request.
    pub request_timeout: Duration,
    /// Reads a variable of the environment.
    pub read_var: fn(&str) -> Option<OsString>,
    /// Finds the proxy for the engine's address.
    pub find_proxy: FindProxy,
}

/// Returns the proxy for a server; the error names a variable, what is wrong with it and what to do.
pub type FindProxy = fn(&Url) -> Result<Option<reqwest::Proxy>, (String, String, String)>;

/// A login, or a token that exists.
#[derive(Clone, Debug)]
pub(super) enum Credentials {
    Token(SecretString),
    AppRole { mount: String, role_id: String, secret_id: SecretString },
    Kubernetes { mount: String, role: String, jwt: SecretString },
}

/// How TLS is done.
#[derive(Clone, Debug, Default)]
pub(super) struct TlsSettings {
    /// The only authorities that are trusted, in PEM form; `None` for those of the system.
    pub authorities: Option<Vec<Vec<u8>>>,
    /// Certificate and private key of the client, in PEM form.
    pub identity: Option<SecretString>,
    pub skip_verify: bool,
    pub server_name: Option<String>,
}

/// Reads variables: `BAO_NAME` if it is set, even to nothing, else `VAULT_NAME`.
pub(super) struct Environment<'a>(pub &'a dyn Fn(&str) -> Option<OsString>);

impl Environment<'_> {
    /// Returns the variable's full name and value; `None` where it is unset or empty.
    pub(super) fn read(&self, name: &str) -> Option<(String, String)> {
        let variable = |prefix: &str| {
            let full = format!("{prefix}_{name}");
            let value = (self.0)(&full)?;
            Some((full, value.to_string_lossy().trim().to_owned()))
        };
        variable("BAO").or_else(|| variable("VAULT")).filter(|(_, value)| !value.is_empty())
    }

    fn value(&self, name: &str) -> Option<String> {
        self.read(name).map(|(_, value)| value)
    }

    fn is_true(&self, name: &str) -> Result<bool, Error> {
        let Some((variable, value)) = self.read(name) else { return Ok(false) };
        // The values that Go's ParseBool accepts.
        match value.as_str() {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
            _ => Err(invalid(&variable, "is neither true nor false", "set it to true or false")),
        }
    }

    /// Returns the engine's address.
    pub(super) fn address(&self, options: &BaoOptions) -> Result<Url, Error> {
        let set = self.read("AGENT_ADDR").or_else(|| self.read("ADDR"));
        let (name, text) = set
            .or_else(|| Some(("bao_address".into(), options.address.clone()?)))
            .unwrap_or_else(|| ("BAO_ADDR".into(), "https://127.0.0.1:8200".into()));
        let advice =
            "set BAO_ADDR (or VAULT_ADDR) to an address such as https://bao.example.com:8200";
        let url = Url::parse(&text).map_err(|_| invalid(&name, "is not an address", advice))?;
        match url.scheme() {
            "https" | "http" => {}
            scheme => {
                let problem =
                    format!("has the scheme {}://, which is not supported", sanitize(scheme, 20));
                return Err(invalid(&name, &problem, advice));
            }
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
            return Err(invalid(&name, "contains more than a host and a path", advice));
        }
        if url.host().is_none() {
            return Err(invalid(&name, "has no host", advice));
        }
        if url.scheme() == "http" && !is_loopback(&url) && !self.is_true("SKIP_VERIFY")? {
            return Err(invalid(
                &name,
                "begins with http://, so that the token and the keys would be sent in plaintext",
                "use https; to send them in plaintext all the same, set BAO_SKIP_VERIFY=true",
            ));
        }
        Ok(url)
    }

    pub(super) fn namespace(&self, options: &BaoOptions) -> Option<String> {
        self.value("NAMESPACE").or_else(|| options.namespace.clone())
    }

    pub(super) fn tls(&self) -> Result<TlsSettings, Error> {
        let mut authorities = Vec::new();
        let mut is_limited = false;
        // The order and the exclusion of the engine's own client.
        if let Some((_, bytes)) = self.read("CACERT_BYTES") {
            is_limited = true;
            authorities.push(bytes.into_bytes());
        } else if let Some((variable, path)) = self.read("CACERT") {
            is_limited = true;
            authorities.push(read_file(&variable, Path::new(&path))?);
        } else if let Some((variable, dir)) = self.read("CAPATH") {
            is_limited = true;
            let unreadable = |error: std::io::Error| {
                let problem = format!("names {dir}, which cannot be read: {}", error.kind());
                invalid(&variable, &problem, "set it to a directory with certificates in PEM form")
            };
            for entry in fs::read_dir(&dir).map_err(unreadable)?.flatten() {
                if let Ok(bytes) = fs::read(entry.path()) {
                    authorities.push(bytes);
                }
            }
        }
        let identity = match (self.read("CLIENT_CERT"), self.read("CLIENT_KEY")) {
            (Some((cert_variable, cert)), Some((key_variable, key))) => {
                let mut pem = read_file(&cert_variable, Path::new(&cert))?;
                pem.push(b'\n');
                pem.extend(read_file(&key_variable, Path::new(&key))?);
                Some(SecretString::from(String::from_utf8_lossy(&pem).into_owned()))
            }
            (None, None) => None,
            (Some((variable, _)), None) | (None, Some((variable, _))) => {
                return Err(invalid(
                    &variable,
                    "is set alone",
                    "set both BAO_CLIENT_CERT and BAO_CLIENT_KEY, or neither",
                ));
            }
        };
        Ok(TlsSettings {
            authorities: is_limited.then_some(authorities),
            identity,
            skip_verify: self.is_true("SKIP_VERIFY")?,
            server_name: self.value("TLS_SERVER_NAME"),
        })
    }

    /// Returns how to log in: the token of a variable, else a login of a machine, else the token that
    /// `bao login` stored.
    pub(super) fn credentials(
        &self,
        options: &BaoOptions,
        home: Option<&Path>,
    ) -> Result<Option<Credentials>, Error> {
        if let Some((variable, token)) = self.read("TOKEN") {
            return check_token(&variable, token).map(Some);
        }
        let mount = |default: &str| options.auth_mount.clone().unwrap_or_else(|| default.into());
        if let Some(role_id) = self.value("ROLE_ID").or_else(|| options.role_id.clone()) {
            let secret_id = match self.value("SECRET_ID") {
                Some(secret_id) => Some(SecretString::from(secret_id)),
                None => match self.read("SECRET_ID_FILE") {
                    Some((variable, path)) => Some(read_text(&variable, Path::new(&path))?),
                    None => None,
                },
            };
            return match secret_id {
                Some(secret_id) => {
                    Ok(Some(Credentials::AppRole { mount: mount("approle"), role_id, secret_id }))
                }
                None => Err(invalid(
                    "BAO_SECRET_ID",
                    "is not set, and a role id is",
                    "set BAO_SECRET_ID to the role's secret id, or BAO_SECRET_ID_FILE to a file with it",
                )),
            };
        }
        if let Some(role) =
            self.value("KUBERNETES_ROLE").or_else(|| options.kubernetes_role.clone())
        {
            let jwt = match self.read("KUBERNETES_TOKEN_FILE") {
                Some((variable, path)) => read_text(&variable, Path::new(&path))?,
                None => read_text("", Path::new(KUBERNETES_TOKEN_FILE)).map_err(|_| {
                    invalid(
                        "BAO_KUBERNETES_TOKEN_FILE",
                        &format!("is not set, and {KUBERNETES_TOKEN_FILE} cannot be read"),
                        "run this in a pod with a service account, or set BAO_KUBERNETES_TOKEN_FILE to the file of its token",
                    )
                })?,
            };
            return Ok(Some(Credentials::Kubernetes { mount: mount("kubernetes"), role, jwt }));
        }
        let Some(home) = home else { return Ok(None) };
        if let Some(helper) = self.token_helper(home)? {
            return run_token_helper(&helper);
        }
        let path = home.join(".vault-token");
        match fs::read_to_string(&path) {
            Ok(text) if text.trim().is_empty() => Ok(None),
            Ok(text) => check_token("~/.vault-token", text.trim().into()).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(invalid(
                "~/.vault-token",
                &format!("cannot be read: {}", error.kind()),
                "log in again with `bao login`",
            )),
        }
    }

    /// Returns the program of `token_helper = "…"` in the configuration file of the engine's client.
    fn token_helper(&self, home: &Path) -> Result<Option<PathBuf>, Error> {
        let path = match self.value("CONFIG_PATH") {
            Some(path) => PathBuf::from(path),
            None => [".bao", ".vault"]
                .map(|name| home.join(name))
                .into_iter()
                .find(|path| path.is_file())
                .unwrap_or_else(|| home.join(".vault")),
        };
        let Ok(text) = fs::read_to_string(&path) else { return Ok(None) };
        let helper = text.lines().find_map(|line| {
            let value = line.trim().strip_prefix("token_helper")?.trim_start().strip_prefix('=')?;
            Some(value.trim().trim_matches('"').to_owned())
        });
        match helper.filter(|helper| !helper.is_empty()).map(PathBuf::from) {
            Some(helper) if helper.is_absolute() => Ok(Some(helper)),
            Some(_) => Err(invalid(
                "token_helper",
                &format!("in {} is not an absolute path", path.display()),
                "write the whole path of the program",
            )),
            None => Ok(None),
        }
    }
}

/// Asks a token helper for the token: `PROGRAM get` prints it, or nothing.
fn run_token_helper(helper: &Path) -> Result<Option<Credentials>, Error> {
    let name = format!("the token helper {}", helper.display());
    let advice = "run it with `get` to see what is wrong, or set BAO_TOKEN";
    let mut command = Command::new(helper);
    command.arg("get").stdin(Stdio::null()).stderr(Stdio::null());
    let output = remove_secret_variables(&mut command)
        .output()
        .map_err(|error| invalid(&name, &format!("cannot be run: {}", error.kind()), advice))?;
    if !output.status.success() {
        return Err(invalid(&name, "failed", advice));
    }
    let token = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if token.is_empty() { Ok(None) } else { check_token(&name, token).map(Some) }
}

fn check_token(source: &str, token: String) -> Result<Credentials, Error> {
    if token.len() > MAX_TOKEN_BYTES || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(invalid(source, "is not a token", "log in again with `bao login`"));
    }
    Ok(Credentials::Token(SecretString::from(token)))
}

fn read_text(variable: &str, path: &Path) -> Result<SecretString, Error> {
    let bytes = read_file(variable, path)?;
    let text = String::from_utf8_lossy(&bytes).trim().to_owned();
    if text.is_empty() {
        let problem = format!("names {}, which is empty", path.display());
        return Err(invalid(variable, &problem, "write the secret into the file"));
    }
    Ok(SecretString::from(text))
}

fn read_file(variable: &str, path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|error| {
        let problem = format!("names {}, which cannot be read: {}", path.display(), error.kind());
        invalid(variable, &problem, "set it to a file that exists and that you may read")
    })
}

pub(super) fn invalid(name: &str, problem: &str, advice: &str) -> Error {
    Error::InvalidSetting { name: name.into(), problem: problem.into(), advice: advice.into() }
}

/// Returns the address of the same request at the leader to which a node redirects; `None` where the token
/// must not be sent: to another path, or in plaintext where it was encrypted.
pub(super) fn resolve_leader(url: &Url, location: &str) -> Option<Url> {
    let is_allowed = |leader: &Url| match (url.scheme(), leader.scheme()) {
        (_, "https") => true,
        ("http", "http") => is_loopback(leader) || !is_loopback(url),
        _ => false,
    };
    url.join(location).ok().filter(|leader| leader.path() == url.path() && is_allowed(leader))
}

/// Returns whether the host is this machine.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(host)) => host == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests;
