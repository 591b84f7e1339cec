//! Tables that fit the width of the terminal.

use std::io::{self, IsTerminal};

use unicode_width::UnicodeWidthStr;

use crate::domain::truncate;

const COLUMN_GAP: usize = 2;
/// A label of this width is still recognised, and one long label leaves out no column.
const MIN_LABEL_WIDTH: usize = 20;

/// A column: its heading and its drop priority. Where there is no room the column with the highest
/// priority is left out first; columns with 0 stay. The first column, which has the labels, is truncated
/// to [`MIN_LABEL_WIDTH`] before another is left out.
pub(super) struct Column(pub(super) &'static str, pub(super) u8);

/// Returns the width of the terminal; `None` where standard output is not one.
pub(super) fn terminal_width() -> Option<usize> {
    let terminal = io::stdout().is_terminal();
    let size = terminal.then(crossterm::terminal::size).and_then(Result::ok);
    size.map(|(columns, _)| usize::from(columns)).filter(|columns| *columns > 0)
}

/// Formats a table. Each row has one cell per column.
pub(super) fn format_table(
    columns: &[Column],
    rows: &[Vec<String>],
    width: Option<usize>,
) -> String {
    let mut widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(at, column)| {
            rows.iter().map(|row| row[at].width()).fold(column.0.width(), usize::max)
        })
        .collect();
    let mut shown: Vec<usize> = (0..columns.len()).collect();
    if let Some(width) = width {
        let total = |shown: &[usize], first: usize| {
            let others = shown.iter().filter(|at| **at != 0).map(|at| widths[*at] + COLUMN_GAP);
            first + others.sum::<usize>()
        };
        let label_width = widths.first().copied().unwrap_or(0);
        while total(&shown, label_width.min(MIN_LABEL_WIDTH)) > width {
            let dropped = shown.iter().copied().max_by_key(|at| columns[*at].1);
            match dropped.filter(|at| columns[*at].1 > 0) {
                Some(dropped) => shown.retain(|at| *at != dropped),
                None => break,
            }
        }
        let over = total(&shown, label_width).saturating_sub(width);
        if let Some(first) = widths.first_mut() {
            *first = first.saturating_sub(over).max(8).min(*first);
        }
    }
    let headings: Vec<String> = columns.iter().map(|column| column.0.into()).collect();
    let mut text = String::new();
    for row in std::iter::once(&headings).chain(rows) {
        let mut line = String::new();
        for at in &shown {
            let cell = truncate(&row[*at], widths[*at]);
            line.push_str(&cell);
            line.extend(std::iter::repeat_n(
                ' ',
                widths[*at].saturating_sub(cell.width()) + COLUMN_GAP,
            ));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] = [Column("LABEL", 0), Column("STATE", 0), Column("STORE", 1)];

    fn row(label: &str) -> Vec<String> {
        vec![label.into(), "active".into(), "os".into()]
    }

    #[test]
    fn columns_align_by_display_width() {
        assert_eq!(
            format_table(&COLUMNS, &[row("鍵"), row("e\u{301}cole")], None),
            "LABEL  STATE   STORE\n鍵     active  os\ne\u{301}cole  active  os\n"
        );
    }

    #[test]
    fn narrow_tables_truncate_the_label_then_drop_columns_then_truncate_further() {
        let rows = [row("a rather long label 鍵")];
        for width in [60, 36, 34, 30, 24, 20, 10] {
            let table = format_table(&COLUMNS, &rows, Some(width));
            let widest = table.lines().map(UnicodeWidthStr::width).max().unwrap();
            assert!(widest <= width.max(16), "{width}: {table}");
            assert!(table.contains("active"), "{table}");
            assert_eq!(table.contains("STORE"), width >= 35, "{table}");
            assert_eq!(table.contains('…'), width == 36 || width < 30, "{table}");
        }
    }
}
