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
//! workspace = "1f0e9c1a-5b7d-4c3e-9a44-0d2b6f8e7a10"
//! ```

mod diff;
mod parser;

pub use diff::{Difference, KeyDiff, compare};
pub use parser::{parse, read_plan_file};
