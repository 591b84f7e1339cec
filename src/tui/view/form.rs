//! A form: each field, and below it what it means or what is wrong with it.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::text::{to_sentence, truncate};
use super::{Theme, text};
use crate::domain::ResetInterval;
use crate::tui::state::{AuthChoice, EXPIRY_PRESETS, FieldHint, Form, FormField, FormKind, Model};

const RESET_CHOICES: [Option<ResetInterval>; 4] =
    [None, Some(ResetInterval::Daily), Some(ResetInterval::Weekly), Some(ResetInterval::Monthly)];

/// Where the fields begin.
const FIELD_COLUMN: u16 = 18;

pub fn draw(form: &Form, model: &Model, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    // Three rows a field where there is room, two where there is not.
    let parts = form.fields();
    let step = if usize::from(area.height) >= 3 * parts.len() + 3 { 3 } else { 2 };
    let top = area.y + u16::from(area.height > 13);
    for (part, y) in parts.iter().copied().zip((top..).step_by(step)) {
        if y + 1 >= area.bottom() {
            break;
        }
        let focused = form.focused_field == part;
        let (marker, style) = if focused {
            ("▸", theme.strong().patch(theme.accent()))
        } else {
            (" ", Style::new())
        };
        let name = Line::styled(format!(" {marker} {}", part.title()), style);
        frame.render_widget(name, Rect { y, height: 1, width: FIELD_COLUMN, ..area });
        let width = area.width.saturating_sub(FIELD_COLUMN + 1);
        let at = Rect { x: area.x + FIELD_COLUMN, y, width, height: 1 };
        match part {
            FormField::Label => {
                text::draw_text_field(&form.label, form.label.text(), focused, theme, frame, at)
            }
            FormField::Limit => {
                text::draw_text_field(&form.limit, form.limit.text(), focused, theme, frame, at)
            }
            FormField::Reset => {
                let words = RESET_CHOICES.map(|reset| reset.map_or("never", ResetInterval::as_str));
                let chosen =
                    RESET_CHOICES.iter().position(|reset| *reset == form.limit_reset).unwrap_or(0);
                frame.render_widget(format_choices(&words, chosen, focused, theme), at);
            }
            FormField::Expiry => draw_expiry_field(form, focused, theme, frame, at),
            FormField::Workspace => {
                text::draw_text_field(
                    &form.workspace_id,
                    form.workspace_id.text(),
                    focused,
                    theme,
                    frame,
                    at,
                );
            }
            FormField::Byok => {
                let words = ["do not count", "count"];
                frame.render_widget(
                    format_choices(&words, usize::from(form.include_byok_in_limit), focused, theme),
                    at,
                );
            }
            FormField::ApiKey => {
                // As good as money: it is never shown.
                let masked = "•".repeat(form.api_key.text().chars().count());
                text::draw_text_field(&form.api_key, &masked, focused, theme, frame, at);
            }
        }
        let (words, style) = match form.field_hint(part, model.now) {
            FieldHint::Description(words) => (words, theme.dim()),
            FieldHint::Error(words) => (format!("✗ {words}"), theme.error()),
        };
        // A long word about what is wrong may use the empty row below.
        let height = u16::try_from(step - 1).unwrap_or(1).min(area.bottom() - y - 1);
        text::draw_paragraph(
            frame,
            Rect { y: y + 1, height, ..at },
            vec![Line::styled(words, style)],
        );
    }
    let used = u16::try_from(step * parts.len()).unwrap_or(0);
    let y = top + used;
    let lines = format_notes(form, model, theme);
    if let Some(trouble) = &form.error {
        let area = Rect { y, height: area.bottom().saturating_sub(y), ..area };
        text::draw_paragraph(frame, text::inset(area), text::format_error(trouble, theme));
    } else if y < area.bottom() {
        let area = Rect { x: area.x + 3, y, height: area.bottom() - y, width: area.width - 4 };
        text::draw_paragraph(frame, area, lines);
    }
}

/// What stands below the fields.
fn format_notes(form: &Form, model: &Model, theme: Theme) -> Vec<Line<'static>> {
    if form.submit_ticket.is_some() {
        return vec![Line::styled("Waiting for the answer. esc leaves; it goes on.", theme.dim())];
    }
    if !form.diff.is_empty() {
        let head = "This will be changed; ctrl-s or enter sends it, esc goes back:";
        let mut lines = vec![Line::styled(head, theme.warning())];
        lines.extend(form.diff.iter().map(|line| Line::raw(format!("  {line}"))));
        return lines;
    }
    let words = match &form.kind {
        FormKind::New => {
            let road = match &form.auth_choice {
                AuthChoice::Automatic => "You consent in your browser".into(),
                AuthChoice::PasteCode => "You paste the code that the page shows".into(),
                AuthChoice::ExistingKey(label) => {
                    format!("{} vouches, where that is allowed", truncate(label.as_str(), 20))
                }
            };
            let place = to_sentence(&format!("The key will be stored in {}", model.store_name));
            return vec![
                Line::styled(place, theme.dim()),
                Line::styled(format!("{road}. ctrl-r: another way to sign in."), theme.dim()),
            ];
        }
        FormKind::Import => format!("The key will be stored in {}", model.store_name),
        FormKind::Edit { key: held, account_key: seen } => {
            let named = seen.as_ref().filter(|seen| seen.display_name() != held.label.as_str());
            let named = named.map_or(String::new(), |seen| {
                format!(" At OpenRouter it is named {} now.", truncate(&seen.display_name(), 30))
            });
            let expires = held.expires_at().map_or("It never expires".to_owned(), |at| {
                format!("It expires {}", crate::domain::format_date(at))
            });
            format!("{expires}; an expiry cannot be changed: R cuts another key instead.{named}")
        }
    };
    vec![Line::styled(to_sentence(&words), theme.dim())]
}

/// The choices on one row, the chosen one in brackets.
fn format_choices(
    words: &[&'static str],
    chosen: usize,
    focused: bool,
    theme: Theme,
) -> Line<'static> {
    let mut line = Line::default();
    for (at, word) in words.iter().enumerate() {
        let style = match (at == chosen, focused) {
            (true, true) => theme.selected(),
            (true, false) => theme.strong(),
            (false, _) => theme.dim(),
        };
        let (open, close) = if at == chosen { ("[", "]") } else { (" ", " ") };
        line.push_span(Span::styled(format!("{open}{word}{close}"), style));
        line.push_span(Span::raw(" "));
    }
    line
}

fn draw_expiry_field(form: &Form, focused: bool, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    text::draw_text_field(
        &form.expiry,
        form.expiry.text(),
        focused,
        theme,
        frame,
        Rect { width: area.width.min(24), ..area },
    );
    if focused && area.width > 50 {
        let hint = format!("space: {}", EXPIRY_PRESETS.join(" "));
        let at = Rect { x: area.x + 24, width: area.width - 24, ..area };
        frame.render_widget(Line::styled(hint, theme.dim()), at);
    }
}
