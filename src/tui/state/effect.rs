//! The effects of the dashboard: work done outside the state machine. Results arrive as messages.

use secrecy::SecretString;

use super::form::AuthChoice;
use super::ticket::Ticket;
use super::view_state::ViewState;
#[cfg(doc)]
use super::{Msg, Response};
use crate::domain::{
    ApiKey, AuthorizationResponse, Expiry, FieldChange, KeyRequest, KeyUpdate, Label,
    ManagementKey, ProfileName, RetirePolicy, StoredKey, TrashedKey,
};

/// Work to be done outside the state machine.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Run a request; each of its results is a [`Msg::Response`] with the same ticket.
    Request(Ticket, Request),
    /// Stop the refresh round.
    StopRefresh(Ticket),
    /// Recover interrupted runs; result: [`Msg::RecoveryFinished`].
    RecoverInterrupted,
    /// Disable or enable keys; result for each key: [`Msg::KeyDisabledSet`].
    SetKeysDisabled {
        /// The keys.
        keys: Vec<StoredKey>,
        /// Whether to disable them.
        disabled: bool,
    },
    /// Change keys at OpenRouter; result for each key: [`Msg::LimitEdited`].
    EditLimits(Vec<KeyUpdate>),
    /// Revoke keys at OpenRouter and remove the stored ones; result for each key:
    /// [`Msg::KeyRevoked`].
    RevokeKeys(Vec<StoredKey>),
    /// Revoke replaced keys that seem to be unused; result for each key: [`Msg::KeyRevoked`] or
    /// [`Msg::RetiredKeyInUse`].
    RevokeUnusedKeys(Vec<StoredKey>),
    /// Use the environment's management key from now on.
    UseEnvironmentKey,
    /// Confirm that the account of this key is the user's; result: [`Msg::AccountConfirmed`].
    ConfirmAccount(StoredKey),
    /// Skip the current key of a plan.
    SkipItem(Ticket),
    /// Retry the current key of a plan with a new sign-in URL.
    RetryItem(Ticket),
    /// Cancel a run.
    CancelRun(Ticket),
    /// Submit a pasted code to a run.
    SubmitCode(Ticket, AuthorizationResponse),
    /// Copy a key that is on screen; result: [`Msg::Notice`].
    CopyShownKey(ApiKey),
    /// Copy a stored key; result: [`Msg::Notice`].
    CopyStoredKey(StoredKey),
    /// Copy stored keys as environment variables, one a line; result: [`Msg::Notice`].
    CopyAsVariables(Vec<StoredKey>),
    /// Copy a URL; result: [`Msg::Notice`].
    CopyUrl(String),
    /// Open a URL; result of a failure: [`Msg::Notice`].
    OpenUrl(String),
    /// Remove keys from this machine; result for each key: [`Msg::KeyRemoved`].
    RemoveKeys(Vec<StoredKey>),
    /// Restore removed keys; result for each key: [`Msg::KeyRestored`].
    RestoreKeys(Vec<TrashedKey>),
    /// Dismiss an attempt in the journal.
    DismissAttempt(String),
    /// Spend on a key in the sandbox; result: [`Msg::SandboxActionFinished`].
    SpendOnKey {
        /// The hash of the key.
        hash: String,
        /// The amount in USD.
        usd: f64,
    },
    /// Advance the clock of the sandbox by one day; result: [`Msg::SandboxActionFinished`].
    SkipDay,
    /// Load the inventory again if another program has changed it; result: [`Msg::InventoryChanged`].
    CheckInventory,
    /// Keep the view for the next run.
    SaveView(ViewState),
    /// Show another profile: the state starts again with its keys.
    SwitchProfile(ProfileName),
    /// Suspend the program.
    Suspend,
    /// Quit the program.
    Quit,
}

