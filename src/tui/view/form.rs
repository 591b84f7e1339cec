//! A form: each field with its description or its error below it.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use super::line::draw_line;
use super::text::{to_sentence, truncate};
use super::{Theme, text};
use crate::domain::{Reported, ResetInterval};
use crate::tui::keymap::key_text;
use crate::tui::state::{
    AuthChoice, EXPIRY_PRESETS, FieldHint, Form, FormChoicesState, FormField, FormKind, Intent,
    Model, Picker,
};

const RESET_CHOICES: [Option<ResetInterval>; 4] =
    [None, Some(ResetInterval::Daily), Some(ResetInterval::Weekly), Some(ResetInterval::Monthly)];

/// Column in which the fields begin.
pub(super) const FIELD_COLUMN: u16 = 18;

pub fn draw(form: &Form, model: &Model, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let notes = match &form.error {
        Some(error) => text::format_error(error, theme),
        None => format_notes(form, model, theme),
    };
    let (area, notes_area) = split_area(form, &notes, area);
    // The notes matter more than empty rows between the fields.
    let notes_rows = if is_needed(form) { 0 } else { count_rows(&notes, notes_area.width) };
    let fields = place_fields(form, model, theme, area, notes_rows);
    let last_row = fields.last().map_or(area.y, |field| field.rows.bottom());
    draw_more_marks(form, &fields, theme, frame, area);
    for PlacedField { field, rows, hint } in fields {
        let y = rows.y;
        let focused = form.focused_field == field;
        let (marker, style) = if focused {
            ("▸", theme.strong().patch(theme.accent()))
        } else {
            (" ", Style::new())
        };
        let name = Line::styled(format!(" {marker} {}", field.title()), style);
        draw_line(&name, Rect { y, height: 1, width: FIELD_COLUMN, ..area }, frame.buffer_mut());
        let width = area.width.saturating_sub(FIELD_COLUMN + 1);
        let at = Rect { x: area.x + FIELD_COLUMN, y, width, height: 1 };
        // The brackets stand beside the column of the other values.
        let choices_at = Rect { x: at.x - 1, width: width + 1, ..at };
        let at_most = |most: u16| Rect { width: width.min(most), ..at };
        match field {
            FormField::Label => {
                let (field, at) = (&form.label, at_most(50));
                text::draw_text_field(field, field.text(), focused, theme, frame, at);
            }
            FormField::Limit => {
                let (field, at) = (&form.limit, at_most(16));
                text::draw_text_field(field, field.text(), focused, theme, frame, at);
            }
            FormField::Reset => {
                let choices =
                    RESET_CHOICES.map(|reset| reset.map_or("never", ResetInterval::as_str));
                let chosen =
                    RESET_CHOICES.iter().position(|reset| *reset == form.limit_reset).unwrap_or(0);
                draw_line(
                    &format_choices(&choices, chosen, focused, theme, choices_at.width),
                    choices_at,
                    frame.buffer_mut(),
                );
            }
            FormField::Expiry => draw_expiry_field(form, focused, theme, frame, at),
            FormField::Workspace => {
                draw_line(
                    &format_picker(&form.workspace, width, focused, theme),
                    choices_at,
                    frame.buffer_mut(),
                );
            }
            FormField::Guardrail => {
                draw_line(
                    &format_picker(&form.guardrail, width, focused, theme),
                    choices_at,
                    frame.buffer_mut(),
                );
            }
            FormField::Byok => {
                let choices = ["do not count", "count"];
                draw_line(
                    &format_choices(
                        &choices,
                        usize::from(form.include_byok_in_limit),
                        focused,
                        theme,
                        choices_at.width,
                    ),
                    choices_at,
                    frame.buffer_mut(),
                );
            }
            FormField::ApiKey => {
                // A key is never shown while it is typed.
                let masked = "•".repeat(form.api_key.text().chars().count());
                let (field, at) = (&form.api_key, at_most(80));
                text::draw_text_field(field, &masked, focused, theme, frame, at);
            }
        }
        let below = Rect { y: y + 1, height: rows.height - 1, ..at };
        text::draw_paragraph(frame, below, hint);
    }
    let y = (last_row + 1).min(notes_area.y);
    if y < notes_area.bottom() {
        let rows = Rect { y, height: notes_area.bottom() - y, ..notes_area };
        let notes = if is_needed(form) { notes } else { keep_whole(notes, rows) };
        text::draw_paragraph(frame, rows, notes);
    }
}

