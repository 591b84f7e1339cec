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

use crate::domain::UserError;
use crate::storage::{json_store, secret_store};

/// Implements the conversion that `?` makes where an error meets the user.
macro_rules! convert_to_user_error {
    ($($error:ty),+) => {
        $(impl From<$error> for UserError {
            fn from(error: $error) -> Self {
                error.to_user_error()
            }
        })+
    };
}

convert_to_user_error!(
    json_store::Error,
    secret_store::Error,
    shared_inventory::Error,
    provision::Error,
    keys::Error,
    keys::ResourceError
);
