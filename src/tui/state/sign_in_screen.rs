//! State of the screen that is shown while a provisioning run is under way.

use jiff::{SignedDuration, Timestamp};

use super::effect::Request;
use super::form::Form;
use super::layout::ScreenLayout;
use super::plan_screen::PlanScreen;
use super::text_field::TextField;
use super::ticket::Ticket;
use crate::domain::{
    AUTH_CODE_LIFETIME, Expiry, FieldChange, KeyRequest, Label, ProvisioningEvent,
    ProvisioningStep, RetirePolicy, StoredKey, UserError,
};

/// The operation that a run carries out, kept for a retry.
#[derive(Clone, Debug)]
pub enum Operation {
    /// Create a key.
    CreateKey {
        /// The form as submitted.
        form: Form,
        /// The requested key.
        request: KeyRequest,
    },
    /// Replace a key by a new one.
    RotateKey {
        /// The key to replace.
        stored_key: StoredKey,
        /// The end of the new key.
        expiry: FieldChange<Expiry>,
        /// When the replaced key is revoked.
        retire_policy: RetirePolicy,
    },
    /// Replace several keys by new ones, one after the other.
    RotateKeys {
        /// The keys to replace.
        keys: Vec<StoredKey>,
        /// The end of the new keys that would otherwise end soon.
        expiry: FieldChange<Expiry>,
        /// When the replaced keys are revoked.
        retire_policy: RetirePolicy,
        /// The index in `keys` of the one that is being replaced.
        current: usize,
    },
    /// Respond to a leak of these keys.
    RespondToLeak(Vec<StoredKey>),
    /// Create the missing keys of a plan, one after the other.
    ApplyPlan(PlanScreen),
}

impl Operation {
    /// Returns the label of the key, or of the first of several.
    pub fn label(&self) -> Option<&Label> {
        match self {
            Self::CreateKey { request, .. } => Some(&request.label),
            Self::RotateKey { stored_key, .. } => Some(&stored_key.label),
            Self::RotateKeys { keys, current, .. } => keys.get(*current).map(|key| &key.label),
            Self::RespondToLeak(keys) => keys.first().map(|key| &key.label),
            Self::ApplyPlan(plan) => plan.current_label(),
        }
    }

    /// Returns the request that starts the operation.
    pub fn to_request(&self) -> Request {
        match self.clone() {
            Self::CreateKey { form, request } => {
                Request::ProvisionKey { request, auth_choice: form.auth_choice }
            }
            Self::RotateKey { stored_key, expiry, retire_policy } => {
                Request::RotateKey { stored_key, expiry, retire_policy }
            }
            Self::RotateKeys { keys, expiry, retire_policy, .. } => {
                Request::RotateKeys { keys, expiry, retire_policy }
            }
            Self::RespondToLeak(keys) => Request::RespondToLeak(keys),
            Self::ApplyPlan(plan) => Request::ApplyPlan(plan.missing_requests()),
        }
    }
}

/// State of the sign-in screen.
#[derive(Clone, Debug)]
pub struct SignInScreen {
    /// The operation under way.
    pub operation: Operation,
    /// The ticket of the run.
    pub ticket: Ticket,
    /// When the run started.
    pub started_at: Timestamp,
    /// When the wait for consent started.
    pub consent_started_at: Option<Timestamp>,
    /// The current step.
    pub step: ProvisioningStep,
    /// The sign-in URL, once it is known.
    pub sign_in_url: Option<SignInUrl>,
    /// Whether the browser failed after it was started.
    pub has_browser_failed: bool,
    /// A notice about the current step.
    pub notice: Option<String>,
    /// The field for a pasted code, while it is open.
    pub code_field: Option<TextField>,
    /// Why the pasted code was not accepted.
    pub code_error: Option<&'static str>,
    /// Whether the URL is shown as a QR code.
    pub is_qr_code_shown: bool,
    /// The columns and rows that the QR code of the URL needs, once they are known.
    pub qr_code_size: Option<(u16, u16)>,
    /// The error of a failed run.
    pub error: Option<UserError>,
}

/// The URL at which to sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignInUrl {
    /// The complete URL.
    pub url: String,
    /// Whether the page shows a code to paste instead of calling back.
    pub needs_code: bool,
}

impl SignInScreen {
    /// Returns the screen of a run that starts now.
    pub fn new(operation: Operation, ticket: Ticket, now: Timestamp) -> Self {
        Self {
            operation,
            ticket,
            started_at: now,
            consent_started_at: None,
            step: ProvisioningStep::Preflight,
            sign_in_url: None,
            has_browser_failed: false,
            notice: None,
            code_field: None,
            code_error: None,
            is_qr_code_shown: false,
            qr_code_size: None,
            error: None,
        }
    }

    /// Resets the screen for the next of several keys.
    fn start_next_item(&mut self, now: Timestamp) {
        self.started_at = now;
        self.consent_started_at = None;
        self.step = ProvisioningStep::Preflight;
        self.sign_in_url = None;
        self.has_browser_failed = false;
        self.notice = self.notice.take().filter(|_| self.is_stopping());
        self.code_field = None;
        self.code_error = None;
        self.is_qr_code_shown = false;
    }

    /// Returns the plan that is being applied.
    pub fn plan(&self) -> Option<&PlanScreen> {
        match &self.operation {
            Operation::ApplyPlan(plan) => Some(plan),
            _ => None,
        }
    }

    /// Shows the next of several keys that are replaced, or of a plan.
    pub(in crate::tui) fn start_item(&mut self, label: &Label, now: Timestamp) {
        if let Operation::RotateKeys { keys, current, .. } = &mut self.operation
            && let Some(index) = keys.iter().position(|key| key.label == *label)
        {
            *current = index;
        }
        self.start_next_item(now);
    }

    /// Returns whether the plan stops after the current key.
    pub fn is_stopping(&self) -> bool {
        self.plan().is_some_and(|plan| plan.is_stopping)
    }

    /// Records an event of the run.
    pub fn handle_event(&mut self, event: ProvisioningEvent, now: Timestamp) {
        match event {
            // The event belongs to the next key, which is prepared in the background.
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
            ProvisioningEvent::SignInUrl { url, needs_code } => {
                self.sign_in_url = Some(SignInUrl { url, needs_code });
            }
            ProvisioningEvent::Notice(notice) => self.notice = Some(notice),
            ProvisioningEvent::BrowserFailed(notice) => {
                self.has_browser_failed = true;
                self.notice = Some(notice);
            }
        }
    }

    /// Returns whether the QR code fits a terminal of `size`, in columns and rows.
    pub fn fits_qr_code(&self, size: (u16, u16)) -> bool {
        let body = ScreenLayout::new(size).body;
        let fits = |(columns, rows): (u16, u16)| columns <= body.width && rows <= body.height;
        self.qr_code_size.is_none_or(fits)
    }

    /// Returns whether the run waits for consent.
    pub fn is_awaiting_consent(&self) -> bool {
        self.error.is_none() && self.step <= ProvisioningStep::AwaitConsent
    }

    /// Returns whether the page shows a code that has to be pasted.
    pub fn needs_code(&self) -> bool {
        self.sign_in_url.as_ref().is_some_and(|sign_in_url| sign_in_url.needs_code)
    }

    /// Returns the time left for consent, once the page is open.
    pub fn consent_time_left(&self, now: Timestamp) -> Option<SignedDuration> {
        let since =
            self.consent_started_at.filter(|_| self.step == ProvisioningStep::AwaitConsent)?;
        Some((AUTH_CODE_LIFETIME - now.duration_since(since)).max(SignedDuration::ZERO))
    }
}
