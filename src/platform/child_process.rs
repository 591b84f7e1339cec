//! Starting other programs without Keywright's own secrets in their environment.

use std::process::Command;

/// Variables that contain secrets of Keywright itself, or lead to them.
pub const SECRET_VARIABLES: [&str; 3] =
    ["OPENROUTER_MANAGEMENT_KEY", "KEYWRIGHT_PASSPHRASE_FILE", "KEYWRIGHT_PASSPHRASE_FD"];

/// Removes [`SECRET_VARIABLES`] from the environment of a program that will be started.
pub fn remove_secret_variables(command: &mut Command) -> &mut Command {
    for variable in SECRET_VARIABLES {
        command.env_remove(variable);
    }
    command
}
