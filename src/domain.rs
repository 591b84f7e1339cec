//! Keys, labels, policies, amounts, time windows, states and forecasts: values and rules without
//! I/O. Functions that depend on the time take it as an argument.

mod account;
mod account_key;
mod attention;
mod authorization_response;
mod budget;
mod command_line;
mod daily_spending;
mod exec_program;
mod forecast;
mod key_defaults;
mod key_edit;
mod key_info;
mod key_input;
mod key_pattern;
mod key_request;
mod key_state;
mod label;
mod money;
mod monthly_limits;
mod normal_form;
mod other_account;
mod profile_name;
mod provisioning;
mod replacement;
mod replacement_expiry;
mod reported;
mod retirement;
mod rotation;
mod secret;
mod shared_record;
mod sort;
mod state_fields;
mod store_kind;
mod stored_key;
mod text;
mod theme;
mod thresholds;
mod trashed_key;
mod usage_curve;
mod user_error;

pub use account::{
    AccountNames, ActivityRow, ByokCredential, Credits, Guardrail, GuardrailAssignment, Workspace,
    WorkspaceBudget,
};
pub use account_key::{
    AccountKey, AccountKeys, FieldChange, KeyPatch, ProfileCopies, ProfileCopy, is_key_hash,
};
pub use attention::{Attention, Condition, EXPOSED, LowThreshold, WatchThresholds, find_attention};
pub use authorization_response::AuthorizationResponse;
pub(crate) use authorization_response::{ResponseParams, is_same_nonce};
pub use budget::{BindingLayer, Budget, FreeModelRequests, GuardrailRef, field_text};
pub use command_line::{
    command_arguments, format_command, quote_posix, quote_shell_word, repeat_options,
};
pub use daily_spending::{
    AccountFigures, DailySpending, KeySpending, ModelSpending, ModelUse, sum_by_model,
};
pub use exec_program::ExecProgram;
pub use forecast::{Forecast, PeriodEnd, SpentEstimate, forecast_spending};
pub use key_defaults::{ConfiguredName, KeyDefaults, PartialPolicy};
pub use key_edit::{
    EditableKey, FieldDifference, GuardrailChange, KeyEdit, KeyUpdate, KeyUpdateOutcome,
};
pub use key_info::{CheckResult, GrantedPolicy, KeyInfo, RequestedPolicy};
pub use key_input::KeyInputError;
pub use key_pattern::{KEY_PREFIX, MAX_KEY_BYTES, find_keys, mask_keys, match_key};
pub use key_request::{Cents, DefaultedFields, Expiry, KeyRequest, ResetInterval};
pub use key_state::KeyState;
pub use label::Label;
pub use money::{format_usd, format_usd_short, from_nanodollars, sum_usd, to_nanodollars};
pub use monthly_limits::sum_of_monthly_limits;
pub use other_account::{KnownAccounts, OtherAccount, mark_other_accounts};
pub use profile_name::ProfileName;
pub use provisioning::{
    FinishedStep, ProvisioningEvent, ProvisioningOutcome, ProvisioningStep, UnresolvedAttempt,
};
pub use replacement::{
    ByokAccess, GUARDRAIL_DELETED, KeyAssignments, KeyPart, MissingPart, NotCarried,
};
pub use reported::{Reported, ServerValue, parse_number};
pub use retirement::{RetirementStatus, describe_recent_use, retirement_status};
pub use rotation::{ActionResult, LeakResponse, RetirePolicy, Rotated, RotationOutcome};
pub use secret::{ApiKey, AuthCode, CodeVerifier, ManagementKey, trim_secret_input};
pub use shared_record::{
    SecretLoss, SharedFields, SharedRecord, join_pairs, merge_fields, set_identity, set_writer,
    split_fields,
};
pub use sort::{collect_ordered, sort_by, sort_by_key};
pub use state_fields::{StateFields, StateRows};
pub use store_kind::{KeyLocation, ParseStoreKindError, StoreKind};
pub use stored_key::{
    PendingReplacement, Retirement, StoredKey, StoredKeyFields, deserialize_sanitized,
};
pub use text::{
    error_chain, format_date, format_duration, format_last_use, format_relative_time,
    format_short_last_use, format_short_span, format_timestamp, io_error_text, sanitize,
    seconds_until_relative_time_changes, truncate, utc_date,
};
pub use theme::ThemeChoice;
pub use thresholds::Thresholds;
pub use trashed_key::{TRASH_DAYS, TrashedKey};
pub use usage_curve::UsageSample;
pub use user_error::{ErrorKind, UserError, ValidationError};

