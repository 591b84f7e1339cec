//! Everything that can happen to the dashboard, and everything it can ask of the world: the table
//! of contents. Intents are imperative, facts are past tense; effects are imperative.

use jiff::{SignedDuration, Timestamp};
use tui_input::InputRequest;

use crate::key::{
    ApiKey, AuthCode, HeldKey, KeyRequest, Label, Outcome, Read, Report, Trouble, Unresolved,
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
    /// Show the key in clear for a moment, or hide it.
    ToggleReveal,
    /// Open the key's page at the server.
    OpenPage,
    /// Ask whether to forget the selected key.
    Remove,
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
    /// Try what failed once more.
    Retry,
    /// Spend on the selected key, in the sandbox.
    Spend,
    /// Let a day go by, in the sandbox.
    SkipDay,
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
        keys: Result<Vec<HeldKey>, Trouble>,
    },
    /// A key was asked about itself.
    Refreshed {
        /// Of [`Effect::Refresh`].
        ticket: Ticket,
        /// Which key.
        hash: String,
        /// What came of it.
        read: Read,
        /// When.
        at: Timestamp,
    },
    /// All were asked, or asking ended early.
    RefreshEnded {
        /// Of [`Effect::Refresh`].
        ticket: Ticket,
        /// Why it ended early.
        trouble: Option<Trouble>,
        /// How long the server asks to be left alone.
        wait: Option<SignedDuration>,
    },
    /// The terminal is gone, or a signal asks to leave: nobody is there to be asked.
    Left,
    /// The person came back to the terminal.
    Returned,
    /// What earlier runs left behind was looked through.
    Recovered {
        /// Keys stored just now.
        stored: Vec<HeldKey>,
        /// Keys received just now that are nowhere but here.
        not_stored: Vec<Outcome>,
        /// What may have been issued and was not received.
        unresolved: Vec<Unresolved>,
        /// Why the looking failed.
        trouble: Option<Trouble>,
    },
    /// News of a journey under way.
    Reported {
        /// Of [`Effect::Provision`].
        ticket: Ticket,
        /// The news.
        report: Report,
    },
    /// A journey ended.
    Provisioned {
        /// Of [`Effect::Provision`] or [`Effect::StoreAgain`].
        ticket: Ticket,
        /// How.
        outcome: Outcome,
    },
    /// A key came out of the vault, to be shown for a moment.
    Fetched {
        /// Of [`Effect::Fetch`].
        ticket: Ticket,
        /// Its label.
        label: Label,
        /// The key.
        key: Result<ApiKey, Trouble>,
    },
    /// A key was forgotten here.
    Removed {
        /// Its label.
        label: Label,
        /// Whether it worked.
        result: Result<(), Trouble>,
    },
    /// The sandbox's page answered the decision: a code, when the page shows one.
    Decided {
        /// Of [`Effect::Decide`].
        ticket: Ticket,
        /// The code, if any; or why not.
        result: Result<Option<AuthCode>, String>,
    },
    /// Something was done in the sandbox.
    Played(Result<String, Trouble>),
    /// Something worth saying once.
    Noticed(Result<String, Trouble>),
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
    },
    /// The person left this journey.
    Cancel(Ticket),
    /// The person pasted a code for this journey.
    GiveCode(Ticket, AuthCode),
    /// Try again to store a key that is nowhere but on screen; answered by [`Msg::Provisioned`].
    StoreAgain {
        /// To be answered with.
        ticket: Ticket,
        /// What would be remembered of it.
        held: HeldKey,
        /// The key.
        key: ApiKey,
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
