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

/// Returns the directories of PATH. A relative one would be another in each working directory.
fn path_directories() -> impl Iterator<Item = PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories: Vec<_> = env::split_paths(&path).collect();
    directories.into_iter().filter(|directory| directory.is_absolute())
}

/// Returns the path of a program on PATH.
pub fn find_on_path(name: &str) -> Option<PathBuf> {
    // On Windows a name without an extension is that of an .exe file.
    let file_name = if cfg!(windows) && Path::new(name).extension().is_none() {
        format!("{name}.exe")
    } else {
        name.to_owned()
    };
    path_directories().map(|directory| directory.join(&file_name)).find(|path| path.is_file())
}

/// Returns the names of the programs on PATH that start with `prefix`, without the extension of Windows.
pub fn list_on_path(prefix: &str) -> Vec<String> {
    let files = path_directories().filter_map(|directory| directory.read_dir().ok()).flatten();
    let names = files.filter_map(|file| file.ok()?.file_name().into_string().ok());
    let names = names.filter(|name| name.starts_with(prefix));
    names.map(|name| name.strip_suffix(".exe").map_or(name.clone(), str::to_owned)).collect()
}
