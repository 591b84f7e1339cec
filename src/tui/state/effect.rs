//! Everything the dashboard can ask of the world: the table of contents. Effects are imperative; each
//! result comes back as a message.

use secrecy::SecretString;

#[cfg(doc)]
use super::Msg;
use super::form::Road;
use super::message::Ticket;
use crate::domain::{
    AccountKey, ApiKey, AuthCode, KeyPatch, KeyRequest, Label, RetirePolicy, StoredKey,
};

/// What is to become of one key.
#[derive(Clone, Debug)]
pub struct Changes {
    /// The key, held or only listed.
    pub held: StoredKey,
    /// The key as it was seen at the server, and what to change there.
    pub there: Option<(AccountKey, KeyPatch)>,
    /// Its label from now on.
    pub label: Option<Label>,
}

/// What is to be done outside.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Read the inventory; answered by [`Msg::KeysLoaded`].
    LoadKeys(Ticket),
    /// Ask keys about themselves, in this order; answered by [`Msg::Refreshed`] for each, and one
    /// [`Msg::RefreshEnded`].
    Refresh {
        /// To be answered with.
        ticket: Ticket,
        /// Hashes and labels.
        keys: Vec<(String, Label)>,
    },
    /// Ask no more keys.
    StopRefresh(Ticket),
    /// Finish what a dead program left behind; answered by [`Msg::Recovered`].
    Recover,
    /// Cut a key; answered by [`Msg::Reported`] and one [`Msg::Provisioned`].
    Provision {
        /// To be answered with.
        ticket: Ticket,
        /// What for.
        request: KeyRequest,
        /// By which road.
        road: Road,
    },
    /// Another key in a key's place; answered by [`Msg::Reported`] and one [`Msg::Rotated`].
    Rotate {
        /// To be answered with.
        ticket: Ticket,
        /// The old key.
        held: StoredKey,
        /// What becomes of it.
        terms: RetirePolicy,
    },
    /// These leaked; answered by [`Msg::Reported`] and one [`Msg::Panicked`].
    Panic {
        /// To be answered with.
        ticket: Ticket,
        /// The keys.
        keys: Vec<StoredKey>,
    },
    /// Ask the account about one key; answered by [`Msg::Looked`].
    Look {
        /// To be answered with.
        ticket: Ticket,
        /// Its hash.
        hash: String,
    },
    /// Change a key; answered by [`Msg::Changed`].
    Change {
        /// To be answered with.
        ticket: Ticket,
        /// What to change.
        change: Box<Changes>,
    },
    /// Switch keys off or on; each answered by [`Msg::Switched`].
    Switch {
        /// The keys.
        keys: Vec<StoredKey>,
        /// Off, or on.
        disabled: bool,
    },
    /// Take over a key; answered by [`Msg::Imported`].
    Import {
        /// To be answered with.
        ticket: Ticket,
        /// The label it gets.
        label: Label,
        /// The key.
        key: ApiKey,
    },
    /// Delete keys at the server, then forget those that are held; each answered by
    /// [`Msg::Revoked`].
    Revoke(Vec<StoredKey>),
    /// Read the account's list; answered by [`Msg::AccountRead`].
    ReadAccount(Ticket),
    /// Look for a management key; answered by [`Msg::ManagementKnown`].
    LookForManagement,
    /// Look up what was spent in the past; answered by [`Msg::PastRead`].
    ReadPast {
        /// To be answered with.
        ticket: Ticket,
        /// By these keys.
        hashes: Vec<String>,
    },
    /// Read a plan and compare it with what is held; answered by [`Msg::PlanRead`].
    ReadPlan {
        /// To be answered with.
        ticket: Ticket,
        /// Where it lies, as typed.
        path: String,
    },
    /// Cut these one after the other; answered by [`Msg::Turned`], [`Msg::Reported`] and
    /// [`Msg::Ended`] for each, and one [`Msg::Applied`].
    Apply {
        /// To be answered with.
        ticket: Ticket,
        /// The keys.
        requests: Vec<KeyRequest>,
    },
    /// Not the key whose turn it is; go on with the next one.
    Skip(Ticket),
    /// The key whose turn it is anew: another address.
    Anew(Ticket),
    /// The person left this journey.
    Cancel(Ticket),
    /// The person pasted a code for this journey.
    GiveCode(Ticket, AuthCode),
    /// Try again to store a key that is nowhere but on screen; answered by [`Msg::Provisioned`].
    StoreAgain {
        /// To be answered with.
        ticket: Ticket,
        /// What would be remembered of it.
        held: StoredKey,
        /// The key.
        key: ApiKey,
    },
    /// Store it in the other store; answered by [`Msg::Provisioned`].
    StoreElsewhere {
        /// To be answered with.
        ticket: Ticket,
        /// What would be remembered of it.
        held: StoredKey,
        /// The key.
        key: ApiKey,
        /// What opens that store, if that is needed.
        passphrase: Option<SecretString>,
    },
    /// Take a key out of the vault; answered by [`Msg::Fetched`].
    Fetch(Ticket, Label),
    /// Copy a key that is on screen; answered by [`Msg::Noticed`].
    CopyKey(ApiKey),
    /// Copy a key out of the vault; answered by [`Msg::Noticed`].
    CopyHeld(Label),
    /// Copy an address; answered by [`Msg::Noticed`].
    CopyAddress(String),
    /// Open an address; a failure is answered by [`Msg::Noticed`].
    Open(String),
    /// Forget keys on this machine; each answered by [`Msg::Removed`].
    Remove(Vec<Label>),
    /// Strike an attempt off the journal.
    Dismiss(String),
    /// Decide on the sandbox's consent page; answered by [`Msg::Decided`].
    Decide {
        /// To be answered with.
        ticket: Ticket,
        /// The consent page.
        address: String,
        /// Approve or refuse.
        approve: bool,
    },
    /// Spend on a key of the sandbox; answered by [`Msg::Played`].
    Spend {
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
