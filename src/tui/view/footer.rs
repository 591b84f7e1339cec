//! The bottom two lines: the current notice, and the active key bindings.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph, Wrap};
use secrecy::ExposeSecret;
use secrecy::zeroize::Zeroizing;
use unicode_width::UnicodeWidthStr;

use super::line::draw_line;
use super::text::{to_sentence, truncate};
use super::{Theme, text};
use crate::domain::{StoredKey, sanitize};
use crate::tui::keymap::{active_bindings, footer_items};
use crate::tui::state::{Filter, Intent, Model, Screen};

/// Draws the notice or filter. A text that is too long for one line also takes the line `above`, because
/// its end says what to do next; the rule then stands one row higher.
pub fn draw_notice(model: &Model, theme: Theme, frame: &mut Frame<'_>, above: Rect, area: Rect) {
    let area = text::inset(area);
    let width = usize::from(area.width);
    let rows = draw_revealed_key(model, theme, frame, above, area);
    if model.question.is_some() || rows == 0 {
        return;
    }
    let has_filter = model.dashboard.is_filtering || !model.dashboard.filter.text().is_empty();
    if has_filter && matches!(model.screen, Screen::Dashboard) && model.notice.is_none() {
        return draw_filter(model, theme, frame, area);
    }
    let line = match &model.notice {
        Some(Ok(message)) => vec![Span::styled(to_sentence(message), theme.success())],
        Some(Err(error)) => vec![
            Span::styled(format!("✗ {} ", to_sentence(&error.message)), theme.error()),
            Span::raw(text::format_error_details(error)),
        ],
        None => {
            let line = format_background_status(model, theme, width);
            return draw_line(&line, area, frame.buffer_mut());
        }
    };
    let line = Line::from(line);
    if line.width() <= width {
        return draw_line(&line, area, frame.buffer_mut());
    }
    let first = if rows == 1 { area } else { above };
    let lines_area = Rect { x: above.x, width: above.width, height: rows, ..first };
    frame.render_widget(Clear, lines_area);
    raise_rule(theme, frame, above);
    let rest = match active_bindings(model)
        .iter()
        .find(|binding| binding.intent() == Intent::ToggleMessages)
    {
        Some(binding) => format!("… {} shows all", binding.key_text()),
        None => "…".to_owned(),
    };
    let lines = wrap_notice(&line, width, usize::from(rows), &rest);
    frame.render_widget(Paragraph::new(lines), text::inset(lines_area));
}

/// Draws the rule above the line that it had.
fn raise_rule(theme: Theme, frame: &mut Frame<'_>, line: Rect) {
    let rule = Rect { y: line.y.saturating_sub(1), height: 1, ..line };
    frame.render_widget(Clear, rule);
    text::draw_rule(theme, frame, rule);
}

/// Draws the revealed key over the whole width of the line `above`, so that the mouse can select it at
/// once; on a narrow terminal also over the line of the notice. Returns the lines left for a notice.
#[expect(clippy::disallowed_methods, reason = "reveals the key")]
fn draw_revealed_key(
    model: &Model,
    theme: Theme,
    frame: &mut Frame<'_>,
    above: Rect,
    area: Rect,
) -> u16 {
    let revealed = match &model.screen {
        _ if model.overlay.is_some() => None,
        Screen::NewKey(state) => state.revealed_until.map(|_| &state.key),
        Screen::Dashboard => model.dashboard.revealed_key.as_ref().map(|revealed| &revealed.key),
        _ => None,
    };
    let Some(key) = revealed else { return 2 };
    let text = Zeroizing::new(sanitize(key.expose_secret(), 512));
    frame.render_widget(Clear, above);
    raise_rule(theme, frame, above);
    if text.width() <= usize::from(area.width) {
        draw_line(
            &Line::styled(text.as_str(), theme.warning()),
            text::inset(above),
            frame.buffer_mut(),
        );
        return 1;
    }
    frame.render_widget(Clear, Rect { height: 2, ..above });
    let rows =
        Paragraph::new(Line::styled(text.as_str(), theme.warning())).wrap(Wrap { trim: true });
    frame.render_widget(rows, Rect { height: 2, ..above });
    0
}

