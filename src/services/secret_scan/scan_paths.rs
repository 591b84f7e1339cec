//! The paths in which people leave keys.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::domain::{mask_keys, sanitize};

/// Directories and files below the home directory. Hidden files in the home directory itself (shell
/// profiles and histories, `.env…`, `.aider.conf.yml`, `.claude.json`) are scanned without an entry
/// here.
const DEFAULT_PATHS: &[&str] = &[
    // shells and session environment
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

/// Returns the canonical path of the home directory.
fn home_dir() -> Option<PathBuf> {
    etcetera::home_dir().ok()?.canonicalize().ok()
}

/// Returns the canonical paths to scan: the default paths of the home directory and `extra_paths`.
///
/// # Errors
/// Returns the first of `extra_paths` that cannot be resolved, with its error.
pub fn resolve_scan_roots(extra_paths: &[PathBuf]) -> Result<Vec<PathBuf>, (PathBuf, io::Error)> {
    let extra =
        extra_paths.iter().map(|path| path.canonicalize().map_err(|error| (path.clone(), error)));
    let extra = extra.collect::<Result<Vec<_>, _>>()?;
    Ok(drop_nested(
        home_dir().map(|home| default_scan_roots(&home)).into_iter().flatten().chain(extra),
    ))
}

/// Returns the canonical paths of a home directory that exist. Symbolic links are followed only to
/// targets in the same home directory.
pub fn default_scan_roots(home: &Path) -> Vec<PathBuf> {
    let Ok(home) = home.canonicalize() else { return Vec::new() };
    let hidden = fs::read_dir(&home).into_iter().flatten().flatten().filter_map(|entry| {
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        hidden.then(|| entry.path())
    });
    let files = hidden.filter_map(|path| path.canonicalize().ok()).filter(|path| path.is_file());
    let listed = DEFAULT_PATHS.iter().filter_map(|path| home.join(path).canonicalize().ok());
    let is_in_home = |path: &PathBuf| *path != home && path.starts_with(&home);
    drop_nested(files.chain(listed).filter(is_in_home))
}

/// Removes duplicates and paths inside another path, so that nothing is scanned twice.
fn drop_nested(paths: impl Iterator<Item = PathBuf>) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = paths.collect();
    // Paths are sorted by component: the contents of a directory follow it directly.
    paths.sort();
    paths.dedup_by(|next, previous| next.starts_with(&*previous));
    paths
}

/// Returns a path for display, such as `~/.zshrc`. Keys in it are masked.
pub fn display_path(path: &Path) -> String {
    let short = home_dir()
        .and_then(|home| path.strip_prefix(home).ok().map(|rest| Path::new("~").join(rest)));
    let path = short.as_deref().unwrap_or(path);
    sanitize(&mask_keys(&path.to_string_lossy()), 4_096)
}
