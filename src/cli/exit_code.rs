//! The exit codes of the command line.

use crate::domain::ErrorKind;

/// Returns the exit code that reports an error of this kind.
pub const fn exit_code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Failed | ErrorKind::OtherAccount => 1,
        ErrorKind::InvalidInput => 2,
        ErrorKind::NotFound => 3,
        ErrorKind::SecretStore => 4,
        ErrorKind::Cancelled => 5,
        ErrorKind::Unreachable | ErrorKind::ConsentTimedOut => 6,
        ErrorKind::Unresolved => 7,
        // The codes that a shell uses for the same errors.
        ErrorKind::CommandNotExecutable => 126,
        ErrorKind::CommandNotFound => 127,
    }
}
