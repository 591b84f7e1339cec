//! Everything that can happen to the dashboard: the table of contents. Intents are imperative,
//! facts are past tense.

use jiff::{SignedDuration, Timestamp};
use tui_input::InputRequest;

#[cfg(doc)]
use super::Effect;
use super::plan::Compared;
use crate::domain::{
    AccountKey, AccountKeys, ApiKey, AuthCode, CheckResult, Label, LeakResponse, ProvisioningEvent,
    ProvisioningOutcome, Rotated, RotationOutcome, StoredKey, UnresolvedAttempt, UsageSample,
    UserError,
};

/// Names the request an asynchronous result answers; a stale one is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// What a person wants. What it does depends on the screen; where it does nothing, nothing happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Leave the program (`q`).
    Quit,
    /// Leave the program, from anywhere (`ctrl-c`).
    Interrupt,
    /// Stop the program and give the terminal back to the shell (`ctrl-z`).
    Suspend,
    /// One step back (`esc`).
    Back,
    /// Show or hide the keys.
    ToggleHelp,
    /// Fill in the form of a new key.
    New,
    /// Move the selection, in rows.
    Move(isize),
    /// Move the selection, in pages.
    MovePage(isize),
    /// To the first row.
    ToTop,
    /// To the last row.
    ToBottom,
    /// Show or hide all that is known of the selected key.
    ToggleDetails,
    /// Copy the key, or while waiting the address.
    Copy,
    /// Store the key in another store than the one that refuses it.
    StoreElsewhere,
    /// Show the key in clear for a moment, or hide it.
    ToggleReveal,
    /// Open the key's page at the server.
    OpenPage,
    /// Ask whether to forget the selected key.
    Remove,
    /// Rather than to forget it, to delete it at the server.
    Revoke,
    /// Think over another key in the selected one's place.
    Rotate,
    /// Think over what to do about keys that leaked.
    Panic,
    /// Change the selected key: its name, and with a management key its limit and reset.
    Change,
    /// Switch keys off at the server, or on again.
    Switch,
    /// Take over a key from elsewhere.
    Import,
    /// List those held here, then all of the account, those not held here, those it knows no more.
    NextScope,
    /// Read the list of keys again, and ask each about itself.
    Reload,
    /// Order the list by the next column.
    Sort,
    /// Turn the order round.
    Reverse,
    /// Type what labels must match.
    Filter,
    /// Mark the selected key for the next action, or take its mark.
    Mark,
    /// Select the key at that row of the screen.
    Click(u16),
    /// Strike the first attempt off the list of what may have been issued.
    Dismiss,
    /// Yes to the question on screen.
    Yes,
    /// No to the question on screen.
    No,
    /// The next field of the form.
    NextField,
    /// The field before.
    PreviousField,
    /// The field's next choice.
    NextChoice,
    /// The field's choice before.
    PreviousChoice,
    /// `enter` in the form: the next field, on the last one submit.
    Enter,
    /// Cut the key.
    Submit,
    /// Another road to the new key.
    NextRoad,
    /// A character typed.
    Type(char),
    /// An edit of the field that has the cursor.
    Edit(InputRequest),
    /// Text pasted, as the terminal brought it.
    Paste(String),
    /// Open the browser once more.
    OpenBrowser,
    /// Show or hide the field for a code that the consent page shows.
    ToggleCode,
    /// Show or hide the address as a QR code.
    ToggleQr,
    /// Approve in the sandbox's browser.
    Approve,
    /// Refuse in the sandbox's browser.
    Refuse,
    /// Try what failed once more; in a queue, the key whose turn it is.
    Retry,
    /// Not this key of a queue.
    Skip,
    /// Read a plan.
    Plan,
    /// Spend on the selected key, in the sandbox.
    Spend,
    /// Let a day go by, in the sandbox.
    SkipDay,
}

