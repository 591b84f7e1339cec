//! `keywright show LABEL`: all that is known of one key.

use clap::Args;
use jiff::Timestamp;

use super::list::policy;
use super::{find, json, print};
use crate::key::{Trouble, instant, span};
use crate::provision::Services;

/// Arguments of `show`.
#[derive(Args, Debug)]
pub struct Show {
    /// The key's label
    label: String,
    /// As one JSON document
    #[arg(long)]
    pub(super) json: bool,
}

impl Show {
    pub(super) fn run(&self, services: &Services) -> Result<(), Trouble> {
        let held = find(services, &self.label)?;
        let now = Timestamp::now();
        if self.json {
            return print(&format!("{:#}\n", json::key(&held, now)));
        }
        let usd = |amount: Option<f64>| amount.map_or("unknown".into(), |usd| format!("${usd:.2}"));
        let reading = held.reading.clone().unwrap_or_default();
        let expires = held
            .expires_at()
            .map_or("never".into(), |at| format!("{}, {}", instant(at), span(now, at)));
        let mut text = format!(
            "{}  {}\nstate      {}\nlimit      {}\nremaining  {}\nspent      {} ever, {} today\nexpires    {expires}\nstored     {}, cut {}\nserver     {}\nhash       {}\n",
            held.label,
            held.masked,
            held.state(now).as_str().replace('_', " "),
            policy(&held),
            usd(reading.limit_remaining),
            usd(reading.usage),
            usd(reading.usage_daily),
            held.store,
            instant(held.created_at),
            held.server,
            held.hash,
        );
        if !held.differences().is_empty() {
            text.push_str("not as asked: ");
            text.push_str(&held.differences().join(", "));
            text.push('\n');
        }
        print(&text)
    }
}
