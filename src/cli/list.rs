//! `keywright list`: the keys that are held, from the inventory alone.

use clap::Args;
use jiff::Timestamp;
use unicode_width::UnicodeWidthStr;

use super::{json, print};
use crate::inventory;
use crate::key::{HeldKey, Trouble, day, span};
use crate::provision::Services;

/// Arguments of `list`.
#[derive(Args, Debug)]
pub struct List {
    /// As one JSON document
    #[arg(long)]
    pub(super) json: bool,
}

impl List {
    pub(super) fn run(&self, services: &Services) -> Result<(), Trouble> {
        let keys =
            inventory::read(&services.place, &services.server).map_err(|error| error.trouble())?;
        let now = Timestamp::now();
        if self.json {
            let keys: Vec<_> = keys.iter().map(|held| json::key(held, now)).collect();
            return print(&format!("{:#}\n", serde_json::Value::from(keys)));
        }
        if keys.is_empty() {
            return print("no keys are held yet; keywright new LABEL cuts one\n");
        }
        print(&table(&keys, now))
    }
}

fn table(keys: &[HeldKey], now: Timestamp) -> String {
    let header = ["LABEL", "STATE", "LIMIT", "EXPIRES", "KEY", "STORE"].map(String::from);
    let rows: Vec<_> =
        std::iter::once(header).chain(keys.iter().map(|held| row(held, now))).collect();
    let widths: Vec<_> =
        (0..6).map(|at| rows.iter().map(|row| row[at].width()).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width - cell.width() + 2));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn row(held: &HeldKey, now: Timestamp) -> [String; 6] {
    [
        held.label.to_string(),
        held.state(now).as_str().replace('_', " "),
        policy(held),
        held.expires_at().map_or("never".into(), |at| format!("{} ({})", day(at), span(now, at))),
        held.masked.clone(),
        held.store.clone(),
    ]
}

/// `$12.50 weekly`, `$5.00`, `none`.
pub(super) fn policy(held: &HeldKey) -> String {
    match (held.limit(), held.reset()) {
        (Some(limit), Some(reset)) => format!("${limit:.2} {}", reset.as_str()),
        (Some(limit), None) => format!("${limit:.2}"),
        (None, _) => "none".into(),
    }
}
