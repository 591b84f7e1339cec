//! Detects server messages that repeat a code, verifier or key from the request, so that they are
//! neither shown nor logged.

use reqwest::Request;
use reqwest::header::AUTHORIZATION;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

/// This many consecutive bytes of a secret are a leak; the masked form contains fewer.
const MIN_MATCH_BYTES: usize = 16;

/// Returns the secrets in a request: the bearer token, and the code and verifier in the body.
pub(super) fn extract_secrets(request: &Request) -> Vec<SecretString> {
    let bearer = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "))
        .map(SecretString::from);
    let body = request.body().and_then(|body| body.as_bytes());
    let body: Value = body.and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default();
    let fields = ["code", "code_verifier"];
    let fields = fields.iter().filter_map(|name| body.get(name)?.as_str().map(SecretString::from));
    bearer.into_iter().chain(fields).collect()
}

/// Returns whether `text` contains a secret or a long part of one, also percent-encoded.
pub(super) fn contains_secret(text: &str, secrets: &[SecretString]) -> bool {
    let decoded = text.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=");
    secrets.iter().any(|secret| {
        #[expect(clippy::disallowed_methods, reason = "compared with the server's message")]
        let secret = secret.expose_secret().as_bytes();
        let run = MIN_MATCH_BYTES.min(secret.len()).max(1);
        secret.windows(run).any(|part| {
            let is_in = |text: &str| text.as_bytes().windows(run).any(|window| window == part);
            is_in(text) || is_in(&decoded)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_and_partial_secrets_are_detected_and_masked_ones_are_not() {
        let secrets = [SecretString::from("sk-or-v1-0123456789abcdef0123456789abcdef")];
        for (text, expected) in [
            ("no such key: sk-or-v1-0123456789abcdef0123456789abcdef", true),
            ("no such key: ...6789abcdef0123456789...", true),
            ("no such key: sk-or-v1-012...cdef", false),
            ("Invalid code or code_verifier", false),
        ] {
            assert_eq!(contains_secret(text, &secrets), expected, "{text}");
        }
        assert!(contains_secret("code abc is wrong", &[SecretString::from("abc")]));
    }
}
