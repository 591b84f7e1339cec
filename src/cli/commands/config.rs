//! `keywright config`: the configuration file and the settings that apply.

use clap::Subcommand;
use serde_json::json;

use crate::cli::output::{print, print_json};
use crate::cli::table::{Column, format_table, terminal_width};
use crate::cli::{GlobalArgs, LoadedSettings};
use crate::domain::UserError;
use crate::services::config::{self, DEFAULT_SERVER, DashboardNames, Field, LastView, Origin};
use crate::storage::json_store::StoreLocation;

/// A subcommand of `config`.
#[derive(Subcommand, Debug)]
pub enum ConfigCommand {
    /// Print the path of the configuration file, whether or not it exists
    Path,
    /// Print a configuration file with every field, its built-in value and its meaning
    Example,
    /// Print the settings that apply, and where each comes from
    Show {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

impl ConfigCommand {
    pub(in crate::cli) const fn is_json(&self) -> bool {
        matches!(self, Self::Show { json: true })
    }

    pub(in crate::cli) fn run(
        &self,
        options: &GlobalArgs,
        loaded: &LoadedSettings,
        names: &DashboardNames,
    ) -> Result<(), UserError> {
        match self {
            Self::Path => match &loaded.path {
                Some(path) => print(&format!("{}\n", path.display())),
                None => Err(UserError::failed(
                    "no home directory found for the configuration",
                    "set HOME, or name the file with --config",
                )),
            },
            Self::Example => print(&config::example(names)),
            Self::Show { json } => {
                let rows = list_settings(options, loaded, names);
                if *json {
                    print_settings_json(loaded, &rows)?;
                } else {
                    print_table(loaded, &rows)?;
                }
                loaded.check_profile()
            }
        }
    }
}

/// One setting.
struct Row {
    name: String,
    value: Option<String>,
    /// What applies if no value is set, in words.
    rule: Option<&'static str>,
    origin: Origin,
    /// The line of the file whose value is not valid and not used.
    rejected: Option<usize>,
}

impl Row {
    fn describe_value(&self) -> String {
        let rule = self.rule.map(str::to_owned);
        self.value.clone().or(rule).unwrap_or_else(|| "–".into())
    }

    fn describe_origin(&self) -> String {
        match self.rejected {
            None if self.value.is_none() && self.rule.is_none() => "not set".into(),
            Some(line) => format!("{}; line {line} is not valid", self.origin),
            None => self.origin.to_string(),
        }
    }
}

/// Returns all settings: those of the run, then the fields of the file.
fn list_settings(
    options: &GlobalArgs,
    loaded: &LoadedSettings,
    names: &DashboardNames,
) -> Vec<Row> {
    let option = |name: &str, value: String| Row {
        name: name.into(),
        value: Some(value),
        rule: None,
        origin: options.origin(name),
        rejected: None,
    };
    let view = last_view(options, loaded, names);
    let mut rows = vec![Row {
        name: "profile".into(),
        value: Some(loaded.profile.to_string()),
        rule: None,
        origin: loaded.profile_origin.clone(),
        rejected: None,
    }];
    let fields = Field::OF_PROFILE.into_iter().chain(Field::OF_SECTIONS);
    rows.extend(fields.filter(|field| field.exists(names)).map(|field| {
        // A sandbox is used instead of every other server.
        let sandbox = loaded.sandbox.as_ref().filter(|_| field == Field::Server);
        let set = loaded.settings.get(field).filter(|_| sandbox.is_none());
        let value = match (set, field) {
            // An address that is not valid may contain a password.
            (Some(value), Field::Server) => config::parse_server(&value.text).ok(),
            (Some(value), _) => Some(value.text.clone()),
            (None, Field::Server) => {
                Some(sandbox.map_or(DEFAULT_SERVER, |sandbox| &sandbox.server).into())
            }
            (None, Field::Store) => Some(if options.sandbox { "memory" } else { "os" }.into()),
            (None, Field::DataDir) => default_data_dir(options, loaded),
            (None, field) => field.default_value().map(str::to_owned),
        };
        let origin = match (set, field) {
            (Some(value), _) => value.origin.clone(),
            (None, Field::Server | Field::Store) if options.sandbox => options.origin("sandbox"),
            (None, _) => Origin::BuiltIn,
        };
        // The dashboard starts with the sort order of its last run, and with its theme unless one
        // is configured.
        let kept = match field {
            Field::Theme => {
                view.theme.filter(|theme| value.as_deref() == Some("auto") && *theme != "auto")
            }
            Field::Sort => view.sort.filter(|sort| value.as_deref() != Some(sort)),
            _ => None,
        };
        let (value, origin) = match kept {
            Some(kept) => (Some(kept.to_owned()), Origin::Dashboard),
            None => (value, origin),
        };
        let name = field.dotted_name();
        let rejected = loaded.file.rejected.get(&name).copied();
        Row { rejected, name, value, rule: field.default_rule(), origin }
    }));
    rows.extend(loaded.file.bindings.iter().map(|(action, key)| Row {
        name: format!("keys.{action}"),
        value: Some(key.text.clone()),
        rule: None,
        origin: Origin::File(key.line),
        rejected: None,
    }));
    rows.extend((names.actions)().iter().filter_map(|(action, key)| {
        let name = format!("keys.{action}");
        let rejected = Some(*loaded.file.rejected.get(&name)?);
        let value = Some((*key).to_owned());
        Some(Row { name, value, rule: None, origin: Origin::BuiltIn, rejected })
    }));
    rows.push(option("timeout", options.timeout.to_string()));
    rows.push(option("retries", options.retries.to_string()));
    rows.push(option("callback_port", options.callback_port.to_string()));
    rows
}

/// Returns what the dashboard keeps from its last run.
fn last_view(options: &GlobalArgs, loaded: &LoadedSettings, names: &DashboardNames) -> LastView {
    if loaded.sandbox.is_some() {
        return LastView::default();
    }
    let config = options.to_config(loaded.clone(), None).ok();
    let dir = config.and_then(|config| config.resolve_data_dir().ok());
    dir.map_or_else(LastView::default, |dir| (names.last_view)(&StoreLocation::Directory(dir)))
}

/// Returns the profile's data directory where none is set.
fn default_data_dir(options: &GlobalArgs, loaded: &LoadedSettings) -> Option<String> {
    let config = options.to_config(loaded.clone(), None).ok()?;
    config.resolve_data_dir().ok().map(|dir| dir.display().to_string())
}

fn print_table(loaded: &LoadedSettings, rows: &[Row]) -> Result<(), UserError> {
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| vec![row.name.clone(), row.describe_value(), row.describe_origin()])
        .collect();
    let columns = [Column("SETTING", 0), Column("VALUE", 0), Column("FROM", 0)];
    let table = format_table(&columns, &cells, terminal_width());
    let path = loaded.shown_path();
    let state = match &loaded.path {
        Some(path) if path.exists() => "",
        _ => " (does not exist)",
    };
    let errors: Vec<String> =
        loaded.file.errors.iter().map(|error| format!("error: {error}\n")).collect();
    let errors = errors.concat();
    print(&format!("configuration file: {path}{state}\n{errors}\n{table}"))
}

fn print_settings_json(loaded: &LoadedSettings, rows: &[Row]) -> Result<(), UserError> {
    let settings: Vec<_> = rows
        .iter()
        .map(|row| {
            json!({
                "name": row.name, "value": row.value, "origin": row.origin.to_string(),
                "invalid_line": row.rejected,
            })
        })
        .collect();
    let document = json!({
        "path": loaded.path,
        "profile": loaded.profile.as_str(),
        "settings": settings,
        "errors": loaded.file.errors,
    });
    print_json(&document)
}
