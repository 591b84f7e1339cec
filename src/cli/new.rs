//! `keywright new LABEL`: cuts a key. The journey is [`provision::run`]'s; here are its arguments,
//! its words on standard error, and the code that a person pastes.

use std::io::{self, BufRead, IsTerminal};
use std::sync::Mutex;
use std::thread;

use clap::Args;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString, zeroize::Zeroize};
use tokio::sync::{mpsc, watch};

use super::{json, print, usage};
use crate::browser::{self, Reach};
use crate::key::{
    ApiKey, AuthCode, Expiry, HeldKey, KeyRequest, Label, Outcome, Report, Reset, Step, Trouble,
    Usd,
};
use crate::provision::{self, Controls, Services, Way};

/// Arguments of `new`.
#[derive(Args, Debug)]
pub struct New {
    /// The key's name, such as the tool that will use it: 1 to 100 characters, unique here
    label: String,
    /// The most it may spend, in USD, or none
    #[arg(long, value_name = "USD", default_value = "none")]
    limit: String,
    /// When the limit starts anew: daily, weekly, monthly or never; always at 00:00 UTC
    #[arg(long, value_name = "INTERVAL", default_value = "never")]
    reset: String,
    /// When it stops working: 30d, 12h, 6w, 3mo, 1y, 2027-12-31, 2027-12-31T23:59:59Z or never
    #[arg(long, value_name = "WHEN", default_value = "never")]
    expires: String,
    /// The workspace it belongs to, by its UUID [default: the account's default one]
    #[arg(long, value_name = "UUID")]
    workspace: Option<String>,
    /// No callback: open the address anywhere, paste the code it shows
    #[arg(long, conflicts_with_all = ["via_key", "no_open"])]
    no_browser: bool,
    /// Let a key that is held vouch for the new one, where the account allows it
    #[arg(long, value_name = "LABEL", conflicts_with = "no_open")]
    via_key: Option<String>,
    /// Wait for the callback, but open no browser: you open the address
    #[arg(long)]
    no_open: bool,
    /// As one JSON document
    #[arg(long)]
    pub(super) json: bool,
    /// Put the key itself into the JSON document
    #[arg(long, requires = "json")]
    print_key: bool,
}

impl New {
    pub(super) fn run(&self, services: &Services) -> Result<(), Trouble> {
        let request = self.request()?;
        let way = self.way(services)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(
            |error| Trouble {
                message: format!("the program cannot wait for sockets: {}", error.kind()),
                advice: "no key was issued and nothing was spent".into(),
                code: 1,
            },
        )?;
        let outcome = runtime.block_on(journey(&request, way, services));
        // A keychain that hangs is not waited for.
        runtime.shutdown_background();
        match outcome {
            Outcome::Stored { held, key, note } => self.stored(&held, &key, note, services),
            Outcome::NotStored { held, key, trouble } => self.not_stored(&held, &key, trouble),
            Outcome::Failed(trouble) => Err(trouble),
        }
    }

    fn request(&self) -> Result<KeyRequest, Trouble> {
        const NOTHING: &str = "nothing was sent";
        let wrong = |option: &str, problem: &dyn std::fmt::Display| {
            usage(format!("{option}: {problem}"), NOTHING)
        };
        let request = KeyRequest {
            label: self.label.parse::<Label>().map_err(|problem| wrong("LABEL", &problem))?,
            limit: Usd::parse_limit(&self.limit).map_err(|problem| wrong("--limit", &problem))?,
            reset: Reset::parse(&self.reset).map_err(|problem| wrong("--reset", &problem))?,
            expiry: Expiry::parse(&self.expires, Timestamp::now())
                .map_err(|problem| wrong("--expires", &problem))?,
            workspace: self.workspace.clone(),
        };
        request.check().map_err(|problem| usage(problem, NOTHING))?;
        Ok(request)
    }

    fn way(&self, services: &Services) -> Result<Way, Trouble> {
        if let Some(label) = &self.via_key {
            let held = super::find(services, label)?;
            let slot = services.slot(held.label.as_str());
            let secret =
                services.vault.get(&slot, services.patience).map_err(|error| error.trouble())?;
            #[expect(clippy::disallowed_methods, reason = "door: the vault")]
            return Ok(Way::Key(ApiKey::from(secret.expose_secret().to_owned())));
        }
        Ok(match browser::reach() {
            _ if self.no_browser => Way::Paste,
            _ if self.no_open => Way::NoOpen,
            Reach::Here => Way::Browser,
            // A fixed port is one that someone forwards: `ssh -L`.
            Reach::NotHere(_) if services.callback_port != 0 => Way::NoOpen,
            Reach::NotHere(why) => {
                say(&format!("no browser is started here ({why})"));
                Way::Paste
            }
        })
    }

    #[expect(clippy::disallowed_methods, reason = "door: new --print-key")]
    fn stored(
        &self,
        held: &HeldKey,
        key: &ApiKey,
        note: Option<Trouble>,
        services: &Services,
    ) -> Result<(), Trouble> {
        if let Some(trouble) = note {
            say(&format!("{}\n  {}", trouble.message, trouble.advice));
        }
        for name in held.differences() {
            say(&format!("{name} is not as asked; keywright show {} has both", held.label));
        }
        if self.json {
            let mut document = json::key(held, Timestamp::now());
            if self.print_key {
                document["key"] = key.expose_secret().into();
            }
            return print(&format!("{document:#}\n"));
        }
        print(&format!(
            "{}  {}  stored in {}, read back\n",
            held.label,
            held.masked,
            services.vault.place()
        ))
    }

