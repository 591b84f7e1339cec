//! A form: its fields, what they mean, and why they are not accepted. Three are made of it: a new
//! key, a change to one, a key from elsewhere. Must not know: what becomes of what is submitted.

mod submit;
mod validation;

use tui_input::InputRequest;

use super::field::Field;
use super::message::Ticket;
use crate::domain::{AccountKey, Label, ResetInterval, StoredKey, UserError};
pub(in crate::tui) use submit::Submitted;

/// The expiries offered; anything else can be typed.
pub const EXPIRIES: [&str; 5] = ["7d", "30d", "90d", "1y", "never"];

/// What a first key is offered: enough to work with, little to lose.
const FIRST_LIMIT: &str = "10";
const FIRST_RESET: Option<ResetInterval> = Some(ResetInterval::Monthly);
const FIRST_EXPIRY: &str = "90d";

/// What a form is for.
#[derive(Clone, Debug)]
pub enum Purpose {
    /// A new key.
    New,
    /// A change to this one.
    Change {
        /// The key, held or only listed.
        held: Box<StoredKey>,
        /// As it is at the server; `None` where no management key is known, and only the label here
        /// can be changed.
        seen: Option<Box<AccountKey>>,
    },
    /// A key from elsewhere.
    Import,
}

/// By which road a new key is consented to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Road {
    /// By the browser, or where none is here by a code.
    #[default]
    Best,
    /// By a code that the page shows, wherever it is opened.
    Paste,
    /// A held key vouches, where the account allows it.
    Key(Label),
}

/// The fields in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The person's name for the key.
    Label,
    /// USD or none.
    Limit,
    /// The window of the limit.
    Reset,
    /// From when the key no longer works.
    Expires,
    /// The workspace's UUID.
    Workspace,
    /// Whether spending at the owner's own providers counts against the limit.
    Byok,
    /// The key itself.
    Key,
}

impl Part {
    /// Its name on screen.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Label => "Label",
            Self::Limit => "Credit limit",
            Self::Reset => "Reset",
            Self::Expires => "Expires",
            Self::Workspace => "Workspace",
            Self::Byok => "Own providers",
            Self::Key => "Key",
        }
    }
}

/// An amount as a person types it.
fn plain(limit: &str) -> &str {
    limit.strip_suffix(".00").unwrap_or(limit)
}

/// What a field has to say below itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    /// What it means.
    Meaning(String),
    /// What is wrong with it.
    Problem(String),
}

/// The state of the form.
#[derive(Clone, Debug)]
pub struct Form {
    /// What it is for.
    pub purpose: Purpose,
    /// By which road the new key comes.
    pub road: Road,
    /// The held key that could vouch for it.
    pub voucher: Option<Label>,
    /// Whether a workspace can be chosen: a management key is known.
    pub workspaces: bool,
    /// The person's name for the key.
    pub label: Field,
    /// USD or none, as typed.
    pub limit: Field,
    /// The window.
    pub reset: Option<ResetInterval>,
    /// As typed or chosen.
    pub expires: Field,
    /// UUID; empty for the default one.
    pub workspace: Field,
    /// Whether spending at the owner's own providers counts.
    pub byok: bool,
    /// The key from elsewhere, never shown.
    pub key: Field,
    /// The field with the cursor.
    pub focus: Part,
    /// Fields that were left or submitted: an empty label is no problem before.
    seen: [bool; 7],
    /// Why the last try came to nothing.
    pub trouble: Option<UserError>,
    /// What will be sent, a line each, once it was asked to be sent: asked again, it is.
    pub diff: Vec<String>,
    /// What was submitted and has not ended.
    pub busy: Option<Ticket>,
    taken: Vec<String>,
}

