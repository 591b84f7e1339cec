//! What Keywright does with keys; the dashboard and the command line both call it.

pub mod config;
pub mod doctor;
pub mod keys;
pub mod plan;
pub mod provision;
pub mod secret_scan;
