//! What a key is assigned to at its account, and which of these assignments a replacement lacks.

use std::fmt;

use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

use super::{FieldChange, GuardrailRef, KeyPatch, RequestedPolicy, StoredKey, format_usd};

/// A provider key (BYOK) that names the keys which may use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByokAccess {
    /// The provider key's UUID.
    pub id: String,
    /// Its name, safe to show.
    pub name: String,
}

/// What a key is assigned to at its account. Each part is what the account reported, or the reason
/// why it is not known.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyAssignments {
    /// The workspace's UUID; `None` from a server without workspaces.
    pub workspace_id: Result<Option<String>, String>,
    /// Whether spending through provider keys counts against the limit.
    pub include_byok_in_limit: Result<bool, String>,
    /// The guardrail that the key is assigned to.
    pub guardrail: Result<Option<GuardrailRef>, String>,
    /// The provider keys whose list of allowed keys has this one.
    pub byok_access: Result<Vec<ByokAccess>, String>,
}

impl KeyAssignments {
    /// Returns what was last known about a key. `reason` says why the rest is not known.
    pub fn last_known(key: &StoredKey, reason: &str) -> Self {
        let info = key.info.as_deref();
        let recorded = key.guardrail.clone().or_else(|| key.requested.guardrail.clone());
        let guardrail = recorded.or_else(|| {
            let id = info?
                .budgets
                .iter()
                .find(|budget| budget.scope == "api_key")?
                .guardrail_id
                .clone()?;
            Some(GuardrailRef { name: id.clone(), id })
        });
        Self {
            workspace_id: key
                .workspace_id()
                .map(|id| Some(id.clone()))
                .ok_or_else(|| reason.to_owned()),
            include_byok_in_limit: info
                .and_then(|info| info.include_byok_in_limit)
                .ok_or_else(|| reason.to_owned()),
            guardrail: guardrail.map(Some).ok_or_else(|| reason.to_owned()),
            byok_access: Err(reason.to_owned()),
        }
    }

    /// Replaces parts that could not be read with what was last known.
    #[must_use]
    pub fn or_last_known(self, key: &StoredKey) -> Self {
        let known = Self::last_known(key, "");
        Self {
            workspace_id: self.workspace_id.or_else(|error| known.workspace_id.map_err(|_| error)),
            include_byok_in_limit: self
                .include_byok_in_limit
                .or_else(|error| known.include_byok_in_limit.map_err(|_| error)),
            guardrail: self.guardrail.or_else(|error| known.guardrail.map_err(|_| error)),
            byok_access: self.byok_access,
        }
    }

    /// Returns assignments of which nothing is known.
    pub fn unknown(reason: &str) -> Self {
        Self {
            workspace_id: Err(reason.to_owned()),
            include_byok_in_limit: Err(reason.to_owned()),
            guardrail: Err(reason.to_owned()),
            byok_access: Err(reason.to_owned()),
        }
    }

    /// Returns why a part is not known, if it is not.
    pub fn unread_reason(&self, part: &KeyPart) -> Option<&String> {
        match part {
            KeyPart::Workspace(_) => self.workspace_id.as_ref().err(),
            KeyPart::IncludeByok(_) => self.include_byok_in_limit.as_ref().err(),
            KeyPart::Guardrail(_) => self.guardrail.as_ref().err(),
            KeyPart::Byok(_) => self.byok_access.as_ref().err(),
            KeyPart::Policy(..) => None,
        }
    }

    /// Returns what a replacement of `key` will lack, from the assignments that the account
    /// reported for `key` before the replacement is created. Every assignment that can be read will
    /// be given to the replacement. The workspace is requested with the new key even if it is only
    /// the last known one; for a new key, spending through provider keys does not count.
    pub fn expected_losses(&self, key: &StoredKey) -> Vec<NotCarried> {
        let old = self.clone().or_last_known(key);
        let new = Self {
            workspace_id: old.workspace_id.clone(),
            include_byok_in_limit: self.include_byok_in_limit.clone().or(Ok(false)),
            ..self.clone()
        };
        let missing = old.missing_on(&new);
        missing.into_iter().map(|part| part.with_reason(None, self)).collect()
    }

    /// Returns what a replacement must have that was created with the policy of a plan: the plan's
    /// workspace, which is the default one unless it names another, and its guardrail if it names one.
    #[must_use]
    pub fn with_planned(mut self, planned: &RequestedPolicy) -> Self {
        self.workspace_id = Ok(planned.workspace_id.clone());
        if let Some(guardrail) = &planned.guardrail {
            self.guardrail = Ok(Some(guardrail.clone()));
        }
        self
    }

