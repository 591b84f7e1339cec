//! Reading `$BROWSER`: a list of commands, `%s` standing for the address.
//! Owns: the convention, and knowing a text browser. Must not know: how a program is started.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::Error;

/// What separates the commands; on Windows a colon follows the drive.
const SEPARATOR: char = if cfg!(windows) { ';' } else { ':' };

/// Browsers that draw in the terminal they are started from.
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

/// A program and its arguments, the address among them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct BrowserCommand {
    pub(super) program: String,
    pub(super) arguments: Vec<String>,
}

impl BrowserCommand {
    /// The program without its path.
    pub(super) fn program_name(&self) -> String {
        program_stem(Path::new(&self.program)).to_owned()
    }

    /// Whether the system would find it.
    pub(super) fn is_installed(&self) -> bool {
        find_program(&self.program).is_some_and(|path| path.is_file())
    }

    /// By its name, or by the name of what it is a link to.
    fn is_text_browser(&self) -> bool {
        let listed = |path: &Path| TEXT_BROWSERS.contains(&program_stem(path));
        listed(Path::new(&self.program))
            || find_program(&self.program)
                .and_then(|path| path.canonicalize().ok())
                .is_some_and(|path| listed(&path))
    }
}

/// The commands of the list. No shell is asked: words are split at blanks, then `%s` becomes the
/// address, `%c` a colon and `%%` a percent sign. A command without `%s` gets the address last.
pub(super) fn parse_commands(list: &str, url: &str) -> Vec<BrowserCommand> {
    list.split(SEPARATOR)
        .filter_map(|command| {
            let mut words = command.split_whitespace();
            let program = expand_placeholders(words.next()?, None).0;
            let mut placed = false;
            let mut arguments: Vec<String> = words
                .map(|word| {
                    let (word, has_url) = expand_placeholders(word, Some(url));
                    placed |= has_url;
                    word
                })
                .collect();
            if !placed {
                arguments.push(url.to_owned());
            }
            Some(BrowserCommand { program, arguments })
        })
        .collect()
}

/// Those that do not need our terminal.
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

/// One pass, so that nothing in the address is taken for a placeholder.
fn expand_placeholders(word: &str, url: Option<&str>) -> (String, bool) {
    let mut expanded = String::new();
    let mut placed = false;
    let mut rest = word.chars();
    while let Some(c) = rest.next() {
        if c != '%' {
            expanded.push(c);
            continue;
        }
        match (rest.next(), url) {
            (Some('s'), Some(url)) => {
                expanded.push_str(url);
                placed = true;
            }
            (Some('c'), _) => expanded.push(':'),
            (Some('%') | None, _) => expanded.push('%'),
            (Some(other), _) => expanded.extend(['%', other]),
        }
    }
    (expanded, placed)
}

fn program_stem(path: &Path) -> &str {
    path.file_stem().and_then(OsStr::to_str).unwrap_or_default()
}

/// Where the system would find it.
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
    fn the_address_stands_where_it_was_wanted_or_last() {
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
    fn nothing_in_the_list_reaches_a_shell() {
        assert_eq!(
            parsed("sh;touch /tmp/x $(id)"),
            [(
                "sh;touch".to_owned(),
                vec!["/tmp/x".to_owned(), "$(id)".to_owned(), URL.to_owned()]
            )]
        );
    }

    #[test]
    fn text_browsers_are_passed_over_and_named_when_there_is_nothing_else() {
        let names = |list| {
            select_graphical(parse_commands(list, URL))
                .map(|all| all.iter().map(BrowserCommand::program_name).collect::<Vec<_>>())
        };
        assert_eq!(names("w3m:/usr/bin/firefox"), Ok(vec!["firefox".to_owned()]));
        assert_eq!(names("/usr/bin/lynx -x %s:elinks"), Err(Error::TextBrowser("lynx".to_owned())));
    }

    #[test]
    fn a_link_to_a_text_browser_is_one() {
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
