//! What a replacement will lack or lacks, on standard error.

use std::fmt::Write as _;

use super::output::{confirm, print_error};
use crate::domain::{Label, NotCarried, UserError};

/// Says what cannot be carried over to the new keys, before anything is created. Returns whether a
/// new key will lack something that the old one is known to have.
pub(super) fn print_expected_losses<'a>(
    keys: impl IntoIterator<Item = (&'a Label, Vec<NotCarried>)>,
) -> bool {
    let mut is_weaker = false;
    for (label, losses) in keys {
        is_weaker |= losses.iter().any(NotCarried::is_lost);
        print_losses(&format!("cannot be carried over to the new key of '{label}'"), &losses);
    }
    is_weaker
}

/// Asks whether to create a key that lacks what [`print_expected_losses`] listed.
pub(super) fn confirm_losses(label: &Label) -> Result<(), UserError> {
    confirm(&format!("Replace '{label}' with a key that does not have this?"))
}

/// Prints a list of losses, if there are any.
pub(super) fn print_losses(heading: &str, losses: &[NotCarried]) {
    if losses.is_empty() {
        return;
    }
    let list = losses.iter().fold(String::new(), |mut list, loss| {
        // Writing to a string does not fail.
        let _ = write!(list, "\n  {loss}");
        list
    });
    print_error(&format!("{heading}:{list}"));
}