    /// Returns the parts of this key that its replacement does not have, in the order in which they
    /// can be given to it: the guardrail belongs to the workspace. A part that is not known of the
    /// replacement counts as missing.
    pub fn missing_on(&self, new: &Self) -> Vec<MissingPart> {
        let mut missing = Vec::new();
        match &self.workspace_id {
            Ok(None) => {}
            Ok(Some(id)) if matches!(&new.workspace_id, Ok(Some(new)) if new == id) => {}
            Ok(Some(id)) => missing.push(MissingPart::Lost(KeyPart::Workspace(id.clone()))),
            Err(reason) => missing.push(MissingPart::unknown("workspace_id", reason)),
        }
        match &self.include_byok_in_limit {
            Ok(counts) if new.include_byok_in_limit == Ok(*counts) => {}
            Ok(counts) => missing.push(MissingPart::Lost(KeyPart::IncludeByok(*counts))),
            Err(reason) => missing.push(MissingPart::unknown("include_byok_in_limit", reason)),
        }
        match &self.guardrail {
            Ok(None) => {}
            Ok(Some(old)) => {
                let is_same = |new: &GuardrailRef| new.id == old.id;
                if !matches!(&new.guardrail, Ok(Some(new)) if is_same(new)) {
                    missing.push(MissingPart::Lost(KeyPart::Guardrail(old.clone())));
                }
            }
            Err(reason) => missing.push(MissingPart::unknown("guardrail", reason)),
        }
        match &self.byok_access {
            Ok(old) => {
                let new: &[ByokAccess] = new.byok_access.as_deref().unwrap_or_default();
                let lost =
                    old.iter().filter(|access| new.iter().all(|other| other.id != access.id));
                missing.extend(lost.map(|access| MissingPart::Lost(KeyPart::Byok(access.clone()))));
            }
            Err(reason) => missing.push(MissingPart::unknown("allowed_api_key_hashes", reason)),
        }
        missing
    }
}

impl StoredKey {
    /// Returns limit, reset and expiry where the granted policy differs from the requested one. A
    /// different expiry is returned only if it allows more, since the expiry of a key cannot be
    /// changed.
    pub fn differing_policy(&self) -> Vec<MissingPart> {
        let Some(granted) = &self.granted else { return Vec::new() };
        let mut missing = self.missing_policy();
        for field in self.requested.differing_fields(granted) {
            let part = MissingPart::Lost(KeyPart::Policy(field, self.requested.clone()));
            if field != "expires_at" && !missing.contains(&part) {
                missing.push(part);
            }
        }
        missing
    }

    /// Returns the fields of the requested policy for which the granted one allows more.
    pub fn missing_policy(&self) -> Vec<MissingPart> {
        let Some(granted) = &self.granted else { return Vec::new() };
        let requested = &self.requested;
        let allows_more = |field: &str| match field {
            "limit" => match (requested.limit, granted.limit.value()) {
                (None, _) => false,
                (Some(limit), Some(granted)) => granted > limit.to_dollars(),
                (Some(_), None) => true,
            },
            "limit_reset" => match (requested.limit_reset, granted.limit_reset.value()) {
                // A shorter interval allows more. No interval is the longest one.
                (None, granted) => granted.is_some(),
                (Some(reset), Some(granted)) => granted < reset,
                (Some(_), None) => granted.limit_reset.is_missing(),
            },
            _ => match (requested.expires_at, granted.expires_at.value()) {
                (None, _) => false,
                (Some(at), Some(granted)) => granted > at,
                (Some(_), None) => true,
            },
        };
        requested
            .differing_fields(granted)
            .into_iter()
            .filter(|field| allows_more(field))
            .map(|field| MissingPart::Lost(KeyPart::Policy(field, requested.clone())))
            .collect()
    }
}

/// A part of a key's policy or of its assignments.
#[derive(Clone, Debug, PartialEq)]
pub enum KeyPart {
    /// It is in this workspace (UUID).
    Workspace(String),
    /// Whether spending through provider keys counts against its limit.
    IncludeByok(bool),
    /// It is assigned to this guardrail.
    Guardrail(GuardrailRef),
    /// It may use this provider key.
    Byok(ByokAccess),
    /// A field of the policy that was requested for it: OpenRouter's name.
    Policy(&'static str, RequestedPolicy),
}

impl KeyPart {
    /// Returns OpenRouter's name of the part.
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Workspace(_) => "workspace_id",
            Self::IncludeByok(_) => "include_byok_in_limit",
            Self::Guardrail(_) => "guardrail",
            Self::Byok(_) => "allowed_api_key_hashes",
            Self::Policy(field, _) => field,
        }
    }

    /// Returns the change that gives the part to a key; `None` if no change of the key does.
    pub fn to_patch(&self) -> Option<KeyPatch> {
        let patch = KeyPatch::default();
        match self {
            Self::Workspace(id) => Some(KeyPatch { workspace_id: Some(id.clone()), ..patch }),
            Self::IncludeByok(counts) => {
                Some(KeyPatch { include_byok_in_limit: Some(*counts), ..patch })
            }
            Self::Policy("limit", policy) => {
                Some(KeyPatch { limit: FieldChange::from_option(policy.limit), ..patch })
            }
            Self::Policy("limit_reset", policy) => Some(KeyPatch {
                limit_reset: FieldChange::from_option(policy.limit_reset),
                ..patch
            }),
            Self::Guardrail(_) | Self::Byok(_) | Self::Policy(..) => None,
        }
    }
}

