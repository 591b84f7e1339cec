//! Effects on keys that exist already, and on the account's list.

use std::sync::Arc;

use secrecy::SecretString;
use tokio::sync::mpsc::UnboundedSender;

use super::super::Incoming;
use super::{Runner, tell};
use crate::domain::{
    Account, ApiKey, ErrorKind, HeldKey, Label, Outcome, RemoteKey, Report, Rotation, Terms,
    UserError,
};
use crate::platform::browser::{self, Reach};
use crate::services::keys::{self, Edit, Error, Row, management};
use crate::services::provision::{self, Services, Way};
use crate::storage::inventory;
use crate::storage::secret_store;
use crate::storage::usage_history;
use crate::tui::state::{Changed, Changes, Msg, Road, Ticket};

impl Runner {
    pub(super) fn rotate(&mut self, ticket: Ticket, held: HeldKey, terms: Terms) {
        let mut controls = self.set_out(ticket);
        self.spawn(move |services, results| async move {
            let report = |report| tell(&results, Msg::Reported { ticket, report });
            let way = way(&services, &report).await;
            let rotation = keys::rotate(&services, &held, way, terms, &mut controls, &report).await;
            Msg::Rotated { ticket, rotation }
        });
    }

    pub(super) fn panic(&mut self, ticket: Ticket, keys: Vec<HeldKey>) {
        let mut controls = self.set_out(ticket);
        self.spawn(move |services, results| async move {
            let report = |report| tell(&results, Msg::Reported { ticket, report });
            let way = way(&services, &report).await;
            // A keychain that holds no management key for us must not keep the rest from being done.
            let management = management::read(&services).await.ok().flatten().map(|(key, _)| key);
            let panicked =
                keys::panic(&services, &keys, management.as_ref(), &way, &mut controls, &report)
                    .await;
            Msg::Panicked { ticket, panicked }
        });
    }

    /// A key that could not be stored is tried again; one that was to replace another then does.
    pub(super) fn store_again(&self, ticket: Ticket, held: HeldKey, key: ApiKey) {
        let replaces = held.replaces.is_some();
        self.spawn(move |services, results| async move {
            let outcome = provision::store_again(held, key, &services).await;
            let Outcome::Stored { held, key, note } = outcome else {
                return Msg::Provisioned { ticket, outcome };
            };
            if !replaces {
                return Msg::Provisioned { ticket, outcome: Outcome::Stored { held, key, note } };
            }
            let stored =
                Outcome::Stored { held: held.clone(), key: key.clone(), note: note.clone() };
            let rotation = keys::rotated(&services, stored).await;
            let now = match &rotation {
                Rotation::Done { handed, .. } => handed.new.clone(),
                _ => held,
            };
            let outcome = Outcome::Stored { held: now, key, note };
            // What closes the ticket comes last.
            tell(&results, Msg::Rotated { ticket, rotation });
            Msg::Provisioned { ticket, outcome }
        });
    }

    /// A key that the store refuses, in the other one.
    pub(super) fn store_elsewhere(
        &self,
        ticket: Ticket,
        held: HeldKey,
        key: ApiKey,
        passphrase: Option<SecretString>,
    ) {
        self.spawn(move |services, _| async move {
            let missing = || secret_store::Error::NoPassphrase("no passphrase was given".into());
            let ask = Arc::new(move |_| passphrase.clone().ok_or_else(missing));
            let outcome = match services.another_vault(ask) {
                Some(vault) => provision::store_elsewhere(held, key, vault, &services).await,
                None => provision::store_again(held, key, &services).await,
            };
            Msg::Provisioned { ticket, outcome }
        });
    }

    pub(super) fn look(&self, ticket: Ticket, hash: String) {
        self.spawn(move |services, _| async move {
            let remote = look(&services, &hash).await.map_err(|error| error.trouble());
            Msg::Looked { ticket, remote }
        });
    }

    pub(super) fn change(&self, ticket: Ticket, changes: Changes) {
        self.spawn(move |services, _| async move {
            let outcome = change(&services, changes)
                .await
                .unwrap_or_else(|error| Changed::Failed(error.trouble()));
            Msg::Changed { ticket, outcome }
        });
    }

    pub(super) fn switch(&self, keys: Vec<HeldKey>, disabled: bool) {
        self.spawn_all(keys, move |services, held| async move {
            let result = async {
                let management = management::require(&services, &held.page()).await?;
                keys::set_disabled(&services, &management, &held, disabled).await
            };
            let result = result.await.map_err(|error| error.trouble());
            Msg::Switched { label: held.label, result }
        });
    }

    pub(super) fn revoke(&self, keys: Vec<HeldKey>) {
        self.spawn_all(keys, move |services, held| async move {
            let result = async {
                let management = management::require(&services, &held.page()).await?;
                if held.is_here() {
                    keys::revoke(&services, &management, &held).await
                } else {
                    keys::delete(&services, &management, &held.hash).await
                }
            };
            let result = result.await.map(|_| ()).map_err(|error| error.trouble());
            Msg::Revoked { hash: held.hash, label: held.label, result }
        });
    }

    pub(super) fn import(&self, ticket: Ticket, label: Label, key: ApiKey) {
        self.spawn(move |services, _| async move {
            let result = keys::import(&services, &label, &key).await;
            Msg::Imported { ticket, result: result.map_err(|error| error.trouble()) }
        });
    }

    pub(super) fn read_account(&self, ticket: Ticket) {
        self.spawn(move |services, _| async move {
            let account = read_account(&services).await.map_err(|error| error.trouble());
            Msg::AccountRead { ticket, account }
        });
    }

