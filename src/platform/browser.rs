//! Showing an address in the person's browser.
//! Owns: which program is asked, and keeping it away from our terminal. Must not know: what the
//! address is for. It is always on screen as well: an opened browser proves nothing.
//!
//! On Linux the programs are started from here rather than by the `webbrowser` crate, which hands
//! the terminal to text browsers, keeps the process group, and takes `false` for a browser.

mod candidates;

use std::env;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use url::Url;

use crate::platform::environment;
use candidates::BrowserCommand;

/// A program that fails sooner than this never showed the address; one that ends later was closed.
pub const EARLY_EXIT_WINDOW: Duration = Duration::from_millis(500);

/// The longest [`open`] blocks.
const OPEN_TIMEOUT: Duration = Duration::from_millis(100);

/// Whether there is a browser the person can see.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BrowserAvailability {
    /// There should be.
    Available,
    /// Why not, for a sentence: "no display", "over SSH", "in a container".
    Unavailable(&'static str),
}

/// Why no browser was opened.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `$BROWSER` names only browsers that would take over this terminal.
    #[error("the browser {0} would take over this terminal")]
    TextBrowser(String),
    /// None of the programs exists.
    #[error("no browser was found")]
    NotFound,
    /// The program ended at once, and with an error.
    #[error("the browser {0} ended at once with an error")]
    ExitedEarly(String),
    /// Only http and https addresses are opened.
    #[error("this is no web address")]
    UnsupportedScheme,
    /// The system refused.
    #[error("the browser could not be started")]
    SpawnFailed,
}

impl Error {
    /// What to do now.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::TextBrowser(_) => {
                "Open the address in another terminal or on another device, or set BROWSER to a \
                 graphical browser."
            }
            Self::NotFound | Self::ExitedEarly(_) | Self::SpawnFailed => {
                "Open the address by hand, or set BROWSER to the browser's command."
            }
            Self::UnsupportedScheme => "Check the server's address.",
        }
    }
}

/// Whether a browser can be expected, without trying one.
pub fn detect_availability() -> BrowserAvailability {
    decide_availability(
        read_browser_variable().is_some(),
        environment::is_ssh_session(),
        environment::has_display() || env::var_os("WSL_DISTRO_NAME").is_some(),
        || {
            ["/.dockerenv", "/run/.containerenv"]
                .iter()
                .any(|mark| std::path::Path::new(mark).exists())
        },
    )
}

fn decide_availability(
    browser: bool,
    over_ssh: bool,
    display: bool,
    in_container: impl FnOnce() -> bool,
) -> BrowserAvailability {
    if browser {
        BrowserAvailability::Available
    } else if over_ssh {
        BrowserAvailability::Unavailable("over SSH")
    } else if display {
        BrowserAvailability::Available
    } else if in_container() {
        BrowserAvailability::Unavailable("in a container")
    } else {
        BrowserAvailability::Unavailable("no display")
    }
}

/// The name of the program that would be tried first; `None` leaves it to the system. Starts
/// nothing.
pub fn find_preferred_program() -> Result<Option<String>, Error> {
    let Some(list) = read_browser_variable().or_else(default_commands) else { return Ok(None) };
    let usable = candidates::select_graphical(candidates::parse_commands(&list, ""))?;
    usable
        .iter()
        .find(|one| one.is_installed())
        .map(|one| Some(one.program_name()))
        .ok_or(Error::NotFound)
}

/// Opens the address. Blocks for a tenth of a second at most: a browser that fails later than
/// that is seen by [`start`] and [`Opening::outcome`].
pub fn open_url(url: &Url) -> Result<(), Error> {
    launch_browser(url)?.wait_for_exit(OPEN_TIMEOUT)
}

/// A browser on its way.
pub struct BrowserLaunch(Receiver<Result<(), Error>>);

impl BrowserLaunch {
    /// What became of it within that time; no news is good news. After [`AT_ONCE`] for each
    /// program tried there is none.
    pub fn wait_for_exit(&self, within: Duration) -> Result<(), Error> {
        self.0.recv_timeout(within).unwrap_or(Ok(()))
    }
}

