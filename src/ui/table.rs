//! The list of held keys, or what stands in its place. Only the page with the selected key is
//! formatted; a step within it repaints two rows.

use jiff::Timestamp;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::text::{fit, sentence};
use super::{Theme, text};
use crate::app::{Keys, Model};
use crate::key::{HeldKey, day, span};

/// A column: its title, its width, and the width of the terminal from which it is shown.
struct Column {
    title: &'static str,
    width: u16,
    from: u16,
    cell: fn(&HeldKey, Timestamp, Theme) -> Span<'static>,
}

/// The label takes what these leave. Room for what was spent lies between limit and reset.
const COLUMNS: [Column; 6] = [
    Column { title: "STATE", width: 13, from: 0, cell: state },
    Column { title: "LIMIT", width: 16, from: 0, cell: |held, _, _| Span::raw(policy(held)) },
    Column { title: "RESETS", width: 12, from: 100, cell: resets },
    Column { title: "EXPIRES", width: 12, from: 0, cell: expires },
    Column {
        title: "KEY",
        width: 20,
        from: 0,
        cell: |held, _, theme| Span::styled(held.masked.clone(), theme.dim()),
    },
    Column {
        title: "STORE",
        width: 7,
        from: 110,
        cell: |held, _, theme| Span::styled(held.store.clone(), theme.dim()),
    },
];

pub fn draw(model: &Model, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let shown = || COLUMNS.iter().filter(|column| area.width >= column.from);
    let others: u16 = shown().map(|column| column.width).sum();
    let label_width = area.width.saturating_sub(others + 4).min(40);
    let buffer = frame.buffer_mut();
    let put = |buffer: &mut ratatui::buffer::Buffer,
               x: u16,
               y: u16,
               text: &str,
               width: u16,
               style: Style| {
        buffer.set_stringn(x, y, text, usize::from(width.saturating_sub(1)), style);
    };
    put(buffer, area.x + 3, area.y, "LABEL", label_width, theme.dim());
    let mut x = area.x + 3 + label_width;
    for column in shown() {
        put(buffer, x, area.y, column.title, column.width, theme.dim());
        x += column.width;
    }
    let page =
        model.dashboard.page(model.size.1).min(usize::from(area.height.saturating_sub(1)).max(1));
    let first = model.dashboard.selected / page * page;
    for (y, (row, held)) in
        (area.y + 1..).zip(model.dashboard.held().iter().enumerate().skip(first).take(page))
    {
        let selected = row == model.dashboard.selected;
        let (marker, style) = if selected { ("▸", theme.strong()) } else { (" ", Style::new()) };
        put(buffer, area.x + 1, y, marker, 2, theme.accent());
        let label = fit(held.label.as_str(), usize::from(label_width.saturating_sub(1)));
        put(buffer, area.x + 3, y, &label, label_width, style);
        let mut x = area.x + 3 + label_width;
        for column in shown() {
            let cell = (column.cell)(held, model.now, theme);
            put(buffer, x, y, &cell.content, column.width, cell.style);
            x += column.width;
        }
    }
}

/// A key's state in a sign and a word.
pub fn state(held: &HeldKey, now: Timestamp, theme: Theme) -> Span<'static> {
    let state = held.state(now);
    let (sign, style) = theme.state(state);
    Span::styled(format!("{sign} {}", state.as_str().replace('_', " ")), style)
}

fn expires(held: &HeldKey, now: Timestamp, _theme: Theme) -> Span<'static> {
    Span::raw(match held.expires_at() {
        None => "never".to_owned(),
        Some(at) if at.duration_since(now).as_hours() > 300 * 24 => day(at),
        Some(at) => span(now, at),
    })
}

fn resets(held: &HeldKey, now: Timestamp, _theme: Theme) -> Span<'static> {
    let next = held.reset().and_then(|reset| reset.next(now));
    Span::raw(next.map_or_else(|| "never".to_owned(), |at| span(now, at)))
}

/// `$12.50 weekly`, `$5.00 once`, `no limit`.
pub fn policy(held: &HeldKey) -> String {
    match (held.limit(), held.reset()) {
        (Some(limit), Some(reset)) => format!("${limit:.2} {}", reset.as_str()),
        (Some(limit), None) => format!("${limit:.2} once"),
        (None, _) => "no limit".to_owned(),
    }
}

/// The banner of attempts that may have issued a key nobody received; what is left of the area.
pub fn unresolved(model: &Model, theme: Theme, frame: &mut Frame<'_>, area: Rect) -> Rect {
    let attempts = &model.dashboard.unresolved;
    let Some(first) = attempts.first() else { return area };
    let more = match attempts.len() {
        1 => String::new(),
        many => format!(" (and {} more)", many - 1),
    };
    let width = usize::from(area.width);
    let words = format!(
        ", {}{more}: revoke it at {}, D dismisses",
        span(model.now, first.at),
        first.page().trim_start_matches("https://")
    );
    let label = fit(first.label.as_str(), width.saturating_sub(words.len() + 28).max(8));
    let words = format!(" ! a key for {label} may exist{words}");
    let line = Line::styled(fit(&words, width), theme.warning());
    frame.render_widget(line, Rect { height: 1, ..area });
    Rect { y: area.y + 1, height: area.height - 1, ..area }
}

/// In place of the list: what a newcomer can do, or why there is none.
pub fn empty(keys: &Keys, model: &Model, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let lines = match keys {
        Keys::Loading => vec![Line::styled("reading the list of keys", theme.dim())],
        Keys::Failed(trouble) => {
            let mut lines = text::trouble(trouble, theme);
            lines.push(Line::default());
            lines.push(press(theme, "r", "reads it again"));
            lines
        }
        Keys::Loaded(_) => vec![
            Line::default(),
            Line::styled("No keys are held yet.", theme.strong()),
            Line::default(),
            Line::raw(
                "Keywright cuts one OpenRouter key for each tool, with a limit and an expiry of",
            ),
            Line::raw(format!("its own, and keeps it in {}.", model.place)),
            Line::default(),
            press(
                theme,
                "n",
                "cuts the first: a short form, then you sign in through your browser",
            ),
            press(theme, "?", "shows every key of this screen"),
        ],
    };
    let area = text::inset(Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area });
    text::paragraph(frame, area, lines);
}

fn press(theme: Theme, key: &'static str, does: &str) -> Line<'static> {
    Line::from(vec![Span::styled(key, theme.accent()), Span::raw(sentence(&format!("  {does}")))])
}
