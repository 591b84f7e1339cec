//! One type per kind of secret, so that the compiler rejects a mix-up. `Debug` redacts the value.
//!
//! `expose_secret` is a disallowed method (`.clippy.toml`): every call needs `#[expect]` with the
//! reason for the access.

use secrecy::{ExposeSecret, SecretString};

macro_rules! secret {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(SecretString);

        impl From<String> for $name {
            fn from(secret: String) -> Self {
                Self(SecretString::from(secret))
            }
        }

        impl ExposeSecret<str> for $name {
            #[expect(clippy::disallowed_methods, reason = "defines the method")]
            fn expose_secret(&self) -> &str {
                self.0.expose_secret()
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    };
}

/// Returns a typed or piped secret without surrounding whitespace. The command line and the
/// dashboard both use it, so that a passphrase from one works in the other.
pub fn trim_secret_input(text: &str) -> &str {
    text.trim()
}

secret! {
    /// An OpenRouter API key as the server issued it. The format is not checked, because the
    /// server may change it.
    ApiKey
}
secret! {
    /// The authorization code of RFC 6749 §4.1.2: valid once, for ten minutes.
    AuthCode
}
secret! {
    /// A management key: it manages the keys of an account and cannot call models.
    ManagementKey
}
secret! {
    /// The `code_verifier` of RFC 7636 §4.1.
    CodeVerifier
}
