//! Everything that can happen to the dashboard: the table of contents. Intents are imperative,
//! facts are past tense.

use jiff::{SignedDuration, Timestamp};
use tui_input::InputRequest;

#[cfg(doc)]
use super::Effect;
use super::plan_screen::PlanComparison;
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
    NewKey,
    /// Move the selection, in rows.
    Move(isize),
    /// Move the selection, in pages.
    MovePage(isize),
    /// To the first row.
    MoveToTop,
    /// To the last row.
    MoveToBottom,
    /// Show or hide all that is known of the selected key.
    ToggleDetails,
    /// Copy the key, or while waiting the address.
    Copy,
    /// Store the key in another store than the one that refuses it.
    StoreInAlternate,
    /// Show the key in clear for a moment, or hide it.
    ToggleReveal,
    /// Open the key's page at the server.
    OpenKeyPage,
    /// Ask whether to forget the selected key.
    Remove,
    /// Rather than to forget it, to delete it at the server.
    Revoke,
    /// Think over another key in the selected one's place.
    Rotate,
    /// Think over what to do about keys that leaked.
    RespondToLeak,
    /// Change the selected key: its name, and with a management key its limit and reset.
    EditKey,
    /// Switch keys off at the server, or on again.
    ToggleDisabled,
    /// Take over a key from elsewhere.
    ImportKey,
    /// List those held here, then all of the account, those not held here, those it knows no more.
    NextScope,
    /// Read the list of keys again, and ask each about itself.
    Reload,
    /// Order the list by the next column.
    NextSortOrder,
    /// Turn the order round.
    ReverseSort,
    /// Type what labels must match.
    EditFilter,
    /// Mark the selected key for the next action, or take its mark.
    ToggleMark,
    /// Select the key at that row of the screen.
    ClickRow(u16),
    /// Strike the first attempt off the list of what may have been issued.
    DismissAttempt,
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
    NextAuthChoice,
    /// A character typed.
    TypeChar(char),
    /// An edit of the field that has the cursor.
    EditText(InputRequest),
    /// Text pasted, as the terminal brought it.
    Paste(String),
    /// Open the browser once more.
    OpenBrowser,
    /// Show or hide the field for a code that the consent page shows.
    ToggleCodeField,
    /// Show or hide the address as a QR code.
    ToggleQrCode,
    /// Approve in the sandbox's browser.
    Approve,
    /// Refuse in the sandbox's browser.
    Deny,
    /// Try what failed once more; in a queue, the key whose turn it is.
    Retry,
    /// Not this key of a queue.
    SkipItem,
    /// Read a plan.
    OpenPlan,
    /// Spend on the selected key, in the sandbox.
    SpendOnKey,
    /// Let a day go by, in the sandbox.
    SkipDay,
}

