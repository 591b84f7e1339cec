//! The form of a new key: each field, and below it what it means or what is wrong with it.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::text::{fit, sentence};
use super::{Theme, text};
use crate::app::{EXPIRIES, Form, Model, Part, Remark};
use crate::key::Reset;

/// Where the fields begin.
const FIELDS: u16 = 18;

pub fn draw(form: &Form, model: &Model, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    // Three rows a field where there is room, two where there is not.
    let step = if area.height >= 15 { 3 } else { 2 };
    let top = area.y + u16::from(area.height > 13);
    for (part, y) in Part::ALL.into_iter().zip((top..).step_by(step)) {
        if y + 1 >= area.bottom() {
            break;
        }
        let focused = form.focus == part;
        let (marker, style) = if focused {
            ("▸", theme.strong().patch(theme.accent()))
        } else {
            (" ", Style::new())
        };
        let name = Line::styled(format!(" {marker} {}", part.title()), style);
        frame.render_widget(name, Rect { y, height: 1, width: FIELDS, ..area });
        let width = area.width.saturating_sub(FIELDS + 1);
        let at = Rect { x: area.x + FIELDS, y, width, height: 1 };
        match part {
            Part::Label => text::field(&form.label, form.label.text(), focused, theme, frame, at),
            Part::Limit => text::field(&form.limit, form.limit.text(), focused, theme, frame, at),
            Part::Reset => frame.render_widget(choices(form.reset, focused, theme), at),
            Part::Expires => expires(form, focused, theme, frame, at),
        }
        let (words, style) = match form.remark(part, model.now) {
            Remark::Meaning(words) => (words, theme.dim()),
            Remark::Problem(words) => (format!("✗ {words}"), theme.bad()),
        };
        // A long word about what is wrong may use the empty row below.
        let height = u16::try_from(step - 1).unwrap_or(1).min(area.bottom() - y - 1);
        text::paragraph(frame, Rect { y: y + 1, height, ..at }, vec![Line::styled(words, style)]);
    }
    let used = u16::try_from(step * Part::ALL.len()).unwrap_or(0);
    let y = top + used;
    if let Some(trouble) = &form.trouble {
        let area = Rect { y, height: area.bottom().saturating_sub(y), ..area };
        text::paragraph(frame, text::inset(area), text::trouble(trouble, theme));
    } else if y < area.bottom() {
        let words = format!("The key will be stored in {}", model.place);
        let line = Line::styled(fit(&sentence(&words), usize::from(area.width - 4)), theme.dim());
        frame.render_widget(line, Rect { x: area.x + 3, y, height: 1, width: area.width - 3 });
    }
}

fn choices(chosen: Option<Reset>, focused: bool, theme: Theme) -> Line<'static> {
    let all = [None, Some(Reset::Daily), Some(Reset::Weekly), Some(Reset::Monthly)];
    let mut line = Line::default();
    for reset in all {
        let word = reset.map_or("never", Reset::as_str);
        let style = match (reset == chosen, focused) {
            (true, true) => theme.selected(),
            (true, false) => theme.strong(),
            (false, _) => theme.dim(),
        };
        let (open, close) = if reset == chosen { ("[", "]") } else { (" ", " ") };
        line.push_span(Span::styled(format!("{open}{word}{close}"), style));
        line.push_span(Span::raw(" "));
    }
    line
}

fn expires(form: &Form, focused: bool, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    text::field(
        &form.expires,
        form.expires.text(),
        focused,
        theme,
        frame,
        Rect { width: area.width.min(24), ..area },
    );
    if focused && area.width > 50 {
        let hint = format!("space: {}", EXPIRIES.join(" "));
        let at = Rect { x: area.x + 24, width: area.width - 24, ..area };
        frame.render_widget(Line::styled(hint, theme.dim()), at);
    }
}
