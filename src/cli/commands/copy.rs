//! `keywright copy LABEL`: the key on the clipboard, for a while. On X11 and Wayland what is copied
//! goes with the process that copied it, so a second Keywright stays behind and holds it. The key
//! reaches that one on its standard input, never in its arguments or its environment.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};

use clap::Args;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use crate::cli::output::{find_key, print};
use crate::domain::{ApiKey, ErrorKind, UserError};
use crate::platform::clipboard::{self, CLEAR_AFTER, CopyDestination, CopyMethod};
use crate::services::keys;
use crate::services::provision::ServiceContext;

/// Arguments of `copy`.
#[derive(Args, Debug)]
pub struct CopyArgs {
    /// The key's label
    label: String,
    /// Through the terminal, for its clipboard: over SSH this is the way that is taken anyway
    #[arg(long)]
    osc52: bool,
}

/// Arguments of the second Keywright.
#[derive(Args, Debug)]
pub struct HoldClipboardArgs {
    #[arg(long)]
    osc52: bool,
}

/// What the second Keywright reports, a word on a line; anything else is an error in words, and
/// the line after it says what to do.
const HELPER_REPORTS: [&str; 3] = ["clipboard", "tmux", "terminal"];

const fn destination_name(copied: CopyDestination) -> &'static str {
    let [clipboard, tmux, terminal] = HELPER_REPORTS;
    match copied {
        CopyDestination::Clipboard { .. } => clipboard,
        CopyDestination::Tmux => tmux,
        CopyDestination::Terminal => terminal,
    }
}

const fn select_copy_method(osc52: bool) -> CopyMethod {
    if osc52 { CopyMethod::Osc52 } else { CopyMethod::Auto }
}

impl CopyArgs {
    pub(in crate::cli) fn run(&self, services: &ServiceContext) -> Result<(), UserError> {
        let held = find_key(services, &self.label)?;
        let key = keys::load_key(services, &held.label).map_err(|error| error.to_user_error())?;
        let report = if clipboard::is_terminal_copy(select_copy_method(self.osc52)) {
            String::from(destination_name(CopyDestination::Terminal))
        } else {
            self.start_helper(&key)?
        };
        let seconds = CLEAR_AFTER.as_secs();
        let label = &held.label;
        match report.as_str() {
            "clipboard" => {
                print(&format!("copied {label} to the clipboard, clears in {seconds} s\n"))
            }
            "tmux" => print(&format!(
                "{label} is in a buffer of tmux, which sends it to its terminal's clipboard; gone in {seconds} s\n"
            )),
            _ => {
                write_osc52_to_terminal(&key)?;
                print(&format!(
                    "sent {label} to the terminal for its clipboard; it gives no answer, and nothing clears it\n"
                ))
            }
        }
    }

    /// Starts the second Keywright; what it reports, once the key was seen where it went.
    fn start_helper(&self, key: &ApiKey) -> Result<String, UserError> {
        let mut child =
            self.spawn_helper().map_err(|error| copy_error(&error.kind().to_string(), ""))?;
        if let Some(mut stdin) = child.stdin.take() {
            #[expect(clippy::disallowed_methods, reason = "door: copy")]
            // A child that has died already says so below.
            let _ = stdin.write_all(key.expose_secret().as_bytes());
        }
        let mut lines = BufReader::new(
            child
                .stdout
                .take()
                .map_or_else(|| Box::new(io::empty()) as Box<dyn Read>, |stdout| Box::new(stdout)),
        )
        .lines()
        .map_while(Result::ok);
        let report = lines.next().unwrap_or_default();
        if HELPER_REPORTS.contains(&report.as_str()) {
            return Ok(report);
        }
        let advice = lines.next().unwrap_or_default();
        // It has ended, or is about to.
        let _ = child.wait();
        let report = if report.is_empty() { "its helper ended".into() } else { report };
        Err(copy_error(&report, &advice))
    }

    fn spawn_helper(&self) -> io::Result<Child> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("hold-clipboard")
            .args(self.osc52.then_some("--osc52"))
            // It keeps no log: it would be another run's.
            .env_remove("KEYWRIGHT_LOG")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        #[cfg(windows)]
        {
            const DETACHED_PROCESS: u32 = 8;
            std::os::windows::process::CommandExt::creation_flags(&mut command, DETACHED_PROCESS);
        }
        command.spawn()
    }
}

impl HoldClipboardArgs {
    /// Reads the key, copies it, reports, and stays until it was replaced or its time is over.
    pub(in crate::cli) fn run(&self) -> Result<(), UserError> {
        // A session of its own: the end of the terminal is not the end of the copy.
        #[cfg(unix)]
        let _ = rustix::process::setsid();
        let mut text = Zeroizing::new(String::new());
        io::stdin()
            .read_to_string(&mut text)
            .map_err(|error| copy_error(&error.kind().to_string(), ""))?;
        let secret = SecretString::from(text.as_str());
        let held = clipboard::copy_and_wait(
            &secret,
            select_copy_method(self.osc52),
            CLEAR_AFTER,
            |copied| {
                // Nobody may be there to hear it any more.
                let _ = print(&format!("{}\n", destination_name(copied)));
            },
        );
        held.map_err(|error| {
            let _ = print(&format!("{error}\n{}\n", error.advice()));
            copy_error(&error.to_string(), error.advice())
        })
    }
}

fn copy_error(why: &str, advice: &str) -> UserError {
    UserError::new(ErrorKind::Failed, format!("nothing was copied: {why}"), advice)
}

/// Standard output may be a pipe: the sequence goes to the terminal itself.
fn write_osc52_to_terminal(key: &ApiKey) -> Result<(), UserError> {
    #[expect(clippy::disallowed_methods, reason = "door: copy")]
    let sequence = clipboard::osc52_sequence(&SecretString::from(key.expose_secret()));
    let path = if cfg!(windows) { "CONOUT$" } else { "/dev/tty" };
    #[expect(clippy::disallowed_methods, reason = "door: the terminal")]
    std::fs::OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|mut terminal| terminal.write_all(sequence.expose_secret().as_bytes()))
        .map_err(|_| {
            copy_error("there is no terminal to send it to", "keywright get LABEL prints the key")
        })
}
