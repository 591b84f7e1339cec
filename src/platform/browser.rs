//! Opens a URL in the user's browser. Callers also print the URL, because a started browser does not
//! prove that the page is shown.
//!
//! On Linux this module starts the programs itself. The `webbrowser` crate gives the terminal to
//! text browsers, keeps the process group, and accepts `false` as a browser.

mod candidates;

use std::env;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use url::Url;

use crate::platform::child_process::remove_secret_variables;
use crate::platform::environment;
use candidates::BrowserCommand;

/// After a program that failed within this time, the next one is tried.
pub const EARLY_EXIT_WINDOW: Duration = Duration::from_millis(500);

/// A program that fails within this time did not show the page. One that ends later was closed. This is
/// also the longest time that [`open_url`] blocks.
const FAILURE_WINDOW: Duration = Duration::from_secs(10);

/// The time within which most programs that cannot be started have failed. Nothing waits longer before it
/// goes on.
pub const OPEN_TIMEOUT: Duration = Duration::from_millis(100);

/// Whether the user can see a browser.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BrowserAvailability {
    /// A browser is expected to work.
    Available,
    /// The reason, for use in a sentence: "no display", "over SSH", "in a container".
    Unavailable(&'static str),
}

/// The reason why no browser was opened.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `$BROWSER` contains only text browsers, which need this terminal.
    #[error("the browser {0} runs in the terminal, which Keywright is using")]
    TextBrowser(String),
    /// No browser program is installed.
    #[error("no browser was found")]
    NotFound,
    /// The program failed immediately.
    #[error("the browser {0} exited immediately with an error")]
    ExitedEarly(String),
    /// The program failed after a few seconds.
    #[error("the browser {0} exited with an error")]
    Exited(String),
    /// The URL is not an http or https URL.
    #[error("the address is not an http or https URL")]
    UnsupportedScheme,
    /// The system could not start a thread or a program.
    #[error("the browser could not be started")]
    SpawnFailed,
}

impl Error {
    /// Returns what to do now.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::TextBrowser(_) => {
                "open the address in another terminal or on another device, or set BROWSER to a \
                 graphical browser"
            }
            Self::NotFound | Self::ExitedEarly(_) | Self::Exited(_) | Self::SpawnFailed => {
                "open the address yourself, or set BROWSER to the command of a browser"
            }
            Self::UnsupportedScheme => "check the address given with --server",
        }
    }
}

/// Returns whether a browser is expected to work. Starts nothing.
pub fn detect_availability() -> BrowserAvailability {
    let set = read_browser_variable();
    let commands = set.as_deref().map(|list| candidates::parse_commands(list, ""));
    let commands = match commands.map(candidates::select_graphical) {
        Some(Err(_)) => return BrowserAvailability::Unavailable("BROWSER names a text browser"),
        Some(Ok(commands)) => commands,
        None => Vec::new(),
    };
    let has_display = environment::has_display() || env::var_os("WSL_DISTRO_NAME").is_some();
    decide_availability(
        commands.iter().any(|command| has_display || !command.is_dispatcher()),
        environment::is_ssh_session(),
        has_display,
        || {
            ["/.dockerenv", "/run/.containerenv"]
                .iter()
                .any(|marker| std::path::Path::new(marker).exists())
        },
    )
}

fn decide_availability(
    browser_set: bool,
    over_ssh: bool,
    display: bool,
    in_container: impl FnOnce() -> bool,
) -> BrowserAvailability {
    if browser_set {
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

/// Returns the name of the program that is tried first, or `None` where the system chooses. Starts
/// nothing.
pub fn find_preferred_program() -> Result<Option<String>, Error> {
    let Some(list) = read_browser_variable().or_else(default_commands) else { return Ok(None) };
    let commands = candidates::select_graphical(candidates::parse_commands(&list, ""))?;
    commands
        .iter()
        .find(|command| command.is_installed())
        .map(|command| Some(command.program_name()))
        .ok_or(Error::NotFound)
}

/// Opens the URL. Blocks until the program ends, for at most ten seconds.
pub fn open_url(url: &Url) -> Result<(), Error> {
    launch_browser(url)?.wait_for_exit(FAILURE_WINDOW)
}

/// A browser that is being started.
pub struct BrowserLaunch(Receiver<Result<(), Error>>);

impl BrowserLaunch {
    /// Waits for an error for at most `timeout`. No result within that time counts as success.
    pub fn wait_for_exit(&self, timeout: Duration) -> Result<(), Error> {
        self.0.recv_timeout(timeout).unwrap_or(Ok(()))
    }
}

/// Starts the browser on a thread, which tries the commands of `$BROWSER` in order until one does not
/// fail immediately and then waits for its exit. Does not block.
pub fn launch_browser(url: &Url) -> Result<BrowserLaunch, Error> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Error::UnsupportedScheme);
    }
    let commands =
        read_browser_variable().map(|list| candidates::parse_commands(&list, url.as_str()));
    let (result_sender, result_receiver) = mpsc::channel();
    let url = url.clone();
    let task: Box<dyn FnOnce() + Send> = match commands {
        Some(commands) => {
            let commands = candidates::select_graphical(commands)?;
            Box::new(move || try_commands(&commands, &result_sender))
        }
        None => Box::new(move || open_with_default(&url, &result_sender)),
    };
    thread::Builder::new()
        .name("keywright-browser".to_owned())
        .spawn(task)
        .map_err(|_| Error::SpawnFailed)?;
    Ok(BrowserLaunch(result_receiver))
}

