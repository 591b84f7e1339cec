//! What the command line says and asks: results on standard output, everything else on standard
//! error. Must not know: commands.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::inventory;
use crate::key::{HeldKey, Trouble, clean};
use crate::provision::Services;

/// Says what went wrong: words on standard error, and under `--json` a document on standard output.
pub fn complain(trouble: &Trouble, as_json: bool) {
    say(&trouble.message);
    if !trouble.advice.is_empty() {
        line(&format!("  {}", trouble.advice));
    }
    // One document: where a command has printed one, it says itself what went wrong.
    if as_json && !PRINTED.load(Ordering::Relaxed) {
        let _ = print(&format!("{:#}\n", super::json::error(trouble)));
    }
}

/// Wrong usage, as a document.
pub fn usage_document(trouble: &Trouble) {
    let _ = print(&format!("{:#}\n", super::json::error(trouble)));
}

/// Whether something was written to standard output.
static PRINTED: AtomicBool = AtomicBool::new(false);

/// Writes to standard output; a reader who has gone is not an error of ours.
pub fn print(text: &str) -> Result<(), Trouble> {
    PRINTED.store(true, Ordering::Relaxed);
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Trouble {
            message: format!("standard output cannot be written: {}", error.kind()),
            advice: "free some space, or send it elsewhere".into(),
            code: 1,
        }),
        _ => Ok(()),
    }
}

/// The key under `label` as the inventory knows it, or exit code 3 with what was perhaps meant.
pub(super) fn find(services: &Services, label: &str) -> Result<HeldKey, Trouble> {
    let keys =
        inventory::read(&services.place, &services.server).map_err(|error| error.trouble())?;
    match keys.iter().find(|held| held.label.as_str() == label) {
        Some(held) => Ok(held.clone()),
        None => Err(no_such_label(label, &keys)),
    }
}

pub(super) fn no_such_label(label: &str, keys: &[HeldKey]) -> Trouble {
    let near = keys
        .iter()
        .map(|held| (strsim::jaro_winkler(label, held.label.as_str()), held.label.as_str()))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let advice = match near {
        Some((_, near)) => format!("did you mean '{near}'? keywright list shows all"),
        None => "keywright list shows the keys that are held, keywright new cuts one".into(),
    };
    Trouble { message: format!("no key is held under '{}'", clean(label, 100)), advice, code: 3 }
}

pub(super) fn usage(message: impl ToString, advice: &str) -> Trouble {
    Trouble { message: message.to_string(), advice: advice.into(), code: 2 }
}

/// Asks yes or no on the terminal; exit code 2 where there is none.
pub(super) fn confirm(question: &str) -> Result<(), Trouble> {
    if !io::stdin().is_terminal() {
        return Err(usage(
            "this needs a yes, and there is no terminal to ask on",
            "say it with --yes",
        ));
    }
    tell(&format!("{question} [y/N] "));
    let mut answer = String::new();
    let _ = io::stdin().read_line(&mut answer);
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(Trouble { message: "cancelled".into(), advice: "nothing was changed".into(), code: 5 })
}

/// Something a person should know meanwhile.
pub(super) fn say(words: &str) {
    line(&format!("keywright: {words}"));
}

/// [`say`], of trouble that ends nothing.
pub(super) fn warn(trouble: &Trouble) {
    say(&format!("{}\n  {}", trouble.message, trouble.advice));
}

/// A line of standard error.
pub(super) fn line(words: &str) {
    tell(&format!("{words}\n"));
}

/// Writes to standard error. A reader who has gone must not take a key with it: nothing here fails.
pub(super) fn tell(words: &str) {
    let mut out = io::stderr().lock();
    let _ = out.write_all(words.as_bytes()).and_then(|()| out.flush());
}
