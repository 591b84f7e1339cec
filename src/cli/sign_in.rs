//! Signing in from the command line: the options for it, the words on standard error meanwhile, the
//! code that a person pastes, and not leaving a key that could not be stored. Must not know: what
//! the key is for.

use std::io::{self, BufRead, IsTerminal};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use clap::Args;
use secrecy::ExposeSecret;
use tokio::sync::{mpsc, watch};

use super::commands::rotate::key_lost_error;
use super::output::{eprintln, find_key, print_error, print_status, print_warning};
use super::prompts::{EchoGuard, disable_prompt_signals, prompt_stdin_line, read_stdin_line};
use crate::domain::{
    AuthCode, ManagementKey, ProvisioningEvent, ProvisioningOutcome, ProvisioningStep, UserError,
};
use crate::platform::browser::{self, BrowserAvailability};
use crate::platform::environment;
use crate::platform::qr::QrImage;
use crate::services::keys;
use crate::services::provision::{self, AuthMethod, ProvisioningControls, ServiceContext};

/// How the person signs in.
#[derive(Args, Debug)]
pub struct SignInArgs {
    /// No callback: open the address anywhere, paste the code it shows
    #[arg(long, conflicts_with = "via_key")]
    no_browser: bool,
    /// Let a key that is held vouch for the new one, where the account allows it
    #[arg(long, value_name = "LABEL")]
    via_key: Option<String>,
    /// Wait for the callback, but open no browser: you open the address
    #[arg(long)]
    no_open: bool,
}

impl SignInArgs {
    /// Whether nothing was asked for: the best way is for us to find.
    pub(super) const fn is_unspecified(&self) -> bool {
        !self.no_browser && !self.no_open && self.via_key.is_none()
    }

