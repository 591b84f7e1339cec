//! Signing in: the address of the consent page, PKCE, and the callback that brings the code home.
//! Owns: what the browser carries there and back. Must not know: the exchange, the vault, screens.

pub mod callback;
pub mod pkce;

pub use callback::{AuthorizationResponse, CallbackError, CallbackListener, ListenerGuard};
pub use pkce::{Pkce, generate_nonce};

use url::Url;

/// What the key should be, in OpenRouter's words. The server may honour none of it: what was
/// granted is asked for after the exchange.
#[derive(Clone, Copy, Debug)]
pub struct KeyParams<'a> {
    /// `key_label`: the person's name for the key.
    pub label: &'a str,
    /// `limit`, USD.
    pub limit: Option<&'a str>,
    /// `usage_limit_type`: `daily`, `weekly` or `monthly`.
    pub usage_limit_type: Option<&'a str>,
    /// `expires_at`: ISO 8601, UTC, with seconds.
    pub expires_at: Option<&'a str>,
    /// `workspace_id`: a UUID.
    pub workspace_id: Option<&'a str>,
}

/// The consent page's address under `server`. Without a callback the page shows the code for the
/// person to paste.
///
/// The callback's nonce is sent as `state` too (RFC 6749 §10.12). `/auth` does not document one,
/// so the path is what counts; should it come back, it must match.
pub fn build_authorize_url(
    server: &Url,
    callback: Option<&Url>,
    challenge: &str,
    asked: &KeyParams<'_>,
) -> Url {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    if let Some(callback) = callback {
        query.append_pair("callback_url", callback.as_str());
    }
    query.append_pair("code_challenge", challenge);
    query.append_pair("code_challenge_method", "S256");
    query.append_pair("key_label", asked.label);
    let nonce = callback.and_then(|callback| callback.path_segments()?.next_back());
    for (name, value) in [
        ("limit", asked.limit),
        ("usage_limit_type", asked.usage_limit_type),
        ("expires_at", asked.expires_at),
        ("workspace_id", asked.workspace_id),
        ("state", nonce),
    ] {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    // Form encoding writes a space as `+` and a plus as `%2B`. `%20` is a space to every reader,
    // `+` only to those that decode forms.
    let query = query.finish().replace('+', "%20");

    let mut url = server.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().push("auth");
    }
    url.set_query(Some(&query));
    url.set_fragment(None);
    url
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLAIN: KeyParams<'_> = KeyParams {
        label: "laptop",
        limit: None,
        usage_limit_type: None,
        expires_at: None,
        workspace_id: None,
    };

    fn server() -> Url {
        Url::parse("https://openrouter.ai").unwrap()
    }

    fn pairs(url: &Url) -> Vec<(String, String)> {
        url.query_pairs().into_owned().collect()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.into(), value.into())
    }

    #[test]
    fn everything_asked_for_is_on_the_address_under_openrouters_names() {
        let callback = Url::parse("http://127.0.0.1:4711/callback/N0nce").unwrap();
        let asked = KeyParams {
            label: "my laptop",
            limit: Some("12.50"),
            usage_limit_type: Some("monthly"),
            expires_at: Some("2027-12-31T23:59:59Z"),
            workspace_id: Some("6f7a3c1e-0000-4000-8000-000000000000"),
        };
        let url = build_authorize_url(&server(), Some(&callback), "ch4llenge", &asked);
        assert!(url.as_str().starts_with("https://openrouter.ai/auth?"), "{url}");
        assert_eq!(
            pairs(&url),
            [
                pair("callback_url", "http://127.0.0.1:4711/callback/N0nce"),
                pair("code_challenge", "ch4llenge"),
                pair("code_challenge_method", "S256"),
                pair("key_label", "my laptop"),
                pair("limit", "12.50"),
                pair("usage_limit_type", "monthly"),
                pair("expires_at", "2027-12-31T23:59:59Z"),
                pair("workspace_id", "6f7a3c1e-0000-4000-8000-000000000000"),
                pair("state", "N0nce"),
            ]
        );
    }

    #[test]
    fn without_a_callback_there_is_neither_callback_url_nor_state() {
        let url = build_authorize_url(&server(), None, "ch4llenge", &PLAIN);
        assert_eq!(
            pairs(&url),
            [
                pair("code_challenge", "ch4llenge"),
                pair("code_challenge_method", "S256"),
                pair("key_label", "laptop"),
            ]
        );
    }

    #[test]
    fn a_label_like_a_limit_9_e_hash_survives_the_address() {
        let label = "a&limit=9 é#";
        let url = build_authorize_url(&server(), None, "c", &KeyParams { label, ..PLAIN });
        assert!(pairs(&url).contains(&pair("key_label", label)), "{url}");
        assert!(!url.query_pairs().any(|(name, _)| name == "limit"), "{url}");
        assert_eq!(url.fragment(), None);
        assert!(url.as_str().contains("key_label=a%26limit%3D9%20%C3%A9%23"), "{url}");
    }

    #[test]
    fn a_server_under_a_path_keeps_its_path() {
        for server in ["http://127.0.0.1:8080/imitation", "http://127.0.0.1:8080/imitation/?x=1#y"]
        {
            let url = build_authorize_url(&Url::parse(server).unwrap(), None, "c", &PLAIN);
            assert!(
                url.as_str().starts_with("http://127.0.0.1:8080/imitation/auth?code_challenge=c&"),
                "{url}"
            );
        }
    }

    proptest! {
        #[test]
        fn every_label_survives_the_address(label in "\\PC{0,100}", limit in proptest::option::of("\\PC{0,9}")) {
            let asked = KeyParams { label: &label, limit: limit.as_deref(), ..PLAIN };
            let url = build_authorize_url(&server(), None, "c", &asked);
            let read = Url::parse(url.as_str()).unwrap();
            let mut expected = vec![
                pair("code_challenge", "c"),
                pair("code_challenge_method", "S256"),
                pair("key_label", &label),
            ];
            expected.extend(limit.map(|limit| pair("limit", &limit)));
            prop_assert_eq!(pairs(&read), expected);
        }
    }
}
