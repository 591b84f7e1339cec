//! Where the regions of the screen are. Drawing, scrolling and the mouse use the same regions.

/// The minimum width in columns at which the pane stands beside the list.
const MIN_COLUMNS_BESIDE: u16 = 140;
/// The minimum height in rows at which the pane stands below the list.
const MIN_ROWS_BELOW: u16 = 24;
/// The width of the list beside the pane; a wider row is hard to follow.
const LIST_COLUMNS: std::ops::RangeInclusive<u16> = 84..=150;
/// The width of a pane in which the bars of 30 days have gaps between them.
const PANE_COLUMNS: u16 = 68;
/// The width of a list without a pane beside it.
const MAX_LIST_COLUMNS: u16 = 200;
/// The minimum width at which the keys that need attention stand in rows of their own, with what to
/// press, and the minimum height.
const MIN_ATTENTION_SIZE: (u16, u16) = (160, 30);
/// The height divided by this is the maximum number of keys in those rows.
const ATTENTION_SHARE: u16 = 7;
/// Rows above the body: the header and a rule.
const ROWS_ABOVE: u16 = 2;
/// Rows below the body: a rule, the message and the footer.
const ROWS_BELOW: u16 = 3;
/// The height of the list from which on a chart of all keys always stands below it.
const MIN_ROWS_TOTALS: u16 = 36;
/// The minimum width and height of that chart with its heading.
const MIN_TOTALS_SIZE: (u16, u16) = (84, 9);

/// A rectangle of the screen, in cells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Region {
    /// The first column.
    pub x: u16,
    /// The first row.
    pub y: u16,
    /// The number of columns.
    pub width: u16,
    /// The number of rows.
    pub height: u16,
}

impl Region {
    /// Returns the region of `size`, in columns and rows, at the top left.
    pub const fn new((width, height): (u16, u16)) -> Self {
        Self { x: 0, y: 0, width, height }
    }

    /// Returns the row below the last one.
    pub const fn bottom(self) -> u16 {
        self.y.saturating_add(self.height)
    }

    /// Returns the column right of the last one.
    pub const fn right(self) -> u16 {
        self.x.saturating_add(self.width)
    }

    /// Returns whether the cell is in the region.
    pub const fn contains(self, column: u16, row: u16) -> bool {
        column >= self.x && column < self.right() && row >= self.y && row < self.bottom()
    }

    /// Returns the first `rows` rows and the rest.
    pub fn split_rows(self, rows: u16) -> (Self, Self) {
        let height = rows.min(self.height);
        let rest = Self { y: self.y + height, height: self.height - height, ..self };
        (Self { height, ..self }, rest)
    }

    /// Returns the first `columns` columns and the rest.
    pub fn split_columns(self, columns: u16) -> (Self, Self) {
        let width = columns.min(self.width);
        let rest = Self { x: self.x + width, width: self.width - width, ..self };
        (Self { width, ..self }, rest)
    }
}

/// The regions of every screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScreenLayout {
    /// The first row.
    pub header: Region,
    /// What the screen consists of.
    pub body: Region,
    /// The rule below the body.
    pub rule: Region,
    /// The question, the last result, the filter.
    pub message: Region,
    /// The keys that work here.
    pub footer: Region,
}

impl ScreenLayout {
    /// Returns the regions of a terminal of `size`, in columns and rows.
    pub fn new(size: (u16, u16)) -> Self {
        let (header, rest) = Region::new(size).split_rows(1);
        let (_, rest) = rest.split_rows(ROWS_ABOVE - 1);
        let (body, rest) = rest.split_rows(rest.height.saturating_sub(ROWS_BELOW));
        let (rule, rest) = rest.split_rows(1);
        let (message, footer) = rest.split_rows(1);
        Self { header, body, rule, message, footer }
    }
}

/// The regions of the dashboard's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DashboardLayout {
    /// The row that names what needs attention, or on a large terminal a heading and a row for each key.
    pub attention: Region,
    /// The heading of the list, where rows of attention stand above it.
    pub list_heading: Option<Region>,
    /// The titles of the columns.
    pub titles: Region,
    /// The rows of the list.
    pub rows: Region,
    /// The column right of the rows.
    pub scrollbar: Region,
    /// The chart of all keys below the list, where there is room.
    pub totals: Option<Region>,
    /// The details of the selected key.
    pub pane: Option<Region>,
    /// Whether the pane stands beside the list and not below it.
    pub is_pane_beside: bool,
}

