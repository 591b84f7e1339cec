//! The line above the list: what wants something done, where the eye falls first, and once.
//! And what stands in place of a list.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::text::{fit, sentence};
use super::{Theme, text};
use crate::domain::{KeyState, Retire, span};
use crate::tui::state::{Keys, Model};

/// The line of warnings; what is left of the area. Its row is kept when there is none: the list
/// does not move.
pub fn draw(model: &Model, theme: Theme, frame: &mut Frame<'_>, area: Rect) -> Rect {
    let width = usize::from(area.width);
    let line = Rect { height: 1, ..area };
    if let Some(words) = unresolved(model, width) {
        frame.render_widget(Line::styled(words, theme.warning()), line);
    } else if model.refresh.no_credit {
        let words = " ! The account is out of credit: its keys work, and are answered with 402.";
        frame.render_widget(Line::styled(fit(words, width), theme.bad()), line);
    } else if let Some(words) = wanting(model) {
        frame.render_widget(Line::styled(fit(&words, width), theme.warning()), line);
    }
    Rect { y: area.y + 1, height: area.height - 1, ..area }
}

/// `! ci is nearly spent · agent expires in 2 days`
fn wanting(model: &Model) -> Option<String> {
    let keys = model.dashboard.all();
    let words: Vec<String> = model
        .dashboard
        .wanting
        .iter()
        .filter_map(|(place, state)| {
            let held = keys.get(*place)?;
            let label = fit(held.label.as_str(), 20);
            Some(match state {
                KeyState::LimitReached => {
                    match held.reset().and_then(|reset| reset.next(model.now)) {
                        Some(at) => {
                            format!("{label} has reached its limit, resets {}", span(model.now, at))
                        }
                        None => format!("{label} has reached its limit"),
                    }
                }
                KeyState::Dead => format!("{label} is refused by the server"),
                KeyState::Low => format!("{label} is nearly spent"),
                KeyState::Expired => format!("{label} has expired"),
                KeyState::Expiring => {
                    format!("{label} expires {}", span(model.now, held.expires_at()?))
                }
                KeyState::Active | KeyState::Disabled | KeyState::Unknown => return None,
            })
        })
        .chain(quiet(model))
        .take(4)
        .collect();
    (!words.is_empty()).then(|| format!(" ! {}", words.join(" · ")))
}

/// Keys that were replaced and that nobody uses any more.
fn quiet(model: &Model) -> impl Iterator<Item = String> {
    let retiring = model.dashboard.held().iter().filter(|held| held.retiring.is_some());
    retiring.filter_map(|held| match model.dashboard.retire(held, model.now) {
        Retire::Quiet(words) | Retire::Dead(words) => {
            let label = fit(held.label.as_str(), 20);
            Some(format!("{label} {words}: x, then r, deletes it"))
        }
        Retire::NotRetiring | Retire::InUse(_) | Retire::Watching(_) => None,
    })
}

/// Attempts that may have issued a key nobody received.
fn unresolved(model: &Model, width: usize) -> Option<String> {
    let attempts = &model.dashboard.unresolved;
    let first = attempts.first()?;
    let more = match attempts.len() {
        1 => String::new(),
        many => format!(" (and {} more)", many - 1),
    };
    let page = first.page();
    let rest = format!(
        " may exist, {}{more}: revoke it at {}",
        span(model.now, first.at),
        page.trim_start_matches("https://")
    );
    let label = fit(first.label.as_str(), width.saturating_sub(rest.len() + 26).max(8));
    Some(fit(&format!(" ! D dismisses: a key {label}{rest}"), width))
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
        Keys::Loaded(keys) if !keys.is_empty() && model.dashboard.filter.text().is_empty() => vec![
            Line::raw("There are none of these."),
            Line::default(),
            press(theme, "a", "lists others"),
        ],
        Keys::Loaded(keys) if !keys.is_empty() => vec![
            Line::raw("No label matches the filter."),
            Line::default(),
            press(theme, "esc", "drops the filter"),
        ],
        Keys::Loaded(_) => vec![
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
