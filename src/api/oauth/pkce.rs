//! Proof Key for Code Exchange (RFC 7636) and the nonce of the callback URL.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use rand::TryRng;
use rand::rngs::SysRng;
use sha2::{Digest, Sha256};

use crate::domain::CodeVerifier;

/// The code verifier of one sign-in and its challenge.
pub struct Pkce {
    /// Sent only with the exchange: 43 characters of base64url (RFC 7636 §4.1).
    pub verifier: CodeVerifier,
    /// The `S256` challenge (RFC 7636 §4.2), sent through the browser.
    pub challenge: String,
}

impl Pkce {
    /// Creates a pair from the operating system's random number generator.
    #[expect(clippy::new_without_default, reason = "a default must not be random")]
    pub fn new() -> Self {
        let verifier = generate_nonce();
        let challenge = compute_challenge(&verifier);
        Self { verifier: CodeVerifier::from(verifier), challenge }
    }
}

/// Returns 32 random bytes from the operating system as 43 characters of base64url.
///
/// # Panics
///
/// Panics if the operating system returns no random bytes, because any fallback is guessable.
pub fn generate_nonce() -> String {
    let mut bytes = [0; 32];
    if let Err(error) = SysRng.try_fill_bytes(&mut bytes) {
        panic!("the operating system returned no random bytes: {error}");
    }
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// Computes `BASE64URL-ENCODE(SHA256(ASCII(code_verifier)))`, unpadded (RFC 7636 §4.2 and appendix A).
fn compute_challenge(verifier: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()))
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test inspects the verifier")]
mod tests {
    use std::collections::HashSet;

    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn challenge_matches_rfc_7636_appendix_b() {
        assert_eq!(
            compute_challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }

    #[test]
    fn verifiers_are_distinct_and_43_characters_of_base64url() {
        let mut seen = HashSet::new();
        for _ in 0..1000 {
            let pkce = Pkce::new();
            let verifier = pkce.verifier.expose_secret();
            for text in [verifier, &pkce.challenge] {
                assert_eq!(text.len(), 43);
                let base64url = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
                assert!(text.bytes().all(base64url), "{text}");
            }
            assert_eq!(compute_challenge(verifier), pkce.challenge);
            assert!(seen.insert(verifier.to_owned()));
        }
    }

    #[test]
    fn verifier_is_32_bytes_and_differs_from_every_nonce() {
        let pkce = Pkce::new();
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(pkce.verifier.expose_secret()).unwrap();
        assert_eq!(bytes.len(), 32);
        assert_ne!(generate_nonce(), pkce.verifier.expose_secret());
        assert_ne!(generate_nonce(), generate_nonce());
    }
}
