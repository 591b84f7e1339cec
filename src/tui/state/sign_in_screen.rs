//! A journey under way, as the person sees it. Must not know: how a step is done.

use jiff::{SignedDuration, Timestamp};

use super::Effect;
use super::field::Field;
use super::form::Form;
use super::message::Ticket;
use super::plan::Plan;
use crate::domain::{
    KeyRequest, Label, ProvisioningEvent, ProvisioningStep, RetirePolicy, StoredKey, UserError,
};

/// How long consent is waited for (RFC 6749 §4.1.2 allows a code ten minutes).
pub const PATIENCE: SignedDuration = SignedDuration::from_secs(600);

/// What a journey is made for, kept for another try.
#[derive(Clone, Debug)]
pub enum Errand {
    /// A new key.
    Cut {
        /// What was filled in.
        form: Form,
        /// What it asks for.
        request: KeyRequest,
    },
    /// Another key in the place of this one.
    Rotate {
        /// The old key.
        held: StoredKey,
        /// What becomes of it.
        terms: RetirePolicy,
    },
    /// These leaked.
    Panic(Vec<StoredKey>),
    /// What this plan misses, one after the other.
    Apply(Plan),
}

impl Errand {
    /// Which key it is about; of several the first.
    pub fn label(&self) -> Option<&Label> {
        match self {
            Self::Cut { request, .. } => Some(&request.label),
            Self::Rotate { held, .. } => Some(&held.label),
            Self::Panic(keys) => keys.first().map(|held| &held.label),
            Self::Apply(plan) => plan.current(),
        }
    }

    /// What sets it going.
    pub fn effect(&self, ticket: Ticket) -> Effect {
        match self.clone() {
            Self::Cut { form, request } => Effect::Provision { ticket, request, road: form.road },
            Self::Rotate { held, terms } => Effect::Rotate { ticket, held, terms },
            Self::Panic(keys) => Effect::Panic { ticket, keys },
            Self::Apply(plan) => Effect::Apply { ticket, requests: plan.missing() },
        }
    }
}

/// The state of the waiting screen.
#[derive(Clone, Debug)]
pub struct Login {
    /// What it is made for.
    pub errand: Errand,
    /// The journey whose news is heard.
    pub ticket: Ticket,
    /// When it began.
    pub since: Timestamp,
    /// When the consent page was opened.
    pub consent_since: Option<Timestamp>,
    /// The step that is under way.
    pub step: ProvisioningStep,
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
    pub trouble: Option<UserError>,
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
    pub fn new(errand: Errand, ticket: Ticket, now: Timestamp) -> Self {
        Self {
            errand,
            ticket,
            since: now,
            consent_since: None,
            step: ProvisioningStep::Preflight,
            address: None,
            notice: None,
            code: None,
            code_problem: None,
            qr: false,
            trouble: None,
        }
    }

    /// The next of many keys: nothing is known of its journey yet.
    pub(in crate::tui) fn next_turn(&mut self, now: Timestamp) {
        self.since = now;
        self.consent_since = None;
        self.step = ProvisioningStep::Preflight;
        self.address = None;
        self.notice = self.notice.take().filter(|_| self.stops());
        self.code = None;
        self.code_problem = None;
        self.qr = false;
    }

    /// The plan that is applied.
    pub fn plan(&self) -> Option<&Plan> {
        match &self.errand {
            Errand::Apply(plan) => Some(plan),
            Errand::Cut { .. } | Errand::Rotate { .. } | Errand::Panic(_) => None,
        }
    }

    /// Whether no further key is wanted.
    pub fn stops(&self) -> bool {
        self.plan().is_some_and(|plan| plan.stopping)
    }

    /// News of the journey.
    pub fn report(&mut self, report: ProvisioningEvent, now: Timestamp) {
        match report {
            // The next key is prepared meanwhile.
            ProvisioningEvent::StepStarted(step) if step < self.step && self.plan().is_some() => {}
            ProvisioningEvent::StepStarted(step) => {
                self.step = step;
                if step == ProvisioningStep::AwaitConsent {
                    self.consent_since = Some(now);
                } else {
                    self.notice =
                        self.notice.take().filter(|_| step <= ProvisioningStep::AwaitConsent);
                    self.code = None;
                }
            }
            ProvisioningEvent::SignInUrl { url, needs_code: paste } => {
                self.address = Some(Address { url, paste });
            }
            ProvisioningEvent::Notice(words) => self.notice = Some(words),
        }
    }

    /// Whether the person is waited for.
    pub fn awaits_consent(&self) -> bool {
        self.trouble.is_none() && self.step <= ProvisioningStep::AwaitConsent
    }

    /// Whether the page shows a code, which is the only road then.
    pub fn pastes(&self) -> bool {
        self.address.as_ref().is_some_and(|address| address.paste)
    }

    /// Time left for the consent, once the page was opened.
    pub fn remaining(&self, now: Timestamp) -> Option<SignedDuration> {
        let since = self.consent_since.filter(|_| self.step == ProvisioningStep::AwaitConsent)?;
        Some((PATIENCE - now.duration_since(since)).max(SignedDuration::ZERO))
    }
}
