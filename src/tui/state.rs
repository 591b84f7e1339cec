//! The dashboard's mind: what is on screen, and what follows from what happens. Pure: no clock, no
//! I/O, no drawing. Time arrives with each message, so a test can be any day.
//!
//! [`update`] takes one [`Msg`] and answers with the [`Effect`]s to be done outside; their results
//! come back as messages with the ticket they were asked under.

mod confirm_dialog;
mod dashboard;
mod effect;
mod form;
mod message;
mod new_key_screen;
mod plan_screen;
mod refresh;
mod sign_in_screen;
mod sort_filter;
mod text_field;

pub use confirm_dialog::{ConfirmDialog, ConfirmKind, UNUSED_FOR_CHOICES};
pub use dashboard::{Dashboard, KeyList, KeyScope, RevealedKey, SIDE_DETAILS_MIN_COLUMNS};
pub use effect::{Effect, KeyUpdate};
pub(in crate::tui) use form::Submission;
pub use form::{AuthChoice, EXPIRY_PRESETS, FieldHint, Form, FormField, FormKind};
pub use message::{Intent, KeyUpdateOutcome, Msg, Ticket};
pub use new_key_screen::{NewKeyScreen, PassphraseForm};
pub use plan_screen::{PlanComparison, PlanScreen, PlanStatus, PlannedKey};
pub use refresh::{RefreshRound, RefreshSchedule};
pub use sign_in_screen::{Operation, SignInScreen, SignInUrl};
pub use sort_filter::{SortOrder, spent_share};
pub use text_field::TextField;

use jiff::{SignedDuration, Timestamp};

use crate::domain::{ActionResult, Label, StoredKey, UnresolvedAttempt, UserError};

/// What is on screen.
#[derive(Clone, Debug)]
pub enum Screen {
    /// The list of held keys.
    Dashboard,
    /// A form: a new key, a change, a key from elsewhere.
    Form(Form),
    /// A journey under way.
    SignIn(Box<SignInScreen>),
    /// The key that was just cut.
    NewKey(Box<NewKeyScreen>),
    /// Something is thought over.
    Confirm(Box<ConfirmDialog>),
    /// What was done about a leak, and what was not.
    ActionResults(Vec<ActionResult>),
    /// A plan: where it lies, what would be done, what was.
    Plan(Box<PlanScreen>),
}

/// A question that is answered with yes or no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Leave, though the key on screen is stored nowhere?
    QuitWithUnstoredKey,
    /// Leave the reveal screen, though its key is stored nowhere?
    DiscardUnstoredKey,
    /// Strike this attempt off the list, and what is kept of its answer?
    DismissAttempt(UnresolvedAttempt),
    /// Forget these keys on this machine?
    RemoveKeys(Vec<Label>),
    /// Switch these keys off?
    DisableKeys(Vec<Label>),
}

/// A journey that the person turned away from and that has not ended yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackgroundRun {
    /// Its ticket.
    pub ticket: Ticket,
    /// The label it is for.
    pub label: Label,
}

/// A store beside the one that is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlternateStore {
    /// Its word on the list: `os` or `file`.
    pub store_kind: String,
    /// The store in words.
    pub display_name: String,
    /// Whether it takes a passphrase.
    pub needs_passphrase: bool,
}

/// What a model is told of the world at its start; see [`Model`].
#[derive(Clone, Debug, Default)]
pub struct AppContext {
    /// The server's address.
    pub server: String,
    /// Whether it is the sandbox.
    pub is_sandbox: bool,
    /// Where keys lie, in words.
    pub store_name: String,
    /// Where else a key could be stored.
    pub alternate_store: Option<AlternateStore>,
    /// The keychain service of this server's keys.
    pub keychain_service: String,
    /// The pause between two rounds of asking the keys; `None` for none of itself.
    pub refresh_interval: Option<SignedDuration>,
}

