//! The dashboard's mind: what is on screen, and what follows from what happens. Pure: no clock, no
//! I/O, no drawing. Time arrives with each message, so a test can be any day.
//!
//! [`update`] takes one [`Msg`] and answers with the [`Effect`]s to be done outside; their results
//! come back as messages with the ticket they were asked under.

mod confirm_dialog;
mod dashboard;
mod effect;
mod field;
mod form;
mod message;
mod new_key_screen;
mod plan;
mod refresh;
mod sign_in_screen;
mod sort_filter;

pub use confirm_dialog::{Ask, Deliberation, QUIET};
pub use dashboard::{Dashboard, Keys, Scope, Shown, WIDE};
pub use effect::{Changes, Effect};
pub use field::Field;
pub(in crate::tui) use form::Submitted;
pub use form::{EXPIRIES, Form, Part, Purpose, Remark, Road};
pub use message::{Changed, Intent, Msg, Ticket};
pub use new_key_screen::{Passphrase, Reveal};
pub use plan::{Compared, Fate, Plan, Planned};
pub use refresh::{Refresh, Round};
pub use sign_in_screen::{Address, Errand, Login};
pub use sort_filter::{Sort, share};

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
    Login(Box<Login>),
    /// The key that was just cut.
    Reveal(Box<Reveal>),
    /// Something is thought over.
    Ask(Box<Ask>),
    /// What was done about a leak, and what was not.
    Deeds(Vec<ActionResult>),
    /// A plan: where it lies, what would be done, what was.
    Plan(Box<Plan>),
}

/// A question that is answered with yes or no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Leave, though the key on screen is stored nowhere?
    QuitUnstored,
    /// Leave the reveal screen, though its key is stored nowhere?
    DropUnstored,
    /// Strike this attempt off the list, and what is kept of its answer?
    Dismiss(UnresolvedAttempt),
    /// Forget these keys on this machine?
    Remove(Vec<Label>),
    /// Switch these keys off?
    Disable(Vec<Label>),
}

/// A journey that the person turned away from and that has not ended yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// Its ticket.
    pub ticket: Ticket,
    /// The label it is for.
    pub label: Label,
}

/// A store beside the one that is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elsewhere {
    /// Its word on the list: `os` or `file`.
    pub store: String,
    /// The store in words.
    pub place: String,
    /// Whether it takes a passphrase.
    pub passphrase: bool,
}

/// What a model is told of the world at its start; see [`Model`].
#[derive(Clone, Debug, Default)]
pub struct World {
    /// The server's address.
    pub server: String,
    /// Whether it is the sandbox.
    pub sandbox: bool,
    /// Where keys lie, in words.
    pub place: String,
    /// Where else a key could be stored.
    pub elsewhere: Option<Elsewhere>,
    /// The keychain service of this server's keys.
    pub service: String,
    /// The pause between two rounds of asking the keys; `None` for none of itself.
    pub every: Option<SignedDuration>,
}

/// All there is to know to draw the screen.
#[derive(Clone, Debug)]
pub struct Model {
    /// The server's address.
    pub server: String,
    /// Whether this is the sandbox.
    pub sandbox: bool,
    /// Where keys lie, in words.
    pub place: String,
    /// Where else a key could be stored.
    pub elsewhere: Option<Elsewhere>,
    /// The keychain service of this server's keys.
    pub service: String,
    /// The moment of the last message.
    pub now: Timestamp,
    /// Columns and rows of the terminal.
    pub size: (u16, u16),
    /// The list of held keys, under every screen.
    pub dashboard: Dashboard,
    /// When the keys are asked about themselves.
    pub refresh: Refresh,
    /// What is on screen.
    pub screen: Screen,
    /// The page of the help that lies over it.
    pub help: Option<usize>,
    /// The question that lies over it.
    pub question: Option<Question>,
    /// What was last worth saying; the next key press takes it away.
    pub notice: Option<Result<String, UserError>>,
    /// Keys that are nowhere but here and wait for the screen.
    pub rescued: Vec<Reveal>,
    /// Journeys that go on without a screen.
    pub unfinished: Vec<Unfinished>,
    /// What was asked for and changes something for good: each is answered once.
    pub open: Vec<Ticket>,
    /// The answer from the account that is waited for, before a form is shown.
    pub looking: Option<Ticket>,
    /// Whether the program ends once they have.
    pub leaving: bool,
    /// Whether nobody is there any more to be shown a key.
    pub gone: bool,
    tickets: u64,
}

impl Model {
    /// The model at the start, with nothing read yet.
    pub fn new(world: World, size: (u16, u16), now: Timestamp) -> Self {
        Self {
            server: world.server,
            sandbox: world.sandbox,
            place: world.place,
            elsewhere: world.elsewhere,
            service: world.service,
            now,
            size,
            dashboard: Dashboard::new(),
            refresh: Refresh::new(world.every),
            screen: Screen::Dashboard,
            help: None,
            question: None,
            notice: None,
            rescued: Vec::new(),
            unfinished: Vec::new(),
            open: Vec::new(),
            looking: None,
            leaving: false,
            gone: false,
            tickets: 0,
        }
    }

    /// Where that key lies, in words.
    pub fn place_of(&self, held: &StoredKey) -> &str {
        match &self.elsewhere {
            Some(elsewhere) if elsewhere.store == held.store => &elsewhere.place,
            _ => &self.place,
        }
    }

    pub(in crate::tui) const fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// For a request that is answered once.
    pub(in crate::tui) fn open_ticket(&mut self) -> Ticket {
        let ticket = self.ticket();
        self.open.push(ticket);
        ticket
    }

    /// Whether that request was open; it is closed now.
    pub(in crate::tui) fn close(&mut self, ticket: Ticket) -> bool {
        let at = self.open.iter().position(|open| *open == ticket);
        at.map(|at| self.open.swap_remove(at)).is_some()
    }

    /// When something moves of itself: [`Msg::Ticked`] is due then, and not before.
    pub fn wake(&self) -> Option<Timestamp> {
        let seconds = match &self.screen {
            Screen::Login(login) if login.trouble.is_none() => Some(1),
            Screen::Reveal(reveal) => reveal.shown_until.map(|_| 1),
            Screen::Dashboard => self.dashboard.changes_in(self.now, self.size.1),
            Screen::Form(_)
            | Screen::Login(_)
            | Screen::Ask(_)
            | Screen::Deeds(_)
            | Screen::Plan(_) => None,
        };
        // On the second, so that countdowns do not skip one.
        let moves = seconds.and_then(|seconds| {
            let second = Timestamp::from_second(self.now.as_second()).ok()?;
            second.checked_add(SignedDuration::from_secs(seconds)).ok()
        });
        [moves, self.refresh.next].into_iter().flatten().min()
    }
}
