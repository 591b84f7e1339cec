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
    let decoded = percent_decode(text);
    secrets.iter().any(|secret| {
        #[expect(clippy::disallowed_methods, reason = "compared with the server's message")]
        let secret = secret.expose_secret().as_bytes();
        let run = MIN_MATCH_BYTES.min(secret.len()).max(1);
        secret.windows(run).any(|part| {
            let is_in = |text: &[u8]| text.windows(run).any(|window| window == part);
            is_in(text.as_bytes()) || is_in(&decoded)
        })
    })
}

/// Decodes percent escapes, in upper and lower case. Other text is unchanged.
pub(super) fn percent_decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let (mut decoded, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(&byte) = bytes.get(at) {
        let digit = |at: usize| char::from(*bytes.get(at)?).to_digit(16);
        let escape = (byte == b'%').then(|| Some(digit(at + 1)? * 16 + digit(at + 2)?)).flatten();
        decoded.push(escape.and_then(|value| u8::try_from(value).ok()).unwrap_or(byte));
        at += if escape.is_some() { 3 } else { 1 };
    }
    decoded
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
        let code = [SecretString::from("a+b/c==-0123456789")];
        for text in [
            "a%2Bb%2Fc%3D%3D-0123456789",
            "a%2bb%2fc%3d%3d-0123456789",
            "%61%2bb%2fc%3d%3D%2d01%3234567%389 100%",
        ] {
            assert!(contains_secret(text, &code), "{text}");
        }
        assert!(contains_secret("code abc is wrong", &[SecretString::from("abc")]));
    }
}