impl Form {
    /// An empty label, and the policy of the key that was cut last.
    pub fn new(held: &[StoredKey]) -> Self {
        let (limit, reset, expires) = match held.iter().max_by_key(|held| held.created_at) {
            Some(StoredKey { requested: asked, .. }) => (
                asked.limit.map_or_else(|| "none".to_owned(), |limit| limit.to_string()),
                asked.limit_reset,
                match (&asked.expires_input, asked.expires_at) {
                    // A fixed date that was typed is the last key's own; the next one is not due then.
                    (Some(typed), _) if !typed.contains('-') => typed.clone(),
                    (None, None) => "never".to_owned(),
                    _ => FIRST_EXPIRY.to_owned(),
                },
            ),
            None => (FIRST_LIMIT.to_owned(), FIRST_RESET, FIRST_EXPIRY.to_owned()),
        };
        Self {
            limit: Field::prefilled(plain(&limit)),
            reset,
            expires: Field::prefilled(&expires),
            ..Self::empty(Purpose::New, held)
        }
    }

    /// Nothing filled in.
    fn empty(purpose: Purpose, held: &[StoredKey]) -> Self {
        Self {
            purpose,
            road: Road::default(),
            voucher: None,
            workspaces: false,
            label: Field::default(),
            limit: Field::default(),
            reset: None,
            expires: Field::default(),
            workspace: Field::default(),
            byok: false,
            key: Field::default(),
            focus: Part::Label,
            seen: [false; 7],
            trouble: None,
            diff: Vec::new(),
            busy: None,
            taken: held.iter().map(|held| held.label.as_str().to_owned()).collect(),
        }
    }

    /// The next road to a new key.
    pub fn next_road(&mut self) {
        if !matches!(self.purpose, Purpose::New) {
            return;
        }
        self.road = match (&self.road, &self.voucher) {
            (Road::Best, _) => Road::Paste,
            (Road::Paste, Some(label)) => Road::Key(label.clone()),
            (Road::Paste, None) | (Road::Key(_), _) => Road::Best,
        };
    }

    /// For a key from elsewhere.
    pub fn import(held: &[StoredKey]) -> Self {
        Self::empty(Purpose::Import, held)
    }

    /// For a change to this key, as it is.
    pub fn change(of: StoredKey, seen: Option<AccountKey>, held: &[StoredKey]) -> Self {
        let purpose = Purpose::Change { held: Box::new(of.clone()), seen: None };
        let mut form =
            Self { label: Field::prefilled(of.label.as_str()), ..Self::empty(purpose, held) };
        if let Some(seen) = seen {
            form.set_seen(seen);
            form.arrive(Part::Limit);
        }
        form
    }

    /// The key is like this at the server: what is changed is changed from that.
    pub(in crate::tui) fn set_seen(&mut self, now: AccountKey) {
        let Purpose::Change { seen, .. } = &mut self.purpose else { return };
        let reading = &now.info;
        let limit = reading.limit.map_or_else(|| "none".to_owned(), |limit| format!("{limit:.2}"));
        self.limit = Field::prefilled(plain(&limit));
        self.reset =
            reading.limit_reset.as_deref().and_then(|word| ResetInterval::parse(word).ok()?);
        self.byok = reading.include_byok_in_limit.unwrap_or(false);
        *seen = Some(Box::new(now));
        self.diff.clear();
    }

