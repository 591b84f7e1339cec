//! Vocabulary of the house: secrets and what is said about a key. No I/O.

mod secret;

pub use secret::{ApiKey, AuthCode, CodeVerifier};
