//! Keywright cuts labelled OpenRouter API keys, keeps them in the OS keychain and watches them.

pub mod document;
pub mod inventory;
pub mod journal;
pub mod key;
pub mod openrouter;
pub mod vault;
mod worker;
