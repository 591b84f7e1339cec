//! The OAuth sign-in: the authorization URL, PKCE and the loopback callback.

pub mod callback;
pub mod pkce;

pub use callback::{CallbackError, CallbackListener, ListenerGuard};
pub use pkce::{Pkce, generate_nonce};

use url::Url;

/// The requested properties of the key, in OpenRouter's notation. The server may ignore any of
/// them; the granted ones are fetched after the exchange.
#[derive(Clone, Copy, Debug)]
pub struct KeyParams<'a> {
    /// `key_label`: the user's name for the key.
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

/// Returns the URL of the consent page under `server`. Without a callback the page shows a code
/// to paste.
///
/// The callback's nonce is also sent as `state` (RFC 6749 §10.12). OpenRouter does not document
/// `state`, so the nonce in the path is the check; a `state` that comes back must match as well.
pub fn build_authorize_url(
    server: &Url,
    callback: Option<&Url>,
    challenge: &str,
    params: &KeyParams<'_>,
) -> Url {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    if let Some(callback) = callback {
        query.append_pair("callback_url", callback.as_str());
    }
    query.append_pair("code_challenge", challenge);
    query.append_pair("code_challenge_method", "S256");
    query.append_pair("key_label", params.label);
    let nonce = callback.and_then(|callback| callback.path_segments()?.next_back());
    for (name, value) in [
        ("limit", params.limit),
        ("usage_limit_type", params.usage_limit_type),
        ("expires_at", params.expires_at),
        ("workspace_id", params.workspace_id),
        ("state", nonce),
    ] {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    // Form encoding writes a space as `+`, which only form decoders read as a space. Every decoder
    // reads `%20` as one.
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

    const LABEL_ONLY: KeyParams<'_> = KeyParams {
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
    fn authorize_url_contains_every_requested_parameter() {
        let callback = Url::parse("http://127.0.0.1:4711/callback/N0nce").unwrap();
        let params = KeyParams {
            label: "my laptop",
            limit: Some("12.50"),
            usage_limit_type: Some("monthly"),
            expires_at: Some("2027-12-31T23:59:59Z"),
            workspace_id: Some("6f7a3c1e-0000-4000-8000-000000000000"),
        };
        let url = build_authorize_url(&server(), Some(&callback), "ch4llenge", &params);
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
    fn authorize_url_without_callback_has_neither_callback_url_nor_state() {
        let url = build_authorize_url(&server(), None, "ch4llenge", &LABEL_ONLY);
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
    fn special_characters_in_the_label_are_percent_encoded() {
        let label = "a&limit=9 é#";
        let url = build_authorize_url(&server(), None, "c", &KeyParams { label, ..LABEL_ONLY });
        assert!(pairs(&url).contains(&pair("key_label", label)), "{url}");
        assert!(!url.query_pairs().any(|(name, _)| name == "limit"), "{url}");
        assert_eq!(url.fragment(), None);
        assert!(url.as_str().contains("key_label=a%26limit%3D9%20%C3%A9%23"), "{url}");
    }

    #[test]
    fn path_of_the_server_url_is_kept() {
        for server in ["http://127.0.0.1:8080/imitation", "http://127.0.0.1:8080/imitation/?x=1#y"]
        {
            let url = build_authorize_url(&Url::parse(server).unwrap(), None, "c", &LABEL_ONLY);
            assert!(
                url.as_str().starts_with("http://127.0.0.1:8080/imitation/auth?code_challenge=c&"),
                "{url}"
            );
        }
    }

    proptest! {
        #[test]
        fn every_label_round_trips_through_the_url(label in "\\PC{0,100}", limit in proptest::option::of("\\PC{0,9}")) {
            let params = KeyParams { label: &label, limit: limit.as_deref(), ..LABEL_ONLY };
            let url = build_authorize_url(&server(), None, "c", &params);
            let parsed = Url::parse(url.as_str()).unwrap();
            let mut expected = vec![
                pair("code_challenge", "c"),
                pair("code_challenge_method", "S256"),
                pair("key_label", &label),
            ];
            expected.extend(limit.map(|limit| pair("limit", &limit)));
            prop_assert_eq!(pairs(&parsed), expected);
        }
    }
}
