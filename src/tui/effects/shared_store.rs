//! The shared store: reads it, and writes what changed.

use std::sync::{Arc, PoisonError};

use tokio::sync::mpsc::UnboundedSender;

use super::{EffectRunner, LoopEvent, send_message};
use crate::domain::UserError;
use crate::platform::blocking_call::run_blocking;
use crate::services::provision::ServiceContext;
use crate::services::shared_inventory::{self, find_problems, hidden_key_error};
use crate::storage::inventory;
use crate::storage::secret_store::Error;
use crate::tui::state::{Msg, Response, Ticket};

impl EffectRunner {
    /// Reads the shared store into the inventory, and what its token may do.
    pub(super) fn read_shared_keys(&self, ticket: Ticket) {
        let last_stamp = Arc::clone(&self.inventory_stamp);
        self.spawn_blocking_request(ticket, move |services| {
            let read = shared_inventory::read_all(services, |_, _| ());
            let error = match &read {
                Ok(changes) => {
                    let unreadable = || changes.unreadable.first().map(Error::to_user_error);
                    changes.hidden.first().map(hidden_key_error).or_else(unreadable)
                }
                Err(error) => Some(
                    error.to_user_error().with_meaning("the keys of the last reading are shown"),
                ),
            };
            let is_read_only = read.is_ok() && shared_inventory::is_read_only(services);
            *last_stamp.lock().unwrap_or_else(PoisonError::into_inner) =
                inventory::inventory_stamp(&services.location);
            let keys = services.list_keys();
            let problem = |keys: &Vec<_>| find_problems(services, keys).into_iter().next();
            let error = error.or_else(|| keys.as_ref().ok().and_then(problem));
            let keys = keys.map_err(UserError::from);
            Response::SharedKeysRead { keys, error, is_read_only }
        });
    }
}

/// Writes what changed to the shared store. A failure is reported, and the next action tries again.
pub(super) async fn write_shared_records(
    services: &ServiceContext,
    results: &UnboundedSender<LoopEvent>,
) {
    let services = services.clone();
    let write = move || shared_inventory::write_records(&services);
    if let Some(Err(error)) = run_blocking(write).await {
        let mut error = error.to_user_error();
        error.message = format!("others cannot see the change yet: {}", error.message);
        send_message(results, Msg::Notice(Err(error)));
    }
}