/// What came of changing a key.
#[derive(Clone, Debug)]
pub enum KeyUpdateOutcome {
    /// Done.
    Updated {
        /// The key as it is at the server, if that was asked for.
        account_key: Option<AccountKey>,
        /// The key under its label of now, if it is held.
        stored_key: Option<StoredKey>,
        /// What did not keep it from being done.
        warning: Option<UserError>,
    },
    /// Somebody changed it since it was seen, and nothing was done.
    Conflict {
        /// The key as it is.
        current: AccountKey,
        /// OpenRouter's names of what differs.
        changed_fields: Vec<&'static str>,
    },
    /// Not done.
    Failed(UserError),
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Msg {
    /// A person wants something.
    Intent(Intent),
    /// Time went by: something on screen moves now.
    Tick,
    /// The terminal's size, columns and rows.
    Resized(u16, u16),
    /// The list of keys was read.
    KeysLoaded {
        /// Of [`Effect::LoadKeys`].
        ticket: Ticket,
        /// The keys in the order in which they were cut.
        result: Result<Vec<StoredKey>, UserError>,
    },
    /// A key was asked about itself.
    KeyChecked {
        /// Of [`Effect::Refresh`].
        ticket: Ticket,
        /// Which key.
        hash: String,
        /// What came of it.
        result: CheckResult,
        /// When.
        checked_at: Timestamp,
    },
    /// All were asked, or asking ended early.
    RefreshFinished {
        /// Of [`Effect::Refresh`].
        ticket: Ticket,
        /// Why it ended early.
        error: Option<UserError>,
        /// How long the server asks to be left alone.
        retry_after: Option<SignedDuration>,
        /// What the account says of those that were refused.
        rejected_keys: Vec<AccountKey>,
    },
    /// The terminal is gone, or a signal asks to leave: nobody is there to be asked.
    Disconnected,
    /// The person came back to the terminal.
    FocusGained,
    /// What earlier runs left behind was looked through.
    RecoveryFinished {
        /// Keys stored just now.
        stored_keys: Vec<StoredKey>,
        /// Keys received just now that are nowhere but here.
        unstored_keys: Vec<ProvisioningOutcome>,
        /// Rotations that went on, and those that could not.
        rotations: Vec<(Label, Result<Rotated, UserError>)>,
        /// What may have been issued and was not received.
        unresolved_attempts: Vec<UnresolvedAttempt>,
        /// Why the looking failed.
        error: Option<UserError>,
    },
    /// News of a journey under way.
    ProvisioningEvent {
        /// Of [`Effect::Provision`].
        ticket: Ticket,
        /// The news.
        event: ProvisioningEvent,
    },
    /// A journey ended.
    ProvisioningFinished {
        /// Of [`Effect::Provision`] or [`Effect::StoreAgain`].
        ticket: Ticket,
        /// How.
        outcome: ProvisioningOutcome,
    },
    /// A journey to another key in a key's place ended.
    RotationFinished {
        /// Of [`Effect::Rotate`] or [`Effect::StoreAgain`].
        ticket: Ticket,
        /// How.
        outcome: RotationOutcome,
    },
    /// What could be done about keys that leaked was done.
    LeakResponseFinished {
        /// Of [`Effect::Panic`].
        ticket: Ticket,
        /// What came of each.
        responses: Vec<LeakResponse>,
    },
    /// A plan was read and compared with what is held.
    PlanLoaded {
        /// Of [`Effect::ReadPlan`].
        ticket: Ticket,
        /// What it holds; or what is wrong with it, a line each.
        result: Result<PlanComparison, Vec<String>>,
    },
    /// The next key of a plan has its turn.
    ItemStarted {
        /// Of [`Effect::Apply`].
        ticket: Ticket,
        /// Its label.
        label: Label,
    },
    /// Its turn is over.
    ItemFinished {
        /// Of [`Effect::Apply`].
        ticket: Ticket,
        /// Its label.
        label: Label,
        /// The key as it is held, or why there is none.
        result: Result<StoredKey, UserError>,
        /// Something that did not keep it from being stored.
        warning: Option<UserError>,
    },
    /// A plan was applied, to its end or not.
    PlanApplied {
        /// Of [`Effect::Apply`].
        ticket: Ticket,
        /// Why nothing was begun.
        error: Option<UserError>,
    },
    /// The account was asked about one key.
    AccountKeyFetched {
        /// Of [`Effect::Look`].
        ticket: Ticket,
        /// The key as it is; `None` where no management key is known.
        result: Result<Option<AccountKey>, UserError>,
    },
    /// A change was made, or not.
    KeyUpdated {
        /// Of [`Effect::Change`].
        ticket: Ticket,
        /// What came of it.
        outcome: KeyUpdateOutcome,
    },
    /// A key was switched off or on, or not.
    KeyDisabledSet {
        /// Its label.
        label: Label,
        /// The key as it is.
        result: Result<AccountKey, UserError>,
        /// Set if the server did it and the inventory could not be written.
        warning: Option<UserError>,
    },
    /// A key was taken over, or not.
    KeyImported {
        /// Of [`Effect::Import`].
        ticket: Ticket,
        /// The key.
        result: Result<StoredKey, UserError>,
    },
    /// A key was deleted at the server, or not.
    KeyRevoked {
        /// Its hash.
        hash: String,
        /// Its label.
        label: Label,
        /// Whether it was.
        result: Result<(), UserError>,
    },
    /// The account's list was read.
    AccountKeysLoaded {
        /// Of [`Effect::ReadAccount`].
        ticket: Ticket,
        /// The list.
        result: Result<AccountKeys, UserError>,
    },
    /// Whether a management key is known.
    ManagementKeyDetected(bool),
    /// What was spent in the past was looked up.
    UsageHistoryLoaded {
        /// Of [`Effect::ReadPast`].
        ticket: Ticket,
        /// By hash.
        history: Vec<(String, Vec<UsageSample>)>,
    },
    /// A key came out of the vault, to be shown for a moment.
    SecretRead {
        /// Of [`Effect::Fetch`].
        ticket: Ticket,
        /// Its label.
        label: Label,
        /// The key.
        result: Result<ApiKey, UserError>,
    },
    /// A key was forgotten here.
    KeyRemoved {
        /// Its label.
        label: Label,
        /// Whether it worked.
        result: Result<(), UserError>,
    },
    /// The sandbox's page answered the decision: a code, when the page shows one.
    ConsentDecided {
        /// Of [`Effect::Decide`].
        ticket: Ticket,
        /// The code, if any; or why not.
        result: Result<Option<AuthCode>, String>,
    },
    /// Something was done in the sandbox.
    SandboxActionFinished(Result<String, UserError>),
    /// Something worth saying once.
    Notice(Result<String, UserError>),
}