/// Has a thread start the browser, the next in `$BROWSER` when one fails at once, and wait for its
/// end so that no zombie stays. Blocks for nothing.
pub fn launch_browser(url: &Url) -> Result<BrowserLaunch, Error> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Error::UnsupportedScheme);
    }
    let named = read_browser_variable().map(|list| candidates::parse_commands(&list, url.as_str()));
    let (tell, told) = mpsc::channel();
    let url = url.clone();
    let work: Box<dyn FnOnce() + Send> = match named {
        Some(named) => {
            let usable = candidates::select_graphical(named)?;
            Box::new(move || try_commands(&usable, &tell))
        }
        None => Box::new(move || open_with_default(&url, &tell)),
    };
    thread::Builder::new()
        .name("keywright-browser".to_owned())
        .spawn(work)
        .map_err(|_| Error::SpawnFailed)?;
    Ok(BrowserLaunch(told))
}

fn read_browser_variable() -> Option<String> {
    env::var("BROWSER").ok().filter(|list| !list.trim().is_empty())
}

/// What is tried where `$BROWSER` names nothing.
fn default_commands() -> Option<String> {
    let list = if cfg!(any(target_os = "macos", windows)) {
        return None;
    } else if env::var_os("WSL_DISTRO_NAME").is_some() {
        "wslview:rundll32.exe url.dll,FileProtocolHandler:xdg-open"
    } else {
        "xdg-open:gio open:x-www-browser"
    };
    Some(list.to_owned())
}

#[cfg(all(unix, not(target_os = "macos")))]
fn open_with_default(url: &Url, tell: &mpsc::Sender<Result<(), Error>>) {
    try_commands(
        &candidates::parse_commands(&default_commands().unwrap_or_default(), url.as_str()),
        tell,
    );
}

#[cfg(any(target_os = "macos", windows))]
fn open_default(url: &Url, tell: &mpsc::Sender<Result<(), Error>>) {
    let mut options = webbrowser::BrowserOptions::new();
    options.with_suppress_output(true);
    let opened =
        webbrowser::open_browser_with_options(webbrowser::Browser::Default, url.as_str(), &options);
    // Whoever asked may have left.
    let _ = tell.send(opened.map_err(|_| Error::SpawnFailed));
}

/// Tries one after another; the last one's failure is the answer.
fn try_commands(candidates: &[BrowserCommand], tell: &mpsc::Sender<Result<(), Error>>) {
    let mut outcome = Err(Error::NotFound);
    for candidate in candidates {
        let began = Instant::now();
        let Ok(mut child) = spawn_browser(candidate) else {
            continue;
        };
        match child.wait() {
            Ok(status) if !status.success() && began.elapsed() < EARLY_EXIT_WINDOW => {
                outcome = Err(Error::ExitedEarly(candidate.program_name()));
            }
            Ok(_) | Err(_) => {
                outcome = Ok(());
                break;
            }
        }
    }
    // Whoever asked may have left.
    let _ = tell.send(outcome);
}

/// Without our terminal, in a process group of its own, and without the secrets of our environment.
fn spawn_browser(candidate: &BrowserCommand) -> std::io::Result<Child> {
    let mut command = Command::new(&candidate.program);
    command
        .args(&candidate.arguments)
        .env_remove("OPENROUTER_MANAGEMENT_KEY")
        .env_remove("OPENROUTER_API_KEY")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.spawn()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_here_when_named_or_where_windows_can_be_seen() {
        use BrowserAvailability::{Available, Unavailable};
        let cases = [
            // BROWSER, over SSH, display, container
            (true, true, false, true, Available),
            (false, false, true, true, Available),
            (false, true, true, false, Unavailable("over SSH")),
            (false, false, false, false, Unavailable("no display")),
            (false, false, false, true, Unavailable("in a container")),
        ];
        for (browser, over_ssh, display, in_container, expected) in cases {
            assert_eq!(decide_availability(browser, over_ssh, display, || in_container), expected);
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_first_that_does_not_fail_at_once_is_the_browser() {
        let outcome = |list: &str| {
            let (tell, told) = mpsc::channel();
            try_commands(&candidates::parse_commands(list, "http://127.0.0.1/"), &tell);
            told.recv().unwrap()
        };
        assert_eq!(outcome("true"), Ok(()));
        assert_eq!(outcome("no-such-browser:false:true"), Ok(()));
        assert_eq!(outcome("no-such-browser"), Err(Error::NotFound));
        assert_eq!(outcome("false"), Err(Error::ExitedEarly("false".to_owned())));
    }

    #[test]
    fn only_web_addresses_are_opened() {
        let url = Url::parse("file:///etc/passwd").unwrap();
        assert_eq!(open_url(&url), Err(Error::UnsupportedScheme));
    }
}
