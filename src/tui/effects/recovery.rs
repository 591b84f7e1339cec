//! Recovers the attempts and rotations that an earlier run did not finish.

use super::{EffectRunner, send_message, spawn_task};
use crate::services::keys;
use crate::services::provision::{self, ServiceContext};
use crate::tui::state::Msg;

impl EffectRunner {
    pub(super) fn start_recovery(&self) {
        let (services, results) = (self.services.clone(), self.event_sender.clone());
        spawn_task(async move {
            send_message(&results, recover_interrupted(&services).await);
        });
    }
}

/// Finishes attempts and rotations that were interrupted.
pub(super) async fn recover_interrupted(services: &ServiceContext) -> Msg {
    let recovered = keys::recover_attempts(services).await.unwrap_or_else(|error| {
        provision::RecoveredAttempts {
            errors: vec![error.to_user_error()],
            ..provision::RecoveredAttempts::default()
        }
    });
    let rotations = keys::resume_rotations(services).await.unwrap_or_default();
    Msg::RecoveryFinished {
        stored_keys: recovered.stored,
        unstored_keys: recovered.not_stored,
        rotations,
        unresolved_attempts: recovered.unresolved,
        deleted_labels: recovered.settled.deleted,
        foreign_keys: recovered.settled.foreign,
        finished: recovered.finished,
        errors: recovered.errors,
    }
}