/// Returns the first `count` lines of a notice; `rest` is at their end if there are more.
fn wrap_notice<'a>(notice: &'a Line<'_>, width: usize, count: usize, rest: &str) -> Vec<Line<'a>> {
    let text = notice.to_string();
    let mut rows = text::wrap(&text, width);
    if rows.len() > count
        && let Some(row) = rows[..count].last_mut()
    {
        let room = width.saturating_sub(rest.width());
        // A word that does not fit is left out.
        let last = text::wrap(row, room).into_iter().next().unwrap_or_default();
        *row = format!("{}{rest}", last.trim_end_matches([',', ';', ':', '.']));
        rows.truncate(count);
    }
    let (first, second) = match &notice.spans[..] {
        [first, second] => (first, second.style),
        [first, ..] => (first, first.style),
        [] => return Vec::new(),
    };
    let mut red = first.content.trim_end().len();
    let lines = rows.into_iter().map(|row| {
        // The end of the message can be on either line.
        let end = (0..=red.min(row.len())).rev().find(|end| row.is_char_boundary(*end));
        let (start, rest) = row.split_at(end.unwrap_or(0));
        red = red.saturating_sub(row.len() + 1);
        Line::from(vec![
            Span::styled(start.to_owned(), first.style),
            Span::styled(rest.to_owned(), second),
        ])
    });
    lines.collect()
}

/// Returns the status of background work, shown when there is no question and no notice.
fn format_background_status(model: &Model, theme: Theme, width: usize) -> Line<'static> {
    let on_dashboard = matches!(model.screen, Screen::Dashboard);
    let dashboard = &model.dashboard;
    let text = if let (Screen::Dashboard | Screen::Form(_), Some(run)) =
        (&model.screen, model.background_runs.first())
    {
        format!("finishing the sign-in for {}", run.label)
    } else if on_dashboard && dashboard.secret_ticket.is_some() {
        if dashboard.selected_key().is_some_and(StoredKey::is_shared) {
            "waiting for the shared store".to_owned()
        } else {
            "waiting for the keychain: it may ask you to unlock it".to_owned()
        }
    } else if let (true, Some(error)) = (on_dashboard, &model.refresh.last_error) {
        let text =
            format!("! {} {}", to_sentence(&error.message), text::format_error_details(error));
        return Line::styled(truncate(&text, width), theme.warning());
    } else if on_dashboard && !dashboard.marked_hashes.is_empty() {
        format!(
            "{} marked for the next action; esc clears the marks",
            dashboard.marked_hashes.len()
        )
    } else if let (true, Some(round)) = (on_dashboard, &model.refresh.current_round) {
        // A small round ends before the text could be read.
        if round.key_count < 20 {
            return Line::default();
        }
        format!("checking keys: {} of {}; esc stops", round.checked_count, round.key_count)
    } else {
        return Line::default();
    };
    Line::styled(truncate(&to_sentence(&text), width), theme.dim())
}

/// Draws the filter while it is edited or active.
fn draw_filter(model: &Model, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let dashboard = &model.dashboard;
    draw_line(&Line::styled("/", theme.accent()), area, frame.buffer_mut());
    let field = Rect { x: area.x + 2, width: area.width.saturating_sub(20), ..area };
    text::draw_text_field(
        &dashboard.filter,
        dashboard.filter.text(),
        dashboard.is_filtering,
        theme,
        frame,
        field,
    );
    if dashboard.is_filtering && dashboard.filter.text().is_empty() {
        let hint = "a label, or state:low spent>10 expires<7d";
        let after = Rect { x: field.x + 2, width: field.width.saturating_sub(2), ..field };
        let hint = truncate(hint, usize::from(after.width));
        draw_line(&Line::styled(hint, theme.dim()), after, frame.buffer_mut());
    }
    let filter = Filter::parse(dashboard.filter.text());
    let unknown_field = filter.unknown_field.filter(|_| dashboard.rows.is_empty());
    let (text, style) = if let Some(field) = unknown_field {
        let field = truncate(&field, 12);
        (format!("'{field}' is no field; write for example spent>10"), theme.warning())
    } else if let Some(problem) = filter.problem {
        (problem, theme.warning())
    } else {
        let count = format!("{} of {}", dashboard.rows.len(), dashboard.all_keys().len());
        (count, theme.dim())
    };
    let width = u16::try_from(text.width()).unwrap_or(0).min(area.width);
    let right = Rect { x: area.right() - width, width, ..area };
    frame.render_widget(Clear, right);
    draw_line(&Line::styled(text, style), right, frame.buffer_mut());
}

pub fn draw(model: &Model, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let area = text::inset(area);
    for item in footer_items(model, area.width) {
        let key_text = item.binding.key_text();
        let line = Line::from(vec![
            Span::styled(key_text, theme.accent()),
            Span::raw(format!(" {}", item.binding.action.description)),
        ]);
        let place = Rect { x: area.x + item.column, width: item.width, ..area };
        draw_line(&line, place, frame.buffer_mut());
    }
}

/// Returns the intent of the action at a column.
pub fn intent_at(model: &Model, area: Rect, column: u16) -> Option<Intent> {
    let area = text::inset(area);
    let column = column.checked_sub(area.x)?;
    let mut items = footer_items(model, area.width).into_iter();
    items
        .find(|item| (item.column..item.column + item.width).contains(&column))
        .map(|item| item.binding.intent())
}
