//! Signing in from the command line: its options and its prompts.

use std::io::{self, IsTerminal};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use secrecy::ExposeSecret;
use tokio::sync::{mpsc, watch};

use super::other_account::OtherAccountArgs;
use super::output::{eprint, eprintln, find_key, print_error, print_status};
use super::prompts::{EchoGuard, StdinWait, StdinWaitEnd, read_prompted_line, read_stdin_line};
use super::signals::interruptible_controls;
use crate::domain::{
    AUTH_CODE_LIFETIME, AuthorizationResponse, ManagementKey, ProvisioningEvent, ProvisioningStep,
    UserError,
};
use crate::platform::browser::{self, BrowserAvailability};
use crate::platform::environment;
use crate::platform::qr::QrImage;
use crate::services::keys;
use crate::services::provision::{AuthMethod, ProvisioningControls, ServiceContext};

/// Options that choose how to sign in.
#[derive(Args, Debug)]
pub struct SignInArgs {
    /// Sign in without a callback: open the address in any browser and paste the code it shows, or the address with it
    #[arg(long, conflicts_with = "via_key")]
    no_browser: bool,
    /// Authorise with this stored key, where the account allows it
    #[arg(long, value_name = "LABEL")]
    via_key: Option<String>,
    /// Wait for the callback, but do not open a browser: open the address yourself, or paste the one to which it leads
    #[arg(long)]
    no_open: bool,
    /// Whether keys of another account are accepted.
    #[command(flatten)]
    pub(super) other_account: OtherAccountArgs,
}

impl SignInArgs {
    /// Returns whether no option was given, so that the best available method is chosen.
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
            let key = keys::load_authorizing_key(services, &stored_key.label)?;
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

/// Returns whether the callback cannot be reached: no browser here, and no fixed port for a tunnel.
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

/// How often the command line says that it still waits for consent.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(60);

/// Runs `work` with controls: signals cancel it, and codes and addresses are read from standard
/// input where the user signs in by hand (`opens_manually`) or the page shows a code.
pub(super) async fn run_with_prompts<T>(
    opens_manually: bool,
    work: impl AsyncFnOnce(&mut ProvisioningControls, &(dyn Fn(ProvisioningEvent) + Sync)) -> T,
) -> (T, ProvisioningControls) {
    let (mut controls, cancel, codes) = interruptible_controls();
    let reader = CodeReader { codes, cancel, sign_in: Arc::default() };
    // Owned here and not by the reader's thread, which may still be reading when the work has ended.
    let reading: Mutex<Option<Reading>> = Mutex::new(None);
    let report = |event: ProvisioningEvent| match event {
        ProvisioningEvent::StepStarted(step) => {
            tracing::debug!(step = step.description(), "step started");
            if step > ProvisioningStep::AwaitConsent {
                reader.lock_sign_in().waiting_since = None;
            }
        }
        ProvisioningEvent::Notice(text) | ProvisioningEvent::BrowserFailed(text) => {
            print_status(&text);
        }
        ProvisioningEvent::SignInUrl { url, needs_code } => {
            print_sign_in_address(&url, needs_code);
            let was_reading = {
                let mut sign_in = reader.lock_sign_in();
                let is_reading = sign_in.is_reading;
                let waiting_since = Some(Instant::now());
                sign_in.is_reading |= needs_code || opens_manually;
                *sign_in = PromptedSignIn { url, needs_code, waiting_since, ..*sign_in };
                is_reading
            };
            if opens_manually && !needs_code {
                print_status("or paste the address to which the page leads, and press enter");
            }
            // A reader of an earlier attempt may still be waiting; it takes this code as well.
            if !was_reading && (needs_code || opens_manually) {
                *reading.lock().unwrap_or_else(PoisonError::into_inner) = reader.start();
            }
        }
    };
    let mut progress = tokio::time::interval(PROGRESS_INTERVAL);
    let result = {
        let mut work = pin!(work(&mut controls, &report));
        loop {
            tokio::select! {
                result = &mut work => break result,
                _ = progress.tick() => reader.lock_sign_in().print_progress(),
            }
        }
    };
    drop(reading);
    (result, controls)
}

/// A thread that reads codes, and the terminal without echo.
struct Reading {
    _end: StdinWaitEnd,
    _echo_guard: Option<EchoGuard>,
}

/// The sign-in for which the user was prompted last.
#[derive(Default)]
struct PromptedSignIn {
    url: String,
    needs_code: bool,
    /// Whether a thread reads standard input.
    is_reading: bool,
    /// Since when consent is awaited.
    waiting_since: Option<Instant>,
}

impl PromptedSignIn {
    /// Says that the program still waits. A prompt for a code says so itself.
    fn print_progress(&self) {
        let Some(since) = self.waiting_since.filter(|_| !self.needs_code) else { return };
        let left = AUTH_CODE_LIFETIME.unsigned_abs().saturating_sub(since.elapsed());
        if since.elapsed() >= PROGRESS_INTERVAL / 2 {
            let minutes = left.as_secs().div_ceil(60);
            print_status(&format!("still waiting for your consent, {minutes} min left"));
        }
    }
}

/// Reads codes and addresses that the user pastes.
#[derive(Clone)]
struct CodeReader {
    codes: mpsc::Sender<AuthorizationResponse>,
    cancel: watch::Sender<bool>,
    sign_in: Arc<Mutex<PromptedSignIn>>,
}

impl CodeReader {
    fn lock_sign_in(&self) -> MutexGuard<'_, PromptedSignIn> {
        self.sign_in.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts to read on a separate thread.
    fn start(&self) -> Option<Reading> {
        let (wait, end) = StdinWait::new().ok()?;
        let echo_guard = io::stdin().is_terminal().then(EchoGuard::new);
        let reader = self.clone();
        thread::spawn(move || reader.read_until_code(&wait));
        Some(Reading { _end: end, _echo_guard: echo_guard })
    }

