//! `keywright recover`: what a program that died left behind is finished, and the rest listed.

use std::fmt::Write;

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::rotate::lost;
use crate::cli::json::time;
use crate::cli::output::{print, say, usage, warn};
use crate::cli::sign_in::{converse, store_until_kept};
use crate::cli::wait_for;
use crate::domain::{ErrorKind, ProvisioningOutcome, UnresolvedAttempt, UserError, sanitize};
use crate::services::keys::{self, Error, Leftovers};
use crate::services::provision::{self, Services};

/// Arguments of `recover`.
#[derive(Args, Debug)]
pub struct Recover {
    /// Strike this attempt off the list, by its label or its id: you have looked
    #[arg(long, value_name = "LABEL")]
    dismiss: Option<String>,
    /// As one JSON document
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

impl Recover {
    pub(in crate::cli) fn run(&self, services: &Services) -> Result<(), UserError> {
        let mut left = finished(services, keys::leftovers(services, Timestamp::now()))?;
        if let Some(name) = &self.dismiss {
            let struck = choose(&left.unresolved, name)?;
            provision::dismiss(services, &struck.id)?;
            left.unresolved.retain(|(one, _)| *one != struck);
            left.dismissed.push(struck);
        }
        left.troubles.iter().for_each(warn);
        for (label, server, store) in &left.elsewhere {
            say(&format!(
                "an attempt at '{label}' waits elsewhere: keywright recover --server {server} --store {store}"
            ));
        }
        if self.json {
            print(&format!("{:#}\n", document(&left)))?;
        } else {
            print(&words(&left))?;
        }
        verdict(&left)
    }
}

/// Waits for what came of the leftovers, and keeps keys that were received just now.
pub(in crate::cli) fn finished(
    services: &Services,
    work: impl Future<Output = Result<Leftovers, Error>>,
) -> Result<Leftovers, UserError> {
    let mut left = wait_for(work)?.map_err(|error| error.trouble())?;
    for outcome in std::mem::take(&mut left.not_stored) {
        let kept = wait_for(async {
            let ((), mut controls) = converse(async |_, _| ()).await;
            store_until_kept(outcome, &mut controls, services).await
        })?;
        match kept {
            ProvisioningOutcome::Stored { stored_key: held, .. } => left.stored.push(held),
            ProvisioningOutcome::NotStored { entry: held, error: trouble, .. } => {
                left.lost.push(lost(&held, trouble))
            }
            ProvisioningOutcome::Failed(trouble) => left.lost.push(trouble),
        }
    }
    Ok(left)
}

fn choose(
    unresolved: &[(UnresolvedAttempt, String)],
    name: &str,
) -> Result<UnresolvedAttempt, UserError> {
    let named: Vec<_> = unresolved
        .iter()
        .map(|(one, _)| one)
        .filter(|one| one.id == name || one.label.as_str() == name)
        .collect();
    match named[..] {
        [one] => Ok(one.clone()),
        [] => Err(UserError::new(
            ErrorKind::NotFound,
            format!("no unresolved attempt is called '{}'", sanitize(name, 100)),
            "nothing was struck off; keywright recover lists them",
        )),
        _ => Err(usage(
            format!("{} unresolved attempts are called '{}'", named.len(), sanitize(name, 100)),
            "nothing was struck off; name one by its id, as keywright recover lists it",
        )),
    }
}

fn words(left: &Leftovers) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    for held in &left.stored {
        let _ = writeln!(text, "stored           {}  {}", held.label, held.masked);
    }
    for handed in &left.handed {
        let _ = writeln!(text, "rotated          {}  {}", handed.new.label, handed.new.masked);
    }
    for one in &left.dismissed {
        let _ = writeln!(text, "struck off       {}  {}", one.label, seconds(one.started_at));
    }
    for (one, advice) in &left.unresolved {
        let _ = writeln!(
            text,
            "possibly issued  {}  {}  {}  {}\n  {advice}",
            one.label,
            seconds(one.started_at),
            one.server,
            one.id
        );
    }
    if text.is_empty() {
        text.push_str("every attempt ended cleanly\n");
    }
    text
}

fn document(left: &Leftovers) -> Value {
    let unresolved = left.unresolved.iter().map(|(one, advice)| {
        json!({
            "id": one.id,
            "label": one.label,
            "server": one.server,
            "at": seconds(one.started_at),
            "advice": advice,
        })
    });
    json!({
        "unresolved": unresolved.collect::<Vec<_>>(),
        "stored": left.stored.iter().map(|held| &held.label).collect::<Vec<_>>(),
        "rotated": left.handed.iter().map(|handed| &handed.new.label).collect::<Vec<_>>(),
        "dismissed": left.dismissed.iter().map(|one| &one.label).collect::<Vec<_>>(),
    })
}

fn verdict(left: &Leftovers) -> Result<(), UserError> {
    if let Some(lost) = left.lost.first() {
        return Err(lost.clone());
    }
    let message = match left.unresolved.len() {
        0 => return Ok(()),
        1 => "one attempt may have issued a key that nobody holds".into(),
        many => format!("{many} attempts may have issued keys that nobody holds"),
    };
    let advice = "nobody can spend with a key that nobody received; what to do stands with each";
    Err(UserError::new(ErrorKind::Unresolved, message, advice))
}

fn seconds(at: Timestamp) -> String {
    time(Some(at)).unwrap_or_default()
}
