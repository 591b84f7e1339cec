//! A journey under way, as the person sees it. Must not know: how a step is done.

use jiff::{SignedDuration, Timestamp};

use super::Effect;
use super::form::Form;
use super::message::Ticket;
use super::plan_screen::PlanScreen;
use super::text_field::TextField;
use crate::domain::{
    AUTH_CODE_LIFETIME, KeyRequest, Label, ProvisioningEvent, ProvisioningStep, RetirePolicy,
    StoredKey, UserError,
};

/// What a journey is made for, kept for another try.
#[derive(Clone, Debug)]
pub enum Operation {
    /// A new key.
    CreateKey {
        /// What was filled in.
        form: Form,
        /// What it asks for.
        request: KeyRequest,
    },
    /// Another key in the place of this one.
    RotateKey {
        /// The old key.
        stored_key: StoredKey,
        /// What becomes of it.
        retire_policy: RetirePolicy,
    },
    /// These leaked.
    RespondToLeak(Vec<StoredKey>),
    /// What this plan misses, one after the other.
    ApplyPlan(PlanScreen),
}

impl Operation {
    /// Which key it is about; of several the first.
    pub fn label(&self) -> Option<&Label> {
        match self {
            Self::CreateKey { request, .. } => Some(&request.label),
            Self::RotateKey { stored_key: held, .. } => Some(&held.label),
            Self::RespondToLeak(keys) => keys.first().map(|held| &held.label),
            Self::ApplyPlan(plan) => plan.current_label(),
        }
    }

    /// What sets it going.
    pub fn to_effect(&self, ticket: Ticket) -> Effect {
        match self.clone() {
            Self::CreateKey { form, request } => {
                Effect::ProvisionKey { ticket, request, auth_choice: form.auth_choice }
            }
            Self::RotateKey { stored_key: held, retire_policy: terms } => {
                Effect::RotateKey { ticket, stored_key: held, retire_policy: terms }
            }
            Self::RespondToLeak(keys) => Effect::RespondToLeak { ticket, keys },
            Self::ApplyPlan(plan) => {
                Effect::ApplyPlan { ticket, requests: plan.missing_requests() }
            }
        }
    }
}

/// The state of the waiting screen.
#[derive(Clone, Debug)]
pub struct SignInScreen {
    /// What it is made for.
    pub operation: Operation,
    /// The journey whose news is heard.
    pub ticket: Ticket,
    /// When it began.
    pub started_at: Timestamp,
    /// When the consent page was opened.
    pub consent_started_at: Option<Timestamp>,
    /// The step that is under way.
    pub step: ProvisioningStep,
    /// Where to sign in, once known.
    pub sign_in_url: Option<SignInUrl>,
    /// What else there is to say.
    pub notice: Option<String>,
    /// The field for a code, when it is open.
    pub code_field: Option<TextField>,
    /// Why the code that was entered was not taken.
    pub code_error: Option<&'static str>,
    /// Whether the address is shown as a QR code.
    pub is_qr_code_shown: bool,
    /// How it failed.
    pub error: Option<UserError>,
}

/// Where to sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignInUrl {
    /// The whole URL.
    pub url: String,
    /// Whether the page shows a code to paste, rather than calling back.
    pub needs_code: bool,
}

impl SignInScreen {
    /// A journey that begins now.
    pub fn new(errand: Operation, ticket: Ticket, now: Timestamp) -> Self {
        Self {
            operation: errand,
            ticket,
            started_at: now,
            consent_started_at: None,
            step: ProvisioningStep::Preflight,
            sign_in_url: None,
            notice: None,
            code_field: None,
            code_error: None,
            is_qr_code_shown: false,
            error: None,
        }
    }

    /// The next of many keys: nothing is known of its journey yet.
    pub(in crate::tui) fn start_next_item(&mut self, now: Timestamp) {
        self.started_at = now;
        self.consent_started_at = None;
        self.step = ProvisioningStep::Preflight;
        self.sign_in_url = None;
        self.notice = self.notice.take().filter(|_| self.is_stopping());
        self.code_field = None;
        self.code_error = None;
        self.is_qr_code_shown = false;
    }

    /// The plan that is applied.
    pub fn plan(&self) -> Option<&PlanScreen> {
        match &self.operation {
            Operation::ApplyPlan(plan) => Some(plan),
            Operation::CreateKey { .. }
            | Operation::RotateKey { .. }
            | Operation::RespondToLeak(_) => None,
        }
    }

    /// Whether no further key is wanted.
    pub fn is_stopping(&self) -> bool {
        self.plan().is_some_and(|plan| plan.is_stopping)
    }

    /// News of the journey.
    pub fn handle_event(&mut self, report: ProvisioningEvent, now: Timestamp) {
        match report {
            // The next key is prepared meanwhile.
            ProvisioningEvent::StepStarted(step) if step < self.step && self.plan().is_some() => {}
            ProvisioningEvent::StepStarted(step) => {
                self.step = step;
                if step == ProvisioningStep::AwaitConsent {
                    self.consent_started_at = Some(now);
                } else {
                    self.notice =
                        self.notice.take().filter(|_| step <= ProvisioningStep::AwaitConsent);
                    self.code_field = None;
                }
            }
            ProvisioningEvent::SignInUrl { url, needs_code: paste } => {
                self.sign_in_url = Some(SignInUrl { url, needs_code: paste });
            }
            ProvisioningEvent::Notice(words) => self.notice = Some(words),
        }
    }

    /// Whether the person is waited for.
    pub fn is_awaiting_consent(&self) -> bool {
        self.error.is_none() && self.step <= ProvisioningStep::AwaitConsent
    }

    /// Whether the page shows a code, which is the only road then.
    pub fn needs_code(&self) -> bool {
        self.sign_in_url.as_ref().is_some_and(|address| address.needs_code)
    }

    /// Time left for the consent, once the page was opened.
    pub fn consent_time_left(&self, now: Timestamp) -> Option<SignedDuration> {
        let since =
            self.consent_started_at.filter(|_| self.step == ProvisioningStep::AwaitConsent)?;
        Some((AUTH_CODE_LIFETIME - now.duration_since(since)).max(SignedDuration::ZERO))
    }
}