/// Returns the rows that the notes take.
fn count_rows(notes: &[Line<'_>], width: u16) -> usize {
    notes.iter().map(|line| text::wrap(&line.to_string(), width.into()).len().max(1)).sum()
}

/// Returns the first notes that fit `area` in full.
fn keep_whole(notes: Vec<Line<'_>>, area: Rect) -> Vec<Line<'_>> {
    let mut rows = 0;
    let fits = |note: &Line<'_>| {
        rows += text::wrap(&note.to_string(), area.width.into()).len().max(1);
        rows <= area.height.into()
    };
    notes.into_iter().take_while(fits).collect()
}

/// Returns whether the notes are an error, the changes that will be sent or a request under way.
fn is_needed(form: &Form) -> bool {
    form.error.is_some() || !form.diff.is_empty() || form.submit_ticket.is_some()
}

/// A field on screen.
struct PlacedField {
    field: FormField,
    /// The rows of the field and of its hint.
    rows: Rect,
    hint: Vec<Line<'static>>,
}

/// Returns the fields that fit, with their hints in full. An empty row is between them where all fit;
/// otherwise the form scrolls to the focused field.
fn place_fields(
    form: &Form,
    model: &Model,
    theme: Theme,
    area: Rect,
    notes_rows: usize,
) -> Vec<PlacedField> {
    let width = usize::from(area.width.saturating_sub(FIELD_COLUMN + 1));
    let fields = form.fields();
    let hints = fields.iter().map(|field| {
        let (hint, style) = match form.field_hint(*field, model.now) {
            FieldHint::Description(text) => (text, theme.dim()),
            FieldHint::Error(text) => (format!("✗ {text}"), theme.error()),
        };
        let rows = text::wrap(&hint, width).into_iter();
        rows.map(|row| Line::styled(row, style)).collect::<Vec<_>>()
    });
    let hints: Vec<Vec<Line<'static>>> = hints.collect();
    let heights: Vec<usize> = hints.iter().map(|hint| 1 + hint.len()).collect();
    let room = usize::from(area.height);
    // A second row of a hint takes the empty row below it, so that an error moves no other field.
    let slot = |height: usize, gap: usize| (height + gap).min(height.max(2 + gap));
    let needed = |gap: usize| {
        heights.iter().map(|height| slot(*height, gap)).sum::<usize>().saturating_sub(gap)
    };
    let gap = usize::from(needed(1) + 2 + notes_rows <= room);
    let margin = usize::from(needed(gap) < room);
    let focused = fields.iter().position(|field| *field == form.focused_field).unwrap_or(0);
    // The first field from which on the focused one fits.
    let mut first = 0;
    while first < focused && heights[first..=focused].iter().sum::<usize>() > room {
        first += 1;
    }
    let mut y = margin;
    let mut placed = Vec::new();
    for ((field, hint), height) in fields.iter().zip(hints).zip(&heights).skip(first) {
        // The focused field is shown also where its hint has too many rows.
        let height = if *field == form.focused_field { (*height).min(room) } else { *height };
        if y + height > room {
            break;
        }
        let rows = Rect {
            y: area.y + u16::try_from(y).unwrap_or(0),
            height: u16::try_from(height).unwrap_or(1),
            ..area
        };
        placed.push(PlacedField { field: *field, rows, hint });
        y += slot(height, gap);
    }
    placed
}

/// Marks at the left edge that there are fields above or below those on screen.
fn draw_more_marks(
    form: &Form,
    placed: &[PlacedField],
    theme: Theme,
    frame: &mut Frame<'_>,
    area: Rect,
) {
    let fields = form.fields();
    let at = |y: u16| Rect { y, width: 1.min(area.width), height: 1.min(area.height), ..area };
    let (Some(first), Some(last)) = (placed.first(), placed.last()) else { return };
    if fields.first() != Some(&first.field) {
        frame.render_widget(Span::styled("↑", theme.accent()), at(area.y));
    }
    if fields.last() != Some(&last.field) {
        frame.render_widget(Span::styled("↓", theme.accent()), at(area.bottom() - 1));
    }
}

/// Returns the area of the fields and the one of the notes. An error, the changes that will be sent and
/// a request under way stay on screen where not all fields fit; other notes have what is left.
fn split_area(form: &Form, notes: &[Line<'_>], area: Rect) -> (Rect, Rect) {
    let (x, width) = (area.x + 3, area.width.saturating_sub(4));
    let rows = u16::try_from(count_rows(notes, width)).unwrap_or(u16::MAX);
    let needed = if is_needed(form) { rows } else { 0 };
    // The field with the focus has two rows and the margin one.
    let height = area.height.saturating_sub(needed).max(3.min(area.height));
    let y = area.y + height;
    let notes_area = Rect { x, y, width, height: area.bottom() - y };
    (Rect { height, ..area }, notes_area)
}

/// Returns the notes below the fields.
fn format_notes(form: &Form, model: &Model, theme: Theme) -> Vec<Line<'static>> {
    if form.submit_ticket.is_some() {
        return vec![Line::styled(
            "Waiting for the server. esc closes the form; the request continues.",
            theme.dim(),
        )];
    }
    if !form.diff.is_empty() {
        let heading = "These changes will be made. ctrl-s or enter sends them, esc goes back:";
        let mut lines = vec![Line::styled(heading, theme.warning())];
        lines.extend(form.diff.iter().map(|line| Line::raw(format!("  {line}"))));
        return lines;
    }
    let text = match &form.kind {
        FormKind::New => {
            let method = match &form.auth_choice {
                AuthChoice::Automatic => "You sign in through your browser".into(),
                AuthChoice::PasteCode => "You paste the code that the page shows".into(),
                AuthChoice::ExistingKey(label) => {
                    format!("Authorised by {}, where allowed", truncate(label.as_str(), 20))
                }
            };
            let location = to_sentence(&format!("The key will be stored in {}", model.store_name));
            let mut lines = vec![
                Line::styled(location, theme.dim()),
                Line::styled(format!("{method}. ctrl-r: another method."), theme.dim()),
            ];
            if form.choices == FormChoicesState::NoManagementKey {
                let key = key_text(model, &Intent::OpenManagement);
                let text = format!(
                    "A workspace or guardrail needs a management key: esc, then {key} stores one."
                );
                lines.push(Line::styled(text, theme.dim()));
            }
            return lines;
        }
        FormKind::Import => format!("The key will be stored in {}", model.store_name),
        FormKind::Edit { key, account_key } => {
            let renamed =
                account_key.as_ref().filter(|remote| remote.display_name() != key.label.as_str());
            let current_name = renamed.map_or(String::new(), |remote| {
                format!(
                    " Its current name at OpenRouter is {}.",
                    truncate(&remote.display_name(), 30)
                )
            });
            let expires = match key.expires_at() {
                Reported::None => "It never expires".to_owned(),
                expiry => {
                    format!("It expires {}", expiry.describe("", crate::domain::format_date))
                }
            };
            format!(
                "{expires}. To get another expiry, leave this form and press {}: it replaces the key with a new one.{current_name}",
                key_text(model, &Intent::Rotate)
            )
        }
    };
    vec![Line::styled(to_sentence(&text), theme.dim())]
}

/// Returns the choices on one line, the chosen one in brackets, and the keys that change it if they fit into
/// `width` cells.
pub(super) fn format_choices<'a>(
    choices: &[&'a str],
    chosen: usize,
    focused: bool,
    theme: Theme,
    width: u16,
) -> Line<'a> {
    let mut line = Line::default();
    for (index, choice) in choices.iter().enumerate() {
        let style = match (index == chosen, focused) {
            (true, true) => theme.selected(),
            (true, false) => theme.strong(),
            (false, _) => theme.dim(),
        };
        let (open, close) = if index == chosen { ("[", "]") } else { (" ", " ") };
        line.push_span(Span::styled(format!("{open}{choice}{close}"), style));
        line.push_span(Span::raw(" "));
    }
    let fits = |hint: &&str| line.width() + hint.width() <= usize::from(width);
    if let Some(hint) = [" ← → change", " ← →"].into_iter().find(fits).filter(|_| focused) {
        line.push_span(Span::styled(hint, theme.dim()));
    }
    line
}

