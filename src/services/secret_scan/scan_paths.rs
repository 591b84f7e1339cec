//! Where people leave keys. Must not know: what is in there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::domain::sanitize;

/// Directories and files below the home directory. Every hidden file that lies in the home
/// directory itself (profiles and histories of shells, `.env…`, `.aider.conf.yml`, `.claude.json`)
/// is looked through without being named here.
const DEFAULT_PATHS: &[&str] = &[
    // shells, and what is set for every program of a session
    ".bashrc.d",
    ".profile.d",
    ".zsh",
    ".zshrc.d",
    ".zsh_sessions",
    ".config/bash",
    ".config/zsh",
    ".config/fish",
    ".config/nushell",
    ".config/powershell",
    ".config/direnv",
    ".config/environment.d",
    ".config/systemd/user",
    ".local/share/fish",
    ".local/share/powershell",
    ".local/state/bash",
    ".local/state/zsh",
    ".ssh/environment",
    "Documents/PowerShell",
    "Documents/WindowsPowerShell",
    "AppData/Roaming/Microsoft/Windows/PowerShell/PSReadLine",
    "Library/LaunchAgents",
    // agents and assistants
    ".aider",
    ".claude",
    ".cline",
    ".codex",
    ".continue",
    ".cursor",
    ".gemini",
    ".goose",
    ".kilocode",
    ".litellm",
    ".openclaw",
    ".qwen",
    ".roo",
    ".config/aichat",
    ".config/amp",
    ".config/claude",
    ".config/crush",
    ".config/fabric",
    ".config/goose",
    ".config/io.datasette.llm",
    ".config/litellm",
    ".config/mods",
    ".config/opencode",
    ".config/openrouter",
    ".config/shell_gpt",
    ".local/share/crush",
    ".local/share/opencode",
    "Library/Application Support/Claude",
    "Library/Application Support/io.datasette.llm",
    "AppData/Roaming/Claude",
    // editors
    ".config/Code/User",
    ".config/Cursor/User",
    ".config/VSCodium/User",
    ".config/Windsurf/User",
    ".config/helix",
    ".config/nvim",
    ".config/zed",
    "Library/Application Support/Code/User",
    "Library/Application Support/Cursor/User",
    "AppData/Roaming/Code/User",
    "AppData/Roaming/Cursor/User",
    // containers and notebooks
    ".config/containers",
    ".docker",
    ".ipython",
    ".jupyter",
];

/// The person's home directory, by its real name.
fn home_dir() -> Option<PathBuf> {
    etcetera::home_dir().ok()?.canonicalize().ok()
}

/// What is to be looked through: the places of the person's home, and these directories or files,
/// by their real names. The error is of the first that is not there.
pub fn resolve_scan_roots(search: &[PathBuf]) -> Result<Vec<PathBuf>, (PathBuf, io::Error)> {
    let given =
        search.iter().map(|path| path.canonicalize().map_err(|error| (path.clone(), error)));
    let given = given.collect::<Result<Vec<_>, _>>()?;
    Ok(drop_nested(
        home_dir().map(|home| default_scan_roots(&home)).into_iter().flatten().chain(given),
    ))
}

/// The places of a home directory that are there, by their real names: a link is followed where it
/// leads to something else in that home.
pub fn default_scan_roots(home: &Path) -> Vec<PathBuf> {
    let Ok(home) = home.canonicalize() else { return Vec::new() };
    let hidden = fs::read_dir(&home).into_iter().flatten().flatten().filter_map(|entry| {
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        hidden.then(|| entry.path())
    });
    let files = hidden.filter_map(|path| path.canonicalize().ok()).filter(|path| path.is_file());
    let named = DEFAULT_PATHS.iter().filter_map(|place| home.join(place).canonicalize().ok());
    let here = |path: &PathBuf| *path != home && path.starts_with(&home);
    drop_nested(files.chain(named).filter(here))
}

/// Each once, and none that lies in another: nothing is looked through twice.
fn drop_nested(paths: impl Iterator<Item = PathBuf>) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = paths.collect();
    // By their parts: what lies in a directory comes right after it.
    paths.sort();
    paths.dedup_by(|next, kept| next.starts_with(&*kept));
    paths
}

/// A file as a person calls it: `~/.zshrc`. A key that it is named after is masked.
pub fn display_path(path: &Path) -> String {
    let short = home_dir()
        .and_then(|home| path.strip_prefix(home).ok().map(|rest| Path::new("~").join(rest)));
    let path = short.as_deref().unwrap_or(path);
    sanitize(&super::mask_keys(&path.to_string_lossy()), 4_096)
}
