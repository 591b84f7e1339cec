//! Random things: numbers, words, moments, keys; plausible ones and the ends of their ranges.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use keywright::domain::{
    AccountKey, ApiKey, AuthCode, Budget, CheckResult, ErrorKind, GrantedPolicy, KeyInfo,
    KeyRequest, Label, LeakResponse, OtherAccount, ProvisioningOutcome, ProvisioningStep, Reported,
    RequestedPolicy, ResetInterval, Retirement, RotationOutcome, StoreKind, StoredKey,
    UnresolvedAttempt, UsageSample, UserError,
};
use keywright::domain::{ActionResult, ProvisioningEvent, Rotated};
use keywright::tui::state::{PlanStatus, PlannedKey};

/// Stands all over each secret, and nowhere else.
pub const MARK: &str = "ZQX";

/// SplitMix64: enough for a monkey, and the same on every machine.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Less than `below`, which is not 0.
    pub fn below(&mut self, below: usize) -> usize {
        usize::try_from(self.roll() % u64::try_from(below).unwrap()).unwrap()
    }

    /// Once in so many times.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    pub fn maybe<T>(&mut self, thing: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.once_in(2).then(|| thing(self))
    }

    pub fn several<T>(&mut self, most: usize, mut thing: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(most + 1)).map(|_| thing(self)).collect()
    }

    /// What a person may have on the clipboard; no secret.
    pub fn words(&mut self) -> String {
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
        let word = *self.one(&WORDS);
        if self.once_in(12) { word.repeat(1 + self.below(200)) } else { word.to_owned() }
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
            "a label with many words in it, as somebody types it who wants to be precise",
        ];
        let text = *self.one(&LABELS);
        let text = if self.once_in(2) { format!("{text}{}", self.below(9)) } else { text.into() };
        text.parse().unwrap()
    }

    pub fn trouble(&mut self) -> UserError {
        const KINDS: [ErrorKind; 7] = [
            ErrorKind::Failed,
            ErrorKind::InvalidInput,
            ErrorKind::NotFound,
            ErrorKind::SecretStore,
            ErrorKind::Cancelled,
            ErrorKind::Unreachable,
            ErrorKind::Unresolved,
        ];
        let kind = *self.one(&KINDS);
        let words = |dice: &mut Self| keywright::domain::sanitize(&dice.words(), 300);
        UserError::new(kind, words(self), words(self))
    }

    pub fn or_trouble<T>(&mut self, thing: impl FnOnce(&mut Self) -> T) -> Result<T, UserError> {
        if self.once_in(4) { Err(self.trouble()) } else { Ok(thing(self)) }
    }

    fn usd(&mut self) -> f64 {
        *self.one(&[0.0, 0.01, 1.0, 9.99, 10.0, 1e6, -3.0, 1e300, -1e300, f64::MIN_POSITIVE])
    }

    pub fn moment(&mut self, now: Timestamp) -> Timestamp {
        let days = *self.one(&[0, 1, -1, 6, 30, 400, -400, 3_650]);
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
        (*self.one(&["daily", "weekly", "monthly", "never", "", "fortnightly"])).to_owned()
    }

    pub fn reading(&mut self, now: Timestamp) -> KeyInfo {
        KeyInfo {
            limit: self.reported(Self::usd),
            limit_remaining: self.maybe(Self::usd),
            limit_reset: self.reported(|dice| *dice.one(&ResetInterval::ALL)),
            usage: self.maybe(Self::usd),
            usage_daily: self.maybe(Self::usd),
            usage_weekly: self.maybe(Self::usd),
            usage_monthly: self.maybe(Self::usd),
            expires_at: self.reported(|dice| dice.moment(now)),
            byok_usage: self.maybe(Self::usd),
            byok_usage_daily: self.maybe(Self::usd),
            byok_usage_weekly: self.maybe(Self::usd),
            byok_usage_monthly: self.maybe(Self::usd),
            include_byok_in_limit: self.maybe(|dice| dice.once_in(2)),
            is_management_key: self.once_in(20),
            masked: self.maybe(|_| "sk-or-v1-0e6...1c96".into()),
            creator_user_id: self.maybe(|_| "user_1".into()),
            effective_budget: self.maybe(|dice| dice.budget(now)),
            budgets: (0..self.below(3)).map(|_| self.budget(now)).collect(),
            allowed_data_regions: Vec::new(),
            is_free_tier: self.maybe(|dice| dice.once_in(2)),
            free_model_daily_requests: None,
            workspace_id: self.maybe(Self::words),
            last_used_at: self.maybe(|dice| dice.moment(now)),
        }
    }

    fn budget(&mut self, now: Timestamp) -> Budget {
        Budget {
            scope: (*self.one(&["workspace", "api_key", "key_limit", "planet"])).to_owned(),
            limit_usd: self.maybe(Self::usd),
            spend_usd: self.maybe(Self::usd),
            remaining_usd: self.maybe(Self::usd),
            resets_at: self.reported(|dice| dice.moment(now)),
            ..Budget::default()
        }
    }

    pub fn read(&mut self, now: Timestamp) -> CheckResult {
        match self.below(6) {
            0 => CheckResult::Rejected,
            1 => CheckResult::InsufficientCredits,
            2 => CheckResult::Failed("it took too long".into()),
            _ => CheckResult::Valid(Arc::new(self.reading(now))),
        }
    }

    /// A key that was never seen before.
    pub fn key(&mut self) -> ApiKey {
        ApiKey::from(format!("sk-or-v1-{:016x}{}0000", self.roll(), MARK.repeat(16)))
    }

    pub fn code(&mut self) -> AuthCode {
        AuthCode::from(format!("{:08x}{}", self.roll(), MARK.repeat(8)))
    }

    pub fn held(&mut self, label: Label, key: &ApiKey, now: Timestamp) -> StoredKey {
        let asked = RequestedPolicy {
            limit: self.maybe(|_| "7.50".parse().unwrap()),
            limit_reset: self.maybe(|dice| *dice.one(&ResetInterval::ALL)),
            expires_at: self.maybe(|dice| dice.moment(now)),
            workspace_id: None,
            expires_input: self.maybe(Self::word),
        };
        let at = self.moment(now);
        StoredKey {
            requested: asked,
            granted: self.maybe(|dice| GrantedPolicy {
                limit: dice.reported(Self::usd),
                limit_reset: dice.reported(|dice| *dice.one(&ResetInterval::ALL)),
                expires_at: dice.reported(|dice| dice.moment(now)),
            }),
            info: self.maybe(|dice| Arc::new(dice.reading(now))),
            checked_at: self.maybe(|dice| dice.moment(now)),
            other_account: self
                .once_in(8)
                .then(|| OtherAccount { confirmed: self.once_in(3), intended_label: None }),
            rejected_at: self.once_in(6).then(|| self.moment(now)),
            disabled: self.maybe(|dice| dice.once_in(3)),
            retirement: self.once_in(6).then(|| Retirement {
                replaced_at: self.moment(now),
                unused_for: *self.one(&[0, 600, 604_800, u64::MAX]),
                revoke_when_unused: self.once_in(2),
            }),
            ..StoredKey::new(label, key, "https://openrouter.ai".into(), StoreKind::Keychain, at)
        }
    }

    pub fn remote(&mut self, hash: String, now: Timestamp) -> AccountKey {
        AccountKey {
            hash,
            name: self.maybe(Self::words),
            disabled: self.maybe(|dice| dice.once_in(2)),
            created_at: self.maybe(|dice| dice.moment(now)),
            updated_at: self.maybe(|dice| dice.moment(now)),
            last_used_at: self.maybe(|dice| dice.moment(now)),
            workspace_id: None,
            info: self.reading(now),
        }
    }

    pub fn samples(&mut self, now: Timestamp) -> Vec<UsageSample> {
        self.several(40, |dice| UsageSample { at: dice.moment(now), usage: dice.usd() })
    }

    pub fn outcome(&mut self, held: StoredKey, key: ApiKey) -> ProvisioningOutcome {
        match self.below(5) {
            0 => ProvisioningOutcome::Failed(self.trouble()),
            1 | 2 => ProvisioningOutcome::NotStored { entry: held, key, error: self.trouble() },
            _ => ProvisioningOutcome::Stored {
                stored_key: held,
                key,
                warning: self.maybe(Self::trouble),
            },
        }
    }

    pub fn rotation(&mut self, old: StoredKey, now: Timestamp) -> RotationOutcome {
        let key = self.key();
        let new = self.held(old.label.clone(), &key, now);
        match self.below(5) {
            0 => RotationOutcome::Failed(self.trouble()),
            1 => RotationOutcome::NotStored { entry: new, key, error: self.trouble() },
            2 => RotationOutcome::LabelNotMoved { new, error: self.trouble() },
            _ => RotationOutcome::Completed {
                rotated: Rotated { new, old: self.maybe(|_| old) },
                warning: self.maybe(Self::trouble),
            },
        }
    }

    pub fn panicked(&mut self, old: StoredKey, now: Timestamp) -> LeakResponse {
        LeakResponse {
            label: old.label.clone(),
            disable_result: ActionResult { succeeded: self.once_in(2), message: self.words() },
            rotation: self.rotation(old, now),
        }
    }

    /// A key of a plan, however it stands.
    pub fn planned(&mut self) -> PlannedKey {
        let request = KeyRequest {
            label: self.label(),
            limit: None,
            limit_reset: None,
            expiry: None,
            workspace_id: None,
        };
        let fate = match self.below(5) {
            0 => PlanStatus::Unchanged,
            1 => PlanStatus::Differs("limit is none, the plan says $5.00".into()),
            2 => PlanStatus::Failed(self.trouble()),
            _ => PlanStatus::ToCreate,
        };
        PlannedKey { request, status: fate }
    }

    pub fn report(&mut self) -> ProvisioningEvent {
        let address = "https://openrouter.ai/auth?code_challenge=x&callback_url=y";
        match self.below(4) {
            0 => ProvisioningEvent::SignInUrl { url: address.into(), needs_code: self.once_in(2) },
            1 => ProvisioningEvent::Notice("trying again in 2 s".into()),
            _ => ProvisioningEvent::StepStarted(*self.one(&ProvisioningStep::ALL)),
        }
    }

    pub fn unresolved(&mut self, now: Timestamp) -> UnresolvedAttempt {
        UnresolvedAttempt {
            id: format!("{:x}", self.roll()),
            label: self.label(),
            server: "https://openrouter.ai".into(),
            started_at: self.moment(now),
        }
    }
}
