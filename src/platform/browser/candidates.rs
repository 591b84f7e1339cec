//! Parses `$BROWSER`: a list of commands in which `%s` stands for the URL.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::Error;

/// Separates the commands. On Windows a colon is part of a path.
const SEPARATOR: char = if cfg!(windows) { ';' } else { ':' };

/// Browsers that run in the terminal.
const TEXT_BROWSERS: &[&str] = &[
    "w3m",
    "lynx",
    "links",
    "links2",
    "elinks",
    "www-browser",
    "browsh",
    "carbonyl",
    "cha",
    "edbrowse",
    "netrik",
    "retawq",
];

/// Programs that only choose a browser; without a display they choose a text browser.
const DISPATCHERS: &[&str] = &[
    "sensible-browser",
    "xdg-open",
    "x-www-browser",
    "gnome-www-browser",
    "exo-open",
    "gio",
    "gvfs-open",
    "gnome-open",
    "kde-open",
    "kde-open5",
    "kfmclient",
    "see",
    "run-mailcap",
];

/// A program and its arguments, including the URL.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct BrowserCommand {
    pub(super) program: String,
    pub(super) arguments: Vec<String>,
}

impl BrowserCommand {
    /// Returns the file name of the program without its extension.
    pub(super) fn program_name(&self) -> String {
        program_stem(Path::new(&self.program)).to_owned()
    }

    /// Returns whether the program is found, directly or on PATH.
    pub(super) fn is_installed(&self) -> bool {
        find_program(&self.program).is_some_and(|path| path.is_file())
    }

    /// Returns whether the program only chooses a browser.
    pub(super) fn is_dispatcher(&self) -> bool {
        DISPATCHERS.contains(&program_stem(Path::new(&self.program)))
    }

    /// Returns whether the program, or the target of its symbolic link, is a text browser.
    fn is_text_browser(&self) -> bool {
        let listed = |path: &Path| TEXT_BROWSERS.contains(&program_stem(path));
        listed(Path::new(&self.program))
            || find_program(&self.program)
                .and_then(|path| path.canonicalize().ok())
                .is_some_and(|path| listed(&path))
    }
}

/// Parses a list of commands without a shell. Arguments are split at whitespace; then `%s` becomes
/// the URL, `%c` a colon and `%%` a percent sign. A command without `%s` gets the URL as its last
/// argument.
pub(super) fn parse_commands(list: &str, url: &str) -> Vec<BrowserCommand> {
    list.split(SEPARATOR)
        .filter_map(|command| {
            let mut arguments = command.split_whitespace();
            let program = expand_placeholders(arguments.next()?, None).0;
            let mut contains_url = false;
            let mut arguments: Vec<String> = arguments
                .map(|argument| {
                    let (argument, has_url) = expand_placeholders(argument, Some(url));
                    contains_url |= has_url;
                    argument
                })
                .collect();
            if !contains_url {
                arguments.push(url.to_owned());
            }
            Some(BrowserCommand { program, arguments })
        })
        .collect()
}

/// Returns the commands that are not text browsers.
pub(super) fn select_graphical(
    candidates: Vec<BrowserCommand>,
) -> Result<Vec<BrowserCommand>, Error> {
    let (text, graphical): (Vec<_>, Vec<_>) =
        candidates.into_iter().partition(BrowserCommand::is_text_browser);
    match text.first() {
        Some(text) if graphical.is_empty() => Err(Error::TextBrowser(text.program_name())),
        Some(_) | None => Ok(graphical),
    }
}

/// Expands placeholders in one pass, so that the URL is not expanded. Also returns whether the URL
/// was inserted.
fn expand_placeholders(argument: &str, url: Option<&str>) -> (String, bool) {
    let mut expanded = String::new();
    let mut has_url = false;
    let mut rest = argument.chars();
    while let Some(c) = rest.next() {
        if c != '%' {
            expanded.push(c);
            continue;
        }
        match (rest.next(), url) {
            (Some('s'), Some(url)) => {
                expanded.push_str(url);
                has_url = true;
            }
            (Some('c'), _) => expanded.push(':'),
            (Some('%') | None, _) => expanded.push('%'),
            (Some(other), _) => expanded.extend(['%', other]),
        }
    }
    (expanded, has_url)
}

fn program_stem(path: &Path) -> &str {
    path.file_stem().and_then(OsStr::to_str).unwrap_or_default()
}

/// Returns the path of the program, which is searched on PATH if it has no directory.
fn find_program(program: &str) -> Option<PathBuf> {
    if Path::new(program).components().count() > 1 {
        return Some(PathBuf::from(program));
    }
    env::split_paths(&env::var_os("PATH")?)
        .map(|directory| directory.join(program))
        .find(|path| path.is_file())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    const URL: &str = "https://openrouter.ai/auth?a=%s&b=x:y";

    fn parsed(list: &str) -> Vec<(String, Vec<String>)> {
        parse_commands(list, URL).into_iter().map(|c| (c.program, c.arguments)).collect()
    }

    #[test]
    fn the_url_replaces_its_placeholder_or_is_added_last() {
        let expect = |program: &str, arguments: &[&str]| {
            let arguments = arguments.iter().map(|a| (*a).to_owned()).collect();
            (program.to_owned(), arguments)
        };
        assert_eq!(
            parsed("firefox --new-tab: :chromium --app=%s --x:odd 100%% a%cb %q %"),
            [
                expect("firefox", &["--new-tab", URL]),
                expect("chromium", &[&format!("--app={URL}"), "--x"]),
                expect("odd", &["100%", "a:b", "%q", "%", URL]),
            ]
        );
        assert_eq!(parsed(" : "), []);
    }

    #[test]
    fn shell_syntax_is_not_interpreted() {
        assert_eq!(
            parsed("sh;touch /tmp/x $(id)"),
            [(
                "sh;touch".to_owned(),
                vec!["/tmp/x".to_owned(), "$(id)".to_owned(), URL.to_owned()]
            )]
        );
    }

    #[test]
    fn text_browsers_are_skipped_and_an_error_if_there_are_no_others() {
        let names = |list| {
            select_graphical(parse_commands(list, URL))
                .map(|all| all.iter().map(BrowserCommand::program_name).collect::<Vec<_>>())
        };
        assert_eq!(names("w3m:/usr/bin/firefox"), Ok(vec!["firefox".to_owned()]));
        assert_eq!(names("/usr/bin/lynx -x %s:elinks"), Err(Error::TextBrowser("lynx".to_owned())));
    }

    #[test]
    fn a_link_to_a_text_browser_is_a_text_browser() {
        let directory = tempfile::tempdir().unwrap();
        let real = directory.path().join("w3m");
        std::fs::write(&real, "").unwrap();
        let link = directory.path().join("my-browser");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        assert_eq!(
            select_graphical(parse_commands(link.to_str().unwrap(), URL)),
            Err(Error::TextBrowser("my-browser".to_owned()))
        );
    }
}
