//! Stores secrets in a secret store and everything else in JSON files.

pub mod account_names;
pub mod activity_cache;
pub mod inventory;
pub mod journal;
pub mod json_store;
pub mod keychain_providers;
pub mod secret_store;
pub mod usage_history;
