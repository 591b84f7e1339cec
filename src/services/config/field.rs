//! The fields of the configuration file: their names, built-in values, examples and checks.

use jiff::{SignedDuration, Timestamp};

use super::{DashboardNames, parse_server};
use crate::domain::{Cents, Expiry, LowThreshold, ResetInterval, StoreKind, ValidationError};

/// The maximum length of the name of a workspace or a guardrail, in characters.
const MAX_ACCOUNT_NAME: usize = 200;

/// A field of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// The address of a profile's server.
    Server,
    /// The secret store of a profile.
    Store,
    /// The data directory of a profile.
    DataDir,
    /// The address of a shared store.
    BaoAddress,
    /// The namespace of a shared store.
    BaoNamespace,
    /// The mount of a shared store.
    BaoMount,
    /// The path of the profile's keys in a shared store.
    BaoPath,
    /// The AppRole with which machines log in to a shared store.
    BaoRoleId,
    /// The role with which containers log in to a shared store.
    BaoKubernetesRole,
    /// The mount of the login to a shared store.
    BaoAuthMount,
    /// The credit limit of new keys.
    NewLimit,
    /// The reset interval of new keys.
    NewReset,
    /// The expiry of new keys.
    NewExpires,
    /// The workspace of new keys.
    NewWorkspace,
    /// The guardrail of new keys.
    NewGuardrail,
    /// The remaining budget at which a key is low.
    Low,
    /// The time before its expiry at which a key is expiring.
    Expiring,
    /// The days without use after which a key is dormant.
    DormantDays,
    /// Minutes between two refreshes of the dashboard.
    RefreshMinutes,
    /// The sort order of the dashboard.
    Sort,
    /// The theme of the dashboard.
    Theme,
}

impl Field {
    /// The fields of a profile's own table.
    pub const OF_PROFILE: [Self; 10] = [
        Self::Server,
        Self::Store,
        Self::DataDir,
        Self::BaoAddress,
        Self::BaoNamespace,
        Self::BaoMount,
        Self::BaoPath,
        Self::BaoRoleId,
        Self::BaoKubernetesRole,
        Self::BaoAuthMount,
    ];

    /// The fields of all sections, in the order of the example.
    pub const OF_SECTIONS: [Self; 11] = [
        Self::NewLimit,
        Self::NewReset,
        Self::NewExpires,
        Self::NewWorkspace,
        Self::NewGuardrail,
        Self::Low,
        Self::Expiring,
        Self::DormantDays,
        Self::RefreshMinutes,
        Self::Sort,
        Self::Theme,
    ];

    /// Returns the section and the name. A profile's own fields have no section.
    pub const fn path(self) -> (&'static str, &'static str) {
        match self {
            Self::Server => ("", "server"),
            Self::Store => ("", "store"),
            Self::DataDir => ("", "data_dir"),
            Self::BaoAddress => ("", "bao_address"),
            Self::BaoNamespace => ("", "bao_namespace"),
            Self::BaoMount => ("", "bao_mount"),
            Self::BaoPath => ("", "bao_path"),
            Self::BaoRoleId => ("", "bao_role_id"),
            Self::BaoKubernetesRole => ("", "bao_kubernetes_role"),
            Self::BaoAuthMount => ("", "bao_auth_mount"),
            Self::NewLimit => ("new", "limit"),
            Self::NewReset => ("new", "reset"),
            Self::NewExpires => ("new", "expires"),
            Self::NewWorkspace => ("new", "workspace"),
            Self::NewGuardrail => ("new", "guardrail"),
            Self::Low => ("thresholds", "low"),
            Self::Expiring => ("thresholds", "expiring"),
            Self::DormantDays => ("thresholds", "dormant_days"),
            Self::RefreshMinutes => ("dashboard", "refresh_minutes"),
            Self::Sort => ("dashboard", "sort"),
            Self::Theme => ("dashboard", "theme"),
        }
    }

    /// Returns the name as `section.name`.
    pub fn dotted_name(self) -> String {
        match self.path() {
            ("", name) => name.into(),
            (section, name) => format!("{section}.{name}"),
        }
    }