fn read_browser_variable() -> Option<String> {
    env::var("BROWSER").ok().filter(|list| !list.trim().is_empty())
}

/// Returns the commands to try if `$BROWSER` is not set. `None` where the system chooses.
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
fn open_with_default(url: &Url, result_sender: &mpsc::Sender<Result<(), Error>>) {
    try_commands(
        &candidates::parse_commands(&default_commands().unwrap_or_default(), url.as_str()),
        result_sender,
    );
}

#[cfg(any(target_os = "macos", windows))]
fn open_with_default(url: &Url, result_sender: &mpsc::Sender<Result<(), Error>>) {
    let mut options = webbrowser::BrowserOptions::new();
    options.with_suppress_output(true);
    let opened =
        webbrowser::open_browser_with_options(webbrowser::Browser::Default, url.as_str(), &options);
    // Fails if the caller did not wait.
    let _ = result_sender.send(opened.map_err(|_| Error::SpawnFailed));
}

/// Tries the commands in order and sends the last error.
fn try_commands(candidates: &[BrowserCommand], result_sender: &mpsc::Sender<Result<(), Error>>) {
    let mut result = Err(Error::NotFound);
    for candidate in candidates {
        let started = Instant::now();
        let Ok(mut child) = spawn_browser(candidate) else {
            continue;
        };
        match child.wait() {
            Ok(status) if !status.success() && started.elapsed() < EARLY_EXIT_WINDOW => {
                result = Err(Error::ExitedEarly(candidate.program_name()));
            }
            Ok(status) if !status.success() => {
                result = Err(Error::Exited(candidate.program_name()));
                break;
            }
            Ok(_) | Err(_) => {
                result = Ok(());
                break;
            }
        }
    }
    // Fails if the caller did not wait.
    let _ = result_sender.send(result);
}

/// Starts the command without access to the terminal, in a process group of its own, and without the
/// keys in the environment.
fn spawn_browser(candidate: &BrowserCommand) -> std::io::Result<Child> {
    let mut command = Command::new(&candidate.program);
    remove_secret_variables(&mut command)
        .args(&candidate.arguments)
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
    fn availability_depends_on_browser_ssh_and_display() {
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
    fn commands_that_fail_immediately_are_skipped() {
        let outcome = |list: &str| {
            let (result_sender, result_receiver) = mpsc::channel();
            try_commands(&candidates::parse_commands(list, "http://127.0.0.1/"), &result_sender);
            result_receiver.recv().unwrap()
        };
        assert_eq!(outcome("true"), Ok(()));
        assert_eq!(outcome("no-such-browser:false:true"), Ok(()));
        assert_eq!(outcome("no-such-browser"), Err(Error::NotFound));
        assert_eq!(outcome("false"), Err(Error::ExitedEarly("false".to_owned())));
    }

    #[cfg(unix)]
    #[test]
    fn program_that_fails_later_is_reported_and_no_other_is_tried() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("slow");
        std::fs::write(&program, "#!/bin/sh\nsleep 0.6\nexit 3\n").unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        let list = format!("{}:true", program.display());
        let (result_sender, result_receiver) = mpsc::channel();
        try_commands(&candidates::parse_commands(&list, "http://127.0.0.1/"), &result_sender);
        assert_eq!(result_receiver.recv().unwrap(), Err(Error::Exited("slow".to_owned())));
    }

    #[test]
    fn only_http_and_https_urls_are_opened() {
        let url = Url::parse("file:///etc/passwd").unwrap();
        assert_eq!(open_url(&url), Err(Error::UnsupportedScheme));
    }
}
