//! The line above the list: what wants something done, where the eye falls first, and once.
//! And what stands in place of a list.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::text::{to_sentence, truncate};
use super::{Theme, text};
use crate::domain::{KeyState, RetirementStatus, format_relative_time};
use crate::tui::state::{KeyList, Model};

/// The line of warnings; what is left of the area. Its row is kept when there is none: the list
/// does not move.
pub fn draw(model: &Model, theme: Theme, frame: &mut Frame<'_>, area: Rect) -> Rect {
    let width = usize::from(area.width);
    let line = Rect { height: 1, ..area };
    if let Some(words) = format_pending_attempts(model, width) {
        frame.render_widget(Line::styled(words, theme.warning()), line);
    } else if model.refresh.has_insufficient_credits {
        let words = " ! The account is out of credit: its keys work, and are answered with 402.";
        frame.render_widget(Line::styled(truncate(words, width), theme.error()), line);
    } else if let Some(words) = format_key_warnings(model) {
        frame.render_widget(Line::styled(truncate(&words, width), theme.warning()), line);
    }
    Rect { y: area.y + 1, height: area.height - 1, ..area }
}

/// `! ci is nearly spent · agent expires in 2 days`
fn format_key_warnings(model: &Model) -> Option<String> {
    let keys = model.dashboard.all_keys();
    let words: Vec<String> = model
        .dashboard
        .attention_list
        .iter()
        .filter_map(|(place, state)| {
            let held = keys.get(*place)?;
            let label = truncate(held.label.as_str(), 20);
            Some(match state {
                KeyState::LimitReached => {
                    match held.reset().and_then(|reset| reset.next_after(model.now)) {
                        Some(at) => {
                            format!(
                                "{label} has reached its limit, resets {}",
                                format_relative_time(model.now, at)
                            )
                        }
                        None => format!("{label} has reached its limit"),
                    }
                }
                KeyState::Rejected => format!("{label} is refused by the server"),
                KeyState::Low => format!("{label} is nearly spent"),
                KeyState::Expired => format!("{label} has expired"),
                KeyState::Expiring => {
                    format!(
                        "{label} expires {}",
                        format_relative_time(model.now, held.expires_at()?)
                    )
                }
                KeyState::Active | KeyState::Disabled | KeyState::Unknown => return None,
            })
        })
        .chain(format_unused_replaced_keys(model))
        .take(4)
        .collect();
    (!words.is_empty()).then(|| format!(" ! {}", words.join(" · ")))
}

/// Keys that were replaced and that nobody uses any more.
fn format_unused_replaced_keys(model: &Model) -> impl Iterator<Item = String> {
    let retiring = model.dashboard.stored_keys().iter().filter(|held| held.retirement.is_some());
    retiring.filter_map(|held| match model.dashboard.retirement_status(held, model.now) {
        RetirementStatus::Unused(words) | RetirementStatus::Inactive(words) => {
            let label = truncate(held.label.as_str(), 20);
            Some(format!("{label} {words}: x, then r, deletes it"))
        }
        RetirementStatus::NotReplaced
        | RetirementStatus::InUse(_)
        | RetirementStatus::Observing(_) => None,
    })
}

/// Attempts that may have issued a key nobody received.
fn format_pending_attempts(model: &Model, width: usize) -> Option<String> {
    let attempts = &model.dashboard.unresolved_attempts;
    let first = attempts.first()?;
    let more = match attempts.len() {
        1 => String::new(),
        many => format!(" (and {} more)", many - 1),
    };
    let page = first.keys_page_url();
    let rest = format!(
        " may exist, {}{more}: revoke it at {}",
        format_relative_time(model.now, first.started_at),
        page.trim_start_matches("https://")
    );
    let label = truncate(first.label.as_str(), width.saturating_sub(rest.len() + 26).max(8));
    Some(truncate(&format!(" ! D dismisses: a key {label}{rest}"), width))
}

/// In place of the list: what a newcomer can do, or why there is none.
pub fn draw_empty_state(
    keys: &KeyList,
    model: &Model,
    theme: Theme,
    frame: &mut Frame<'_>,
    area: Rect,
) {
    let lines = match keys {
        KeyList::Loading => vec![Line::styled("reading the list of keys", theme.dim())],
        KeyList::Failed(trouble) => {
            let mut lines = text::format_error(trouble, theme);
            lines.push(Line::default());
            lines.push(format_key_hint(theme, "r", "reads it again"));
            lines
        }
        KeyList::Loaded(keys) if !keys.is_empty() && model.dashboard.filter.text().is_empty() => {
            vec![
                Line::raw("There are none of these."),
                Line::default(),
                format_key_hint(theme, "a", "lists others"),
            ]
        }
        KeyList::Loaded(keys) if !keys.is_empty() => vec![
            Line::raw("No label matches the filter."),
            Line::default(),
            format_key_hint(theme, "esc", "drops the filter"),
        ],
        KeyList::Loaded(_) => vec![
            Line::styled("No keys are held yet.", theme.strong()),
            Line::default(),
            Line::raw(
                "Keywright cuts one OpenRouter key for each tool, with a limit and an expiry of",
            ),
            Line::raw(format!("its own, and keeps it in {}.", model.store_name)),
            Line::default(),
            format_key_hint(
                theme,
                "n",
                "cuts the first: a short form, then you sign in through your browser",
            ),
            format_key_hint(theme, "?", "shows every key of this screen"),
        ],
    };
    let area = text::inset(Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area });
    text::draw_paragraph(frame, area, lines);
}

fn format_key_hint(theme: Theme, key: &'static str, does: &str) -> Line<'static> {
    Line::from(vec![
        Span::styled(key, theme.accent()),
        Span::raw(to_sentence(&format!("  {does}"))),
    ])
}
