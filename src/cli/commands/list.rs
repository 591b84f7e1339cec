//! `keywright list`: the keys that are held, from the inventory alone; with `--refresh` each is
//! asked about itself first.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};

use crate::cli::output::{eprint, is_quiet, print, print_error, print_status, print_warning};
use crate::cli::table::{self, Column};
use crate::cli::{json, run_async};
use crate::domain::{
    CheckResult, ErrorKind, Label, StoredKey, UserError, format_date, format_relative_time,
};
use crate::services::keys::{self, RefreshReport};
use crate::services::provision::ServiceContext;
use crate::storage::inventory;

/// The longest that a server's wish to be left alone is waited for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

/// Arguments of `list`.
#[derive(Args, Debug)]
pub struct ListArgs {
    /// As one JSON document
    #[arg(long)]
    pub(in crate::cli) json: bool,
    /// Ask each key about itself first
    #[arg(long)]
    refresh: bool,
}

impl ListArgs {
    pub(in crate::cli) fn run(&self, services: &ServiceContext) -> Result<(), UserError> {
        let read = || {
            inventory::list_keys(&services.location, &services.server)
                .map_err(|error| error.to_user_error())
        };
        let mut keys = read()?;
        if self.refresh && !keys.is_empty() {
            refresh_all_keys(services)?;
            keys = read()?;
        }
        let now = Timestamp::now();
        if self.json {
            let keys: Vec<_> = keys.iter().map(|held| json::key_to_json(held, now)).collect();
            return print(&format!("{:#}\n", serde_json::Value::from(keys)));
        }
        if keys.is_empty() {
            return print("no keys are held yet; keywright new LABEL cuts one\n");
        }
        let rows: Vec<_> = keys.iter().map(|held| format_row(held, now)).collect();
        print(&table::format_table(&COLUMNS, &rows, table::terminal_width()))
    }
}

/// Asks every key about itself.
pub fn refresh_all_keys(services: &ServiceContext) -> Result<(), UserError> {
    let keys = inventory::list_keys(&services.location, &services.server)
        .map_err(|error| error.to_user_error())?;
    run_async(refresh_keys(services, &keys))?
}

/// Asks them all. One that fails is said and fails no other; none at all is an error.
async fn refresh_keys(services: &ServiceContext, keys: &[StoredKey]) -> Result<(), UserError> {
    let total = keys.len();
    let mut rest: Vec<(String, Label)> =
        keys.iter().map(|held| (held.hash.clone(), held.label.clone())).collect();
    let label = |hash: &str| {
        keys.iter()
            .find(|held| held.hash == hash)
            .map_or(String::new(), |held| held.label.to_string())
    };
    let done = Arc::new(AtomicUsize::new(0));
    let (tell, mut told) = mpsc::unbounded_channel();
    let progress = tokio::spawn(show_progress(total, Arc::clone(&done)));
    let mut waits = 0;
    let trouble = loop {
        let (tell, done) = (tell.clone(), Arc::clone(&done));
        let count = move |hash: &str, read: &CheckResult, _: Timestamp| {
            done.fetch_add(1, Ordering::Relaxed);
            // The other end lives until the round is over.
            let _ = tell.send((hash.to_owned(), read.clone()));
        };
        // The program's end is the only way to stop it here.
        let (_go_on, stop) = watch::channel(false);
        let RefreshReport { error: trouble, retry_after: wait, unchecked: left, .. } =
            keys::refresh_keys(services, rest, Timestamp::now, count, stop).await;
        rest = left;
        match wait.filter(|wait| *wait <= MAX_RETRY_AFTER && waits < services.max_retries) {
            Some(wait) if !rest.is_empty() => {
                waits += 1;
                tokio::time::sleep(wait).await;
            }
            _ => break trouble,
        }
    };
    progress.abort();
    // Its line has left the terminal when it has ended.
    let _ = progress.await;
    drop(tell);
    let (mut answered, mut failed, mut no_credit) = (0, None, false);
    while let Some((hash, read)) = told.recv().await {
        match read {
            CheckResult::Valid(_) | CheckResult::Rejected => answered += 1,
            CheckResult::InsufficientCredits => {
                answered += 1;
                no_credit = true;
            }
            CheckResult::Failed(words) => {
                print_error(&format!("'{}' could not be asked: {words}", label(&hash)));
                failed = Some(words);
            }
        }
    }
    if no_credit {
        print_status("the account has no credit (402): its keys work again when it has");
    }
    match (trouble, failed) {
        (Some(trouble), _) if answered == 0 => Err(trouble),
        (Some(trouble), _) => {
            print_warning(&trouble);
            print_error(&format!("{} of {total} keys were not asked", rest.len()));
            Ok(())
        }
        (None, Some(words)) if answered == 0 => Err(UserError::new(
            ErrorKind::Unreachable,
            format!("no key could be asked: {words}"),
            "the figures are those of the last time: keywright list shows them",
        )),
        _ => Ok(()),
    }
}

/// How far it is, on standard error, once it takes longer than a second and someone looks.
async fn show_progress(total: usize, done: Arc<AtomicUsize>) {
    /// The line leaves with whoever wrote it.
    struct ProgressLine;
    impl Drop for ProgressLine {
        fn drop(&mut self) {
            eprint("\r\u{1b}[K");
        }
    }
    if is_quiet() || !io::stderr().is_terminal() {
        return;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let _line = ProgressLine;
    loop {
        eprint(&format!("\rasked {} of {total} keys", done.load(Ordering::Relaxed)));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

const COLUMNS: [Column; 7] = [
    Column("LABEL", 0),
    Column("STATE", 0),
    Column("SPENT", 1),
    Column("LIMIT", 2),
    Column("EXPIRES", 3),
    Column("KEY", 4),
    Column("STORE", 5),
];

fn format_row(held: &StoredKey, now: Timestamp) -> Vec<String> {
    vec![
        held.label.to_string(),
        format_state(held, now),
        held.spent(now).map_or("-".into(), |usd| format!("${usd:.2}")),
        format_policy(held.limit(), held.reset().map(crate::domain::ResetInterval::as_str)),
        held.expires_at().map_or("never".into(), |at| {
            format!("{} ({})", format_date(at), format_relative_time(now, at))
        }),
        held.masked.clone(),
        held.store.clone(),
    ]
}

/// `active`, `limit reached`; of a key that another took the place of also that.
pub(in crate::cli) fn format_state(held: &StoredKey, now: Timestamp) -> String {
    let word = held.state(now).as_str().replace('_', " ");
    if held.retirement.is_some() { format!("{word}, retiring") } else { word }
}

/// `$12.50 weekly`, `$5.00`, `none`.
pub(in crate::cli) fn format_policy(limit: Option<f64>, reset: Option<&str>) -> String {
    match (limit, reset) {
        (Some(limit), Some(reset)) => format!("${limit:.2} {reset}"),
        (Some(limit), None) => format!("${limit:.2}"),
        (None, _) => "none".into(),
    }
}
