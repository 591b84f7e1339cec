//! State of the dialog with the results of an action.

use crate::domain::{ActionResult, sort_by_key};

/// State of the dialog.
#[derive(Clone, Debug)]
pub struct ResultsScreen {
    /// The results, the failed ones first.
    pub results: Vec<ActionResult>,
    /// Whether the action can be undone.
    pub can_undo: bool,
    /// The number of lines by which the results are scrolled.
    pub scroll: u16,
}

impl ResultsScreen {
    /// Returns the dialog with these results.
    pub fn new(mut results: Vec<ActionResult>, can_undo: bool) -> Self {
        // What failed has to be seen even if the list is longer than the screen.
        sort_by_key(&mut results, |result| result.succeeded);
        Self { results, can_undo, scroll: 0 }
    }
}

/// Moves a scroll position by lines; the last line limits it when it is drawn.
pub fn scroll_by(scroll: u16, by: isize) -> u16 {
    let lines = usize::from(scroll).saturating_add_signed(by);
    u16::try_from(lines).unwrap_or(u16::MAX)
}
