//! Which responses have no effect when they arrive twice.

use keywright::domain::{ProvisioningOutcome, RotationOutcome};
use keywright::tui::state::{Msg, Response};

/// Whether the same response has no effect the second time. An unstored key is kept each time it
/// arrives; a consent decision in the sandbox has the ticket of its provisioning run; messages without a
/// ticket always have an effect.
pub fn is_applied_once(msg: &Msg) -> bool {
    match msg {
        Msg::Response(_, Response::ProvisioningFinished(outcome)) => {
            !matches!(outcome, ProvisioningOutcome::NotStored { .. })
        }
        Msg::Response(_, Response::RotationFinished(outcome)) => {
            !matches!(outcome, RotationOutcome::NotStored { .. })
        }
        Msg::Response(_, Response::RotationsFinished(outcomes)) => !outcomes
            .iter()
            .any(|(_, outcome)| matches!(outcome, RotationOutcome::NotStored { .. })),
        Msg::Response(_, Response::LeakResponseFinished(leak_responses)) => !leak_responses
            .iter()
            .any(|response| matches!(response.rotation, Some(RotationOutcome::NotStored { .. }))),
        Msg::Response(
            _,
            Response::KeysLoaded(_)
            | Response::SharedKeysRead { .. }
            | Response::RefreshFinished { .. }
            | Response::AccountKeyFetched(_)
            | Response::FormChoicesLoaded(_)
            | Response::LossesExpected(_)
            | Response::KeyUpdated(_)
            | Response::KeyImported(_)
            | Response::ManagementKeyStored(_)
            | Response::AccountKeysLoaded(_)
            | Response::UsageHistoryLoaded(_)
            | Response::SpendingLoaded(_)
            | Response::AccountLoaded(_)
            | Response::PlanLoaded(_)
            | Response::PlanApplied(_)
            | Response::TrashLoaded(_)
            | Response::AccountKeysFetched(_)
            | Response::SecretRead { .. },
        ) => true,
        Msg::Intent(_)
        | Msg::Tick
        | Msg::Resized(..)
        | Msg::Response(
            _,
            Response::KeyChecked { .. }
            | Response::ProvisioningEvent(_)
            | Response::QrCodeMeasured(_)
            | Response::ItemStarted(_)
            | Response::ItemFinished { .. }
            | Response::ConsentDecided(_),
        )
        | Msg::Disconnected
        | Msg::FocusGained
        | Msg::BackgroundReported(_)
        | Msg::InventoryChanged(_)
        | Msg::AccountConfirmed { .. }
        | Msg::RecoveryFinished { .. }
        | Msg::KeyDisabledSet { .. }
        | Msg::RowsSkipped(_)
        | Msg::NamesRead(_)
        | Msg::OtherProfilesRead(_)
        | Msg::KeyRevoked { .. }
        | Msg::RetiredKeyInUse { .. }
        | Msg::KeyRemoved { .. }
        | Msg::KeyRestored { .. }
        | Msg::LimitEdited { .. }
        | Msg::SandboxActionFinished(_)
        | Msg::Notice(_) => false,
    }
}
