//! A plan: the keys there should be, in a TOML file that holds no secret and can be committed.
//! Owns: reading it, with a place for whatever is wrong; comparing it with what is held. What a
//! label, a limit or an expiry may be is `key`'s to say. Must not know: files, servers, screens.
//!
//! ```toml
//! [defaults]            # for every key that does not say otherwise
//! limit = 10            # USD, or "none"
//! reset = "weekly"      # daily, weekly, monthly or "never"
//! expires = "90d"       # counted from the day a key is cut; also a date, or "never"
//!
//! [[key]]
//! label = "aider"
//!
//! [[key]]
//! label = "ci"
//! limit = 2.50
//! workspace = "1f0e9c1a-5b7d-4c3e-9a44-0d2b6f8e7a10"
//! ```

mod diagnostic;
mod diff;
mod parser;

pub use diagnostic::{Diagnostic, Position};
pub use diff::{Difference, KeyDiff, compare};
pub use parser::{parse, read_plan_bytes};
