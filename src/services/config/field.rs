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

/// What the file and its example say about a field.
struct Spec {
    /// The section and the name.
    path: (&'static str, &'static str),
    /// The comment of the example; `{}` stands for the names that the dashboard knows.
    about: &'static str,
    /// The value in the example.
    example: &'static str,
    /// The built-in value.
    default: Option<&'static str>,
    /// What applies if no value is set, in words.
    rule: Option<&'static str>,
}

impl Spec {
    const fn about(about: &'static str) -> Self {
        Self { path: ("", ""), about, example: "", default: None, rule: None }
    }
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

    #[rustfmt::skip] // One line each.
    const fn spec(self) -> Spec {
        match self {
            Self::Server => Spec { path: ("", "server"), example: "\"https://openrouter.ai\"", ..Spec::about("The address: https, or http for loopback addresses only.") },
            Self::Store => Spec { path: ("", "store"), example: "\"os\"", ..Spec::about("Where keys are stored: os (the keychain), file, bao (OpenBao or HashiCorp Vault), or\n# exec:PROGRAM (a program that speaks the protocol of Docker's credential helpers).") },
            Self::DataDir => Spec { path: ("", "data_dir"), example: "\"~/keys/work\"", ..Spec::about("The directory of the inventory and of the file store.") },
            Self::BaoAddress => Spec { path: ("", "bao_address"), example: "\"https://bao.example.com:8200\"", ..Spec::about("The address of OpenBao or Vault, where neither BAO_ADDR nor VAULT_ADDR is set.") },
            Self::BaoNamespace => Spec { path: ("", "bao_namespace"), example: "\"team\"", ..Spec::about("The namespace.") },
            Self::BaoMount => Spec { path: ("", "bao_mount"), example: "\"secret\"", ..Spec::about("The mount of the KV engine, version 2; secret without it.") },
            Self::BaoPath => Spec { path: ("", "bao_path"), example: "\"keywright/work\"", ..Spec::about("The path of the keys below the mount; keywright/PROFILE without it.") },
            Self::BaoRoleId => Spec { path: ("", "bao_role_id"), example: "\"00000000-0000-4000-8000-000000000000\"", ..Spec::about("The role id of the AppRole login; the secret id is in BAO_SECRET_ID.") },
            Self::BaoKubernetesRole => Spec { path: ("", "bao_kubernetes_role"), example: "\"keywright\"", ..Spec::about("The role of the Kubernetes login.") },
            Self::BaoAuthMount => Spec { path: ("", "bao_auth_mount"), example: "\"approle\"", ..Spec::about("The mount of the login, where it is not approle or kubernetes.") },
            Self::NewLimit => Spec { path: ("new", "limit"), example: "10", default: Some("10"), ..Spec::about("The credit limit in USD, or \"none\".") },
            Self::NewReset => Spec { path: ("new", "reset"), example: "\"monthly\"", default: Some("monthly"), ..Spec::about("When the limit resets: daily, weekly, monthly or never.") },
            Self::NewExpires => Spec { path: ("new", "expires"), example: "\"90d\"", default: Some("90d"), ..Spec::about("When a key expires: 12h, 30d, 6w, 3mo, 1y, a date, or never.") },
            Self::NewWorkspace => Spec { path: ("new", "workspace"), example: "\"default\"", rule: Some("the account's default"), ..Spec::about("The workspace: its UUID, or its slug or name, which needs a management key.\n# Without it: the account's default workspace.") },
            Self::NewGuardrail => Spec { path: ("new", "guardrail"), example: "\"none\"", rule: Some("none"), ..Spec::about("The guardrail of new keys, by name or id, or \"none\"; needs a management key.") },
            Self::Low => Spec { path: ("thresholds", "low"), example: "\"20%\"", rule: Some("20%, or what a day costs"), ..Spec::about("A key is low when less than this remains: a share, or an amount in USD.\n# Without it: a fifth of the limit, or the spending of a day.") },
            Self::Expiring => Spec { path: ("thresholds", "expiring"), example: "\"7d\"", rule: Some("7d, or a quarter of the lifetime"), ..Spec::about("A key is expiring within this time: 12h, 7d or 2w.\n# Without it: the last quarter of its lifetime, at most 7 days.") },
            Self::DormantDays => Spec { path: ("thresholds", "dormant_days"), example: "30", default: Some("30"), ..Spec::about("A key is dormant after this many days without use, at most 3650.") },
            Self::RefreshMinutes => Spec { path: ("dashboard", "refresh_minutes"), example: "5", default: Some("5"), ..Spec::about("Minutes between two refreshes, at most 1440; 0 turns them off.") },
            Self::Sort => Spec { path: ("dashboard", "sort"), example: "\"state\"", default: Some("state"), ..Spec::about("The order of the keys: {}.") },
            Self::Theme => Spec { path: ("dashboard", "theme"), example: "\"auto\"", default: Some("auto"), ..Spec::about("The colours: {}.") },
        }
    }

    /// Returns the section and the name. A profile's own fields have no section.
    pub const fn path(self) -> (&'static str, &'static str) {
        self.spec().path
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
        self.spec().default
    }

    /// Returns in words what applies if no value is set.
    pub const fn default_rule(self) -> Option<&'static str> {
        self.spec().rule
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
        let Spec { about, example, .. } = self.spec();
        let words = join_names(if self == Self::Sort { names.sorts } else { names.themes });
        (about.replace("{}", &words), example)
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