use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

macro_rules! identify_by_hash {
    ($($secret:ty),+) => {
        $(impl $secret {
            /// Returns the lower-case hexadecimal SHA-256 of the key string, which OpenRouter calls `hash`.
            #[expect(clippy::disallowed_methods, reason = "hashing")]
            pub fn hash(&self) -> String {
                encode_hex(&Sha256::digest(self.expose_secret().as_bytes()))
            }

            /// Returns the masked key: its first twelve and last four characters, as OpenRouter shows it
            /// (`sk-or-v1-0e6...1c96`). A key of fewer than 32 characters becomes `(short key)`.
            #[expect(clippy::disallowed_methods, reason = "masking")]
            pub fn masked(&self) -> String {
                mask_secret(self.expose_secret())
            }
        })+
    };
}

identify_by_hash!(ApiKey, ManagementKey);

fn mask_secret(secret: &str) -> String {
    if secret.chars().count() < 32 {
        return String::from("(short key)");
    }
    let end = secret.char_indices().nth(12).map_or(0, |(at, _)| at);
    let start = secret.char_indices().nth_back(3).map_or(0, |(at, _)| at);
    sanitize(&[&secret[..end], "...", &secret[start..]].concat(), 24)
}

/// Returns the bytes as lower-case hexadecimal, two digits per byte.
pub fn encode_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value)]);
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 15));
    }
    text
}

/// How long an authorization code can be exchanged, and so how long to wait for consent.
pub const AUTH_CODE_LIFETIME: jiff::SignedDuration = jiff::SignedDuration::from_mins(10);

impl ManagementKey {
    /// Returns what tells this management key from others, without being of use to anybody: the first
    /// 16 digits of its SHA-256.
    pub fn fingerprint(&self) -> String {
        let mut hash = self.hash();
        hash.truncate(16);
        hash
    }
}

impl AuthCode {
    /// Parses a code from the callback or from pasted text: 1 to 512 visible ASCII characters,
    /// opaque otherwise (RFC 6749 appendix A.11).
    ///
    /// # Errors
    ///
    /// Returns a message for the user when the text is not a code.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        match text.len() {
            0 => Err("paste the code that the page shows"),
            1..=512 if text.bytes().all(|byte| byte.is_ascii_graphic()) => {
                Ok(Self::from(text.to_owned()))
            }
            _ => Err("this is not a code: copy it from the page again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_is_sha256_and_masked_key_shows_its_ends() {
        let key = ApiKey::from(format!("sk-or-v1-{}", "ab12".repeat(16)));
        assert_eq!(key.masked(), "sk-or-v1-ab1...ab12");
        assert_eq!(key.hash().len(), 64);
        assert_eq!(
            ApiKey::from(String::from("abc")).hash(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(format!("{key:?}"), "ApiKey(…)");
    }

    #[test]
    fn key_of_unknown_format_is_never_shown_in_full() {
        for text in ["", "x", "short-key", "sk-or-v1-0123456789"] {
            let masked = ApiKey::from(String::from(text)).masked();
            assert!(text.is_empty() || !masked.contains(text), "{masked}");
        }
        let odd = ApiKey::from(format!("\u{1b}[2J{}\u{202e}", "k".repeat(40)));
        assert!(!odd.masked().contains('\u{1b}'));
        assert!(!odd.masked().contains('\u{202e}'));
    }
}
