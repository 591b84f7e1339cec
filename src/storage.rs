//! What Keywright keeps: secrets in a secret store, everything else in JSON files.

pub mod document;
pub mod inventory;
pub mod journal;
pub mod samples;
pub mod vault;