/// What came of changing a key.
#[derive(Clone, Debug)]
pub enum Changed {
    /// Done.
    Done {
        /// The key as it is at the server, if that was asked for.
        there: Option<AccountKey>,
        /// The key under its label of now, if it is held.
        here: Option<StoredKey>,
        /// What did not keep it from being done.
        note: Option<UserError>,
    },
    /// Somebody changed it since it was seen, and nothing was done.
    Conflict {
        /// The key as it is.
        now: AccountKey,
        /// OpenRouter's names of what differs.
        differences: Vec<&'static str>,
    },
    /// Not done.
    Failed(UserError),
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Msg {
    /// A person wants something.
    Wanted(Intent),
    /// Time went by: something on screen moves now.
    Ticked,
    /// The terminal's size, columns and rows.
    Resized(u16, u16),
    /// The list of keys was read.
    KeysLoaded {
        /// Of [`Effect::LoadKeys`].
        ticket: Ticket,
        /// The keys in the order in which they were cut.
        keys: Result<Vec<StoredKey>, UserError>,
    },
    /// A key was asked about itself.
    Refreshed {
        /// Of [`Effect::Refresh`].
        ticket: Ticket,
        /// Which key.
        hash: String,
        /// What came of it.
        read: CheckResult,
        /// When.
        at: Timestamp,
    },
    /// All were asked, or asking ended early.
    RefreshEnded {
        /// Of [`Effect::Refresh`].
        ticket: Ticket,
        /// Why it ended early.
        trouble: Option<UserError>,
        /// How long the server asks to be left alone.
        wait: Option<SignedDuration>,
        /// What the account says of those that were refused.
        refused: Vec<AccountKey>,
    },
    /// The terminal is gone, or a signal asks to leave: nobody is there to be asked.
    Left,
    /// The person came back to the terminal.
    Returned,
    /// What earlier runs left behind was looked through.
    Recovered {
        /// Keys stored just now.
        stored: Vec<StoredKey>,
        /// Keys received just now that are nowhere but here.
        not_stored: Vec<ProvisioningOutcome>,
        /// Rotations that went on, and those that could not.
        rotations: Vec<(Label, Result<Rotated, UserError>)>,
        /// What may have been issued and was not received.
        unresolved: Vec<UnresolvedAttempt>,
        /// Why the looking failed.
        trouble: Option<UserError>,
    },
    /// News of a journey under way.
    Reported {
        /// Of [`Effect::Provision`].
        ticket: Ticket,
        /// The news.
        report: ProvisioningEvent,
    },
    /// A journey ended.
    Provisioned {
        /// Of [`Effect::Provision`] or [`Effect::StoreAgain`].
        ticket: Ticket,
        /// How.
        outcome: ProvisioningOutcome,
    },
    /// A journey to another key in a key's place ended.
    Rotated {
        /// Of [`Effect::Rotate`] or [`Effect::StoreAgain`].
        ticket: Ticket,
        /// How.
        rotation: RotationOutcome,
    },
    /// What could be done about keys that leaked was done.
    Panicked {
        /// Of [`Effect::Panic`].
        ticket: Ticket,
        /// What came of each.
        panicked: Vec<LeakResponse>,
    },
    /// A plan was read and compared with what is held.
    PlanRead {
        /// Of [`Effect::ReadPlan`].
        ticket: Ticket,
        /// What it holds; or what is wrong with it, a line each.
        plan: Result<Compared, Vec<String>>,
    },
    /// The next key of a plan has its turn.
    Turned {
        /// Of [`Effect::Apply`].
        ticket: Ticket,
        /// Its label.
        label: Label,
    },
    /// Its turn is over.
    Ended {
        /// Of [`Effect::Apply`].
        ticket: Ticket,
        /// Its label.
        label: Label,
        /// The key as it is held, or why there is none.
        result: Result<StoredKey, UserError>,
        /// Something that did not keep it from being stored.
        note: Option<UserError>,
    },
    /// A plan was applied, to its end or not.
    Applied {
        /// Of [`Effect::Apply`].
        ticket: Ticket,
        /// Why nothing was begun.
        trouble: Option<UserError>,
    },
    /// The account was asked about one key.
    Looked {
        /// Of [`Effect::Look`].
        ticket: Ticket,
        /// The key as it is; `None` where no management key is known.
        remote: Result<Option<AccountKey>, UserError>,
    },
    /// A change was made, or not.
    Changed {
        /// Of [`Effect::Change`].
        ticket: Ticket,
        /// What came of it.
        outcome: Changed,
    },
    /// A key was switched off or on, or not.
    Switched {
        /// Its label.
        label: Label,
        /// The key as it is.
        result: Result<AccountKey, UserError>,
    },
    /// A key was taken over, or not.
    Imported {
        /// Of [`Effect::Import`].
        ticket: Ticket,
        /// The key.
        result: Result<StoredKey, UserError>,
    },
    /// A key was deleted at the server, or not.
    Revoked {
        /// Its hash.
        hash: String,
        /// Its label.
        label: Label,
        /// Whether it was.
        result: Result<(), UserError>,
    },
    /// The account's list was read.
    AccountRead {
        /// Of [`Effect::ReadAccount`].
        ticket: Ticket,
        /// The list.
        account: Result<AccountKeys, UserError>,
    },
    /// Whether a management key is known.
    ManagementKnown(bool),
    /// What was spent in the past was looked up.
    PastRead {
        /// Of [`Effect::ReadPast`].
        ticket: Ticket,
        /// By hash.
        past: Vec<(String, Vec<UsageSample>)>,
    },
    /// A key came out of the vault, to be shown for a moment.
    Fetched {
        /// Of [`Effect::Fetch`].
        ticket: Ticket,
        /// Its label.
        label: Label,
        /// The key.
        key: Result<ApiKey, UserError>,
    },
    /// A key was forgotten here.
    Removed {
        /// Its label.
        label: Label,
        /// Whether it worked.
        result: Result<(), UserError>,
    },
    /// The sandbox's page answered the decision: a code, when the page shows one.
    Decided {
        /// Of [`Effect::Decide`].
        ticket: Ticket,
        /// The code, if any; or why not.
        result: Result<Option<AuthCode>, String>,
    },
    /// Something was done in the sandbox.
    Played(Result<String, UserError>),
    /// Something worth saying once.
    Noticed(Result<String, UserError>),
}
