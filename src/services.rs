//! What Keywright does with keys; the dashboard and the command line call these services.

pub mod config;
pub mod diagnostic;
pub mod doctor;
pub mod keys;
pub mod plan;
pub mod provision;
pub mod secret_scan;
pub mod shared_inventory;
pub mod usage;
pub mod watch;
