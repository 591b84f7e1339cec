//! The bottom two lines: what was last worth saying or is asked, and the keys that do something.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Clear;

use super::text::{to_sentence, truncate};
use super::{Theme, text};
use crate::tui::keymap::{KeyBinding, active_bindings};
use crate::tui::state::{Model, Question, Screen};

/// What was last worth saying. Where one line is too short for it, it takes the one `above` too: its
/// end is what to do now.
pub fn draw_notice(model: &Model, theme: Theme, frame: &mut Frame<'_>, above: Rect, area: Rect) {
    let (above, area) = (text::inset(above), text::inset(area));
    let width = usize::from(area.width);
    let filtered = model.dashboard.is_filtering || !model.dashboard.filter.text().is_empty();
    if filtered
        && matches!(model.screen, Screen::Dashboard)
        && model.question.is_none()
        && model.notice.is_none()
    {
        return draw_filter(model, theme, frame, area);
    }
    let line = if let Some(question) = &model.question {
        let words = match question {
            Question::QuitWithUnstoredKey => {
                "Stored nowhere: quit and lose this key? You would have to revoke it by hand."
                    .to_owned()
            }
            Question::DiscardUnstoredKey => {
                "Stored nowhere: leave and lose this key? You would have to revoke it by hand."
                    .to_owned()
            }
            Question::DismissAttempt(attempt) => format!(
                "Strike '{}' off? What was kept of the server's answer, if anything, goes with it.",
                truncate(attempt.label.as_str(), 24)
            ),
            Question::RemoveKeys(labels) => match &labels[..] {
                [label] => {
                    let label = truncate(label.as_str(), width.saturating_sub(54).max(8));
                    format!("Forget {label} here? The key itself stays valid at the server.")
                }
                labels => format!(
                    "Forget these {} keys here? They stay valid at the server.",
                    labels.len()
                ),
            },
            Question::DisableKeys(labels) => format!(
                "Disable these {} keys at OpenRouter? Whatever uses them stops working.",
                labels.len()
            ),
        };
        vec![Span::styled(words, theme.warning())]
    } else {
        match &model.notice {
            Some(Ok(words)) => vec![Span::styled(to_sentence(words), theme.success())],
            Some(Err(trouble)) => vec![
                Span::styled(format!("✗ {} ", to_sentence(&trouble.message)), theme.error()),
                Span::raw(text::format_error_details(trouble)),
            ],
            None => {
                return frame.render_widget(format_background_status(model, theme, width), area);
            }
        }
    };
    let line = Line::from(line);
    if line.width() <= width {
        frame.render_widget(line, area);
        return;
    }
    let both = Rect { height: 2, ..above };
    frame.render_widget(Clear, both);
    text::draw_paragraph(frame, both, vec![line]);
}

/// What is worth saying while nothing else is.
fn format_background_status(model: &Model, theme: Theme, width: usize) -> Line<'static> {
    let on_list = matches!(model.screen, Screen::Dashboard);
    let dashboard = &model.dashboard;
    let words = if let (Screen::Dashboard | Screen::Form(_), Some(unfinished)) =
        (&model.screen, model.background_runs.first())
    {
        format!("ending the login for {}", unfinished.label)
    } else if on_list && dashboard.secret_ticket.is_some() {
        "waiting for the keychain: it may be asking you to unlock it".to_owned()
    } else if let (true, Some(trouble)) = (on_list, &model.refresh.last_error) {
        let words =
            format!("! {} {}", to_sentence(&trouble.message), text::format_error_details(trouble));
        return Line::styled(truncate(&words, width), theme.warning());
    } else if on_list && !dashboard.marked_hashes.is_empty() {
        format!(
            "{} marked for the next action, esc takes the marks away",
            dashboard.marked_hashes.len()
        )
    } else if let (true, Some(round)) = (on_list, &model.refresh.current_round) {
        // A few answer before this can be read.
        if round.key_count < 20 {
            return Line::default();
        }
        format!("asking the keys: {} of {}, esc stops", round.checked_count, round.key_count)
    } else {
        return Line::default();
    };
    Line::styled(truncate(&to_sentence(&words), width), theme.dim())
}

/// The filter, while it is typed or kept.
fn draw_filter(model: &Model, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let dashboard = &model.dashboard;
    frame.render_widget(Line::styled("/", theme.accent()), area);
    let field = Rect { x: area.x + 2, width: area.width.saturating_sub(20), ..area };
    text::draw_text_field(
        &dashboard.filter,
        dashboard.filter.text(),
        dashboard.is_filtering,
        theme,
        frame,
        field,
    );
    let count = format!("{} of {}", dashboard.rows.len(), dashboard.all_keys().len());
    let width = u16::try_from(count.len()).unwrap_or(0).min(area.width);
    let right = Rect { x: area.right() - width, width, ..area };
    frame.render_widget(Line::styled(count, theme.dim()), right);
}

pub fn draw(model: &Model, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let area = text::inset(area);
    let width = usize::from(area.width) + 2;
    let cost =
        |binding: &KeyBinding| Span::raw(binding.key_text).width() + binding.description.len() + 3;
    let wanted: Vec<&KeyBinding> = active_bindings(model)
        .into_iter()
        .flatten()
        .filter(|binding| binding.is_in_footer)
        .collect();
    // The ways out have their place whatever else there is.
    let mut used: usize =
        wanted.iter().filter(|binding| binding.is_exit_or_help()).map(|b| cost(b)).sum();
    let mut line = Line::default();
    for binding in wanted {
        if !binding.is_exit_or_help() {
            if used + cost(binding) > width {
                continue;
            }
            used += cost(binding);
        }
        line.push_span(Span::styled(binding.key_text, theme.accent()));
        let open = model.dashboard.are_details_shown && binding.is_details_toggle();
        let does = if open { "close" } else { binding.description };
        line.push_span(Span::raw(format!(" {does}  ")));
    }
    frame.render_widget(line, area);
}