/// Work whose results are ignored when nothing waits for its ticket any more.
#[derive(Clone, Debug)]
pub enum Request {
    /// Load the inventory; result: [`Response::KeysLoaded`].
    LoadKeys,
    /// Read the shared store into the inventory; result: [`Response::SharedKeysRead`].
    ReadSharedKeys,
    /// Check these keys in this order; results: [`Response::KeyChecked`] for each key, then [`Response::RefreshFinished`].
    RefreshKeys(Vec<StoredKey>),
    /// Create a key; results: [`Response::ProvisioningEvent`]s, then
    /// [`Response::ProvisioningFinished`].
    ProvisionKey {
        /// The requested key.
        request: KeyRequest,
        /// How the creation is authorised.
        auth_choice: AuthChoice,
    },
    /// Rotate a key; results: [`Response::ProvisioningEvent`]s, then
    /// [`Response::RotationFinished`].
    RotateKey {
        /// The key to replace.
        stored_key: StoredKey,
        /// The end of the new key.
        expiry: FieldChange<Expiry>,
        /// When the replaced key is revoked.
        retire_policy: RetirePolicy,
    },
    /// Rotate several keys, one after the other; results: [`Response::ItemStarted`] and
    /// [`Response::ProvisioningEvent`]s for each key, then [`Response::RotationsFinished`].
    RotateKeys {
        /// The keys to replace.
        keys: Vec<StoredKey>,
        /// The end of the new keys that would otherwise end soon.
        expiry: FieldChange<Expiry>,
        /// When the replaced keys are revoked.
        retire_policy: RetirePolicy,
    },
    /// Respond to a leak of the keys; results: [`Response::ProvisioningEvent`]s, then
    /// [`Response::LeakResponseFinished`].
    RespondToLeak(Vec<StoredKey>),
    /// Read what the replacements of these keys will lack; result: [`Response::LossesExpected`].
    PreviewReplacements(Vec<StoredKey>),
    /// Fetch the key of the account with this hash; result: [`Response::AccountKeyFetched`].
    FetchAccountKey(String),
    /// Read the workspaces and guardrails that the form offers, and the guardrail of the key with this
    /// hash; result: [`Response::FormChoicesLoaded`].
    LoadFormChoices(Option<String>),
    /// Fetch the keys of the account with these hashes; result: [`Response::AccountKeysFetched`].
    FetchAccountKeys(Vec<String>),
    /// Change a key; result: [`Response::KeyUpdated`].
    UpdateKey(Box<KeyUpdate>),
    /// Check and store a management key; result: [`Response::ManagementKeyStored`].
    StoreManagementKey(ManagementKey),
    /// Import a key; result: [`Response::KeyImported`].
    ImportKey {
        /// The label for the key.
        label: Label,
        /// The key.
        key: ApiKey,
    },
    /// Load the keys of the account; result: [`Response::AccountKeysLoaded`].
    LoadAccountKeys,
    /// Load the usage history of the keys with these hashes; result:
    /// [`Response::UsageHistoryLoaded`].
    LoadUsageHistory(Vec<String>),
    /// Load what the stored keys spent by day and by model; result: [`Response::SpendingLoaded`].
    LoadSpending,
    /// Load the credits and the activity of the account; result: [`Response::AccountLoaded`].
    LoadAccount,
    /// Load the removed keys; result: [`Response::TrashLoaded`].
    LoadTrash,
    /// Load the plan at this path, as typed, and compare it with the stored keys; result:
    /// [`Response::PlanLoaded`].
    LoadPlan(String),
    /// Create the keys one after the other; results: [`Response::ItemStarted`],
    /// [`Response::ProvisioningEvent`]s and [`Response::ItemFinished`] for each key, then
    /// [`Response::PlanApplied`].
    ApplyPlan(Vec<KeyRequest>),
    /// Retry storing a key that is not stored; result: [`Response::ProvisioningFinished`].
    RetryStore {
        /// The inventory entry of the key.
        entry: StoredKey,
        /// The key.
        key: ApiKey,
    },
    /// Store a key in the alternate store; result: [`Response::ProvisioningFinished`].
    StoreInAlternate {
        /// The inventory entry of the key.
        entry: StoredKey,
        /// The key.
        key: ApiKey,
        /// The passphrase of the store, if it needs one.
        passphrase: Option<SecretString>,
    },
    /// Read the secret of a stored key; result: [`Response::SecretRead`].
    ReadSecret(StoredKey),
    /// Approve or deny on the sandbox's consent page; result: [`Response::ConsentDecided`].
    DecideConsent {
        /// The URL of the consent page.
        consent_url: String,
        /// Whether to approve.
        approve: bool,
    },
}
