//! The help screen: the actions of the current screen in groups, from the tables that the keymap uses.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use unicode_width::UnicodeWidthStr;

use super::Theme;
use super::text::truncate;
use crate::domain::KeyState;
use crate::tui::keymap::{Binding, Group, screen_bindings};
use crate::tui::state::{Model, Screen};

/// Minimum width of a column with whole sentences.
const MIN_COLUMN_WIDTH: u16 = 39;
/// Minimum width of a column with the words of the footer.
const MIN_SHORT_COLUMN_WIDTH: u16 = 29;

/// What the mouse does in the table of keys, also in few words.
const MOUSE: [(&str, &str, &str); 5] = [
    ("click", "select, run from the footer", "select or run"),
    ("double", "open the details", "open"),
    ("header", "sort by that column", "sort"),
    ("wheel", "move the selection", "move"),
    ("outside", "close a dialog", "close a dialog"),
];

/// What the signs of the table mean, besides those of the states; also in few words.
const SIGNS: [(&str, &str, &str); 5] = [
    ("↷", "replaced by a new key", "replaced"),
    ("/d /w /m", "limit a day, week or month", "per day, week"),
    ("≈", "an estimate", "an estimate"),
    ("LAST", "when it was last used", "last used"),
    ("1/4", "the row, and how many", "the row of all"),
];

/// The states with a sign of their own and what they mean.
const STATES: [(KeyState, &str); 8] = [
    (KeyState::Active, "active"),
    (KeyState::Low, "low: nearly spent"),
    (KeyState::Expiring, "expiring: ends soon"),
    (KeyState::LimitReached, "at limit"),
    (KeyState::Blocked, "blocked: budget spent"),
    (KeyState::Expired, "expired, rejected"),
    (KeyState::Disabled, "disabled"),
    (KeyState::Unknown, "unknown"),
];

/// What the filter understands, also in few words.
const FILTER_TERMS: [(&str, &str, &str); 6] = [
    ("word", "part of a label or state", "label or state"),
    ("state:low", "keys in that state", "in that state"),
    ("spent>10", "in USD; also limit, left", "also limit, left"),
    ("used>80", "per cent of the limit", "% of the limit"),
    ("resets<2d", "within it; also expires", "also expires"),
    ("-word", "all that do not match", "all but those"),
];

/// A line of the help.
struct Entry {
    key: String,
    text: &'static str,
}

/// Draws a page of the help, and at the right end of the row `hint` how to turn to the next one.
pub fn draw(
    model: &Model,
    page: usize,
    theme: Theme,
    frame: &mut Frame<'_>,
    area: Rect,
    hint: Rect,
) {
    // Two columns of few words are read faster than many pages.
    let is_short = matches!(model.screen, Screen::Dashboard) && area.width < 2 * MIN_COLUMN_WIDTH;
    let sections = sections(model, is_short);
    let entries = sections.iter().flat_map(|(_, entries)| entries);
    let key_width = entries.map(|entry| entry.key.width()).max().unwrap_or(0) + 2;
    let rows = usize::from(area.height).max(1);
    let least = if is_short { MIN_SHORT_COLUMN_WIDTH } else { MIN_COLUMN_WIDTH };
    let column_count = usize::from(area.width / least).max(1);
    let width = area.width / u16::try_from(column_count).unwrap_or(1);
    let to_line = |heading: &'static str, entry: Option<&Entry>| {
        entry.map_or_else(
            || Line::styled(format!(" {heading}"), theme.strong()),
            |entry| {
                let room = usize::from(width).saturating_sub(key_width + 2);
                Line::from(vec![
                    Span::styled(format!(" {:<key_width$}", entry.key), theme.accent()),
                    Span::raw(truncate(entry.text, room)),
                ])
            },
        )
    };
    // Columns of about the same length, where all fit on the screen.
    let line_count: usize = sections.iter().map(|(_, entries)| entries.len() + 2).sum();
    let even = line_count.div_ceil(column_count).min(rows);
    let split = |rows, breaks| split_columns(&sections, rows, breaks, &to_line);
    let columns = (even..=rows)
        .map(|rows| split(rows, Breaks::BetweenSections))
        .find(|columns| columns.len() <= column_count)
        .unwrap_or_else(|| {
            let all = [Breaks::BetweenSections, Breaks::Anywhere, Breaks::WithoutBlankRows];
            let columns = all.map(|breaks| split(rows, breaks)).into_iter();
            // The first of those with the fewest pages.
            columns.min_by_key(|columns| columns.len().div_ceil(column_count)).unwrap_or_default()
        });
    let pages = columns.len().div_ceil(column_count).max(1);
    let shown = columns.chunks(column_count).nth(page % pages).unwrap_or_default();
    for (column, lines) in (0..).zip(shown) {
        let area = Rect { x: area.x + column * width, width, ..area };
        // Not wrapped: an extra line would push the last ones out of the area.
        frame.render_widget(Paragraph::new(lines.clone()), area);
    }
    let page = page % pages + 1;
    let step = if page == pages { "first page" } else { "next page" };
    let turn = (pages > 1).then(|| format!("↓ {step} ({page} of {pages})"));
    let commands = (hint.width >= 80).then(|| "all commands: keywright --help".to_owned());
    let text = [turn, commands].into_iter().flatten().collect::<Vec<_>>().join(" · ");
    let text = Line::styled(format!("{text} "), theme.dim()).right_aligned();
    frame.render_widget(text, hint);
}

