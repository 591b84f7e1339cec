//! What is done to keys that exist already: asking them, joining them with the account's list,
//! taking over, renaming, changing, rotating, revoking; and the management key this takes.
//! Owns: the order of those things, so that no key is lost on the way. Must not know: screens,
//! arguments.
//!
//! ```text
//! read     GET /key for many          management  the key that manages keys
//! remote   the account's list, joined change      disable, edit, delete, revoke
//! import   a key from elsewhere       rename      vault and inventory together
//! rotate   another key in its place   leak        disable, replace, store
//! transfer all keys to another store  leftovers   what died, finished or told
//! apply    many new ones in a row
//! ```

mod account_keys;
mod apply;
mod error;
mod import;
mod leak_response;
pub mod management;
mod migrate;
mod recovery;
mod refresh;
mod remote_update;
mod rename;
mod rotate;

pub use account_keys::{Row, join, list, overview};
pub use apply::{End, Hands, News, Wish, apply, owed, owing, road, take_turn};
pub use error::Error;
pub use import::{adopt, import};
pub use leak_response::panic;
pub use migrate::{Moved, transfer};
pub use recovery::{Leftovers, finish, leftovers};
pub use refresh::{Round, refresh, take};
pub use remote_update::{Deleted, Edit, delete, edit, find, forget, revoke, set_disabled};
pub use rename::{Renamed, rename};
pub use rotate::{hand_over, resume_rotations, rotate, rotated};

use secrecy::{ExposeSecret, SecretString};

use crate::api::openrouter;
use crate::domain::{ApiKey, Label};
use crate::services::provision::Services;
use crate::storage::inventory;
use crate::storage::secret_store;

/// Asks until there is an answer, or asking again brings none. For what is safe to repeat alone:
/// a question, or a change that comes to the same when it is made twice.
async fn patiently<T>(
    services: &Services,
    mut ask: impl AsyncFnMut() -> Result<T, openrouter::Error>,
) -> Result<T, openrouter::Error> {
    let mut tries = 0;
    loop {
        let error = match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        match error.retry_delay(tries).filter(|_| tries < services.retries) {
            Some(pause) => tokio::time::sleep(pause).await,
            None => return Err(error),
        }
        tries += 1;
    }
}

/// The key under a label in the vault; `None` where there is none.
async fn held_under(services: &Services, label: &Label) -> Result<Option<ApiKey>, Error> {
    let slot = services.slot(label.as_str());
    match services.vault(move |vault, patience| vault.get(&slot, patience)).await {
        Ok(secret) => Ok(Some(opened(&secret))),
        Err(secret_store::Error::NoEntry) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What is said of a label whose key the vault does not hold.
fn absent(services: &Services, label: &Label) -> Error {
    match inventory::find_key(&services.place, &services.server, label.as_str()) {
        Ok(Some(held)) => Error::not_there(&held, &services.vault),
        _ => Error::Absent { label: label.clone(), place: services.vault.display_name() },
    }
}

/// Puts a key into the vault, read back.
async fn put(services: &Services, label: &Label, key: &ApiKey) -> Result<(), Error> {
    let (slot, secret) = (services.slot(label.as_str()), closed(key));
    Ok(services.vault(move |vault, patience| vault.set(&slot, &secret, patience)).await?)
}

/// Takes an entry out of the vault; one that is not there is gone.
async fn drop_entry(services: &Services, label: &Label) -> Result<(), Error> {
    let slot = services.slot(label.as_str());
    match services.vault(move |vault, patience| vault.delete(&slot, patience)).await {
        Ok(()) | Err(secret_store::Error::NoEntry) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[expect(clippy::disallowed_methods, reason = "door: the vault")]
fn opened(secret: &SecretString) -> ApiKey {
    ApiKey::from(secret.expose_secret().to_owned())
}

#[expect(clippy::disallowed_methods, reason = "door: the vault")]
fn closed(key: &impl ExposeSecret<str>) -> SecretString {
    SecretString::from(key.expose_secret())
}