    pub(super) fn look_for_management(&self) {
        self.spawn(move |services, _| async move {
            Msg::ManagementKnown(matches!(management::read(&services).await, Ok(Some(_))))
        });
    }

    pub(super) fn read_past(&self, ticket: Ticket, hashes: Vec<String>) {
        self.blocking(move |services| {
            // Without a past there is no chart; that is all.
            let mut known = usage_history::read_samples(&services.place).unwrap_or_default();
            let past = hashes.into_iter().map(|hash| {
                let samples = known.remove(&hash).unwrap_or_default();
                (hash, samples)
            });
            Some(Msg::PastRead { ticket, past: past.collect() })
        });
    }

    /// One task whose end is one message. All of them share the loop's thread.
    pub(super) fn spawn<T: Future<Output = Msg> + 'static>(
        &self,
        task: impl FnOnce(Services, UnboundedSender<Incoming>) -> T,
    ) {
        let results = self.results.clone();
        let task = task(self.services.clone(), results.clone());
        tokio::task::spawn_local(async move { tell(&results, task.await) });
    }

    /// One after the other, each with its message.
    fn spawn_all<T: Future<Output = Msg>>(
        &self,
        keys: Vec<HeldKey>,
        deed: impl Fn(Services, HeldKey) -> T + 'static,
    ) {
        let (services, results) = (self.services.clone(), self.results.clone());
        tokio::task::spawn_local(async move {
            for held in keys {
                let msg = deed(services.clone(), held).await;
                tell(&results, msg);
            }
        });
    }
}

/// The best road there is: the management key, the browser, an address to be opened by hand.
pub(super) async fn way(services: &Services, report: &(dyn Fn(Report) + Sync)) -> Way {
    if let Ok(Some((management, _))) = management::read(services).await {
        return Way::Management(management);
    }
    by_person(services, report)
}

/// The road that was chosen for a new key.
pub(super) async fn on(
    road: Road,
    services: &Services,
    report: &(dyn Fn(Report) + Sync),
) -> Result<Way, UserError> {
    match road {
        Road::Best => Ok(by_person(services, report)),
        Road::Paste => Ok(Way::Paste),
        Road::Key(label) => {
            let taking = services.clone();
            let key = tokio::task::spawn_blocking(move || keys::take(&taking, &label)).await;
            match key {
                Ok(Ok(key)) => Ok(Way::Key(key, Box::new(by_person(services, report)))),
                Ok(Err(error)) => Err(error.trouble()),
                Err(_) => Err(UserError::new(
                    ErrorKind::SecretStore,
                    "the held key could not be taken out",
                    "nothing was sent; try again",
                )),
            }
        }
    }
}

/// The road by which a person consents.
pub(super) fn by_person(services: &Services, report: &(dyn Fn(Report) + Sync)) -> Way {
    let Reach::NotHere(why) = browser::reach() else { return Way::Browser };
    report(Report::Notice(format!("no browser is started here ({why})")));
    // A fixed port is one that someone forwards: `ssh -L`.
    if services.callback_port == 0 { Way::Paste } else { Way::NoOpen }
}

/// The key as the account has it; `None` where no management key is known.
async fn look(services: &Services, hash: &str) -> Result<Option<RemoteKey>, Error> {
    match management::read(services).await? {
        Some((management, _)) => keys::find(services, &management, hash).await.map(Some),
        None => Ok(None),
    }
}

async fn change(services: &Services, changes: Changes) -> Result<Changed, Error> {
    let Changes { held, there, label } = changes;
    let management = management::read(services).await?.map(|(key, _)| key);
    let (mut now, mut note) = (None, None);
    if let Some((seen, patch)) = there {
        let Some(management) = &management else {
            return Err(Error::NoManagementKey { page: held.page() });
        };
        match keys::edit(services, management, &seen, &patch).await? {
            Edit::Conflict { now, differences, .. } => {
                return Ok(Changed::Conflict { now: *now, differences });
            }
            Edit::Done { now: remote, differences } => {
                if !differences.is_empty() {
                    let names = differences;
                    note = Some(Error::NotTaken { names, page: held.page() }.trouble());
                }
                now = Some(*remote);
            }
        }
    }
    let mut here = None;
    if let Some(label) = label {
        let renamed = keys::rename(services, &held, &label, management.as_ref()).await;
        match renamed {
            Ok(renamed) => {
                here = Some(renamed.held);
                note = note.or(renamed.note);
            }
            // What was changed at the server is not taken back by a name.
            Err(error) if now.is_some() => {
                let trouble = error.trouble();
                note = note.or(Some(UserError {
                    message: format!("the rest is changed; the name is not: {}", trouble.message),
                    ..trouble
                }));
            }
            Err(error) => return Err(error),
        }
    }
    if here.is_none() && held.is_here() {
        let (place, server) = (services.place.clone(), services.server.clone());
        let read = move || inventory::filter_keys(&place, &server, |row| row.hash == held.hash);
        here = tokio::task::spawn_blocking(read).await.unwrap_or_else(|_| Ok(Vec::new()))?.pop();
    }
    Ok(Changed::Done { there: now, here, note })
}

async fn read_account(services: &Services) -> Result<Account, Error> {
    let page = format!("{}/keys", services.server);
    let management = management::require(services, &page).await?;
    let mut account = Account::default();
    for row in keys::overview(services, &management).await? {
        match row {
            Row::Both(_, remote) | Row::Remote(remote) => account.keys.push(*remote),
            Row::Gone(held) => account.gone.push(held.hash),
            Row::Missing(_) => {}
        }
    }
    Ok(account)
}
