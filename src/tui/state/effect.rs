//! The effects of the dashboard: work done outside the state machine. Results arrive as messages.

use secrecy::SecretString;

#[cfg(doc)]
use super::Msg;
use super::form::AuthChoice;
use super::key_update::KeyUpdate;
use super::ticket::Ticket;
use crate::api::oauth::AuthorizationResponse;
use crate::domain::{ApiKey, KeyRequest, Label, RetirePolicy, StoredKey};

/// Work to be done outside the state machine.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Load the inventory; result: [`Msg::KeysLoaded`].
    LoadKeys(Ticket),
    /// Check keys in this order; results: [`Msg::KeyChecked`] for each key, then
    /// [`Msg::RefreshFinished`].
    RefreshKeys {
        /// The ticket of the request.
        ticket: Ticket,
        /// The hashes and labels of the keys.
        keys: Vec<(String, Label)>,
    },
    /// Stop the refresh round.
    StopRefresh(Ticket),
    /// Recover interrupted runs; result: [`Msg::RecoveryFinished`].
    RecoverInterrupted,
    /// Create a key; results: [`Msg::ProvisioningEvent`]s, then [`Msg::ProvisioningFinished`].
    ProvisionKey {
        /// The ticket of the request.
        ticket: Ticket,
        /// The requested key.
        request: KeyRequest,
        /// How the creation is authorised.
        auth_choice: AuthChoice,
    },
    /// Rotate a key; results: [`Msg::ProvisioningEvent`]s, then [`Msg::RotationFinished`].
    RotateKey {
        /// The ticket of the request.
        ticket: Ticket,
        /// The key to replace.
        stored_key: StoredKey,
        /// When the replaced key is revoked.
        retire_policy: RetirePolicy,
    },
    /// Respond to a leak; results: [`Msg::ProvisioningEvent`]s, then [`Msg::LeakResponseFinished`].
    RespondToLeak {
        /// The ticket of the request.
        ticket: Ticket,
        /// The keys.
        keys: Vec<StoredKey>,
    },
    /// Fetch one key of the account; result: [`Msg::AccountKeyFetched`].
    FetchAccountKey {
        /// The ticket of the request.
        ticket: Ticket,
        /// The hash of the key.
        hash: String,
    },
    /// Change a key; result: [`Msg::KeyUpdated`].
    UpdateKey {
        /// The ticket of the request.
        ticket: Ticket,
        /// The change.
        update: Box<KeyUpdate>,
    },
    /// Disable or enable keys; result for each key: [`Msg::KeyDisabledSet`].
    SetKeysDisabled {
        /// The keys.
        keys: Vec<StoredKey>,
        /// Whether to disable them.
        disabled: bool,
    },
    /// Import a key; result: [`Msg::KeyImported`].
    ImportKey {
        /// The ticket of the request.
        ticket: Ticket,
        /// The label for the key.
        label: Label,
        /// The key.
        key: ApiKey,
    },
    /// Revoke keys at OpenRouter and remove the stored ones; result for each key:
    /// [`Msg::KeyRevoked`].
    RevokeKeys(Vec<StoredKey>),
    /// Load the keys of the account; result: [`Msg::AccountKeysLoaded`].
    LoadAccountKeys(Ticket),
    /// Check whether a management key is configured; result: [`Msg::ManagementKeyDetected`].
    DetectManagementKey,
    /// Load the usage history; result: [`Msg::UsageHistoryLoaded`].
    LoadUsageHistory {
        /// The ticket of the request.
        ticket: Ticket,
        /// The hashes of the keys.
        hashes: Vec<String>,
    },
    /// Load a plan and compare it with the stored keys; result: [`Msg::PlanLoaded`].
    LoadPlan {
        /// The ticket of the request.
        ticket: Ticket,
        /// The path, as typed.
        path: String,
    },
    /// Create the keys one after the other; results: [`Msg::ItemStarted`],
    /// [`Msg::ProvisioningEvent`]s and [`Msg::ItemFinished`] for each key, then
    /// [`Msg::PlanApplied`].
    ApplyPlan {
        /// The ticket of the request.
        ticket: Ticket,
        /// The keys.
        requests: Vec<KeyRequest>,
    },
    /// Skip the current key of a plan.
    SkipItem(Ticket),
    /// Retry the current key of a plan with a new sign-in URL.
    RetryItem(Ticket),
    /// Cancel a run.
    CancelRun(Ticket),
    /// Submit a pasted code to a run.
    SubmitCode(Ticket, AuthorizationResponse),
    /// Retry storing a key that is not stored; result: [`Msg::ProvisioningFinished`].
    RetryStore {
        /// The ticket of the request.
        ticket: Ticket,
        /// The inventory entry of the key.
        entry: StoredKey,
        /// The key.
        key: ApiKey,
    },
    /// Store a key in the alternate store; result: [`Msg::ProvisioningFinished`].
    StoreInAlternate {
        /// The ticket of the request.
        ticket: Ticket,
        /// The inventory entry of the key.
        entry: StoredKey,
        /// The key.
        key: ApiKey,
        /// The passphrase of the store, if it needs one.
        passphrase: Option<SecretString>,
    },
    /// Read a secret from the secret store; result: [`Msg::SecretRead`].
    ReadSecret(Ticket, Label),
    /// Copy a key that is on screen; result: [`Msg::Notice`].
    CopyShownKey(ApiKey),
    /// Copy a stored key; result: [`Msg::Notice`].
    CopyStoredKey(Label),
    /// Copy a URL; result: [`Msg::Notice`].
    CopyUrl(String),
    /// Open a URL; result of a failure: [`Msg::Notice`].
    OpenUrl(String),
    /// Remove keys from this machine; result for each key: [`Msg::KeyRemoved`].
    RemoveKeys(Vec<Label>),
    /// Dismiss an attempt in the journal.
    DismissAttempt(String),
    /// Approve or deny on the sandbox's consent page; result: [`Msg::ConsentDecided`].
    DecideConsent {
        /// The ticket of the request.
        ticket: Ticket,
        /// The URL of the consent page.
        consent_url: String,
        /// Whether to approve.
        approve: bool,
    },
    /// Spend on a key in the sandbox; result: [`Msg::SandboxActionFinished`].
    SpendOnKey {
        /// The hash of the key.
        hash: String,
        /// The amount in USD.
        usd: f64,
    },
    /// Advance the clock of the sandbox by one day; result: [`Msg::SandboxActionFinished`].
    SkipDay,
    /// Suspend the program.
    Suspend,
    /// Quit the program.
    Quit,
}
