//! The form of a new key: its fields, what they mean, and why they are not accepted.
//! Must not know: what becomes of the request.

use jiff::Timestamp;
use tui_input::InputRequest;

use super::field::Field;
use crate::key::{Expiry, HeldKey, KeyRequest, Label, Problem, Reset, Trouble, Usd};

/// The expiries offered; anything else can be typed.
pub const EXPIRIES: [&str; 5] = ["7d", "30d", "90d", "1y", "never"];

/// What a first key is offered: enough to work with, little to lose.
const FIRST_LIMIT: &str = "10";
const FIRST_RESET: Option<Reset> = Some(Reset::Monthly);
const FIRST_EXPIRY: &str = "90d";

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
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Label, Self::Limit, Self::Reset, Self::Expires];

    /// Its name on screen.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Label => "Label",
            Self::Limit => "Credit limit",
            Self::Reset => "Reset",
            Self::Expires => "Expires",
        }
    }
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
    /// The person's name for the key.
    pub label: Field,
    /// USD or none, as typed.
    pub limit: Field,
    /// The window.
    pub reset: Option<Reset>,
    /// As typed or chosen.
    pub expires: Field,
    /// The field with the cursor.
    pub focus: Part,
    /// Fields that were left or submitted: an empty label is no problem before.
    seen: [bool; 4],
    /// Why the last login brought no key.
    pub trouble: Option<Trouble>,
    taken: Vec<String>,
}

impl Form {
    /// An empty label, and the policy of the key that was cut last.
    pub fn new(held: &[HeldKey]) -> Self {
        let (limit, reset, expires) = match held.iter().max_by_key(|held| held.created_at) {
            Some(HeldKey { asked, .. }) => (
                asked.limit.map_or_else(|| "none".to_owned(), |limit| limit.to_string()),
                asked.limit_reset,
                match (&asked.expires, asked.expires_at) {
                    // A fixed date that was typed is the last key's own; the next one is not due then.
                    (Some(typed), _) if !typed.contains('-') => typed.clone(),
                    (None, None) => "never".to_owned(),
                    _ => FIRST_EXPIRY.to_owned(),
                },
            ),
            None => (FIRST_LIMIT.to_owned(), FIRST_RESET, FIRST_EXPIRY.to_owned()),
        };
        Self {
            label: Field::default(),
            limit: Field::prefilled(limit.strip_suffix(".00").unwrap_or(&limit)),
            reset,
            expires: Field::prefilled(&expires),
            focus: Part::Label,
            seen: [false; 4],
            trouble: None,
            taken: held.iter().map(|held| held.label.as_str().to_owned()).collect(),
        }
    }

    /// Labels that may not be used again.
    pub fn set_taken(&mut self, held: &[HeldKey]) {
        self.taken = held.iter().map(|held| held.label.as_str().to_owned()).collect();
    }

    fn field(&mut self) -> Option<&mut Field> {
        match self.focus {
            Part::Label => Some(&mut self.label),
            Part::Limit => Some(&mut self.limit),
            Part::Reset => None,
            Part::Expires => Some(&mut self.expires),
        }
    }

    /// One character typed.
    pub fn insert(&mut self, c: char) {
        match (self.focus, c) {
            (Part::Reset, ' ') => self.choose(1),
            // What was typed is not taken away by a slip of the thumb.
            (Part::Expires, ' ') => {
                if self.expires.is_selected() || EXPIRIES.contains(&self.expires.text().trim()) {
                    self.choose(1);
                }
            }
            (Part::Reset, c) => {
                self.reset = match c.to_ascii_lowercase() {
                    'n' => None,
                    'd' => Some(Reset::Daily),
                    'w' => Some(Reset::Weekly),
                    'm' => Some(Reset::Monthly),
                    _ => self.reset,
                }
            }
            (Part::Label | Part::Limit | Part::Expires, c) => {
                if let Some(field) = self.field() {
                    field.insert(c);
                }
            }
        }
    }