impl DashboardLayout {
    /// Returns the regions of a terminal of `size`, in columns and rows. What a list of `key_count` keys,
    /// of which `urgent_count` need attention, does not need goes to the charts.
    pub fn new(
        size: (u16, u16),
        is_pane_open: bool,
        key_count: usize,
        urgent_count: usize,
    ) -> Self {
        let needed = u16::try_from(key_count).unwrap_or(u16::MAX).saturating_add(2);
        let body = ScreenLayout::new(size).body;
        let is_pane_beside = is_pane_open && size.0 >= MIN_COLUMNS_BESIDE;
        let (mut attention, rest) = body.split_rows(1);
        let urgent = u16::try_from(urgent_count).unwrap_or(u16::MAX).min(size.1 / ATTENTION_SHARE);
        let has_rows =
            urgent > 0 && size.0 >= MIN_ATTENTION_SIZE.0 && size.1 >= MIN_ATTENTION_SIZE.1;
        let mut list_heading = None;
        let (list, pane) = if is_pane_beside {
            let width = (size.0 * 23 / 40).min(size.0 - PANE_COLUMNS);
            let width = width.clamp(*LIST_COLUMNS.start(), *LIST_COLUMNS.end());
            let (mut list, mut pane) = rest.split_columns(width);
            if has_rows {
                let heading;
                (list, pane) = body.split_columns(width);
                (attention, list) = list.split_rows(1 + urgent);
                (heading, list) = list.split_rows(1);
                list_heading = Some(heading);
            }
            (list, Some(pane))
        } else if is_pane_open && size.1 >= MIN_ROWS_BELOW {
            let least = (rest.height * 2 / 5).clamp(8, 18);
            // A chart of six rows and the models below it. The height is limited, because a step in the list repaints the pane.
            let most = (rest.height * 2 / 5).max(13).min(rest.height * 3 / 5).max(least);
            let height = rest.height.saturating_sub(needed).clamp(least, most);
            let (list, pane) = rest.split_rows(rest.height - height);
            (list, Some(pane))
        } else {
            (rest, None)
        };
        // Between the list and a pane below it the chart has only what would be empty.
        let spare = list.height.saturating_sub(needed);
        let least = if is_pane_beside && list.height >= MIN_ROWS_TOTALS {
            (list.height / 3).min(18)
        } else {
            0
        };
        let height = spare.saturating_sub(1).max(least);
        let has_totals = least > 0 || (pane.is_some() && height >= MIN_TOTALS_SIZE.1);
        let (list, totals) = if has_totals && list.width >= MIN_TOTALS_SIZE.0 {
            let (list, totals) = list.split_rows(list.height - height);
            (list, Some(totals))
        } else {
            (list, None)
        };
        let list = Region { width: list.width.min(MAX_LIST_COLUMNS), ..list };
        let (titles, rows) = list.split_rows(1);
        let (rows, scrollbar) = rows.split_columns(rows.width.saturating_sub(1));
        Self { attention, list_heading, titles, rows, scrollbar, totals, pane, is_pane_beside }
    }

    /// Returns the number of keys that the list shows at once, at least 1.
    pub fn page_size(&self) -> usize {
        usize::from(self.rows.height).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_lie_in_the_screen_and_do_not_overlap() {
        for width in 60..=300 {
            for height in 16..=80 {
                for (is_open, count, urgent) in
                    [(false, 4, 2), (true, 4, 0), (true, 4, 3), (true, 1_000, 500)]
                {
                    let screen = ScreenLayout::new((width, height));
                    let layout = DashboardLayout::new((width, height), is_open, count, urgent);
                    let regions: Vec<Region> = [
                        screen.header,
                        screen.rule,
                        screen.message,
                        screen.footer,
                        layout.attention,
                        layout.titles,
                        layout.rows,
                        layout.scrollbar,
                    ]
                    .into_iter()
                    .chain(layout.list_heading)
                    .chain(layout.totals)
                    .chain(layout.pane)
                    .collect();
                    assert!(layout.rows.height >= 5, "{width}x{height}");
                    for (index, one) in regions.iter().enumerate() {
                        assert!(one.right() <= width && one.bottom() <= height && one.width > 0);
                        for other in &regions[..index] {
                            let apart = one.right() <= other.x
                                || other.right() <= one.x
                                || one.bottom() <= other.y
                                || other.bottom() <= one.y;
                            assert!(apart, "{width}x{height}: {one:?} {other:?}");
                        }
                    }
                }
            }
        }
    }
}