    /// The way that was asked for; else the management key, if one is given, cuts the key; else
    /// the one that works here.
    pub(super) fn choose_auth_method(
        &self,
        services: &ServiceContext,
        management: Option<ManagementKey>,
    ) -> Result<AuthMethod, UserError> {
        if let Some(label) = &self.via_key {
            let held = find_key(services, label)?;
            let key =
                keys::load_key(services, &held.label).map_err(|error| error.to_user_error())?;
            let otherwise = if self.no_open {
                AuthMethod::OpenManually
            } else {
                choose_interactive_auth_method(services, false)
            };
            return Ok(AuthMethod::ExistingKey(key, Box::new(otherwise)));
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

/// Whether nobody can consent in a browser here, nor through a tunnel.
pub(super) fn is_browser_unavailable(services: &ServiceContext) -> bool {
    services.callback_port == 0
        && matches!(browser::detect_availability(), BrowserAvailability::Unavailable(_))
}

/// The way to sign in that works here.
pub(super) fn choose_interactive_auth_method(
    services: &ServiceContext,
    say_why: bool,
) -> AuthMethod {
    match browser::detect_availability() {
        BrowserAvailability::Available => AuthMethod::Browser,
        // A fixed port is one that someone forwards: `ssh -L`.
        BrowserAvailability::Unavailable(_) if services.callback_port != 0 => {
            print_ssh_tunnel_command(services);
            AuthMethod::OpenManually
        }
        BrowserAvailability::Unavailable(why) => {
            if say_why {
                print_status(&format!("no browser is started here ({why})"));
            }
            AuthMethod::PasteCode
        }
    }
}

/// A callback on this machine is reached from the person's through a tunnel.
fn print_ssh_tunnel_command(services: &ServiceContext) {
    if let Some(tunnel) = environment::ssh_tunnel_command(services.callback_port) {
        print_status(
            "your browser reaches this machine's port through a tunnel; on your own machine, run:",
        );
        eprintln(&tunnel);
    }
}

/// Walks a journey, with signals as the wish to leave and standard input as the place for a code.
pub(super) async fn run_with_prompts<T>(
    walk: impl AsyncFnOnce(&mut ProvisioningControls, &(dyn Fn(ProvisioningEvent) + Sync)) -> T,
) -> (T, ProvisioningControls) {
    let (cancel, cancelled) = watch::channel(false);
    let (code, pasted) = mpsc::channel(1);
    disable_prompt_signals();
    let left = cancel.clone();
    spawn_signal_handler(move || {
        left.send_replace(true);
    });
    let reading = Arc::new(AtomicBool::new(false));
    // Held here and not by the thread that reads: it may still be reading when the journey ends.
    let quiet = Mutex::new(None);
    let report = |report: ProvisioningEvent| match report {
        ProvisioningEvent::StepStarted(
            ProvisioningStep::AwaitConsent | ProvisioningStep::OpenBrowser,
        ) => {}
        ProvisioningEvent::StepStarted(step) => tracing::debug!(step = step.description(), "began"),
        ProvisioningEvent::Notice(words) => print_status(&words),
        ProvisioningEvent::SignInUrl { url, needs_code: paste } => {
            print_sign_in_address(&url, paste);
            // A reader of an earlier journey may still be waiting: it takes this code, too.
            if paste && !reading.swap(true, Ordering::AcqRel) {
                if let (true, Ok(mut quiet)) = (io::stdin().is_terminal(), quiet.lock()) {
                    *quiet = Some(EchoGuard::new());
                }
                spawn_code_reader(code.clone(), cancel.clone(), Arc::clone(&reading));
            }
        }
    };
    let mut controls = ProvisioningControls { cancel: cancelled, pasted_codes: pasted };
    let result = walk(&mut controls, &report).await;
    drop(quiet);
    (result, controls)
}

/// Someone is there to mend the keychain: a key that could not be stored is kept until they have.
pub(super) async fn retry_store_interactively(
    mut outcome: ProvisioningOutcome,
    controls: &mut ProvisioningControls,
    services: &ServiceContext,
) -> ProvisioningOutcome {
    while let ProvisioningOutcome::NotStored { entry: held, key, error: trouble } = &outcome {
        if !io::stdin().is_terminal() || *controls.cancel.borrow() {
            break;
        }
        print_warning(trouble);
        eprintln("enter tries to store it again, ctrl-c gives up");
        let read = tokio::task::spawn_blocking(|| io::stdin().lock().read_line(&mut String::new()));
        tokio::select! {
            biased;
            _ = controls.cancel.wait_for(|left| *left) => break,
            read = read => if !matches!(read, Ok(Ok(1..))) { break },
        }
        outcome = provision::retry_store(held.clone(), key.clone(), services).await;
    }
    outcome
}

/// Where to sign in; for a phone as well, where the page shows a code and a person looks.
pub(super) fn print_sign_in_address(url: &str, paste: bool) {
    print_status(if paste {
        "open this address in any browser, sign in, and paste the code it shows:"
    } else {
        "sign in at this address:"
    });
    eprintln(url);
    if paste && io::stderr().is_terminal() {
        let (columns, rows) = crossterm::terminal::size().unwrap_or((80, 24));
        match QrImage::encode(url) {
            // The line below it is the prompt's.
            Some(qr) if qr.fits(usize::from(columns), usize::from(rows).saturating_sub(1)) => {
                for row in &qr.lines {
                    // Black on white whatever the colours of the terminal are.
                    eprintln(&format!("\x1b[38;5;16;48;5;231m{row}\x1b[0m"));
                }
            }
            Some(qr) => eprintln(&format!(
                "(its QR code does not fit this terminal: it needs {} columns and {} rows)",
                qr.columns,
                qr.lines.len() + 1
            )),
            None => {}
        }
    }
}

/// Keys of an earlier run that were received just now and are nowhere but here.
pub(super) async fn store_recovered_keys(
    outcomes: Vec<ProvisioningOutcome>,
    services: &ServiceContext,
) -> Result<(), UserError> {
    for outcome in outcomes {
        let (outcome, mut controls) = run_with_prompts(async |_, _| outcome).await;
        if let ProvisioningOutcome::NotStored { entry: held, error: trouble, .. } =
            retry_store_interactively(outcome, &mut controls, services).await
        {
            return Err(key_lost_error(&held, trouble));
        }
    }
    Ok(())
}

/// Calls back for each signal that asks the program to end.
#[cfg(unix)]
pub(super) fn spawn_signal_handler(left: impl Fn() + Send + 'static) {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    let Ok(mut signals) = signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM])
    else {
        return;
    };
    thread::spawn(move || {
        for _ in signals.forever() {
            left();
        }
    });
}

#[cfg(not(unix))]
pub(super) fn heed_signals(left: impl Fn() + Send + 'static) {
    // Nothing is heeded there: the system ends the program. What was to be told lives on, or the
    // journey would take its end for a wish.
    std::mem::forget(left);
}

/// Reads a code on a thread of its own, which is left behind when the journey ends without one.
fn spawn_code_reader(
    code: mpsc::Sender<AuthCode>,
    cancel: watch::Sender<bool>,
    reading: Arc<AtomicBool>,
) {
    thread::spawn(move || {
        let person = io::stdin().is_terminal();
        loop {
            let read = if person { prompt_stdin_line("code: ") } else { read_stdin_line() };
            let Some(text) = read else { break };
            #[expect(clippy::disallowed_methods, reason = "door: a code that was pasted")]
            match AuthCode::parse(text.expose_secret()) {
                Ok(read) => {
                    reading.store(false, Ordering::Release);
                    // The journey may have ended meanwhile.
                    let _ = code.blocking_send(read);
                    return;
                }
                Err(problem) => print_error(problem),
            }
            if !person {
                break;
            }
        }
        print_error("no code was given");
        cancel.send_replace(true);
    });
}
