//! What Keywright does with keys; the dashboard and the command line both call it.

pub mod account;
pub mod config;
pub mod doctor;
pub mod finder;
pub mod plan;
pub mod provision;
