//! Starting other programs without Keywright's own secrets in their environment.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Variables that contain secrets of Keywright or of a shared store.
const SECRET_VARIABLES: [&str; 5] =
    ["OPENROUTER_MANAGEMENT_KEY", "BAO_TOKEN", "VAULT_TOKEN", "BAO_SECRET_ID", "VAULT_SECRET_ID"];

/// The prefix of the variables that contain a passphrase or name its source.
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

/// Returns the path of a program on PATH. On Windows a name without an extension stands for the file that
/// the shells find, such as a `.cmd` of npm: the standard library only finds `.exe`.
pub fn find_on_path(name: &OsStr) -> Option<PathBuf> {
    let extensions = if cfg!(windows) && Path::new(name).extension().is_none() {
        env::var("PATHEXT").unwrap_or_else(|_| ".COM;.EXE;.BAT;.CMD".into())
    } else {
        String::new()
    };
    find_in_directories(name, path_directories(), &extensions)
}

/// Returns the first file with the name and one of the extensions, which `;` separates.
fn find_in_directories(
    name: &OsStr,
    directories: impl Iterator<Item = PathBuf>,
    extensions: &str,
) -> Option<PathBuf> {
    let file_names = extensions.split(';').map(|extension| {
        let mut file_name = name.to_owned();
        file_name.push(extension.to_ascii_lowercase());
        file_name
    });
    directories
        .flat_map(|directory| file_names.clone().map(move |file_name| directory.join(file_name)))
        .find(|path| path.is_file())
}

/// Returns the names of the programs on PATH that start with `prefix`, without the extension of Windows.
pub fn list_on_path(prefix: &str) -> Vec<String> {
    let files = path_directories().filter_map(|directory| directory.read_dir().ok()).flatten();
    let names = files.filter_map(|file| file.ok()?.file_name().into_string().ok());
    let names = names.filter(|name| name.starts_with(prefix));
    names.map(|name| name.strip_suffix(".exe").map_or(name.clone(), str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_the_first_file_with_one_of_the_extensions() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let directories = [first.path().to_owned(), second.path().to_owned()];
        for (directory, name) in [(&first, "npx.cmd"), (&second, "npx.exe"), (&second, "tool.exe")]
        {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        let find = |name: &str, extensions| {
            let directories = directories.clone().into_iter();
            find_in_directories(OsStr::new(name), directories, extensions)
        };
        assert_eq!(find("npx", ".COM;.EXE;.BAT;.CMD"), Some(directories[0].join("npx.cmd")));
        assert_eq!(find("tool", ".COM;.EXE;.BAT;.CMD"), Some(directories[1].join("tool.exe")));
        assert_eq!(find("missing", ".COM;.EXE;.BAT;.CMD"), None);
        assert_eq!(find("npx.exe", ""), Some(directories[1].join("npx.exe")));
        assert_eq!(find("npx", ""), None);
    }
}
