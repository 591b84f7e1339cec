//! A form: each field with its description or its error below it.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::text::{to_sentence, truncate};
use super::{Theme, text};
use crate::domain::{Reported, ResetInterval};
use crate::tui::state::{
    AuthChoice, EXPIRY_PRESETS, FieldHint, Form, FormChoicesState, FormField, FormKind, Model,
    Picker,
};

const RESET_CHOICES: [Option<ResetInterval>; 4] =
    [None, Some(ResetInterval::Daily), Some(ResetInterval::Weekly), Some(ResetInterval::Monthly)];

/// Column in which the fields begin.
const FIELD_COLUMN: u16 = 18;

pub fn draw(form: &Form, model: &Model, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let notes = match &form.error {
        Some(error) => text::format_error(error, theme),
        None => format_notes(form, model, theme),
    };
    let (area, notes_area) = split_area(form, &notes, area);
    // Three rows for each field if they fit, otherwise two.
    let fields = form.fields();
    let step = if usize::from(area.height) >= 3 * fields.len() + 3 { 3 } else { 2 };
    let top = area.y + u16::from(area.height > 13);
    // The focused field stays on screen where not all fit.
    let focused = fields.iter().position(|field| *field == form.focused_field).unwrap_or(0);
    let first = (focused + 1).saturating_sub(usize::from(area.bottom().saturating_sub(top)) / step);
    let fields = fields.get(first..).unwrap_or_default();
    for (field, y) in fields.iter().copied().zip((top..).step_by(step)) {
        if y + 1 >= area.bottom() {
            break;
        }
        let focused = form.focused_field == field;
        let (marker, style) = if focused {
            ("▸", theme.strong().patch(theme.accent()))
        } else {
            (" ", Style::new())
        };
        let name = Line::styled(format!(" {marker} {}", field.title()), style);
        frame.render_widget(name, Rect { y, height: 1, width: FIELD_COLUMN, ..area });
        let width = area.width.saturating_sub(FIELD_COLUMN + 1);
        let at = Rect { x: area.x + FIELD_COLUMN, y, width, height: 1 };
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
                frame.render_widget(format_choices(&choices, chosen, focused, theme), at);
            }
            FormField::Expiry => draw_expiry_field(form, focused, theme, frame, at),
            FormField::Workspace => {
                frame.render_widget(format_picker(&form.workspace, width, focused, theme), at);
            }
            FormField::Guardrail => {
                frame.render_widget(format_picker(&form.guardrail, width, focused, theme), at);
            }
            FormField::Byok => {
                let choices = ["do not count", "count"];
                frame.render_widget(
                    format_choices(
                        &choices,
                        usize::from(form.include_byok_in_limit),
                        focused,
                        theme,
                    ),
                    at,
                );
            }
            FormField::ApiKey => {
                // A key is never shown while it is typed.
                let masked = "•".repeat(form.api_key.text().chars().count());
                let (field, at) = (&form.api_key, at_most(80));
                text::draw_text_field(field, &masked, focused, theme, frame, at);
            }
        }
        let (hint, style) = match form.field_hint(field, model.now) {
            FieldHint::Description(text) => (text, theme.dim()),
            FieldHint::Error(text) => (format!("✗ {text}"), theme.error()),
        };
        // A long error may also use the empty row below.
        let height = u16::try_from(step - 1).unwrap_or(1).min(area.bottom() - y - 1);
        text::draw_paragraph(
            frame,
            Rect { y: y + 1, height, ..at },
            vec![Line::styled(hint, style)],
        );
    }
    let fields_height = u16::try_from(step * fields.len()).unwrap_or(0);
    let y = (top + fields_height).min(notes_area.y);
    if y < notes_area.bottom() {
        let rows = Rect { y, height: notes_area.bottom() - y, ..notes_area };
        text::draw_paragraph(frame, rows, notes);
    }
}

/// Returns the area of the fields and the one of the notes. An error, the changes that will be sent and
/// a request under way stay on screen where not all fields fit; other notes have what is left.
fn split_area(form: &Form, notes: &[Line<'_>], area: Rect) -> (Rect, Rect) {
    let is_needed = form.error.is_some() || !form.diff.is_empty() || form.submit_ticket.is_some();
    let (x, width) = (area.x + 3, area.width.saturating_sub(4));
    let rows = notes.iter().map(|line| text::wrap(&line.to_string(), width.into()).len().max(1));
    let needed = if is_needed { u16::try_from(rows.sum::<usize>()).unwrap_or(u16::MAX) } else { 0 };
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
                let text =
                    "A workspace or guardrail needs a management key: esc, then M stores one.";
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
                "{expires}. To get another expiry, leave this form and press R: it replaces the key with a new one.{current_name}"
            )
        }
    };
    vec![Line::styled(to_sentence(&text), theme.dim())]
}

/// Returns the choices on one line, the chosen one in brackets.
fn format_choices<'a>(choices: &[&'a str], chosen: usize, focused: bool, theme: Theme) -> Line<'a> {
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
    line
}

/// Returns all names on one line if they fit into `width` cells, otherwise the chosen one and its
/// position.
fn format_picker(picker: &Picker, width: u16, focused: bool, theme: Theme) -> Line<'_> {
    let names: Vec<&str> = picker.options().iter().map(|option| option.name.as_str()).collect();
    let line = format_choices(&names, picker.chosen_index(), focused, theme);
    let width = usize::from(width);
    if line.width() <= width {
        return line;
    }
    let position = format!("{}/{}", picker.chosen_index() + 1, names.len());
    let chosen = names.get(picker.chosen_index()).copied().unwrap_or_default();
    let name = truncate(chosen, width.saturating_sub(position.len() + 6).max(1));
    let style = if focused { theme.selected() } else { theme.strong() };
    Line::from(vec![
        Span::styled(format!("‹ {name} ›"), style),
        Span::styled(format!("  {position}"), theme.dim()),
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
        frame.render_widget(Line::styled(hint, theme.dim()), at);
    }
}
