//! The text of a dialog: a question, its consequence, and explanations that are left out where they
//! do not fit.

use ratatui::style::Style;
use ratatui::text::Line;

use super::text;
use crate::tui::state::TextField;

/// Lines that are shown together or not at all.
struct Section {
    lines: Vec<Line<'static>>,
    is_optional: bool,
}

/// The text of a dialog.
pub struct Dialog<'a> {
    /// Whether what it confirms cannot be undone.
    pub is_dangerous: bool,
    sections: Vec<Section>,
    /// The text field below the text.
    pub field: Option<&'a TextField>,
    /// By how many rows the text is scrolled, if it can be scrolled.
    pub scroll: Option<u16>,
    width: usize,
}

impl Dialog<'_> {
    /// Returns a dialog with a heading, wrapped at `width` cells.
    pub fn new(heading: &str, style: Style, width: usize) -> Self {
        let mut dialog = Self {
            is_dangerous: false,
            sections: Vec::new(),
            field: None,
            scroll: None,
            width: width.max(1),
        };
        dialog.add_text(heading, style);
        dialog
    }

    /// Returns the cells that a line has.
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Adds a paragraph.
    pub fn add_text(&mut self, text: &str, style: Style) {
        let rows = text::wrap(text, self.width);
        self.add_lines(rows.into_iter().map(|row| Line::styled(row, style)).collect());
    }

    /// Adds lines that fit the width.
    pub fn add_lines(&mut self, lines: Vec<Line<'static>>) {
        self.sections.push(Section { lines, is_optional: false });
    }

    /// Adds an explanation, which is left out where it does not fit.
    pub fn add_explanation(&mut self, text: &str, style: Style) {
        self.add_text(text, style);
        if let Some(section) = self.sections.last_mut() {
            section.is_optional = true;
        }
    }

    /// Returns the rows that fit `height` rows, and by how many they can be scrolled. Explanations go first,
    /// the last one before the others.
    pub fn fit(mut self, height: usize) -> (Vec<Line<'static>>, u16) {
        let needed = |sections: &[Section]| {
            sections.iter().map(|section| section.lines.len() + 1).sum::<usize>().saturating_sub(1)
        };
        while needed(&self.sections) > height
            && let Some(index) = self.sections.iter().rposition(|section| section.is_optional)
        {
            self.sections.remove(index);
        }
        // Blank rows separate the sections where there is room for them.
        let separates = needed(&self.sections) <= height;
        let mut rows: Vec<Line<'static>> = Vec::new();
        for section in self.sections {
            if separates && !rows.is_empty() {
                rows.push(Line::default());
            }
            rows.extend(section.lines);
        }
        if rows.len() <= height {
            return (rows, 0);
        }
        let shown = height.saturating_sub(1);
        let end = rows.len() - shown;
        let first = self.scroll.map_or(0, usize::from).min(end);
        let left_out = end - first;
        let lines = if left_out == 1 { "line" } else { "lines" };
        let last = match (self.scroll, left_out) {
            (None, _) => format!("… {left_out} more {lines}"),
            (Some(_), 0) => "↑ scrolls back".to_owned(),
            (Some(_), _) => format!("… {left_out} more {lines}, ↓ scrolls"),
        };
        let mut rows: Vec<Line<'static>> = rows.into_iter().skip(first).take(shown).collect();
        rows.push(Line::raw(last));
        (rows, if self.scroll.is_some() { u16::try_from(end).unwrap_or(u16::MAX) } else { 0 })
    }
}
