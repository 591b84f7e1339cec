//! `keywright copy`: copies a key to the clipboard for a limited time.
//!
//! On X11 and Wayland the clipboard's contents are lost when the process that copied them ends. So a
//! helper process runs in the background. It receives the key on its standard input, never in its
//! arguments or environment.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use clap::Args;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use crate::cli::other_account::warn_about_other_accounts;
use crate::cli::output::{find_key, print, print_result};
use crate::cli::signals::add_signal_handler;
use crate::domain::{ApiKey, UserError, io_error_text};
use crate::platform::child_process::remove_secret_variables;
use crate::platform::clipboard::{self, CLEAR_AFTER, CopyDestination, CopyMethod};
use crate::services::keys;
use crate::services::provision::ServiceContext;

/// Arguments of `copy`.
#[derive(Args, Debug)]
pub struct CopyArgs {
    /// The key's label
    label: String,
    /// Copy through the terminal with the OSC 52 escape sequence; the default over SSH
    #[arg(long)]
    osc52: bool,
}

/// Arguments of the helper process.
#[derive(Args, Debug)]
pub struct HoldClipboardArgs {
    #[arg(long)]
    osc52: bool,
}

/// The helper process prints two lines. The first is `COPIED` if it copied the key, `THROUGH_TERMINAL`
/// if the caller must send it to the terminal, or an error message. The second describes the
/// destination, or is the advice of the error.
const COPIED: &str = "copied";
const THROUGH_TERMINAL: &str = "terminal";

const fn select_copy_method(osc52: bool) -> CopyMethod {
    if osc52 { CopyMethod::Osc52 } else { CopyMethod::Auto }
}

impl CopyArgs {
    pub(in crate::cli) fn run(&self, services: &ServiceContext) -> Result<(), UserError> {
        let stored_key = find_key(services, &self.label)?;
        let key = keys::load_key(services, &stored_key.label)?;
        warn_about_other_accounts([&stored_key]);
        let label = &stored_key.label;
        let description = if clipboard::is_terminal_copy(select_copy_method(self.osc52)) {
            None
        } else {
            self.start_helper(&key)?
        };
        if let Some(description) = description {
            return print_result(&format!("copied {label} {description}\n"));
        }
        write_osc52_to_terminal(&key)?;
        print_result(&format!("sent {label} {}\n", CopyDestination::Terminal))
    }

    /// Starts the helper process and returns its description of where the key was copied to, or `None`
    /// where it must go through the terminal.
    fn start_helper(&self, key: &ApiKey) -> Result<Option<String>, UserError> {
        let mut child =
            self.spawn_helper().map_err(|error| copy_error(&io_error_text(&error), ""))?;
        if let Some(mut stdin) = child.stdin.take() {
            #[expect(clippy::disallowed_methods, reason = "passes the key to the helper process")]
            // A failed write means that the helper has ended, which is reported below.
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
        let details = lines.next().unwrap_or_default();
        match report.as_str() {
            COPIED => return Ok(Some(details)),
            THROUGH_TERMINAL => return Ok(None),
            _ => {}
        }
        let _ = child.wait();
        let report = if report.is_empty() { "the helper process ended".into() } else { report };
        Err(copy_error(&report, &details))
    }

    fn spawn_helper(&self) -> io::Result<Child> {
        let mut command = Command::new(std::env::current_exe()?);
        remove_secret_variables(&mut command)
            .arg("hold-clipboard")
            .args(self.osc52.then_some("--osc52"))
            // Two processes must not write to one log.
            .env_remove("KEYWRIGHT_LOG")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        #[cfg(windows)]
        {
            const DETACHED_PROCESS: u32 = 8;
            std::os::windows::process::CommandExt::creation_flags(&mut command, DETACHED_PROCESS);
            // Who reads the output of this process must not wait for the helper process.
            crate::platform::standard_streams::stop_inheritance();
        }
        command.spawn()
    }
}

impl HoldClipboardArgs {
    /// Copies the key, prints a report, and keeps running until the clipboard is replaced or cleared.
    pub(in crate::cli) fn run(&self) -> Result<(), UserError> {
        // In a session of its own the helper survives the end of the terminal.
        #[cfg(unix)]
        let _ = rustix::process::setsid();
        let mut text = Zeroizing::new(String::new());
        io::stdin()
            .read_to_string(&mut text)
            .map_err(|error| copy_error(&io_error_text(&error), ""))?;
        let secret = SecretString::from(text.as_str());
        // A signal ends the waiting, so that the key is cleared first.
        let (stop_sender, stop) = mpsc::channel();
        add_signal_handler(move || stop_sender.send(()).is_ok());
        let copied = clipboard::copy_and_wait(
            &secret,
            select_copy_method(self.osc52),
            CLEAR_AFTER,
            &stop,
            |destination| {
                let word = match destination {
                    CopyDestination::Terminal => THROUGH_TERMINAL,
                    CopyDestination::Clipboard { .. } | CopyDestination::Tmux(_) => COPIED,
                };
                // The parent process may have ended.
                let _ = print(&format!("{word}\n{destination}\n"));
            },
        );
        copied.map_err(|error| {
            let _ = print(&format!("{error}\n{}\n", error.advice()));
            copy_error(&error.to_string(), error.advice())
        })
    }
}

fn copy_error(reason: &str, advice: &str) -> UserError {
    UserError::failed(format!("nothing was copied: {reason}"), advice)
}

/// Writes the key's OSC 52 sequence to the terminal itself, since standard output may be a pipe.
fn write_osc52_to_terminal(key: &ApiKey) -> Result<(), UserError> {
    clipboard::check_terminal().map_err(|error| copy_error(&error.to_string(), error.advice()))?;
    #[expect(clippy::disallowed_methods, reason = "copies the key")]
    let sequence = clipboard::osc52_sequence(&SecretString::from(key.expose_secret()));
    let path = if cfg!(windows) { "CONOUT$" } else { "/dev/tty" };
    #[expect(clippy::disallowed_methods, reason = "writes the key to the terminal")]
    std::fs::OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|mut terminal| terminal.write_all(sequence.expose_secret().as_bytes()))
        .map_err(|_| {
            copy_error("there is no terminal", "print the key instead: keywright get LABEL")
        })
}
