//! Chooses what to scan: the places in the home directory where programs keep keys.
//!
//! All hidden directories are scanned, so that the settings of a tool are found without an entry here.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::domain::{mask_keys, sanitize, sort_by};

/// Directories below the home directory that are scanned besides its own files and its hidden
/// directories.
const VISIBLE_DIRS: &[&str] = &[
    "AppData/Local",
    "AppData/Roaming",
    "Documents/PowerShell",
    "Documents/WindowsPowerShell",
    "Library/Application Support",
    "Library/LaunchAgents",
    "Library/Preferences",
    "snap",
];

/// Directories below the home directory in which no key is kept: installed programs, packages and
/// models. Not scanned unless named.
const EXCLUDED_IN_HOME: &[&str] = &[
    ".android",
    ".bun/install",
    ".cargo/git",
    ".cargo/registry",
    ".conda/pkgs",
    ".cursor/extensions",
    ".cursor-server/bin",
    ".cursor-server/extensions",
    ".dotnet",
    ".gradle/caches",
    ".gradle/wrapper",
    ".lmstudio/models",
    ".local/lib",
    ".local/share/Steam",
    ".local/share/containers/storage",
    ".local/share/docker",
    ".local/share/flatpak",
    ".local/share/gnome-shell",
    ".local/share/mise/installs",
    ".local/share/pnpm/store",
    ".local/share/uv/python",
    ".local/share/uv/tools",
    ".m2/repository",
    ".npm/_cacache",
    ".nvm/versions",
    ".ollama/models",
    ".pyenv/versions",
    ".rbenv/versions",
    ".rustup",
    ".steam",
    ".vscode/extensions",
    ".vscode-server/bin",
    ".vscode-server/cli/servers",
    ".vscode-server/extensions",
    ".vscode-oss/extensions",
    ".windsurf/extensions",
    "AppData/Local/Microsoft",
    "AppData/Local/Packages",
    "AppData/Local/Programs",
    "AppData/Local/Temp",
    "Library/Application Support/MobileSync",
];

/// Names of directories with copies of what is elsewhere, in any case of letters.
const EXCLUDED_NAMES: &[&str] = &[
    ".cache",
    "__pycache__",
    "cache",
    "cachestorage",
    "caches",
    "cacheddata",
    "cachedextensionvsixs",
    "code cache",
    "dawncache",
    "dawngraphitecache",
    "dawnwebgpucache",
    "gpucache",
    "grshadercache",
    "node_modules",
    "scriptcache",
    "shadercache",
    "site-packages",
];

/// What to scan.
#[derive(Clone, Debug, Default)]
pub struct ScanRoots {
    /// Canonical path of the home directory.
    home: Option<PathBuf>,
    /// Canonical paths that the user named. Nothing in them is excluded.
    named: Vec<PathBuf>,
    /// Canonical paths to scan. None is inside another one.
    paths: Vec<PathBuf>,
}

impl ScanRoots {
    /// Returns the default paths of the home directory and the named paths.
    ///
    /// # Errors
    /// Returns the first named path that cannot be resolved, with its error.
    pub fn resolve(named: &[PathBuf]) -> Result<Self, (PathBuf, io::Error)> {
        let default = home_dir().map(|home| Self::in_home(&home)).unwrap_or_default();
        let named = Self::named(named)?.named;
        let paths = drop_nested(default.paths.into_iter().chain(named.iter().cloned()));
        Ok(Self { home: default.home, named, paths })
    }

    /// Returns the named paths alone.
    ///
    /// # Errors
    /// Returns the first path that cannot be resolved, with its error.
    pub fn named(paths: &[PathBuf]) -> Result<Self, (PathBuf, io::Error)> {
        let canonical =
            paths.iter().map(|path| path.canonicalize().map_err(|error| (path.clone(), error)));
        let named = drop_nested(canonical.collect::<Result<Vec<_>, _>>()?.into_iter());
        Ok(Self { home: None, paths: named.clone(), named })
    }

    /// Returns the default paths of a home directory: its files, its hidden directories and the
    /// directories in which other systems keep settings. Symbolic links are followed only to targets
    /// in the same home directory.
    pub fn in_home(home: &Path) -> Self {
        let Ok(home) = home.canonicalize() else { return Self::default() };
        let entries = fs::read_dir(&home).into_iter().flatten().flatten().filter_map(|entry| {
            let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            let path = entry.path().canonicalize().ok()?;
            (hidden || path.is_file()).then_some(path)
        });
        let visible = VISIBLE_DIRS.iter().filter_map(|path| home.join(path).canonicalize().ok());
        let is_in_home = |path: &PathBuf| *path != home && path.starts_with(&home);
        let paths = drop_nested(entries.chain(visible).filter(is_in_home));
        Self { home: Some(home), named: Vec::new(), paths }
    }

    pub(super) fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// Returns whether a directory is not scanned: git's objects are compressed, the kernel's file
    /// systems hold no stored files, and caches and packages hold copies of what is elsewhere.
    pub(super) fn is_excluded(&self, dir: &Path) -> bool {
        let kernel =
            || cfg!(unix) && ["/proc", "/sys", "/dev"].iter().any(|path| dir == Path::new(path));
        if dir.ends_with(".git/objects") || kernel() {
            return true;
        }
        if self.named.iter().any(|named| dir.starts_with(named) || named.starts_with(dir)) {
            return false;
        }
        let name = dir.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        let in_home = self.home.as_ref().and_then(|home| dir.strip_prefix(home).ok());
        EXCLUDED_NAMES.contains(&&*name)
            || in_home.is_some_and(|dir| EXCLUDED_IN_HOME.iter().any(|path| dir == Path::new(path)))
    }
}

/// Removes duplicates and paths inside another path, so that nothing is scanned twice.
fn drop_nested(paths: impl Iterator<Item = PathBuf>) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = paths.collect();
    // Paths are sorted by component: the contents of a directory follow it directly.
    sort_by(&mut paths, Ord::cmp);
    paths.dedup_by(|next, previous| next.starts_with(&*previous));
    paths
}

/// Returns the canonical path of the home directory.
fn home_dir() -> Option<PathBuf> {
    etcetera::home_dir().ok()?.canonicalize().ok()
}

/// Returns a path for display, such as `~/.zshrc`. Keys in it are masked.
pub fn display_path(path: &Path) -> String {
    let short = home_dir()
        .and_then(|home| path.strip_prefix(home).ok().map(|rest| Path::new("~").join(rest)));
    let path = short.as_deref().unwrap_or(path);
    sanitize(&mask_keys(&path.to_string_lossy()), 4_096)
}