    fn read_until_code(&self, wait: &StdinWait) {
        let is_terminal = io::stdin().is_terminal();
        loop {
            let prompt = if self.lock_sign_in().needs_code { "code: " } else { "" };
            if is_terminal {
                eprint(prompt);
                // A pipe is read by nothing else, and may contain several lines.
                if !wait.wait() {
                    eprint(if prompt.is_empty() { "" } else { "\n" });
                    return;
                }
            }
            let read = if is_terminal { read_prompted_line() } else { read_stdin_line() };
            let Some(text) = read else { break };
            #[expect(clippy::disallowed_methods, reason = "parses a pasted code")]
            let text = text.expose_secret();
            if text.is_empty() {
                continue;
            }
            let mut sign_in = self.lock_sign_in();
            match AuthorizationResponse::parse_pasted(text, &sign_in.url) {
                Ok(response) => {
                    sign_in.is_reading = false;
                    drop(sign_in);
                    // The receiver is gone where the work has ended.
                    let _ = self.codes.blocking_send(response);
                    return;
                }
                Err(problem) => print_error(problem),
            }
        }
        let mut sign_in = self.lock_sign_in();
        sign_in.is_reading = false;
        // With a callback the answer can still arrive there.
        if sign_in.needs_code {
            print_error("no code was entered");
            self.cancel.send_replace(true);
        }
    }
}

/// Prints the sign-in address. Where a code is pasted on a terminal, a QR code comes first, if it does not
/// push the address off the screen.
pub(super) fn print_sign_in_address(url: &str, needs_code: bool) {
    if needs_code && io::stderr().is_terminal() {
        let (columns, rows) = crossterm::terminal::size().unwrap_or((80, 24));
        let (columns, rows) = (usize::from(columns).max(1), usize::from(rows));
        print_qr_code(url, columns, rows);
    }
    print_status(if needs_code {
        "open this address in any browser, sign in, and paste the code it shows:"
    } else {
        "sign in at this address:"
    });
    eprintln(url);
    if !needs_code {
        print_status("waiting for your consent there, for at most ten minutes; ctrl-c stops");
    }
}

fn print_qr_code(url: &str, columns: usize, rows: usize) {
    let Some(qr) = QrImage::encode(url) else { return };
    // The sentence of at most 80 columns, the address and the prompt.
    let below = 80_usize.div_ceil(columns) + url.len().div_ceil(columns) + 1;
    if qr.fits(columns, rows.saturating_sub(below)) {
        for row in &qr.lines {
            // Black on white, whatever colours the terminal uses.
            eprintln(&format!("\x1b[38;5;16;48;5;231m{row}\x1b[0m"));
        }
    } else {
        eprintln(&format!(
            "(the QR code does not fit this terminal: it needs {} columns and {} rows)",
            qr.columns,
            qr.lines.len() + below
        ));
    }
}