    /// A key that is nowhere but here: shown where someone can see it and asked for it.
    #[expect(clippy::disallowed_methods, reason = "door: new --print-key")]
    fn not_stored(&self, held: &HeldKey, key: &ApiKey, trouble: Trouble) -> Result<(), Trouble> {
        if self.print_key {
            let mut document = json::key(held, Timestamp::now());
            document["key"] = key.expose_secret().into();
            document["store"] = serde_json::Value::Null;
            print(&format!("{document:#}\n"))?;
            return Err(trouble);
        }
        Err(Trouble {
            advice: format!(
                "{}; the key is lost with this program: revoke it at {}",
                trouble.advice,
                held.page()
            ),
            ..trouble
        })
    }
}

/// The journey, with signals as the wish to leave and standard input as the place for a code.
async fn journey(request: &KeyRequest, way: Way, services: &Services) -> Outcome {
    let (cancel, cancelled) = watch::channel(false);
    let (code, pasted) = mpsc::channel(1);
    heed_signals(cancel.clone());
    let prompt = Mutex::new(Some((code, cancel)));
    // Held here and not by the thread that reads: it may still be reading when the journey ends.
    let quiet = Mutex::new(None);
    let report = |report: Report| match report {
        Report::Step(Step::Consent | Step::Browser) => {}
        Report::Step(step) => tracing::debug!(step = step.as_str(), "began"),
        Report::Notice(words) => say(&words),
        Report::Address { url, paste } => {
            let words = if paste {
                "open this address in any browser, sign in, and paste the code it shows:"
            } else {
                "sign in at this address:"
            };
            say(words);
            line(&url);
            let taken =
                if paste { prompt.lock().ok().and_then(|mut prompt| prompt.take()) } else { None };
            if let Some((code, cancel)) = taken {
                if let (true, Ok(mut quiet)) = (io::stdin().is_terminal(), quiet.lock()) {
                    *quiet = Some(Quiet::begin());
                }
                ask_for_code(code, cancel);
            }
        }
    };
    let mut controls = Controls { cancel: cancelled, pasted };
    let mut outcome = provision::run(request, way, services, &mut controls, &report).await;
    drop(quiet);
    // Someone is there to mend the keychain: the key is kept until they have.
    while let Outcome::NotStored { held, key, trouble } = &outcome {
        if !io::stdin().is_terminal() || *controls.cancel.borrow() {
            break;
        }
        say(&format!("{}\n  {}", trouble.message, trouble.advice));
        line("enter tries to store it again, ctrl-c gives up");
        let read = tokio::task::spawn_blocking(|| io::stdin().lock().read_line(&mut String::new()));
        tokio::select! {
            biased;
            _ = controls.cancel.wait_for(|left| *left) => break,
            read = read => if !matches!(read, Ok(Ok(1..))) { break },
        }
        outcome = provision::store_again(held.clone(), key.clone(), services).await;
    }
    outcome
}

#[cfg(unix)]
fn heed_signals(cancel: watch::Sender<bool>) {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let Ok(mut signals) = signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGTERM]) else {
        return;
    };
    thread::spawn(move || {
        for _ in signals.forever() {
            cancel.send_replace(true);
        }
    });
}

#[cfg(not(unix))]
fn heed_signals(cancel: watch::Sender<bool>) {
    // Nothing is heeded there: the system ends the program. The sender lives on, or the journey
    // would take its end for one.
    std::mem::forget(cancel);
}

/// Reads a code on a thread of its own, which is left behind when the journey ends without one.
fn ask_for_code(code: mpsc::Sender<AuthCode>, cancel: watch::Sender<bool>) {
    thread::spawn(move || {
        let person = io::stdin().is_terminal();
        loop {
            let read = if person { masked_line("code: ") } else { plain_line() };
            let Some(text) = read else { break };
            #[expect(clippy::disallowed_methods, reason = "door: a code that was pasted")]
            match AuthCode::parse(text.expose_secret()) {
                Ok(read) => {
                    // The journey may have ended meanwhile.
                    let _ = code.blocking_send(read);
                    return;
                }
                Err(problem) => say(problem),
            }
            if !person {
                break;
            }
        }
        say("no code was given");
        cancel.send_replace(true);
    });
}

/// One line of standard input; `None` at its end.
fn plain_line() -> Option<SecretString> {
    let mut text = String::new();
    let read = io::stdin().lock().read_line(&mut text);
    let line = SecretString::from(text.trim());
    text.zeroize();
    matches!(read, Ok(1..)).then_some(line)
}

/// One line typed by a person, not shown.
#[expect(clippy::print_stderr, reason = "this is the command line")]
fn masked_line(prompt: &str) -> Option<SecretString> {
    eprint!("{prompt}");
    let line = plain_line();
    eprintln!();
    line
}

/// A terminal that does not show what is typed, until dropped.
struct Quiet {
    #[cfg(unix)]
    before: Option<rustix::termios::Termios>,
}

impl Quiet {
    #[cfg(unix)]
    fn begin() -> Self {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let before = tcgetattr(io::stdin()).ok();
        if let Some(mut quiet) = before.clone() {
            quiet.local_modes.remove(LocalModes::ECHO);
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &quiet);
        }
        Self { before }
    }

    #[cfg(not(unix))]
    fn begin() -> Self {
        Self {}
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some(before) = &self.before {
            use rustix::termios::{OptionalActions, tcsetattr};
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}

fn say(words: &str) {
    line(&format!("keywright: {words}"));
}

#[expect(clippy::print_stderr, reason = "this is the command line")]
fn line(words: &str) {
    eprintln!("{words}");
}
