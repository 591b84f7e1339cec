//! The columns of the list: which of them a width has room for, and how wide they are.

use super::sort_filter::SortOrder;

/// A column of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// The label.
    Label,
    /// The state, as a symbol and a word.
    State,
    /// Whether the key is stored here, while the keys of the account are listed.
    Location,
    /// What was spent since the last reset.
    Spent,
    /// The limit and its interval.
    Limit,
    /// The spent share of the limit.
    Used,
    /// Spending by day.
    History,
    /// What was spent today.
    Today,
    /// The time until the limit resets.
    Reset,
    /// The time until the key ends.
    Expiry,
    /// The time since the key was last used.
    LastUsed,
    /// The masked key.
    MaskedKey,
    /// The store of the key.
    Store,
}

/// A column and its place in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlacedColumn {
    /// The column.
    pub column: Column,
    /// The number of cells before it in the row.
    pub x: u16,
    /// The number of its cells.
    pub width: u16,
}

/// The cell at the start of a label, which holds the mark.
pub const MARK_WIDTH: u16 = 1;
/// The empty cells between two columns.
const COLUMN_GAP: u16 = 1;
/// The number of spare columns from which on each day of a row's chart has two cells.
const MIN_COLUMNS_WIDE_DAYS: u16 = 30;
/// The spare columns that are kept for the gauge before the label takes its own.
const GAUGE_RESERVE: u16 = 10;
/// The widest label that is shown in full.
pub const MAX_LABEL_WIDTH: u16 = 40;

/// All columns, in the order of the list. Each has its least and its greatest width and the width of
/// the list from which on it is shown.
const COLUMNS: [(Column, u16, u16, u16); 13] = [
    (Column::Label, 12 + MARK_WIDTH, MAX_LABEL_WIDTH + MARK_WIDTH, 0),
    (Column::State, 10, 10, 0),
    (Column::Location, 6, 6, 0),
    (Column::Spent, 8, 8, 0),
    (Column::Limit, 9, 9, 0),
    (Column::Used, 6, 40, 58),
    (Column::History, 14, 28, 74),
    (Column::Today, 8, 8, 96),
    (Column::Reset, 6, 6, 84),
    (Column::Expiry, 5, 5, 0),
    (Column::LastUsed, 4, 4, 100),
    (Column::MaskedKey, 19, 19, 146),
    (Column::Store, 8, 8, 155),
];

impl Column {
    /// Returns the order that a click on the title sorts by.
    pub const fn sort_order(self) -> Option<SortOrder> {
        match self {
            Self::Label => Some(SortOrder::Label),
            Self::State => Some(SortOrder::State),
            Self::Used => Some(SortOrder::SpentShare),
            Self::Reset => Some(SortOrder::NextReset),
            Self::Expiry => Some(SortOrder::Expiry),
            _ => None,
        }
    }
}

/// Returns the columns of a row of `width` cells, from left to right. The label is no wider than the
/// longest one; what remains goes to the label, the gauge and the days.
/// The store is shown at every width where keys are in more than one.
pub fn place_columns(
    width: u16,
    longest_label: u16,
    with_location: bool,
    with_store: bool,
) -> Vec<PlacedColumn> {
    let with_store = with_store && !with_location;
    let taken = if with_location || with_store { 8 } else { 0 };
    let shown: Vec<_> = COLUMNS
        .into_iter()
        .filter(|(column, _, _, from)| match column {
            Column::Location => with_location,
            Column::Store if with_store => true,
            _ => *from == 0 || width >= from + taken,
        })
        .map(|(column, least, most, _)| match column {
            // Otherwise the longest state would touch the location column.
            Column::State if with_location => (column, least + 1, most + 1),
            Column::Store if with_store => (column, 6, most),
            Column::Label => (column, least, (longest_label + MARK_WIDTH).clamp(least, most)),
            _ => (column, least, most),
        })
        .collect();
    let count = u16::try_from(shown.len()).unwrap_or(0);
    let least: u16 = shown.iter().map(|(_, least, _)| least).sum();
    let mut left = width.saturating_sub(least + COLUMN_GAP * count.saturating_sub(1));
    let mut widths: Vec<u16> = shown.iter().map(|(_, least, _)| *least).collect();
    // The label comes first, because it is what a row is found by; one long label leaves the gauge of each row
    // wide enough for its share. The days have one cell or two each.
    let has_gauge = shown.iter().any(|(column, ..)| *column == Column::Used);
    let for_gauge = if has_gauge && left > 2 * GAUGE_RESERVE { GAUGE_RESERVE } else { 0 };
    for wanted in [Column::Label, Column::History, Column::Used] {
        if let Some(at) = shown.iter().position(|(column, ..)| *column == wanted) {
            let room = shown[at].2 - widths[at];
            let more = match wanted {
                Column::Label => left.saturating_sub(for_gauge).min(room),
                Column::History if left < MIN_COLUMNS_WIDE_DAYS => 0,
                _ => left.min(room),
            };
            widths[at] += more;
            left -= more;
        }
    }
    let mut x = 0;
    let place = |((column, ..), width): ((Column, u16, u16), u16)| {
        let placed = PlacedColumn { column, x, width };
        x += width + COLUMN_GAP;
        placed
    };
    shown.into_iter().zip(widths).map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_fit_every_width_and_a_long_label_pushes_none_out() {
        for width in 58..=199 {
            for (with_location, with_store) in
                [(false, false), (true, false), (false, true), (true, true)]
            {
                let [short, long] =
                    [5, 100].map(|label| place_columns(width, label, with_location, with_store));
                let names = |columns: &[PlacedColumn]| {
                    columns.iter().map(|placed| placed.column).collect::<Vec<_>>()
                };
                assert_eq!(names(&short), names(&long), "{width}");
                for columns in [short, long] {
                    let last = columns.last().map_or(0, |last| last.x + last.width);
                    assert!(last <= width, "{last} of {width}, {with_location}");
                    assert!(columns.is_sorted_by(|one, next| one.x + one.width < next.x));
                }
            }
        }
    }
}