impl KeyPart {
    /// Returns the options of `keywright edit` that give the part to a key, if there are some.
    pub fn edit_options(&self) -> Vec<String> {
        let pair = |option: &str, value: String| vec![option.to_owned(), value];
        match self {
            Self::Workspace(id) => pair("--workspace", id.clone()),
            Self::IncludeByok(true) => vec!["--include-byok".into()],
            Self::IncludeByok(false) => vec!["--no-include-byok".into()],
            Self::Guardrail(guardrail) => pair("--guardrail", guardrail.name.clone()),
            Self::Policy("limit", policy) => {
                pair("--limit", policy.limit.map_or("none".into(), |limit| limit.to_string()))
            }
            Self::Policy("limit_reset", policy) => pair(
                "--reset",
                policy.limit_reset.map_or("never", super::ResetInterval::as_str).into(),
            ),
            Self::Byok(_) | Self::Policy(..) => Vec::new(),
        }
    }
}

impl fmt::Display for KeyPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Workspace(id) => write!(f, "workspace {id}"),
            Self::IncludeByok(true) => {
                f.write_str("provider key spending counts against the limit")
            }
            Self::IncludeByok(false) => {
                f.write_str("provider key spending does not count against the limit")
            }
            Self::Guardrail(guardrail) => write!(f, "guardrail '{}'", guardrail.name),
            Self::Byok(access) => write!(f, "use of the provider key '{}'", access.name),
            Self::Policy("limit", policy) => {
                let limit = policy.limit.map(super::Cents::to_dollars);
                write!(f, "limit {}", limit.map_or_else(|| "none".into(), format_usd))
            }
            Self::Policy("limit_reset", policy) => {
                write!(
                    f,
                    "reset {}",
                    policy.limit_reset.map_or("never", super::ResetInterval::as_str)
                )
            }
            Self::Policy(_, policy) => {
                let at = policy.expires_at.map(super::format_timestamp);
                write!(f, "expiry {}", at.unwrap_or_else(|| "never".into()))
            }
        }
    }
}

/// A part that a replacement does not have, or that is not known.
#[derive(Clone, Debug, PartialEq)]
pub enum MissingPart {
    /// The replaced key has it.
    Lost(KeyPart),
    /// Whether the replaced key has it is not known.
    Unknown {
        /// OpenRouter's name of the part.
        field: &'static str,
        /// Why it is not known.
        reason: String,
    },
}

impl MissingPart {
    fn unknown(field: &'static str, reason: &str) -> Self {
        Self::Unknown { field, reason: reason.to_owned() }
    }

    /// Adds the reason why the part is missing: `failure`, if assigning it failed; otherwise the
    /// reason why `new`, the assignments of the replacement, do not have it; otherwise that the
    /// server did not apply it.
    pub fn with_reason(self, failure: Option<String>, new: &KeyAssignments) -> NotCarried {
        match self {
            Self::Unknown { field, reason } => NotCarried { what: field, part: None, reason },
            Self::Lost(part) => NotCarried {
                what: part.field(),
                reason: failure
                    .or_else(|| new.unread_reason(&part).cloned())
                    .unwrap_or_else(|| "the server did not apply it".into()),
                part: Some(part),
            },
        }
    }
}

/// Why a guardrail cannot be given.
pub const GUARDRAIL_DELETED: &str = "the guardrail no longer exists (404)";

/// A part of the replaced key that was not, or cannot be, given to its replacement.
#[derive(Clone, Debug, PartialEq)]
pub struct NotCarried {
    /// OpenRouter's name of the part.
    pub what: &'static str,
    /// What the replaced key has; `None` if that is not known.
    pub part: Option<KeyPart>,
    /// Why it was not carried over.
    pub reason: String,
}

impl NotCarried {
    /// Returns whether the replaced key is known to have it.
    pub const fn is_lost(&self) -> bool {
        self.part.is_some()
    }

    /// Returns the options of `keywright edit` that give the part to the new key, if there are some.
    pub fn edit_options(&self) -> Vec<String> {
        let part = self.part.as_ref().filter(|_| self.reason != GUARDRAIL_DELETED);
        part.map_or_else(Vec::new, KeyPart::edit_options)
    }
}

impl Serialize for NotCarried {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("NotCarried", 3)?;
        fields.serialize_field("what", self.what)?;
        fields.serialize_field("value", &self.part.as_ref().map(KeyPart::to_string))?;
        fields.serialize_field("reason", &self.reason)?;
        fields.end()
    }
}

impl fmt::Display for NotCarried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.what {
            "workspace_id" => "its workspace",
            "include_byok_in_limit" => "whether provider key spending counts against the limit",
            "guardrail" => "whether it has a guardrail",
            "allowed_api_key_hashes" => "which provider keys allow it",
            "limit" => "whether its limit was changed meanwhile",
            other => other,
        };
        match &self.part {
            Some(part) => write!(f, "{part}: {}", self.reason),
            None => write!(f, "not known {name}: {}", self.reason),
        }
    }
}
