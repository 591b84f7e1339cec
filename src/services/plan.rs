//! Parses a plan and compares it with the stored keys. A plan is a TOML file that lists the keys to
//! create. It contains no secrets and can be committed.
//!
//! ```toml
//! [defaults]            # for keys that do not set the field
//! limit = 10            # USD, or "none"
//! reset = "weekly"      # daily, weekly, monthly or "never"
//! expires = "90d"       # counted from the creation of the key; also a date, or "never"
//!
//! [[key]]
//! label = "aider"
//!
//! [[key]]
//! label = "ci"
//! limit = 2.50
//! workspace = "research"     # its slug or name, or its UUID, which needs no management key
//! guardrail = "research"     # its name or id, or "none"
//! store = "bao"              # os, file, bao or exec:PROGRAM, if not the usual one
//! ```

mod diff;
mod file;
mod names;
mod parser;

pub use diff::{Difference, KeyDiff, STORE_FIELD, compare};
pub use file::read_plan_file;
pub use names::{NameField, NamePlace, NamesError, Plan, PlanName, resolve_names};
pub use parser::parse;
