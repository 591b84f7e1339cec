//! The plan screen: the path of the plan, then one line for each key with its status.

use super::line::draw_line;
use crate::domain::ErrorKind;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::text::{to_sentence, truncate};
use super::{Theme, text};
use crate::domain::{KeyRequest, format_date, format_usd};
use crate::tui::state::{PlanComparison, PlanScreen, PlanStatus, PlannedKey};

/// Maximum width of a label.
const MAX_LABEL_WIDTH: usize = 24;

pub fn draw(plan: &PlanScreen, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let area = text::inset(area);
    match &plan.comparison {
        None => draw_path_field(plan, theme, frame, area),
        Some(compared) => {
            let counts = format_counts(compared);
            text::draw_paragraph(
                frame,
                Rect { height: 2, ..area },
                vec![Line::default(), Line::styled(counts, theme.strong())],
            );
            let height = area.height.saturating_sub(5);
            let rows = Rect { y: area.y + 3, height, ..area };
            draw_keys(plan, plan.first_line, None, theme, frame, rows);
            let foot = Rect { y: area.bottom().saturating_sub(2), height: 2, ..area };
            text::draw_paragraph(
                frame,
                foot,
                vec![Line::styled(format_next_step(plan, compared), theme.dim())],
            );
        }
    }
}

/// Draws the path field and the problems of the plan.
fn draw_path_field(plan: &PlanScreen, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let name = Rect { y: area.y + 1, height: 1, ..area };
    draw_line(
        &Line::styled("▸ Plan", theme.strong().patch(theme.accent())),
        name,
        frame.buffer_mut(),
    );
    let at = Rect { x: area.x + 8, width: area.width.saturating_sub(8), ..name };
    text::draw_text_field(
        &plan.path_field,
        plan.path_field.text(),
        plan.load_ticket.is_none(),
        theme,
        frame,
        at,
    );
    let mut lines = Vec::new();
    if plan.load_ticket.is_some() {
        lines.push(Line::styled("Reading the plan.", theme.dim()));
    } else if plan.problems.is_empty() {
        lines.push(Line::styled(
            "A TOML file that lists the keys you want. You see which keys are missing before any is created.",
            theme.dim(),
        ));
    }
    lines.extend(
        plan.problems
            .iter()
            .skip(plan.first_line)
            .map(|problem| Line::styled(format!("✗ {}", to_sentence(problem)), theme.error())),
    );
    let rest = Rect { y: area.y + 3, height: area.height.saturating_sub(3), ..area };
    text::draw_paragraph(frame, rest, lines);
}

/// Returns the number of keys with each status.
fn format_counts(compared: &PlanComparison) -> String {
    let mut counts = [
        (0_usize, "to create"),
        (0, "created"),
        (0, "as planned"),
        (0, "differing"),
        (0, "not created"),
    ];
    for key in &compared.keys {
        let at = match key.status {
            PlanStatus::ToCreate => 0,
            PlanStatus::Created(_) => 1,
            PlanStatus::Unchanged => 2,
            PlanStatus::Differs(_) => 3,
            PlanStatus::Failed(_) => 4,
        };
        counts[at].0 += 1;
    }
    let counts: Vec<_> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, text)| format!("{count} {text}"))
        .collect();
    if counts.is_empty() {
        "The plan names no key.".into()
    } else {
        to_sentence(&counts.join(", "))
    }
}

/// Returns what happens next.
fn format_next_step(plan: &PlanScreen, compared: &PlanComparison) -> String {
    let missing = plan.missing_requests().len();
    let differs = compared.keys.iter().any(|key| matches!(key.status, PlanStatus::Differs(_)));
    let mut text = match missing {
        0 => "No key is missing.".into(),
        _ => to_sentence(&format!("missing keys are created {}", compared.auth_description)),
    };
    if differs {
        text.push_str(" Keys that differ are kept: edit them.");
    }
    text
}

/// Draws the keys of the plan from `first` on. While the plan is applied, `current_index` is
/// highlighted.
pub fn draw_keys(
    plan: &PlanScreen,
    first: usize,
    current_index: Option<usize>,
    theme: Theme,
    frame: &mut Frame<'_>,
    area: Rect,
) {
    let is_applying = current_index.is_some();
    let width = usize::from(area.width);
    let shown =
        || plan.planned_keys().iter().enumerate().skip(first).take(usize::from(area.height));
    let columns = |(_, key): (_, &PlannedKey)| Span::raw(key.request.label.as_str()).width();
    let wide = shown().map(columns).max().unwrap_or(0).min(MAX_LABEL_WIDTH);
    let lines = shown().map(|(index, key)| {
        let current = current_index == Some(index);
        let (sign, text, style) = if current {
            ("…", "creating".to_owned(), theme.strong())
        } else {
            format_status(key, is_applying, theme)
        };
        let marker = if current { "▸" } else { " " };
        let label = truncate(key.request.label.as_str(), wide);
        let pad = " ".repeat(wide.saturating_sub(Span::raw(&*label).width()));
        Line::from(vec![
            Span::styled(
                format!("{marker} {label}{pad}  "),
                if current { style } else { Style::new() },
            ),
            Span::styled(
                truncate(&format!("{sign} {text}"), width.saturating_sub(wide + 4)),
                style,
            ),
        ])
    });
    frame.render_widget(ratatui::widgets::Paragraph::new(lines.collect::<Vec<_>>()), area);
}

fn format_status(
    key: &PlannedKey,
    is_applying: bool,
    theme: Theme,
) -> (&'static str, String, Style) {
    match &key.status {
        PlanStatus::ToCreate if is_applying => ("·", "waiting".into(), theme.dim()),
        PlanStatus::ToCreate => {
            ("+", format!("create: {}", format_request(&key.request)), theme.success())
        }
        PlanStatus::Created(masked) => ("✓", format!("stored  {masked}"), theme.success()),
        PlanStatus::Unchanged => ("=", "as planned".into(), theme.dim()),
        PlanStatus::Differs(text) => ("~", format!("differs: {text}"), theme.warning()),
        PlanStatus::Failed(error) if error.kind == ErrorKind::Cancelled => {
            ("–", error.message.clone(), theme.warning())
        }
        PlanStatus::Failed(error) => {
            ("✗", format!("not created: {}", error.message), theme.error())
        }
    }
}

fn format_request(request: &KeyRequest) -> String {
    let limit = match (request.limit, request.limit_reset) {
        (Some(limit), Some(reset)) => {
            format!("{} {}", format_usd(limit.to_dollars()), reset.as_str())
        }
        (Some(limit), None) => format_usd(limit.to_dollars()),
        (None, _) => "no limit".into(),
    };
    let expires = request.expiry.as_ref().map_or("never".into(), |expiry| format_date(expiry.at));
    format!("{limit}, expires {expires}")
}