    /// Returns the built-in value as text; `None` where a rule or the platform decides.
    pub const fn default_value(self) -> Option<&'static str> {
        match self {
            Self::NewLimit => Some("10"),
            Self::NewReset => Some("monthly"),
            Self::NewExpires => Some("90d"),
            Self::DormantDays => Some("30"),
            Self::RefreshMinutes => Some("5"),
            Self::Sort => Some("state"),
            Self::Theme => Some("auto"),
            Self::Server
            | Self::Store
            | Self::DataDir
            | Self::BaoAddress
            | Self::BaoNamespace
            | Self::BaoMount
            | Self::BaoPath
            | Self::BaoRoleId
            | Self::BaoKubernetesRole
            | Self::BaoAuthMount
            | Self::NewWorkspace
            | Self::NewGuardrail
            | Self::Low
            | Self::Expiring => None,
        }
    }

    /// Returns in words what applies if no value is set.
    pub const fn default_rule(self) -> Option<&'static str> {
        match self {
            Self::NewWorkspace => Some("the account's default"),
            Self::NewGuardrail => Some("none"),
            Self::Low => Some("20%, or what a day costs"),
            Self::Expiring => Some("7d, or a quarter of the lifetime"),
            _ => None,
        }
    }

    /// Returns whether the dashboard has this field; one without names does not exist.
    pub const fn exists(self, names: &DashboardNames) -> bool {
        match self {
            Self::Sort => !names.sorts.is_empty(),
            Self::Theme => !names.themes.is_empty(),
            _ => true,
        }
    }

    /// Returns the comment and the value of the field in the example.
    pub(super) fn example(self, names: &DashboardNames) -> (String, &'static str) {
        let (about, value) = match self {
            Self::Server => (
                "The address: https, or http for loopback addresses only.",
                "\"https://openrouter.ai\"",
            ),
            Self::Store => (
                "Where keys are stored: os (the keychain), file, bao (OpenBao or HashiCorp Vault), or\n# exec:PROGRAM (a program that speaks the protocol of Docker's credential helpers).",
                "\"os\"",
            ),
            Self::DataDir => {
                ("The directory of the inventory and of the file store.", "\"~/keys/work\"")
            }
            Self::BaoAddress => (
                "The address of OpenBao or Vault, where neither BAO_ADDR nor VAULT_ADDR is set.",
                "\"https://bao.example.com:8200\"",
            ),
            Self::BaoNamespace => ("The namespace.", "\"team\""),
            Self::BaoMount => {
                ("The mount of the KV engine, version 2; secret without it.", "\"secret\"")
            }
            Self::BaoPath => (
                "The path of the keys below the mount; keywright/PROFILE without it.",
                "\"keywright/work\"",
            ),
            Self::BaoRoleId => (
                "The role id of the AppRole login; the secret id is in BAO_SECRET_ID.",
                "\"00000000-0000-4000-8000-000000000000\"",
            ),
            Self::BaoKubernetesRole => ("The role of the Kubernetes login.", "\"keywright\""),
            Self::BaoAuthMount => {
                ("The mount of the login, where it is not approle or kubernetes.", "\"approle\"")
            }
            Self::NewLimit => ("The credit limit in USD, or \"none\".", "10"),
            Self::NewReset => {
                ("When the limit resets: daily, weekly, monthly or never.", "\"monthly\"")
            }
            Self::NewExpires => {
                ("When a key expires: 12h, 30d, 6w, 3mo, 1y, a date, or never.", "\"90d\"")
            }
            Self::NewWorkspace => (
                "The workspace: its UUID, or its slug or name, which needs a management key.\n# Without it: the account's default workspace.",
                "\"default\"",
            ),
            Self::NewGuardrail => (
                "The guardrail of new keys, by name or id, or \"none\"; needs a management key.",
                "\"none\"",
            ),
            Self::Low => (
                "A key is low when less than this remains: a share, or an amount in USD.\n# Without it: a fifth of the limit, or the spending of a day.",
                "\"20%\"",
            ),
            Self::Expiring => (
                "A key is expiring within this time: 12h, 7d or 2w.\n# Without it: the last quarter of its lifetime, at most 7 days.",
                "\"7d\"",
            ),
            Self::DormantDays => {
                ("A key is dormant after this many days without use, at most 3650.", "30")
            }
            Self::RefreshMinutes => {
                ("Minutes between two refreshes, at most 1440; 0 turns them off.", "5")
            }
            Self::Sort => {
                return (
                    format!("The order of the keys: {}.", join_names(names.sorts)),
                    "\"state\"",
                );
            }
            Self::Theme => {
                return (format!("The colours: {}.", join_names(names.themes)), "\"auto\"");
            }
        };
        (about.into(), value)
    }

    /// Returns whether its value may be written as a number.
    pub(super) const fn is_numeric(self) -> bool {
        matches!(self, Self::NewLimit | Self::Low | Self::DormantDays | Self::RefreshMinutes)
    }

    pub(super) fn check(
        self,
        text: &str,
        names: &DashboardNames,
        now: Timestamp,
    ) -> Result<(), ValidationError> {
        let number = |least: u32, most: u32| match text.parse::<u32>() {
            Ok(number) if (least..=most).contains(&number) => Ok(()),
            _ => Err(ValidationError(format!("write a whole number from {least} to {most}"))),
        };
        match self {
            Self::Server => parse_server(text).map(drop).map_err(ValidationError),
            Self::Store => StoreKind::parse_lasting(text).map(drop),
            Self::DataDir => match super::expand_home(text.into()) {
                Ok(dir) if dir.is_absolute() => Ok(()),
                // A path relative to the working directory would make the keys seem lost in another
                // directory.
                Ok(_) => Err(ValidationError(
                    "write an absolute path, or one that starts with ~/".into(),
                )),
                Err(error) => Err(ValidationError(error)),
            },
            Self::BaoAddress => match url::Url::parse(text) {
                Ok(url) if url.has_host() => Ok(()),
                _ => {
                    Err(ValidationError("write an address such as https://bao.example.com".into()))
                }
            },
            Self::BaoMount | Self::BaoPath | Self::BaoAuthMount => check_engine_path(text),
            Self::BaoNamespace | Self::BaoRoleId | Self::BaoKubernetesRole => {
                if text.chars().all(|c| c.is_ascii_graphic()) {
                    Ok(())
                } else {
                    Err(ValidationError("write it without spaces, in ASCII".into()))
                }
            }
            Self::NewLimit => Cents::parse_limit(text).map(drop),
            Self::NewReset => ResetInterval::parse(text).map(drop),
            Self::NewExpires => Expiry::parse(text, now).map(drop),
            Self::NewWorkspace => {
                check_account_name(text, "the slug, the name or the UUID of a workspace")
            }
            Self::NewGuardrail => {
                check_account_name(text, "the name or the id of a guardrail, or none")
            }
            Self::Low => text.parse::<LowThreshold>().map(drop),
            Self::Expiring => parse_duration(text).map(drop).map_err(ValidationError),
            Self::DormantDays => number(1, 3_650),
            Self::RefreshMinutes => number(0, 1_440),
            Self::Sort => check_name(text, names.sorts),
            Self::Theme => check_name(text, names.themes),
        }
    }

    /// Returns the names that the field accepts, for a suggestion.
    pub(super) const fn words(self, names: &DashboardNames) -> &'static [&'static str] {
        match self {
            Self::NewLimit => &["none"],
            Self::NewReset => &["daily", "weekly", "monthly", "never"],
            Self::NewExpires => &["never"],
            Self::Store => &["os", "file", "bao"],
            Self::Sort => names.sorts,
            Self::Theme => names.themes,
            _ => &[],
        }
    }
}

