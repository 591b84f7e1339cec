//! The proxy of a server, chosen from the environment. A proxy that is set and cannot be used is an
//! error: a request never goes directly where a proxy was named.

mod failure;

use std::ffi::OsString;

use base64::prelude::{BASE64_STANDARD, Engine};
use hyper_util::client::proxy::matcher::Matcher;
use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};

use super::Error;
use super::redaction::percent_decode;
use crate::domain::sanitize;

/// The variables that name a proxy for https. The first one that is set is used.
const PROXY_VARIABLES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

/// What to do about a variable whose proxy cannot be used.
const PROXY_ADVICE: &str = "set it to http://HOST:PORT or socks5h://HOST:PORT, or unset it";

/// The proxy through which every request to a server goes.
#[derive(Clone, Debug)]
pub struct ProxyServer {
    variable: &'static str,
    /// Scheme, host and port.
    address: String,
    host: String,
    port: u16,
    /// The URL with the user name and the password.
    url: SecretString,
    /// The value of the `Proxy-Authorization` header.
    authorization: Option<SecretString>,
    ignored_variable: Option<&'static str>,
}

/// Why the connection to a server is made without a proxy, or the proxy.
#[derive(Clone, Debug)]
pub enum Route {
    /// Directly: the server is on this machine.
    Loopback,
    /// Directly: no proxy is set.
    Direct,
    /// Directly: this variable (`NO_PROXY` or `no_proxy`) lists the server.
    Excepted(&'static str),
    /// Through a proxy.
    Proxy(ProxyServer),
}

impl Route {
    /// Returns the route to `server` under the variables of this process.
    pub fn from_env(server: &Url) -> Result<Self, Error> {
        Self::new(server, |name| std::env::var_os(name))
    }

    fn new(server: &Url, read_var: impl Fn(&str) -> Option<OsString>) -> Result<Self, Error> {
        let is_loopback = match server.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        };
        if is_loopback {
            return Ok(Self::Loopback);
        }
        // An empty variable counts as unset, as in curl.
        let read = |name: &'static str| {
            let value = read_var(name)?;
            let text = value.to_str().map(|text| text.trim().to_owned());
            (text.as_deref() != Some("")).then_some((name, text))
        };
        let mut values = PROXY_VARIABLES.into_iter().filter_map(read);
        let Some((variable, value)) = values.next() else { return Ok(Self::Direct) };
        let exceptions = ["NO_PROXY", "no_proxy"].into_iter().find_map(read);
        let exceptions = exceptions.map(|(name, text)| (name, text.unwrap_or_default()));
        if let Some((name, list)) = &exceptions
            && is_excepted(list, server)
        {
            return Ok(Self::Excepted(name));
        }
        let mut proxy = ProxyServer::parse(variable, value.as_deref().unwrap_or("\0"), server)?;
        proxy.ignored_variable = values
            .find(|(name, other)| name.eq_ignore_ascii_case(variable) && *other != value)
            .map(|(name, _)| name);
        Ok(Self::Proxy(proxy))
    }
}

