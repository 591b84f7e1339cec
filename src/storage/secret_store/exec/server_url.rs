//! The server URLs under which a credential helper has the entries.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use url::{Host, Url};

use crate::domain::ProfileName;
use crate::storage::secret_store::EntryId;

const DEFAULT_SERVER: &str = "https://openrouter.ai";

/// Everything but the unreserved characters of RFC 3986.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Returns the URL of an entry: `https://openrouter.ai/keywright/PROFILE/LABEL`.
pub(super) fn url_of_entry(EntryId { service, account }: &EntryId) -> String {
    let mut encoded = utf8_percent_encode(account, ENCODED).to_string();
    // As the last part of a path, these would be another directory.
    if matches!(account.as_str(), "." | "..") {
        encoded = encoded.replace('.', "%2E");
    }
    url_of_service(service) + &encoded
}

/// Returns the account of an entry's URL, if the entry is one of this service.
pub(super) fn account_of_url(url: &str, service: &str) -> Option<String> {
    let encoded = url.strip_prefix(&url_of_service(service))?;
    let account = percent_decode_str(encoded).decode_utf8().ok()?.into_owned();
    let entry_id = EntryId { service: service.into(), account };
    // Another spelling of the same label would be another entry.
    (url_of_entry(&entry_id) == url && !entry_id.account.is_empty()).then_some(entry_id.account)
}

/// Returns the URL before the account. Services other than that of the keys, such as `keywright trash`,
/// have a directory of their own, such as `keywright-trash`.
fn url_of_service(service: &str) -> String {
    let (path, suffix) = service.split_once(' ').unwrap_or((service, ""));
    let (root, rest) = path.split_once('/').unwrap_or((path, ""));
    let (first, after) = rest.split_once('/').unwrap_or((rest, ""));
    let (profile, server) = match first.parse::<ProfileName>() {
        Ok(profile) => (profile, after),
        Err(_) => (ProfileName::default(), rest),
    };
    let server = match server {
        "" => DEFAULT_SERVER.to_owned(),
        server if server.contains("://") => server.to_owned(),
        host if is_loopback(host) => format!("http://{host}"),
        host => format!("https://{host}"),
    };
    let suffix = if suffix.is_empty() { String::new() } else { format!("-{suffix}") };
    format!("{server}/{root}{}/{profile}/", suffix.replace(' ', "-"))
}

fn is_loopback(host: &str) -> bool {
    match Url::parse(&format!("http://{host}")).ok().as_ref().and_then(Url::host) {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_entry_has_a_url_of_its_own() {
        for (service, account, url) in [
            ("keywright", "ci", "https://openrouter.ai/keywright/default/ci"),
            (
                "keywright/work",
                "my key/ü?",
                "https://openrouter.ai/keywright/work/my%20key%2F%C3%BC%3F",
            ),
            ("keywright/example.com:444", "ci", "https://example.com:444/keywright/default/ci"),
            ("keywright/127.0.0.1:9", "ci", "http://127.0.0.1:9/keywright/default/ci"),
            ("keywright/https://localhost:9", "ci", "https://localhost:9/keywright/default/ci"),
            ("keywright/work/[::1]:9", "ci", "http://[::1]:9/keywright/work/ci"),
            ("keywright", "..", "https://openrouter.ai/keywright/default/%2E%2E"),
            ("keywright", "a.b..c", "https://openrouter.ai/keywright/default/a.b..c"),
            ("keywright trash", "ab", "https://openrouter.ai/keywright-trash/default/ab"),
            ("keywright/work probe", "p", "https://openrouter.ai/keywright-probe/work/p"),
        ] {
            let entry_id = EntryId { service: service.into(), account: account.into() };
            assert_eq!(url_of_entry(&entry_id), url);
            assert_eq!(account_of_url(url, service).as_deref(), Some(account));
            assert_eq!(account_of_url(url, "keywright/other"), None);
        }
    }

    #[test]
    fn urls_that_keywright_did_not_write_are_no_entries() {
        for url in [
            "https://index.docker.io/v1/",
            "https://openrouter.ai/keywright/default/",
            "https://openrouter.ai/keywright/default/a b",
            "https://openrouter.ai/keywright/default/%61",
            "https://openrouter.ai/keywright/default/a/b",
            "https://openrouter.ai/keywright/default/%ff",
            "openrouter.ai/keywright/default/ci",
        ] {
            assert_eq!(account_of_url(url, "keywright"), None, "{url}");
        }
    }
}
