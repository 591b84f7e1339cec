//! Starting other programs without Keywright's own secrets in their environment.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Variables that contain secrets of Keywright or of a shared store.
const SECRET_VARIABLES: [&str; 5] =
    ["OPENROUTER_MANAGEMENT_KEY", "BAO_TOKEN", "VAULT_TOKEN", "BAO_SECRET_ID", "VAULT_SECRET_ID"];

/// How the variables start that contain a passphrase, or lead to one.
const PASSPHRASE_PREFIX: &str = "KEYWRIGHT_PASSPHRASE";

/// Removes the variables that contain secrets from the environment of a program that will be started.
pub fn remove_secret_variables(command: &mut Command) -> &mut Command {
    for (variable, _) in env::vars_os() {
        let is_secret = variable.to_str().is_some_and(|name| {
            SECRET_VARIABLES.contains(&name) || name.starts_with(PASSPHRASE_PREFIX)
        });
        if is_secret {
            command.env_remove(variable);
        }
    }
    command
}

/// Returns the path of a program on PATH.
pub fn find_on_path(name: &str) -> Option<PathBuf> {
    // On Windows a name without an extension is that of an .exe file.
    let file_name = if cfg!(windows) && Path::new(name).extension().is_none() {
        format!("{name}.exe")
    } else {
        name.to_owned()
    };
    env::split_paths(&env::var_os("PATH")?)
        // A relative directory would be another one in each working directory.
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join(&file_name))
        .find(|path| path.is_file())
}
