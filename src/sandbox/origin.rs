//! Rejects requests that a page of another site sent through the user's browser.

use super::response::ApiError;

/// The headers that say where a request comes from.
#[derive(Default)]
pub struct RequestSource {
    /// `Host`; `None` if it is missing or repeated.
    pub host: Option<String>,
    /// `Origin`: the site whose page sent the request.
    pub origin: Option<String>,
    /// `Sec-Fetch-Site`.
    pub fetch_site: Option<String>,
}

/// Checks that the request names this machine, and that no other site sent it.
///
/// The host must be a loopback name with any port, because the port may be forwarded: after DNS
/// rebinding it is the attacker's name. A request that changes something must come from a page of the
/// same origin or from no page at all.
pub fn check_origin(method: &str, request: &RequestSource) -> Result<(), ApiError> {
    let host = request.host.as_deref().unwrap_or_default();
    if !is_loopback_host(host) {
        return Err(ApiError::new(421, "Misdirected Request"));
    }
    if matches!(method, "GET" | "HEAD" | "OPTIONS") {
        return Ok(());
    }
    // Browsers that send `Sec-Fetch-Site` set `Origin` to null for a form of a page without referrer.
    let is_same_origin = match (&request.fetch_site, &request.origin) {
        (Some(site), _) => matches!(site.as_str(), "same-origin" | "none"),
        (None, Some(origin)) => *origin == format!("http://{host}"),
        (None, None) => true,
    };
    if is_same_origin { Ok(()) } else { Err(ApiError::new(403, "Cross-site request rejected")) }
}

fn is_loopback_host(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    matches!(name.to_ascii_lowercase().as_str(), "127.0.0.1" | "localhost" | "[::1]")
        && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(method: &str, host: &str, origin: Option<&str>, site: Option<&str>) -> u16 {
        let request = RequestSource {
            host: Some(host.into()).filter(|host: &String| !host.is_empty()),
            origin: origin.map(String::from),
            fetch_site: site.map(String::from),
        };
        check_origin(method, &request).map_or_else(|error| error.status, |()| 200)
    }

    #[test]
    fn only_loopback_hosts_are_answered() {
        for (host, expected) in [
            ("127.0.0.1:4000", 200),
            ("127.0.0.1", 200),
            ("LocalHost:4000", 200),
            ("[::1]:4000", 200),
            ("[::1]", 200),
            ("", 421),
            ("attacker.example", 421),
            ("attacker.example:4000", 421),
            ("127.0.0.1.attacker.example", 421),
            ("localhost:4000:5", 421),
            ("127.0.0.1:x", 421),
            ("127.0.0.1@attacker.example", 421),
        ] {
            assert_eq!(status("GET", host, None, None), expected, "{host}");
        }
    }

    #[test]
    fn a_page_of_another_site_changes_nothing() {
        let host = "127.0.0.1:4000";
        for (origin, site, expected) in [
            (None, None, 200),
            (Some("http://127.0.0.1:4000"), None, 200),
            (Some("null"), Some("same-origin"), 200),
            (None, Some("none"), 200),
            (Some("https://attacker.example"), None, 403),
            (Some("http://127.0.0.1:4001"), None, 403),
            (Some("null"), None, 403),
            (Some("null"), Some("cross-site"), 403),
            (None, Some("same-site"), 403),
        ] {
            assert_eq!(status("POST", host, origin, site), expected, "{origin:?} {site:?}");
            assert_eq!(
                status("GET", host, origin, site),
                200,
                "a sign-in is a link from elsewhere"
            );
        }
    }
}
