//! Everything the dashboard can ask of the world: the table of contents. Effects are imperative; each
//! result comes back as a message.

use secrecy::SecretString;

#[cfg(doc)]
use super::Msg;
use super::form::AuthChoice;
use super::message::Ticket;
use crate::domain::{
    AccountKey, ApiKey, AuthCode, KeyPatch, KeyRequest, Label, RetirePolicy, StoredKey,
};

/// What is to become of one key.
#[derive(Clone, Debug)]
pub struct KeyUpdate {
    /// The key, held or only listed.
    pub key: StoredKey,
    /// The key as it was seen at the server, and what to change there.
    pub account_patch: Option<(AccountKey, KeyPatch)>,
    /// Its label from now on.
    pub new_label: Option<Label>,
}

/// What is to be done outside.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Read the inventory; answered by [`Msg::KeysLoaded`].
    LoadKeys(Ticket),
    /// Ask keys about themselves, in this order; answered by [`Msg::Refreshed`] for each, and one
    /// [`Msg::RefreshEnded`].
    RefreshKeys {
        /// To be answered with.
        ticket: Ticket,
        /// Hashes and labels.
        keys: Vec<(String, Label)>,
    },
    /// Ask no more keys.
    StopRefresh(Ticket),
    /// Finish what a dead program left behind; answered by [`Msg::Recovered`].
    RecoverInterrupted,
    /// Cut a key; answered by [`Msg::Reported`] and one [`Msg::Provisioned`].
    ProvisionKey {
        /// To be answered with.
        ticket: Ticket,
        /// What for.
        request: KeyRequest,
        /// By which road.
        auth_choice: AuthChoice,
    },
    /// Another key in a key's place; answered by [`Msg::Reported`] and one [`Msg::Rotated`].
    RotateKey {
        /// To be answered with.
        ticket: Ticket,
        /// The old key.
        stored_key: StoredKey,
        /// What becomes of it.
        retire_policy: RetirePolicy,
    },
    /// These leaked; answered by [`Msg::Reported`] and one [`Msg::Panicked`].
    RespondToLeak {
        /// To be answered with.
        ticket: Ticket,
        /// The keys.
        keys: Vec<StoredKey>,
    },
    /// Ask the account about one key; answered by [`Msg::Looked`].
    FetchAccountKey {
        /// To be answered with.
        ticket: Ticket,
        /// Its hash.
        hash: String,
    },
    /// Change a key; answered by [`Msg::Changed`].
    UpdateKey {
        /// To be answered with.
        ticket: Ticket,
        /// What to change.
        update: Box<KeyUpdate>,
    },
    /// Switch keys off or on; each answered by [`Msg::Switched`].
    SetKeysDisabled {
        /// The keys.
        keys: Vec<StoredKey>,
        /// Off, or on.
        disabled: bool,
    },
    /// Take over a key; answered by [`Msg::Imported`].
    ImportKey {
        /// To be answered with.
        ticket: Ticket,
        /// The label it gets.
        label: Label,
        /// The key.
        key: ApiKey,
    },
    /// Delete keys at the server, then forget those that are held; each answered by
    /// [`Msg::Revoked`].
    RevokeKeys(Vec<StoredKey>),
    /// Read the account's list; answered by [`Msg::AccountRead`].
    LoadAccountKeys(Ticket),
    /// Look for a management key; answered by [`Msg::ManagementKnown`].
    DetectManagementKey,
    /// Look up what was spent in the past; answered by [`Msg::PastRead`].
    LoadUsageHistory {
        /// To be answered with.
        ticket: Ticket,
        /// By these keys.
        hashes: Vec<String>,
    },
    /// Read a plan and compare it with what is held; answered by [`Msg::PlanRead`].
    LoadPlan {
        /// To be answered with.
        ticket: Ticket,
        /// Where it lies, as typed.
        path: String,
    },
    /// Cut these one after the other; answered by [`Msg::Turned`], [`Msg::Reported`] and
    /// [`Msg::Ended`] for each, and one [`Msg::Applied`].
    ApplyPlan {
        /// To be answered with.
        ticket: Ticket,
        /// The keys.
        requests: Vec<KeyRequest>,
    },
    /// Not the key whose turn it is; go on with the next one.
    SkipItem(Ticket),
    /// The key whose turn it is anew: another address.
    RetryItem(Ticket),
    /// The person left this journey.
    CancelRun(Ticket),
    /// The person pasted a code for this journey.
    SubmitCode(Ticket, AuthCode),
    /// Try again to store a key that is nowhere but on screen; answered by [`Msg::Provisioned`].
    RetryStore {
        /// To be answered with.
        ticket: Ticket,
        /// What would be remembered of it.
        entry: StoredKey,
        /// The key.
        key: ApiKey,
    },
    /// Store it in the other store; answered by [`Msg::Provisioned`].
    StoreInAlternate {
        /// To be answered with.
        ticket: Ticket,
        /// What would be remembered of it.
        entry: StoredKey,
        /// The key.
        key: ApiKey,
        /// What opens that store, if that is needed.
        passphrase: Option<SecretString>,
    },
    /// Take a key out of the vault; answered by [`Msg::Fetched`].
    ReadSecret(Ticket, Label),
    /// Copy a key that is on screen; answered by [`Msg::Noticed`].
    CopyShownKey(ApiKey),
    /// Copy a key out of the vault; answered by [`Msg::Noticed`].
    CopyStoredKey(Label),
    /// Copy an address; answered by [`Msg::Noticed`].
    CopyUrl(String),
    /// Open an address; a failure is answered by [`Msg::Noticed`].
    OpenUrl(String),
    /// Forget keys on this machine; each answered by [`Msg::Removed`].
    RemoveKeys(Vec<Label>),
    /// Strike an attempt off the journal.
    DismissAttempt(String),
    /// Decide on the sandbox's consent page; answered by [`Msg::Decided`].
    DecideConsent {
        /// To be answered with.
        ticket: Ticket,
        /// The consent page.
        consent_url: String,
        /// Approve or refuse.
        approve: bool,
    },
    /// Spend on a key of the sandbox; answered by [`Msg::Played`].
    SpendOnKey {
        /// Which key.
        hash: String,
        /// How much.
        usd: f64,
    },
    /// Move the sandbox's clock on by a day; answered by [`Msg::Played`].
    SkipDay,
    /// Stop, until the shell says go on.
    Suspend,
    /// Leave.
    Quit,
}
