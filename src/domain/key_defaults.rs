//! The policy of a new key for which nothing else is requested.

use jiff::Timestamp;

use super::{Cents, DefaultedFields, Expiry, KeyRequest, Label, ResetInterval, UserError};

/// The policy that the form, `new` and plans start from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyDefaults {
    /// Maximum spending per reset interval.
    pub limit: Option<Cents>,
    /// The reset interval; it applies only to keys with a limit.
    pub limit_reset: Option<ResetInterval>,
    /// The expiry as [`Expiry::parse`] takes it.
    pub expires: String,
    /// The workspace's UUID; `None` is the account's default workspace.
    pub workspace_id: Option<String>,
    /// The workspace's name or slug, where that is configured in place of the UUID.
    pub workspace_name: Option<ConfiguredName>,
    /// The guardrail.
    pub guardrail: Option<ConfiguredName>,
}

/// A workspace or a guardrail of the configuration, which the account's list explains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfiguredName {
    /// A slug, a name or an id.
    pub name: String,
    /// Where it is set, such as `new.workspace (configuration file, line 3)`.
    pub place: String,
}

impl ConfiguredName {
    /// Returns the error with the place of the name that caused it.
    pub fn add_place(&self, error: UserError) -> UserError {
        error.prefixed(&self.place)
    }
}

/// Enough to work with, and little to lose if the key leaks.
impl Default for KeyDefaults {
    fn default() -> Self {
        Self {
            limit: Cents::parse_limit("10").unwrap_or_default(),
            limit_reset: Some(ResetInterval::Monthly),
            expires: "90d".into(),
            ..Self::none()
        }
    }
}

/// The fields that were requested for a key; `None` where nothing was said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartialPolicy {
    /// The limit, or none.
    pub limit: Option<Option<Cents>>,
    /// The reset interval, or never.
    pub limit_reset: Option<Option<ResetInterval>>,
    /// The expiry, or never.
    pub expiry: Option<Option<Expiry>>,
    /// The workspace, or the account's default workspace.
    pub workspace_id: Option<Option<String>>,
}

impl KeyDefaults {
    /// Returns no policy: no limit, and no expiry.
    pub fn none() -> Self {
        Self {
            limit: None,
            limit_reset: None,
            expires: "never".into(),
            workspace_id: None,
            workspace_name: None,
            guardrail: None,
        }
    }

    /// Returns the request for a key with the fields of `requested` and, for all others, these
    /// defaults, without those that are names. A default reset is left out for a key without a limit.
    pub fn complete(&self, label: Label, requested: PartialPolicy, now: Timestamp) -> KeyRequest {
        let defaulted = DefaultedFields {
            limit: requested.limit.is_none(),
            limit_reset: requested.limit_reset.is_none(),
            expiry: requested.expiry.is_none(),
            workspace_id: requested.workspace_id.is_none(),
            guardrail: false,
        };
        let limit = requested.limit.unwrap_or(self.limit);
        let default_reset = self.limit_reset.filter(|_| limit.is_some());
        KeyRequest {
            label,
            limit,
            limit_reset: requested.limit_reset.unwrap_or(default_reset),
            expiry: requested.expiry.unwrap_or_else(|| self.expiry(now)),
            workspace_id: requested.workspace_id.unwrap_or_else(|| self.workspace_id.clone()),
            defaulted,
            ..KeyRequest::default()
        }
    }

    /// Returns the limit as it is typed: `10`, `12.50` or `none`.
    pub fn limit_text(&self) -> String {
        let text = self.limit.map_or_else(|| "none".to_owned(), |limit| limit.to_string());
        text.strip_suffix(".00").map_or(text.clone(), str::to_owned)
    }

    /// Returns the reset interval as it is typed.
    pub fn reset_text(&self) -> &'static str {
        self.limit_reset.map_or("never", ResetInterval::as_str)
    }

    /// Returns the expiry, counted from `now`.
    fn expiry(&self, now: Timestamp) -> Option<Expiry> {
        Expiry::parse(&self.expires, now).ok().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_reset_is_left_out_without_a_limit() {
        let now = "2026-11-27T00:00:00Z".parse().unwrap();
        let label: Label = "x".parse().unwrap();
        let defaults = KeyDefaults::default();
        let request = defaults.complete(label.clone(), PartialPolicy::default(), now);
        assert_eq!(request.limit.map(Cents::to_dollars), Some(10.0));
        assert_eq!(request.limit_reset, Some(ResetInterval::Monthly));
        assert_eq!(request.expiry.map(|expiry| expiry.input), Some("90d".into()));
        let no_limit = PartialPolicy { limit: Some(None), ..PartialPolicy::default() };
        let request = defaults.complete(label, no_limit, now);
        assert_eq!((request.limit, request.limit_reset), (None, None));
        assert_eq!(request.validate(), Ok(()));
    }
}