/// Returns all names on one line if they fit into `width` cells, otherwise the chosen one and its
/// position.
fn format_picker(picker: &Picker, width: u16, focused: bool, theme: Theme) -> Line<'_> {
    let names: Vec<&str> = picker.options().iter().map(|option| option.name.as_str()).collect();
    let line = format_choices(&names, picker.chosen_index(), focused, theme, width);
    let width = usize::from(width);
    if line.width() <= width {
        return line;
    }
    let position = format!("{}/{}", picker.chosen_index() + 1, names.len());
    let chosen = names.get(picker.chosen_index()).copied().unwrap_or_default();
    let name = truncate(chosen, width.saturating_sub(position.len() + 18).max(1));
    let style = if focused { theme.selected() } else { theme.strong() };
    Line::from(vec![
        Span::styled(format!("‹ {name} ›"), style),
        Span::styled(
            format!("  {position}{}", if focused { "  ← → change" } else { "" }),
            theme.dim(),
        ),
    ])
}

fn draw_expiry_field(form: &Form, focused: bool, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    text::draw_text_field(
        &form.expiry,
        form.expiry.text(),
        focused,
        theme,
        frame,
        Rect { width: area.width.min(22), ..area },
    );
    if focused && area.width > 50 {
        let hint = format!("space: {}", EXPIRY_PRESETS.join(" "));
        let at = Rect { x: area.x + 24, width: area.width - 24, ..area };
        draw_line(&Line::styled(hint, theme.dim()), at, frame.buffer_mut());
    }
}
