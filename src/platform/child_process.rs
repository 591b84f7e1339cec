//! Starting other programs without Keywright's own secrets in their environment.

use std::process::Command;

/// Variables that contain secrets of Keywright or of a secret server that it can copy keys to.
const SECRET_VARIABLES: [&str; 3] = ["OPENROUTER_MANAGEMENT_KEY", "BAO_TOKEN", "VAULT_TOKEN"];

/// How the variables start that contain a passphrase, or lead to one.
const PASSPHRASE_PREFIX: &str = "KEYWRIGHT_PASSPHRASE";

/// Removes the variables that contain secrets from the environment of a program that will be started.
pub fn remove_secret_variables(command: &mut Command) -> &mut Command {
    for (variable, _) in std::env::vars_os() {
        let is_secret = variable.to_str().is_some_and(|name| {
            SECRET_VARIABLES.contains(&name) || name.starts_with(PASSPHRASE_PREFIX)
        });
        if is_secret {
            command.env_remove(variable);
        }
    }
    command
}
