//! What covers the screen: the help, the palette, the message log, the figures of the account or the list
//! of profiles.

use jiff::Timestamp;

use super::profile_picker::ProfilePicker;
use super::text_field::TextField;
use crate::domain::UserError;

/// What covers the screen.
#[derive(Clone, Debug)]
pub enum Overlay {
    /// The help.
    Help {
        /// The page.
        page: usize,
    },
    /// The palette.
    Palette(Palette),
    /// The message log.
    Messages(MessageView),
    /// The figures of the account.
    Account {
        /// The first row that is shown.
        scroll: u16,
    },
    /// The list of profiles.
    Profiles(ProfilePicker),
}

/// State of the palette.
#[derive(Clone, Debug, Default)]
pub struct Palette {
    /// What is searched for.
    pub query: TextField,
    /// By how many rows the selection was moved down since the last typed character.
    pub moved_by: usize,
}

/// State of the view of the message log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageView {
    /// The selected message, counted from the newest.
    pub selected: usize,
}

/// A message that was shown.
#[derive(Clone, Debug)]
pub struct LoggedMessage {
    /// When it was shown.
    pub at: Timestamp,
    /// The message.
    pub message: Result<String, UserError>,
}

/// The number of messages that are kept.
pub(super) const MAX_MESSAGES: usize = 500;
