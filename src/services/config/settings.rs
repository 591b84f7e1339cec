//! The settings of a run with the origin of each: the command line, the environment, the
//! configuration file or the built-in value, in this order.

use std::collections::BTreeMap;
use std::fmt;

use jiff::SignedDuration;

use super::{ConfigFile, Field, parse_duration};
use crate::domain::{
    Cents, ConfiguredName, KeyDefaults, KeyRequest, ProfileName, ResetInterval, Thresholds,
    collect_ordered,
};
use crate::storage::json_store::StoreLocation;

/// Names of the dashboard that the file may contain. The field of an empty list does not exist.
#[derive(Clone, Copy, Debug)]
pub struct DashboardNames {
    /// The sort orders.
    pub sorts: &'static [&'static str],
    /// The themes; `auto` follows the terminal.
    pub themes: &'static [&'static str],
    /// The actions, each with its built-in key.
    pub actions: fn() -> &'static [(&'static str, &'static str)],
    /// Checks the text of a key such as `ctrl-n`; the error says what is expected.
    pub check_key: fn(&str) -> Result<(), String>,
    /// Returns the actions whose configured key cannot be used, each with a sentence that says why.
    pub conflicts: FindConflicts,
    /// Returns what the dashboard keeps from its last run, in a data directory.
    pub last_view: fn(&StoreLocation) -> LastView,
}

/// What the dashboard keeps from its last run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastView {
    /// The theme that the user chose there.
    pub theme: Option<&'static str>,
    /// The sort order.
    pub sort: Option<&'static str>,
}

/// Takes actions with their configured keys; returns the actions whose key cannot be used, and why.
pub type FindConflicts = fn(&[(&str, &str)]) -> Vec<(String, String)>;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// An option.
    CommandLine,
    /// This environment variable.
    Environment(String),
    /// The configuration file, at this line.
    File(usize),
    /// `keywright profile use`.
    ProfileUse,
    /// The last run of the dashboard.
    Dashboard,
    /// Nothing was set.
    BuiltIn,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine => f.write_str("command line"),
            Self::Environment(variable) => write!(f, "environment ({variable})"),
            Self::File(line) => write!(f, "configuration file, line {line}"),
            Self::Dashboard => f.write_str("the dashboard's last run"),
            Self::ProfileUse => f.write_str("keywright profile use"),
            Self::BuiltIn => f.write_str("built-in"),
        }
    }
}

/// A value and its origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// The value as text, as the option of the same name takes it.
    pub text: String,
    /// Where it comes from.
    pub origin: Origin,
}

/// The settings of a run. A field that is not set has the built-in value.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    values: BTreeMap<Field, Value>,
    /// The key of each action of the dashboard that has another than the built-in one.
    pub bindings: BTreeMap<String, String>,
    /// The errors of the configuration file, each with its position.
    pub errors: Vec<String>,
}

impl Settings {
    /// Returns the settings of a profile from the file.
    pub fn from_file(file: &ConfigFile, profile: &ProfileName) -> Self {
        let of_profile = file.profiles.get(profile).map(|table| &table.settings);
        let values =
            file.settings.iter().chain(of_profile.into_iter().flatten()).map(|(field, setting)| {
                let origin = Origin::File(setting.line);
                (*field, Value { text: setting.text.clone(), origin })
            });
        let bindings = file.bindings.iter();
        Self {
            values: collect_ordered(values),
            bindings: collect_ordered(bindings.map(|(name, key)| (name.clone(), key.text.clone()))),
            errors: file.errors.clone(),
        }
    }

    /// Sets a field to a value that takes precedence.
    pub fn set(&mut self, field: Field, text: impl Into<String>, origin: Origin) {
        self.values.insert(field, Value { text: text.into(), origin });
    }

    /// Removes what is set for these fields.
    pub fn clear(&mut self, fields: &[Field]) {
        self.values.retain(|field, _| !fields.contains(field));
    }

    /// Returns the value of a field; `None` where nothing is set.
    pub fn get(&self, field: Field) -> Option<&Value> {
        self.values.get(&field)
    }

    /// Returns the text of a field, or its built-in value.
    pub fn text(&self, field: Field) -> Option<&str> {
        self.get(field).map(|value| value.text.as_str()).or_else(|| field.default_value())
    }

    /// Returns the policy that new keys start from.
    pub fn key_defaults(&self) -> KeyDefaults {
        // Only valid text is stored, so no default stands in for an error here.
        let text = |field| self.text(field).unwrap_or_default();
        let workspace = self.name(Field::NewWorkspace, "default");
        KeyDefaults {
            limit: Cents::parse_limit(text(Field::NewLimit)).unwrap_or_default(),
            limit_reset: ResetInterval::parse(text(Field::NewReset)).unwrap_or_default(),
            expires: text(Field::NewExpires).to_owned(),
            workspace_id: workspace
                .filter(|text| KeyRequest::validate_workspace_id(text).is_ok())
                .map(str::to_owned),
            workspace_name: workspace
                .filter(|text| KeyRequest::validate_workspace_id(text).is_err())
                .map(|name| self.configured_name(Field::NewWorkspace, name)),
            guardrail: self
                .name(Field::NewGuardrail, "none")
                .map(|name| self.configured_name(Field::NewGuardrail, name)),
        }
    }

    /// Returns the name in a field; `None` where nothing is set, or `nothing`.
    fn name(&self, field: Field, nothing: &str) -> Option<&str> {
        self.text(field).map(str::trim).filter(|text| !text.eq_ignore_ascii_case(nothing))
    }

    fn configured_name(&self, field: Field, name: &str) -> ConfiguredName {
        let origin = self.get(field).map_or(&Origin::BuiltIn, |value| &value.origin);
        let place = format!("{} ({origin})", field.dotted_name());
        ConfiguredName { name: name.to_owned(), place }
    }

    /// Returns the thresholds at which a key is low, expiring or dormant.
    pub fn thresholds(&self) -> Thresholds {
        let dormant_days = self.text(Field::DormantDays).and_then(|days| days.parse::<i64>().ok());
        Thresholds {
            low: self.text(Field::Low).and_then(|text| text.parse().ok()),
            expiring: self.text(Field::Expiring).and_then(|text| parse_duration(text).ok()),
            dormant: dormant_days.map_or_else(
                || Thresholds::default().dormant,
                |days| SignedDuration::from_hours(24 * days),
            ),
        }
    }

    /// Returns the time between two refreshes of the dashboard; `None` turns them off.
    pub fn refresh_interval(&self) -> Option<SignedDuration> {
        let minutes = self.text(Field::RefreshMinutes)?.parse::<i64>().ok()?;
        (minutes > 0).then(|| SignedDuration::from_mins(minutes))
    }

    /// Returns the name of the dashboard's theme; `auto` follows the terminal.
    pub fn theme(&self) -> &str {
        self.text(Field::Theme).unwrap_or_default()
    }

    /// Returns the name of the dashboard's sort order.
    pub fn sort(&self) -> &str {
        self.text(Field::Sort).unwrap_or_default()
    }
}
