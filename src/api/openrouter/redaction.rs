//! A server's words may repeat what it was sent: a code, a verifier, a key. Owns: telling that, so
//! that such words go no further. Must not know: what the request was for.

use reqwest::Request;
use reqwest::header::AUTHORIZATION;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

/// So many characters of a secret in a row are a leak; fewer are in its masked form as well.
const MIN_MATCH_BYTES: usize = 16;

/// The secrets that a request carries: its bearer, and the code and verifier of its body.
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

/// Whether the words hold a secret, or a good part of one, as it is or percent-encoded.
pub(super) fn contains_secret(words: &str, secrets: &[SecretString]) -> bool {
    let decoded = words.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=");
    secrets.iter().any(|secret| {
        #[expect(clippy::disallowed_methods, reason = "door: looking for an echo")]
        let secret = secret.expose_secret().as_bytes();
        let run = MIN_MATCH_BYTES.min(secret.len()).max(1);
        secret.windows(run).any(|part| {
            let found = |text: &str| text.as_bytes().windows(run).any(|there| there == part);
            found(words) || found(&decoded)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_is_heard_whole_or_in_part_and_a_mask_is_none() {
        let secrets = [SecretString::from("sk-or-v1-0123456789abcdef0123456789abcdef")];
        for (words, expected) in [
            ("no such key: sk-or-v1-0123456789abcdef0123456789abcdef", true),
            ("no such key: ...6789abcdef0123456789...", true),
            ("no such key: sk-or-v1-012...cdef", false),
            ("Invalid code or code_verifier", false),
        ] {
            assert_eq!(contains_secret(words, &secrets), expected, "{words}");
        }
        assert!(contains_secret("code abc is wrong", &[SecretString::from("abc")]));
    }
}