    /// Its fields, in their order.
    pub const fn parts(&self) -> &'static [Part] {
        const NEW: &[Part] =
            &[Part::Label, Part::Limit, Part::Reset, Part::Expires, Part::Workspace];
        match &self.purpose {
            Purpose::New if self.workspaces => NEW,
            Purpose::New => NEW.split_at(4).0,
            Purpose::Change { seen: Some(_), .. } => {
                &[Part::Label, Part::Limit, Part::Reset, Part::Byok]
            }
            Purpose::Change { seen: None, .. } => &[Part::Label],
            Purpose::Import => &[Part::Label, Part::Key],
        }
    }

    /// Labels that may not be used again.
    pub fn set_taken(&mut self, held: &[StoredKey]) {
        self.taken = held.iter().map(|held| held.label.as_str().to_owned()).collect();
    }

    fn field(&mut self) -> Option<&mut Field> {
        match self.focus {
            Part::Label => Some(&mut self.label),
            Part::Limit => Some(&mut self.limit),
            Part::Reset | Part::Byok => None,
            Part::Expires => Some(&mut self.expires),
            Part::Workspace => Some(&mut self.workspace),
            Part::Key => Some(&mut self.key),
        }
    }

    /// One character typed.
    pub fn insert(&mut self, c: char) {
        self.diff.clear();
        match (self.focus, c) {
            (Part::Reset | Part::Byok, ' ') => self.choose(1),
            // What was typed is not taken away by a slip of the thumb.
            (Part::Expires, ' ') => {
                if self.expires.is_selected() || EXPIRIES.contains(&self.expires.text().trim()) {
                    self.choose(1);
                }
            }
            (Part::Reset, c) => {
                self.reset = match c.to_ascii_lowercase() {
                    'n' => None,
                    'd' => Some(ResetInterval::Daily),
                    'w' => Some(ResetInterval::Weekly),
                    'm' => Some(ResetInterval::Monthly),
                    _ => self.reset,
                }
            }
            (Part::Byok, 'y' | 'Y') => self.byok = true,
            (Part::Byok, 'n' | 'N') => self.byok = false,
            (Part::Byok, _) => {}
            (Part::Label | Part::Limit | Part::Expires | Part::Workspace | Part::Key, c) => {
                if let Some(field) = self.field() {
                    field.insert(c);
                }
            }
        }
    }

    /// Text pasted into the field with the cursor.
    pub fn paste(&mut self, text: &str) {
        self.diff.clear();
        match self.field() {
            Some(field) => field.paste(text),
            None => {
                if let (Part::Reset, Ok(reset)) = (self.focus, ResetInterval::parse(text)) {
                    self.reset = reset;
                }
            }
        }
    }

    /// An edit; `←` and `→` change a choice that was not edited yet.
    pub fn edit(&mut self, request: InputRequest) {
        let choice = matches!(self.focus, Part::Reset | Part::Byok)
            || self.focus == Part::Expires && self.expires.is_selected();
        self.diff.clear();
        match request {
            InputRequest::GoToPrevChar if choice => self.choose(-1),
            InputRequest::GoToNextChar if choice => self.choose(1),
            request => {
                if let Some(field) = self.field() {
                    field.edit(request);
                }
            }
        }
    }

    /// The choice `by` steps on.
    pub fn choose(&mut self, by: isize) {
        fn step(at: Option<usize>, by: isize, len: usize) -> usize {
            at.map_or(0, |at| at.wrapping_add_signed(by).wrapping_add(len) % len)
        }
        match self.focus {
            Part::Reset => {
                let all = [
                    None,
                    Some(ResetInterval::Daily),
                    Some(ResetInterval::Weekly),
                    Some(ResetInterval::Monthly),
                ];
                let at = all.iter().position(|reset| *reset == self.reset);
                self.reset = all[step(at, by, all.len())];
            }
            Part::Expires => {
                let at = EXPIRIES.iter().position(|preset| *preset == self.expires.text().trim());
                self.expires = Field::prefilled(EXPIRIES[step(at, by, EXPIRIES.len())]);
            }
            Part::Byok => self.byok = !self.byok,
            Part::Label | Part::Limit | Part::Workspace | Part::Key => {}
        }
        self.diff.clear();
    }

    /// The next field, or the one before; whether there was one.
    pub fn go(&mut self, by: isize) -> bool {
        self.seen[self.focus as usize] = true;
        let at = self.parts().iter().position(|part| *part == self.focus).unwrap_or(0);
        let next = at.checked_add_signed(by).and_then(|at| self.parts().get(at).copied());
        match next {
            Some(part) => self.arrive(part),
            None => return false,
        }
        true
    }

    fn arrive(&mut self, part: Part) {
        self.focus = part;
        if let Some(field) = self.field() {
            field.select();
        }
    }
}