/// Checks a path of the engine: names between slashes.
fn check_engine_path(text: &str) -> Result<(), ValidationError> {
    let is_name = |name: &str| {
        !name.is_empty()
            && !name.contains("..")
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.@:".contains(c))
    };
    if text.trim_matches('/').split('/').all(is_name) {
        return Ok(());
    }
    Err(ValidationError("write names of letters, digits, - and _ between slashes".into()))
}

/// Checks a name that only the account's list explains.
fn check_account_name(text: &str, expected: &str) -> Result<(), ValidationError> {
    if text.trim().is_empty() || text.chars().count() > MAX_ACCOUNT_NAME {
        return Err(ValidationError(format!("write {expected}")));
    }
    Ok(())
}

fn join_names(names: &[&str]) -> String {
    names.join(", ")
}

fn check_name(text: &str, names: &[&str]) -> Result<(), ValidationError> {
    if names.contains(&text) {
        return Ok(());
    }
    Err(ValidationError(format!("write one of {}", join_names(names))))
}

/// Parses `12h`, `7d` or `2w`.
pub fn parse_duration(text: &str) -> Result<SignedDuration, String> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (count, unit) = text.split_at(split);
    let hours = match unit {
        "h" => 1,
        "d" => 24,
        "w" => 7 * 24,
        _ => 0,
    };
    match count.parse::<u32>() {
        Ok(count) if hours > 0 && (1..=10_000).contains(&count) => {
            Ok(SignedDuration::from_hours(i64::from(count) * hours))
        }
        _ => Err("write a time such as 12h, 7d or 2w".into()),
    }
}