    /// Text pasted into the field with the cursor.
    pub fn paste(&mut self, text: &str) {
        match self.field() {
            Some(field) => field.paste(text),
            None => {
                if let Ok(reset) = Reset::parse(text) {
                    self.reset = reset;
                }
            }
        }
    }

    /// An edit; `←` and `→` change a choice that was not edited yet.
    pub fn edit(&mut self, request: InputRequest) {
        let choice =
            self.focus == Part::Reset || self.focus == Part::Expires && self.expires.is_selected();
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
                let all = [None, Some(Reset::Daily), Some(Reset::Weekly), Some(Reset::Monthly)];
                let at = all.iter().position(|reset| *reset == self.reset);
                self.reset = all[step(at, by, all.len())];
            }
            Part::Expires => {
                let at = EXPIRIES.iter().position(|preset| *preset == self.expires.text().trim());
                self.expires = Field::prefilled(EXPIRIES[step(at, by, EXPIRIES.len())]);
            }
            Part::Label | Part::Limit => {}
        }
    }

    /// The next field, or the one before; whether there was one.
    pub fn go(&mut self, by: isize) -> bool {
        self.seen[self.focus as usize] = true;
        let next =
            (self.focus as usize).checked_add_signed(by).and_then(|at| Part::ALL.get(at).copied());
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

    /// What the form asks for, or the cursor on the first field that is wrong.
    pub fn submit(&mut self, now: Timestamp) -> Option<KeyRequest> {
        self.seen = [true; 4];
        self.trouble = None;
        if let Some(part) = Part::ALL.into_iter().find(|part| self.verdict(*part, now).is_err()) {
            if part != self.focus {
                self.arrive(part);
            }
            return None;
        }
        Some(KeyRequest {
            label: self.label.text().parse().ok()?,
            limit: Usd::parse_limit(self.limit.text()).ok()?,
            reset: self.reset,
            expiry: Expiry::parse(self.expires.text(), now).ok()?,
            workspace: None,
        })
    }

    /// What stands below a field.
    pub fn remark(&self, part: Part, now: Timestamp) -> Remark {
        match self.verdict(part, now) {
            Ok(meaning) => Remark::Meaning(meaning),
            Err(_) if part == Part::Label && !self.seen[0] && self.label.text().is_empty() => {
                Remark::Meaning("the tool that will use the key, such as laptop or ci".into())
            }
            Err(Problem(words)) => Remark::Problem(words),
        }
    }

    fn verdict(&self, part: Part, now: Timestamp) -> Result<String, Problem> {
        match part {
            Part::Label => {
                let label: Label = self.label.text().parse()?;
                if self.taken.iter().any(|taken| taken == label.as_str()) {
                    return Err(Problem(format!("a key labelled {label} is already held")));
                }
                Ok("one key for each tool: its spending is then its own".into())
            }
            Part::Limit => Ok(match (Usd::parse_limit(self.limit.text())?, self.reset) {
                (None, _) => "no limit: the key can spend all the credit of the account".into(),
                (Some(limit), None) => format!("the key can spend ${limit}, once"),
                (Some(limit), Some(reset)) => {
                    let window = match reset {
                        Reset::Daily => "day",
                        Reset::Weekly => "week",
                        Reset::Monthly => "month",
                    };
                    format!("the key can spend ${limit} a {window}")
                }
            }),
            Part::Reset => match self.reset {
                None => Ok("the limit never resets".into()),
                Some(_) if matches!(Usd::parse_limit(self.limit.text()), Ok(None)) => {
                    Err(Problem("a reset needs a limit to reset: set a limit, or never".into()))
                }
                Some(reset) => Ok(reset.meaning().into()),
            },
            Part::Expires => Ok(Expiry::parse(self.expires.text(), now)?
                .map_or_else(|| "the key works until it is revoked".into(), |at| at.meaning(now))),
        }
    }
}