/// Returns the actions under their headings. A screen other than the dashboard has one heading.
fn sections(model: &Model, is_short: bool) -> Vec<(&'static str, Vec<Entry>)> {
    let bindings: Vec<Binding> = screen_bindings(model)
        .into_iter()
        .filter(|binding| !binding.action.description.is_empty())
        .collect();
    let to_entries = |is_listed: &dyn Fn(&Binding) -> bool| {
        let mut entries: Vec<(Entry, bool)> = Vec::new();
        for binding in bindings.iter().filter(|binding| is_listed(binding)) {
            let (key, action) = (binding.key_text().into_owned(), binding.action);
            let text = if is_short { action.short_text() } else { action.help_text() };
            let line = (Entry { key, text }, action.is_enabled(model));
            // Of two actions on one key, such as disable and enable, the line is that of the one that works.
            match entries.iter_mut().find(|(entry, _)| entry.key == line.0.key) {
                Some(other) if !other.1 && line.1 => *other = line,
                Some(_) => {}
                None => entries.push(line),
            }
        }
        entries.into_iter().map(|(entry, _)| entry).collect()
    };
    if !matches!(model.screen, Screen::Dashboard) {
        return vec![("This screen", to_entries(&|_| true))];
    }
    let groups = Group::ALL.into_iter().map(|group| {
        (group.title(), to_entries(&|binding: &Binding| binding.action.group == group))
    });
    let to_lines = |rows: &'static [(&str, &'static str, &'static str)]| {
        rows.iter().map(|(key, text, short)| Entry {
            key: (*key).to_owned(),
            text: if is_short { short } else { text },
        })
    };
    let states = STATES
        .into_iter()
        .map(|(state, text)| Entry { key: Theme::NoColor.state_marker(state).0.to_owned(), text });
    groups
        .chain([
            ("Mouse", to_lines(&MOUSE).collect()),
            ("Signs", states.chain(to_lines(&SIGNS)).collect()),
            ("Filter", to_lines(&FILTER_TERMS).collect()),
        ])
        .collect()
}

/// Where the sections are divided into columns.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Breaks {
    /// A section that does not fit into the rest of a column starts the next one, unless it is longer than
    /// a column.
    BetweenSections,
    /// A section continues in the next column.
    Anywhere,
    /// Likewise, and no blank row separates two sections.
    WithoutBlankRows,
}

/// Returns the lines of each column.
fn split_columns<'a>(
    sections: &[(&'static str, Vec<Entry>)],
    rows: usize,
    breaks: Breaks,
    to_line: &impl Fn(&'static str, Option<&Entry>) -> Line<'a>,
) -> Vec<Vec<Line<'a>>> {
    let mut columns: Vec<Vec<Line<'a>>> = vec![Vec::new()];
    for (heading, entries) in sections {
        let used = columns.last().map_or(0, Vec::len);
        // A heading has at least one line below it.
        let needed = if breaks == Breaks::BetweenSections { entries.len() + 1 } else { 2 };
        if used > 0 && used + needed > rows {
            columns.push(Vec::new());
        }
        let mut lines = vec![to_line(heading, None)];
        lines.extend(entries.iter().map(|entry| to_line(heading, Some(entry))));
        for line in lines {
            if columns.last().is_none_or(|column| column.len() >= rows) {
                columns.push(Vec::new());
            }
            if let Some(column) = columns.last_mut() {
                column.push(line);
            }
        }
        if let Some(column) = columns.last_mut()
            && breaks != Breaks::WithoutBlankRows
            && column.len() < rows
        {
            column.push(Line::default());
        }
    }
    columns
}
