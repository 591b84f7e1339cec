//! Keywright cuts labelled OpenRouter API keys, keeps them in the OS keychain and watches them.

pub mod key;
pub mod vault;
mod worker;
