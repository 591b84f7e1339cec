//! Random values: numbers, texts, timestamps, keys; plausible values and the ends of their ranges.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use keywright::domain::{
    AccountKey, ActionResult, ApiKey, AuthCode, Budget, CheckResult, Credits, DailySpending,
    ErrorKind, GrantedPolicy, Guardrail, GuardrailRef, KeyInfo, KeyRequest, KeyUpdateOutcome,
    Label, LeakResponse, ModelSpending, NotCarried, OtherAccount, ProvisioningEvent,
    ProvisioningOutcome, ProvisioningStep, Reported, RequestedPolicy, ResetInterval, Retirement,
    Rotated, RotationOutcome, StoreKind, StoredKey, UnresolvedAttempt, UsageSample, UserError,
    Workspace, utc_date,
};
use keywright::tui::state::{FormChoices, PlanStatus, PlannedKey, ProfileChoice};

/// Returns the number in an environment variable.
pub fn env_number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// Is repeated in each secret and occurs nowhere else.
pub const SECRET_MARK: &str = "ZQX";

/// SplitMix64: the same sequence on every machine.
pub struct Rng(pub u64);

impl Rng {
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a number less than `below`, which must not be 0.
    pub fn below(&mut self, below: usize) -> usize {
        usize::try_from(self.next_u64() % u64::try_from(below).unwrap()).unwrap()
    }

