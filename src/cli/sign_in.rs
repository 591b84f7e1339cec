//! Signing in from the command line: its options and its prompts.

use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use clap::Args;
use secrecy::ExposeSecret;
use tokio::sync::{mpsc, watch};

use super::output::{eprintln, find_key, print_error, print_status};
use super::prompts::{EchoGuard, prompt_stdin_line, read_stdin_line};
use super::signals::interruptible_controls;
use crate::domain::{AuthCode, ManagementKey, ProvisioningEvent, ProvisioningStep, UserError};
use crate::platform::browser::{self, BrowserAvailability};
use crate::platform::environment;
use crate::platform::qr::QrImage;
use crate::services::keys;
use crate::services::provision::{AuthMethod, ProvisioningControls, ServiceContext};

/// Options that choose how to sign in.
#[derive(Args, Debug)]
pub struct SignInArgs {
    /// Sign in without a callback: open the address in any browser and paste the code it shows
    #[arg(long, conflicts_with = "via_key")]
    no_browser: bool,
    /// Authorise with this stored key, where the account allows it
    #[arg(long, value_name = "LABEL")]
    via_key: Option<String>,
    /// Wait for the callback, but do not open a browser: open the address yourself
    #[arg(long)]
    no_open: bool,
}

impl SignInArgs {
    /// Whether no option was given, so that the best available method is chosen.
    pub(super) const fn is_unspecified(&self) -> bool {
        !self.no_browser && !self.no_open && self.via_key.is_none()
    }

    /// Returns the requested method; else the management key, if one is given; else the method
    /// that works on this machine.
    pub(super) fn choose_auth_method(
        &self,
        services: &ServiceContext,
        management: Option<ManagementKey>,
    ) -> Result<AuthMethod, UserError> {
        if let Some(label) = &self.via_key {
            let stored_key = find_key(services, label)?;
            let key = keys::load_key(services, &stored_key.label)
                .map_err(|error| error.to_user_error())?;
            let fallback = if self.no_open {
                AuthMethod::OpenManually
            } else {
                choose_interactive_auth_method(services, false)
            };
            return Ok(AuthMethod::ExistingKey(key, Box::new(fallback)));
        }
        if self.no_browser {
            return Ok(AuthMethod::PasteCode);
        }
        if self.no_open {
            print_ssh_tunnel_command(services);
            return Ok(AuthMethod::OpenManually);
        }
        Ok(management.map_or_else(
            || choose_interactive_auth_method(services, true),
            AuthMethod::ManagementKey,
        ))
    }
}

/// Whether the callback cannot be reached: no browser here, and no fixed port for a tunnel.
pub(super) fn is_browser_unavailable(services: &ServiceContext) -> bool {
    let browser = browser::detect_availability();
    matches!(AuthMethod::interactive(browser, services.callback_port), AuthMethod::PasteCode)
}

/// Returns the interactive method that works on this machine.
pub(super) fn choose_interactive_auth_method(
    services: &ServiceContext,
    print_reason: bool,
) -> AuthMethod {
    let browser = browser::detect_availability();
    let method = AuthMethod::interactive(browser, services.callback_port);
    match (&method, browser) {
        (AuthMethod::OpenManually, _) => print_ssh_tunnel_command(services),
        (AuthMethod::PasteCode, BrowserAvailability::Unavailable(reason)) if print_reason => {
            print_status(&format!("no browser is available ({reason})"));
        }
        _ => {}
    }
    method
}

/// Prints the command that makes the callback port reachable from the user's own machine.
fn print_ssh_tunnel_command(services: &ServiceContext) {
    if let Some(tunnel) = environment::ssh_tunnel_command(services.callback_port) {
        print_status("to forward the callback port to this machine, run this on your own machine:");
        eprintln(&tunnel);
    }
}

/// Runs `work` with controls: signals cancel it, and codes are read from standard input.
pub(super) async fn run_with_prompts<T>(
    work: impl AsyncFnOnce(&mut ProvisioningControls, &(dyn Fn(ProvisioningEvent) + Sync)) -> T,
) -> (T, ProvisioningControls) {
    let (mut controls, cancel, codes) = interruptible_controls();
    let is_reading = Arc::new(AtomicBool::new(false));
    // Owned here and not by the reader thread, which may still be reading when the work has ended.
    let echo_guard = Mutex::new(None);
    let report = |event: ProvisioningEvent| match event {
        ProvisioningEvent::StepStarted(
            ProvisioningStep::AwaitConsent | ProvisioningStep::OpenBrowser,
        ) => {}
        ProvisioningEvent::StepStarted(step) => {
            tracing::debug!(step = step.description(), "step started");
        }
        ProvisioningEvent::Notice(text) => print_status(&text),
        ProvisioningEvent::SignInUrl { url, needs_code } => {
            print_sign_in_address(&url, needs_code);
            // A reader of an earlier attempt may still be waiting; it takes this code as well.
            if needs_code && !is_reading.swap(true, Ordering::AcqRel) {
                if let (true, Ok(mut echo_guard)) = (io::stdin().is_terminal(), echo_guard.lock()) {
                    *echo_guard = Some(EchoGuard::new());
                }
                spawn_code_reader(codes.clone(), cancel.clone(), Arc::clone(&is_reading));
            }
        }
    };
    let result = work(&mut controls, &report).await;
    drop(echo_guard);
    (result, controls)
}

/// Prints the sign-in address. Where a code is pasted, also prints it as a QR code on a terminal.
pub(super) fn print_sign_in_address(url: &str, needs_code: bool) {
    print_status(if needs_code {
        "open this address in any browser, sign in, and paste the code it shows:"
    } else {
        "sign in at this address:"
    });
    eprintln(url);
    if needs_code && io::stderr().is_terminal() {
        let (columns, rows) = crossterm::terminal::size().unwrap_or((80, 24));
        match QrImage::encode(url) {
            // The prompt needs the line below the code.
            Some(qr) if qr.fits(usize::from(columns), usize::from(rows).saturating_sub(1)) => {
                for row in &qr.lines {
                    // Black on white, whatever colours the terminal uses.
                    eprintln(&format!("\x1b[38;5;16;48;5;231m{row}\x1b[0m"));
                }
            }
            Some(qr) => eprintln(&format!(
                "(the QR code does not fit this terminal: it needs {} columns and {} rows)",
                qr.columns,
                qr.lines.len() + 1
            )),
            None => {}
        }
    }
}

/// Reads a code on a separate thread. The thread keeps running when the work ends without a code.
fn spawn_code_reader(
    codes: mpsc::Sender<AuthCode>,
    cancel: watch::Sender<bool>,
    is_reading: Arc<AtomicBool>,
) {
    thread::spawn(move || {
        let is_terminal = io::stdin().is_terminal();
        loop {
            let read = if is_terminal { prompt_stdin_line("code: ") } else { read_stdin_line() };
            let Some(text) = read else { break };
            #[expect(clippy::disallowed_methods, reason = "door: a code that was pasted")]
            match AuthCode::parse(text.expose_secret()) {
                Ok(parsed) => {
                    is_reading.store(false, Ordering::Release);
                    // The receiver is gone where the work has ended.
                    let _ = codes.blocking_send(parsed);
                    return;
                }
                Err(problem) => print_error(problem),
            }
            if !is_terminal {
                break;
            }
        }
        print_error("no code was entered");
        cancel.send_replace(true);
    });
}
