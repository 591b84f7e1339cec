//! The secrets Keywright handles, each a type of its own so that none can be passed for another.
//! Owns: redaction. Must not know: where a secret comes from or goes to.
//!
//! `expose_secret` is a disallowed method (`.clippy.toml`): every call stands at an audited door
//! and says which one with `#[expect]`.

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
            #[expect(clippy::disallowed_methods, reason = "this is the definition of the doors")]
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

secret! {
    /// An OpenRouter API key, as the server issued it. Its shape is the server's business:
    /// a key of unknown shape is a key.
    ApiKey
}
secret! {
    /// The authorization code of RFC 6749 §4.1.2: works once, for ten minutes.
    AuthCode
}
secret! {
    /// A management key: manages an account's keys, and cannot call models.
    ManagementKey
}
secret! {
    /// The `code_verifier` of RFC 7636 §4.1.
    CodeVerifier
}
