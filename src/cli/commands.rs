//! The commands, one file each.

pub(super) mod apply;
pub(super) mod completions;
pub(super) mod config;
pub(super) mod copy;
pub(super) mod disable;
pub(super) mod doctor;
pub(super) mod env;
pub(super) mod get;
pub(super) mod helper;
pub(super) mod import;
pub(super) mod list;
pub(super) mod man;
pub(super) mod management;
pub(super) mod new;
pub(super) mod panic;
pub(super) mod profile;
pub(super) mod recover;
pub(super) mod rename;
pub(super) mod rm;
pub(super) mod rotate;
pub(super) mod run;
pub(super) mod show;
pub(super) mod status;
pub(super) mod store;
pub(super) mod watch;