/// All there is to know to draw the screen.
#[derive(Clone, Debug)]
pub struct Model {
    /// The server's address.
    pub server: String,
    /// Whether this is the sandbox.
    pub is_sandbox: bool,
    /// Where keys lie, in words.
    pub store_name: String,
    /// Where else a key could be stored.
    pub alternate_store: Option<AlternateStore>,
    /// The keychain service of this server's keys.
    pub keychain_service: String,
    /// The moment of the last message.
    pub now: Timestamp,
    /// Columns and rows of the terminal.
    pub terminal_size: (u16, u16),
    /// The list of held keys, under every screen.
    pub dashboard: Dashboard,
    /// When the keys are asked about themselves.
    pub refresh: RefreshSchedule,
    /// What is on screen.
    pub screen: Screen,
    /// The page of the help that lies over it.
    pub help_page: Option<usize>,
    /// The question that lies over it.
    pub question: Option<Question>,
    /// What was last worth saying; the next key press takes it away.
    pub notice: Option<Result<String, UserError>>,
    /// Keys that are nowhere but here and wait for the screen.
    pub unstored_keys: Vec<NewKeyScreen>,
    /// Journeys that go on without a screen.
    pub background_runs: Vec<BackgroundRun>,
    /// What was asked for and changes something for good: each is answered once.
    pub open_requests: Vec<Ticket>,
    /// The answer from the account that is waited for, before a form is shown.
    pub edit_ticket: Option<Ticket>,
    /// Whether the program ends once they have.
    pub quit_requested: bool,
    /// Whether nobody is there any more to be shown a key.
    pub is_disconnected: bool,
    last_ticket: u64,
}

impl Model {
    /// The model at the start, with nothing read yet.
    pub fn new(world: AppContext, size: (u16, u16), now: Timestamp) -> Self {
        Self {
            server: world.server,
            is_sandbox: world.is_sandbox,
            store_name: world.store_name,
            alternate_store: world.alternate_store,
            keychain_service: world.keychain_service,
            now,
            terminal_size: size,
            dashboard: Dashboard::new(),
            refresh: RefreshSchedule::new(world.refresh_interval),
            screen: Screen::Dashboard,
            help_page: None,
            question: None,
            notice: None,
            unstored_keys: Vec::new(),
            background_runs: Vec::new(),
            open_requests: Vec::new(),
            edit_ticket: None,
            quit_requested: false,
            is_disconnected: false,
            last_ticket: 0,
        }
    }

    /// Where that key lies, in words.
    pub fn store_name_of(&self, held: &StoredKey) -> &str {
        match &self.alternate_store {
            Some(elsewhere) if elsewhere.store_kind == held.store => &elsewhere.display_name,
            _ => &self.store_name,
        }
    }

    pub(in crate::tui) const fn next_ticket(&mut self) -> Ticket {
        self.last_ticket += 1;
        Ticket(self.last_ticket)
    }

    /// For a request that is answered once.
    pub(in crate::tui) fn open_request(&mut self) -> Ticket {
        let ticket = self.next_ticket();
        self.open_requests.push(ticket);
        ticket
    }

    /// Whether that request was open; it is closed now.
    pub(in crate::tui) fn close_request(&mut self, ticket: Ticket) -> bool {
        let at = self.open_requests.iter().position(|open| *open == ticket);
        at.map(|at| self.open_requests.swap_remove(at)).is_some()
    }

    /// When something moves of itself: [`Msg::Ticked`] is due then, and not before.
    pub fn next_tick_at(&self) -> Option<Timestamp> {
        let seconds = match &self.screen {
            Screen::SignIn(login) if login.error.is_none() => Some(1),
            Screen::NewKey(reveal) => reveal.revealed_until.map(|_| 1),
            Screen::Dashboard => {
                self.dashboard.seconds_until_change(self.now, self.terminal_size.1)
            }
            Screen::Form(_)
            | Screen::SignIn(_)
            | Screen::Confirm(_)
            | Screen::ActionResults(_)
            | Screen::Plan(_) => None,
        };
        // On the second, so that countdowns do not skip one.
        let moves = seconds.and_then(|seconds| {
            let second = Timestamp::from_second(self.now.as_second()).ok()?;
            second.checked_add(SignedDuration::from_secs(seconds)).ok()
        });
        [moves, self.refresh.next_at].into_iter().flatten().min()
    }
}