impl ProxyServer {
    fn parse(variable: &'static str, value: &str, server: &Url) -> Result<Self, Error> {
        let invalid = |problem: String| Error::InvalidSetting {
            variable,
            problem,
            advice: PROXY_ADVICE.into(),
        };
        let not_an_address = || invalid("is not the address of a proxy".into());
        // A URL parser removes line breaks and tabs, so that two lines would become another host.
        if value.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(not_an_address());
        }
        let address =
            if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
        let mut url = Url::parse(&address).map_err(|_| not_an_address())?;
        let default_port = match url.scheme() {
            "http" => 80,
            "https" => 443,
            "socks4" | "socks4a" | "socks5" | "socks5h" => 1080,
            "socks" => {
                return Err(Error::InvalidSetting {
                    variable,
                    problem: "has the scheme socks://, which does not say which version of SOCKS"
                        .into(),
                    advice: format!("set {variable} to socks5h://HOST:PORT, or unset it"),
                });
            }
            scheme => {
                let scheme = sanitize(scheme, 20);
                return Err(invalid(format!(
                    "has the scheme {scheme}://, which Keywright does not support"
                )));
            }
        };
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(invalid(
                "is the address of a file: proxy configuration files are not supported".into(),
            ));
        }
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(not_an_address)?;
        let host = host.to_owned();
        let port = url.port().unwrap_or(default_port);
        let authorization = (!url.username().is_empty()).then(|| {
            let decode = |text| String::from_utf8_lossy(&percent_decode(text)).into_owned();
            let user = decode(url.username());
            let password = decode(url.password().unwrap_or_default());
            let pair = format!("{user}:{password}");
            SecretString::from(format!("Basic {}", BASE64_STANDARD.encode(pair)))
        });
        // A URL without a port would mean the port of http.
        let _ = url.set_port(Some(port));
        let is_understood = hyper::Uri::try_from(server.as_str()).is_ok_and(|server| {
            Matcher::builder().all(url.as_str()).build().intercept(&server).is_some()
        });
        if !is_understood {
            return Err(not_an_address());
        }
        let address = sanitize(&format!("{}://{host}:{port}", url.scheme()), 200);
        let url = SecretString::from(String::from(url));
        Ok(Self { variable, address, host, port, url, authorization, ignored_variable: None })
    }

    /// Returns scheme, host and port; user name and password are secrets.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns the name of the variable that names this proxy.
    pub const fn variable(&self) -> &'static str {
        self.variable
    }

    /// Returns the other spelling of the variable if it has another value, which is not used.
    pub const fn ignored_variable(&self) -> Option<&'static str> {
        self.ignored_variable
    }

    /// Returns the proxy as the HTTP client takes it.
    #[expect(clippy::disallowed_methods, reason = "the proxy receives its own password")]
    pub(crate) fn to_reqwest(&self) -> Result<reqwest::Proxy, reqwest::Error> {
        reqwest::Proxy::all(self.url.expose_secret())
    }
}

