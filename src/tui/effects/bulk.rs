//! Effects on one or several keys, one after the other, with a message for each.

use jiff::Timestamp;

use super::shared_store::write_shared_records;
use super::{EffectRunner, send_message, spawn_task};
use crate::domain::{KeyUpdate, StoredKey, TrashedKey, UserError};
use crate::platform::blocking_call;
use crate::services::keys::{self, Error, management_key};
use crate::services::provision::ServiceContext;
use crate::storage::secret_store;
use crate::tui::state::{Msg, Response, Ticket};

impl EffectRunner {
    pub(super) fn set_keys_disabled(&self, keys: Vec<StoredKey>, disabled: bool) {
        self.spawn_for_each_key(keys, move |services, stored_key| async move {
            let result = async {
                let management =
                    management_key::require_management_key(&services, &stored_key.page_url())
                        .await?;
                keys::set_disabled(&services, &management, &stored_key, disabled).await
            };
            let (result, warning) = match result.await {
                Ok(updated) => (Ok(updated.account_key), updated.warning),
                Err(error) => (Err(error.to_user_error()), None),
            };
            Msg::KeyDisabledSet { label: stored_key.label.clone(), result, warning }
        });
    }

    pub(super) fn revoke_keys(&self, keys: Vec<StoredKey>) {
        self.spawn_for_each_key(keys, move |services, stored_key| async move {
            revoke_key(&services, stored_key).await
        });
    }

    /// Asks the account again before each key is deleted: the last check may be older than its last use.
    pub(super) fn revoke_unused_keys(&self, keys: Vec<StoredKey>) {
        self.spawn_for_each_key(keys, move |services, stored_key| async move {
            let recent_use = async {
                let page = stored_key.page_url();
                let management = management_key::require_management_key(&services, &page).await?;
                keys::find_recent_use(&services, &management, &stored_key).await
            };
            let label = stored_key.label.clone();
            match recent_use.await {
                Ok(None) => revoke_key(&services, stored_key).await,
                Ok(Some((account_key, reason))) => {
                    Msg::RetiredKeyInUse { label, account_key, reason }
                }
                Err(error) => Msg::KeyRevoked {
                    hash: stored_key.hash.clone(),
                    label,
                    result: Err(error.into()),
                },
            }
        });
    }

    pub(super) fn remove_keys(&self, keys: Vec<StoredKey>) {
        self.spawn_for_each_key(keys, move |services, key| async move {
            let label = key.label.clone();
            let result = match keys::keep_earlier_keys(&services, &key, &label).await {
                Ok(_) => run_blocking(move || keys::remove_key(&services, &key)).await,
                Err(error) => Err(error.to_user_error()),
            };
            Msg::KeyRemoved { label, result }
        });
    }

    pub(super) fn restore_keys(&self, keys: Vec<TrashedKey>) {
        self.spawn_for_each_key(keys, move |services, trashed| async move {
            let key = trashed.clone();
            let restore = move || keys::restore_key(&services, &key, &key.key.label);
            Msg::KeyRestored { trashed, result: run_blocking(restore).await }
        });
    }

    pub(super) fn edit_limits(&self, updates: Vec<KeyUpdate>) {
        self.spawn_for_each_key(updates, move |services, update| async move {
            let outcome = keys::apply_key_update(&services, update.clone()).await;
            Msg::LimitEdited { update: Box::new(update), outcome }
        });
    }

    /// Fetches keys of the account, one after the other.
    pub(super) fn fetch_account_keys(&self, ticket: Ticket, hashes: Vec<String>) {
        self.spawn_request(ticket, move |services, _| async move {
            let mut account_keys = Vec::with_capacity(hashes.len());
            for hash in hashes {
                let page_url = format!("{}/keys/{hash}", services.server);
                let result = async {
                    let management =
                        management_key::require_management_key(&services, &page_url).await?;
                    keys::fetch_account_key(&services, &management, &hash).await
                };
                account_keys.push(result.await.map_err(UserError::from));
            }
            Response::AccountKeysFetched(account_keys)
        });
    }

    pub(super) fn load_trash(&self, ticket: Ticket) {
        self.spawn_blocking_request(ticket, move |services| {
            if let Err(error) = keys::read_shared_trash(services) {
tracing::warn!(%error, "what others removed from the shared store could not be read");
}
            let trash = keys::list_restorable_keys(services, Timestamp::now());
            Response::TrashLoaded(trash.map_err(UserError::from))
        });
    }

    /// Spawns a task that handles the keys one after the other, with a message for each.
    pub(super) fn spawn_for_each_key<K: 'static, T: Future<Output = Msg>>(
        &self,
        keys: Vec<K>,
        action: impl Fn(ServiceContext, K) -> T + 'static,
    ) {
        let (services, results) = (self.services.clone(), self.event_sender.clone());
        spawn_task(async move {
            for key in keys {
                let msg = action(services.clone(), key).await;
                send_message(&results, msg);
            }
            write_shared_records(&services, &results).await;
        });
    }
}

/// Runs a blocking call on a thread for blocking calls.
async fn run_blocking<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, UserError> {
    let result = blocking_call::run_blocking(call).await;
    result
        .unwrap_or(Err(Error::SecretStore(secret_store::Error::TimedOut)))
        .map_err(UserError::from)
}

/// Revokes a key and removes it from this machine.
async fn revoke_key(services: &ServiceContext, stored_key: StoredKey) -> Msg {
    let result = async {
        let page = stored_key.page_url();
        let management = management_key::require_management_key(services, &page).await?;
        if stored_key.is_stored() {
            keys::keep_earlier_keys(services, &stored_key, &stored_key.label).await?;
            keys::revoke_and_remove(services, &management, &stored_key).await
        } else {
            keys::revoke_key(services, &management, &stored_key.hash).await
        }
    };
    let result = result.await.map(|_| ()).map_err(UserError::from);
    Msg::KeyRevoked { hash: stored_key.hash.clone(), label: stored_key.label.clone(), result }
}