    /// Returns true once in `times` calls on average.
    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub fn choose<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    pub fn option<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.one_in(2).then(|| make(self))
    }

    pub fn vec<T>(&mut self, most: usize, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(most + 1)).map(|_| make(self)).collect()
    }

    /// Returns a text that a user may type or paste; no secret.
    pub fn text(&mut self) -> String {
        const WORDS: [&str; 16] = [
            "",
            "a",
            "laptop",
            "ci and nightly builds",
            "12.50",
            "none",
            "30d",
            "9999-12-31",
            "monthly",
            "日本語のラベル",
            "👩‍👩‍👧‍👦 family",
            "e\u{301}\u{301}\u{301}",
            "\u{202e}gnp.exe",
            "line\r\nline\ttab\u{1b}[2J\u{7}\0",
            "it's \"quoted\" $(x)",
            "\u{fdfd}\u{1242b}",
        ];
        let word = *self.choose(&WORDS);
        if self.one_in(12) { word.repeat(1 + self.below(200)) } else { word.to_owned() }
    }

    pub fn label(&mut self) -> Label {
        const LABELS: [&str; 8] = [
            "laptop",
            "ci",
            "日本語のラベル",
            "👩‍👩‍👧‍👦 family",
            "e\u{301}\u{323}",
            "مفتاح",
            "W",
            "a long label with many words in it, as a user may type it to be precise",
        ];
        let text = *self.choose(&LABELS);
        let text = if self.one_in(2) { format!("{text}{}", self.below(9)) } else { text.into() };
        text.parse().unwrap()
    }

    pub fn user_error(&mut self) -> UserError {
        const KINDS: [ErrorKind; 7] = [
            ErrorKind::Failed,
            ErrorKind::InvalidInput,
            ErrorKind::NotFound,
            ErrorKind::SecretStore,
            ErrorKind::Cancelled,
            ErrorKind::Unreachable,
            ErrorKind::Unresolved,
        ];
        let kind = *self.choose(&KINDS);
        let text = |rng: &mut Self| keywright::domain::sanitize(&rng.text(), 300);
        UserError::new(kind, text(self), text(self))
    }

    pub fn or_error<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Result<T, UserError> {
        if self.one_in(4) { Err(self.user_error()) } else { Ok(make(self)) }
    }

    fn usd(&mut self) -> f64 {
        *self.choose(&[0.0, 0.01, 1.0, 9.99, 10.0, 1e6, -3.0, 1e300, -1e300, f64::MIN_POSITIVE])
    }

    pub fn timestamp(&mut self, now: Timestamp) -> Timestamp {
        let days = *self.choose(&[0, 1, -1, 6, 30, 400, -400, 3_650]);
        match self.below(20) {
            0 => Timestamp::MIN,
            1 => Timestamp::MAX,
            _ => now.checked_add(SignedDuration::from_hours(24 * days)).unwrap_or(now),
        }
    }

    fn reported<T>(&mut self, value: impl FnOnce(&mut Self) -> T) -> Reported<T> {
        match self.below(6) {
            0 => Reported::Missing,
            1 => Reported::None,
            2 => Reported::Other(self.word()),
            _ => Reported::Value(value(self)),
        }
    }

    fn word(&mut self) -> String {
        (*self.choose(&["daily", "weekly", "monthly", "never", "", "fortnightly"])).to_owned()
    }

    pub fn key_info(&mut self, now: Timestamp) -> KeyInfo {
        KeyInfo {
            limit: self.reported(Self::usd),
            limit_remaining: self.option(Self::usd),
            limit_reset: self.reported(|rng| *rng.choose(&ResetInterval::ALL)),
            usage: self.option(Self::usd),
            usage_daily: self.option(Self::usd),
            usage_weekly: self.option(Self::usd),
            usage_monthly: self.option(Self::usd),
            expires_at: self.reported(|rng| rng.timestamp(now)),
            byok_usage: self.option(Self::usd),
            byok_usage_daily: self.option(Self::usd),
            byok_usage_weekly: self.option(Self::usd),
            byok_usage_monthly: self.option(Self::usd),
            include_byok_in_limit: self.option(|rng| rng.one_in(2)),
            is_management_key: self.one_in(20),
            masked: self.option(|_| "sk-or-v1-0e6...1c96".into()),
            creator_user_id: self.option(|_| "user_1".into()),
            effective_budget: self.option(|rng| rng.budget(now).into()),
            budgets: (0..self.below(3)).map(|_| self.budget(now)).collect(),
            allowed_data_regions: Vec::new(),
            is_free_tier: self.option(|rng| rng.one_in(2)),
            free_model_daily_requests: None,
            workspace_id: self.option(Self::text),
            last_used_at: self.option(|rng| rng.timestamp(now)),
        }
    }

    fn budget(&mut self, now: Timestamp) -> Budget {
        Budget {
            scope: (*self.choose(&["workspace", "api_key", "key_limit", "planet"])).to_owned(),
            limit_usd: self.option(Self::usd),
            spend_usd: self.option(Self::usd),
            remaining_usd: self.option(Self::usd),
            resets_at: self.reported(|rng| rng.timestamp(now)),
            ..Budget::default()
        }
    }

    pub fn check_result(&mut self, now: Timestamp) -> CheckResult {
        match self.below(6) {
            0 => CheckResult::Rejected,
            1 => CheckResult::InsufficientCredits,
            2 => CheckResult::Failed("it took too long".into()),
            _ => CheckResult::Valid(Arc::new(self.key_info(now))),
        }
    }

    /// Returns a new key.
    pub fn key(&mut self) -> ApiKey {
        ApiKey::from(format!("sk-or-v1-{:016x}{}0000", self.next_u64(), SECRET_MARK.repeat(16)))
    }

    pub fn code(&mut self) -> AuthCode {
        AuthCode::from(format!("{:08x}{}", self.next_u64(), SECRET_MARK.repeat(8)))
    }

    pub fn stored_key(&mut self, label: Label, key: &ApiKey, now: Timestamp) -> StoredKey {
        let requested = RequestedPolicy {
            guardrail: None,
            limit: self.option(|_| "7.50".parse().unwrap()),
            limit_reset: self.option(|rng| *rng.choose(&ResetInterval::ALL)),
            expires_at: self.option(|rng| rng.timestamp(now)),
            workspace_id: None,
            expires_input: self.option(Self::word),
        };
        let at = self.timestamp(now);
        StoredKey::new(label, key, "https://openrouter.ai".into(), StoreKind::Keychain, at).with(
            |key| {
                key.requested = requested;
                key.granted = self.option(|rng| GrantedPolicy {
                    limit: rng.reported(Self::usd),
                    limit_reset: rng.reported(|rng| *rng.choose(&ResetInterval::ALL)),
                    expires_at: rng.reported(|rng| rng.timestamp(now)),
                });
                key.info = self.option(|rng| Arc::new(rng.key_info(now)));
                key.checked_at = self.option(|rng| rng.timestamp(now));
                key.other_account = self
                    .one_in(8)
                    .then(|| OtherAccount { confirmed: self.one_in(3), intended_label: None });
                key.rejected_at = self.one_in(6).then(|| self.timestamp(now));
                key.disabled = self.option(|rng| rng.one_in(3));
                key.retirement = self.one_in(6).then(|| Retirement {
                    replaced_at: self.timestamp(now),
                    unused_for: *self.choose(&[0, 600, 604_800, u64::MAX]),
                    revoke_when_unused: self.one_in(2),
                });
            },
        )
    }

    pub fn account_key(&mut self, hash: String, now: Timestamp) -> AccountKey {
        AccountKey {
            hash,
            name: self.option(Self::text),
            disabled: self.option(|rng| rng.one_in(2)),
            created_at: self.option(|rng| rng.timestamp(now)),
            last_used_at: self.option(|rng| rng.timestamp(now)),
            workspace_id: None,
            info: self.key_info(now),
        }
    }

    pub fn profiles(&mut self) -> Vec<ProfileChoice> {
        let mut choice = |name: &str| ProfileChoice {
            name: name.parse().unwrap(),
            server: if self.one_in(4) {
                Err(self.text())
            } else {
                Ok("https://openrouter.ai".into())
            },
        };
        vec![choice("default"), choice("work")]
    }

    pub fn form_choices(&mut self) -> FormChoices {
        let workspaces = self.or_error(|rng| {
            rng.vec(4, |rng| Workspace { id: rng.text(), name: rng.text(), slug: rng.text() })
        });
        let guardrails = self.or_error(|rng| {
            rng.vec(4, |rng| Guardrail { id: rng.text(), name: rng.text(), ..Guardrail::default() })
        });
        let assigned_guardrail =
            self.option(|rng| GuardrailRef { id: rng.text(), name: rng.text() });
        FormChoices { workspaces, guardrails, assigned_guardrail }
    }

    pub fn samples(&mut self, now: Timestamp) -> Vec<UsageSample> {
        self.vec(40, |rng| UsageSample {
            usage_daily: rng.option(Self::usd),
            ..UsageSample::new(rng.timestamp(now), rng.usd())
        })
    }

    pub fn days(&mut self, now: Timestamp) -> DailySpending {
        self.vec(40, |rng| (utc_date(rng.timestamp(now)), rng.usd())).into_iter().collect()
    }

    pub fn models(&mut self) -> Vec<ModelSpending> {
        self.vec(3, |rng| ModelSpending { model: rng.text(), requests: 7, usage: rng.usd() })
    }

    pub fn credits(&mut self) -> Credits {
        Credits { total_credits: self.usd(), total_usage: self.usd() }
    }

    pub fn update_outcome(&mut self, here: StoredKey, now: Timestamp) -> KeyUpdateOutcome {
        let account_key = self.account_key(here.hash.clone(), now);
        match self.below(3) {
            0 => KeyUpdateOutcome::Failed(self.user_error()),
            1 => KeyUpdateOutcome::Conflict {
                current: account_key,
                guardrail: None,
                changed_fields: vec!["limit"],
            },
            _ => KeyUpdateOutcome::Updated {
                account_key: self.option(|_| account_key),
                stored_key: here.is_stored().then_some(here),
                warning: self.option(Self::user_error),
            },
        }
    }

    pub fn provisioning_outcome(
        &mut self,
        stored_key: StoredKey,
        key: ApiKey,
    ) -> ProvisioningOutcome {
        match self.below(5) {
            0 => ProvisioningOutcome::Failed(self.user_error()),
            1 | 2 => {
                ProvisioningOutcome::NotStored { entry: stored_key, key, error: self.user_error() }
            }
            _ => ProvisioningOutcome::Stored {
                stored_key,
                key,
                warning: self.option(Self::user_error),
            },
        }
    }

    pub fn losses(&mut self, keys: Vec<StoredKey>) -> Vec<(Label, Vec<NotCarried>)> {
        let mut losses = Vec::new();
        for key in keys {
            let loss = NotCarried { what: "guardrail", part: None, reason: "no".into() };
            losses.push((key.label.clone(), self.option(|_| loss).into_iter().collect()));
        }
        losses
    }

    pub fn rotation_outcome(&mut self, old: StoredKey, now: Timestamp) -> RotationOutcome {
        let key = self.key();
        let new = self.stored_key(old.label.clone(), &key, now);
        match self.below(5) {
            0 => RotationOutcome::Failed(self.user_error()),
            1 => RotationOutcome::NotStored { entry: new, key, error: self.user_error() },
            2 => RotationOutcome::LabelNotMoved { new, error: self.user_error() },
            _ => RotationOutcome::Completed {
                rotated: Rotated { new, old: self.option(|_| old), not_carried: Vec::new() },
                warning: self.option(Self::user_error),
            },
        }
    }

    pub fn leak_response(&mut self, old: StoredKey, now: Timestamp) -> LeakResponse {
        LeakResponse {
            label: old.label.clone(),
            disable_result: ActionResult { succeeded: self.one_in(2), message: self.text() },
            rotation: Some(self.rotation_outcome(old, now)),
        }
    }

    /// Returns a key of a plan with any status.
    pub fn planned_key(&mut self) -> PlannedKey {
        let request = KeyRequest { label: self.label(), ..KeyRequest::default() };
        let status = match self.below(5) {
            0 => PlanStatus::Unchanged,
            1 => PlanStatus::Differs("limit is none, the plan says $5.00".into()),
            2 => PlanStatus::Failed(self.user_error()),
            _ => PlanStatus::ToCreate,
        };
        PlannedKey { request, status }
    }

    pub fn provisioning_event(&mut self) -> ProvisioningEvent {
        let address = "https://openrouter.ai/auth?code_challenge=x&callback_url=y";
        match self.below(5) {
            0 => ProvisioningEvent::SignInUrl { url: address.into(), needs_code: self.one_in(2) },
            1 => ProvisioningEvent::Notice("trying again in 2 s".into()),
            2 => ProvisioningEvent::BrowserFailed("the browser exited with an error".into()),
            _ => ProvisioningEvent::StepStarted(*self.choose(&ProvisioningStep::ALL)),
        }
    }

    pub fn unresolved_attempt(&mut self, now: Timestamp) -> UnresolvedAttempt {
        UnresolvedAttempt {
            waits_for_store: false,
            id: format!("{:x}", self.next_u64()),
            label: self.label(),
            server: "https://openrouter.ai".into(),
            started_at: self.timestamp(now),
        }
    }
}
