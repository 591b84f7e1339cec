//! A journey under way, as the person sees it. Must not know: how a step is done.

use jiff::{SignedDuration, Timestamp};

use super::field::Field;
use super::form::Form;
use super::message::Ticket;
use crate::key::{KeyRequest, Report, Step, Trouble};

/// How long consent is waited for (RFC 6749 §4.1.2 allows a code ten minutes).
pub const PATIENCE: SignedDuration = SignedDuration::from_secs(600);

/// The state of the waiting screen.
#[derive(Clone, Debug)]
pub struct Login {
    /// The form, kept for another try.
    pub form: Form,
    /// What is asked for.
    pub request: KeyRequest,
    /// The journey whose news is heard.
    pub ticket: Ticket,
    /// When it began.
    pub since: Timestamp,
    /// When the consent page was opened.
    pub consent_since: Option<Timestamp>,
    /// The step that is under way.
    pub step: Step,
    /// Where to sign in, once known.
    pub address: Option<Address>,
    /// What else there is to say.
    pub notice: Option<String>,
    /// The field for a code, when it is open.
    pub code: Option<Field>,
    /// Why the code that was entered was not taken.
    pub code_problem: Option<&'static str>,
    /// Whether the address is shown as a QR code.
    pub qr: bool,
    /// How it failed.
    pub trouble: Option<Trouble>,
}

/// Where to sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The whole URL.
    pub url: String,
    /// Whether the page shows a code to paste, rather than calling back.
    pub paste: bool,
}

impl Login {
    /// A journey that begins now.
    pub fn new(form: Form, request: KeyRequest, ticket: Ticket, now: Timestamp) -> Self {
        Self {
            form,
            request,
            ticket,
            since: now,
            consent_since: None,
            step: Step::Preflight,
            address: None,
            notice: None,
            code: None,
            code_problem: None,
            qr: false,
            trouble: None,
        }
    }

    /// News of the journey.
    pub fn report(&mut self, report: Report, now: Timestamp) {
        match report {
            Report::Step(step) => {
                self.step = step;
                if step == Step::Consent {
                    self.consent_since = Some(now);
                } else {
                    self.notice = self.notice.take().filter(|_| step <= Step::Consent);
                    self.code = None;
                }
            }
            Report::Address { url, paste } => {
                self.address = Some(Address { url, paste });
            }
            Report::Notice(words) => self.notice = Some(words),
        }
    }

    /// Whether the person is waited for.
    pub fn awaits_consent(&self) -> bool {
        self.trouble.is_none() && self.step <= Step::Consent
    }

    /// Whether the page shows a code, which is the only road then.
    pub fn pastes(&self) -> bool {
        self.address.as_ref().is_some_and(|address| address.paste)
    }

    /// Time left for the consent, once the page was opened.
    pub fn remaining(&self, now: Timestamp) -> Option<SignedDuration> {
        let since = self.consent_since.filter(|_| self.step == Step::Consent)?;
        Some((PATIENCE - now.duration_since(since)).max(SignedDuration::ZERO))
    }
}
