//! Proof Key for Code Exchange (RFC 7636), and the callback's nonce.
//! Owns: what must be unguessable. Must not know: where any of it is sent.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use rand::TryRng;
use rand::rngs::SysRng;
use sha2::{Digest, Sha256};

use crate::domain::CodeVerifier;

/// One sign-in's verifier and the challenge that goes ahead of it.
pub struct Pkce {
    /// Stays here until the exchange: 43 characters of base64url (RFC 7636 §4.1).
    pub verifier: CodeVerifier,
    /// Its `S256` challenge (RFC 7636 §4.2), which the browser carries.
    pub challenge: String,
}

impl Pkce {
    /// A fresh pair from the randomness of the OS.
    #[expect(clippy::new_without_default, reason = "two defaults would never be equal")]
    pub fn new() -> Self {
        let verifier = generate_nonce();
        let challenge = compute_challenge(&verifier);
        Self { verifier: CodeVerifier::from(verifier), challenge }
    }
}

/// 32 random bytes of the OS as 43 characters of base64url.
///
/// # Panics
///
/// When the OS has no randomness to give: whatever came instead would be guessable.
pub fn generate_nonce() -> String {
    let mut bytes = [0; 32];
    if let Err(error) = SysRng.try_fill_bytes(&mut bytes) {
        panic!("the operating system gives no randomness: {error}");
    }
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// `BASE64URL-ENCODE(SHA256(ASCII(code_verifier)))`, unpadded (RFC 7636 §4.2 and appendix A).
fn compute_challenge(verifier: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()))
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test looks at the verifier")]
mod tests {
    use std::collections::HashSet;

    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn the_challenge_is_that_of_rfc_7636_appendix_b() {
        assert_eq!(
            compute_challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }

    #[test]
    fn a_thousand_verifiers_are_distinct_and_43_characters_of_base64url() {
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
    fn a_verifier_is_32_bytes_and_no_nonce_repeats_it() {
        let pkce = Pkce::new();
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(pkce.verifier.expose_secret()).unwrap();
        assert_eq!(bytes.len(), 32);
        assert_ne!(generate_nonce(), pkce.verifier.expose_secret());
        assert_ne!(generate_nonce(), generate_nonce());
    }
}
