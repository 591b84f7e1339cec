//! Keywright cuts labelled OpenRouter API keys, keeps them in the OS keychain and watches them.

pub mod browser;
pub mod clipboard;
pub mod key;
mod surroundings;
pub mod vault;
mod worker;