/// Returns whether a `NO_PROXY` list contains the server. Entries are separated by commas or spaces;
/// `host:port` applies to that port only, and `*` to every server.
fn is_excepted(list: &str, server: &Url) -> bool {
    let port = server.port_or_known_default();
    let entries: Vec<&str> = list
        .split([',', ' ', '\t', '\n'])
        .filter_map(|entry| {
            let entry = entry.trim();
            let (host, entry_port) = match entry.rsplit_once(':') {
                // `::1` has colons and no port.
                Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
                    (host, port.parse::<u16>().ok())
                }
                _ => (entry, None),
            };
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let host = host.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(host);
            (!host.is_empty() && (entry_port.is_none() || entry_port == port)).then_some(host)
        })
        .collect();
    if entries.contains(&"*") {
        return true;
    }
    let Ok(server) = hyper::Uri::try_from(server.as_str()) else { return false };
    // The matcher needs a proxy, but only whether the list excludes the server matters.
    let matcher = Matcher::builder().all("http://proxy").no(entries.join(",")).build();
    matcher.intercept(&server).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(server: &str, variables: &[(&str, &str)]) -> Result<Route, Error> {
        Route::new(&Url::parse(server).unwrap(), |name| {
            variables.iter().find(|(set, _)| *set == name).map(|(_, value)| value.into())
        })
    }

    fn shown(server: &str, variables: &[(&str, &str)]) -> String {
        match route(server, variables) {
            Ok(Route::Loopback) => "loopback".into(),
            Ok(Route::Direct) => "direct".into(),
            Ok(Route::Excepted(name)) => format!("except {name}"),
            Ok(Route::Proxy(proxy)) => {
                assert!(!format!("{proxy:?}").contains("secret"));
                format!(
                    "{}={}{}",
                    proxy.variable,
                    proxy.address,
                    proxy.ignored_variable.map_or(String::new(), |name| format!(" not {name}"))
                )
            }
            Err(error) => {
                let text = error.to_string();
                assert!(!text.contains("secret"), "{text}");
                text
            }
        }
    }

    #[test]
    fn a_named_proxy_is_used_or_refused_and_never_bypassed() {
        for (value, expected) in [
            ("http://me:secret@proxy.example:3128/", "ALL_PROXY=http://proxy.example:3128"),
            ("me:secret@proxy.example:3128", "ALL_PROXY=http://proxy.example:3128"),
            ("https://proxy.example", "ALL_PROXY=https://proxy.example:443"),
            ("proxy", "ALL_PROXY=http://proxy:80"),
            ("  http://proxy:3128\n", "ALL_PROXY=http://proxy:3128"),
            ("http://me:secret@x@proxy:1", "ALL_PROXY=http://proxy:1"),
            ("socks5h://127.0.0.1", "ALL_PROXY=socks5h://127.0.0.1:1080"),
            ("socks5://me:secret@[::1]:9050", "ALL_PROXY=socks5://[::1]:9050"),
            ("socks4a://proxy:1080", "ALL_PROXY=socks4a://proxy:1080"),
            (
                "socks://127.0.0.1:1080/",
                "ALL_PROXY has the scheme socks://, which does not say which version of SOCKS",
            ),
            ("ftp://proxy:1", "ALL_PROXY has the scheme ftp://, which Keywright does not support"),
            (
                "garbage://proxy",
                "ALL_PROXY has the scheme garbage://, which Keywright does not support",
            ),
            ("://secret", "ALL_PROXY is not the address of a proxy"),
            ("http://a b:secret@", "ALL_PROXY is not the address of a proxy"),
            ("http://proxy\n.example:1", "ALL_PROXY is not the address of a proxy"),
            (
                "http://wpad/wpad.dat",
                "ALL_PROXY is the address of a file: proxy configuration files are not supported",
            ),
        ] {
            assert_eq!(
                shown("https://openrouter.ai", &[("ALL_PROXY", value)]),
                expected,
                "{value}"
            );
        }
    }

    #[test]
    fn the_first_variable_that_is_not_empty_names_the_proxy() {
        let (http, socks) = ("http://one:1", "socks5://two:2");
        for (variables, expected) in [
            (vec![], "direct"),
            (vec![("HTTP_PROXY", http)], "direct"),
            (vec![("HTTPS_PROXY", "")], "direct"),
            (vec![("HTTPS_PROXY", " "), ("https_proxy", http)], "https_proxy=http://one:1"),
            (vec![("all_proxy", socks), ("https_proxy", http)], "https_proxy=http://one:1"),
            (vec![("HTTPS_PROXY", http), ("ALL_PROXY", "socks://x")], "HTTPS_PROXY=http://one:1"),
            (
                vec![("HTTPS_PROXY", http), ("https_proxy", socks)],
                "HTTPS_PROXY=http://one:1 not https_proxy",
            ),
            (vec![("HTTPS_PROXY", http), ("https_proxy", http)], "HTTPS_PROXY=http://one:1"),
        ] {
            assert_eq!(shown("https://openrouter.ai", &variables), expected, "{variables:?}");
        }
        for server in ["http://127.0.0.1:8080", "https://localhost:1", "https://[::1]"] {
            assert_eq!(shown(server, &[("ALL_PROXY", "garbage://")]), "loopback", "{server}");
        }
    }

    #[test]
    fn no_proxy_lists_hosts_with_and_without_a_port() {
        for (list, is_excepted) in [
            ("*", true),
            ("example.com, openrouter.ai", true),
            ("example.com openrouter.ai", true),
            (".openrouter.ai", true),
            ("*.openrouter.ai", true),
            ("openrouter.ai:443", true),
            ("openrouter.ai:8443", false),
            ("router.ai", false),
            ("ai", true),
            ("", false),
            (",", false),
            ("10.0.0.0/8,::1", false),
        ] {
            let variables = [("ALL_PROXY", "http://proxy:1"), ("no_proxy", list)];
            let expected = if is_excepted { "except no_proxy" } else { "ALL_PROXY=http://proxy:1" };
            assert_eq!(shown("https://openrouter.ai", &variables), expected, "{list}");
        }
        for (server, list) in [
            ("https://10.1.2.3", "10.0.0.0/8"),
            ("https://10.1.2.3:8443", "10.1.2.3:8443"),
            ("https://[2001:db8::1]:8443", "[2001:db8::1]:8443"),
            ("https://[2001:db8::1]", "2001:db8::1"),
            ("https://10.1.2.3", "*"),
        ] {
            let variables = [("ALL_PROXY", "http://proxy:1"), ("NO_PROXY", list)];
            assert_eq!(shown(server, &variables), "except NO_PROXY", "{server} {list}");
        }
    }
}
