//! The sign-in screen: the steps, the complete address, and how long the sign-in may still take.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};
use ratatui::text::{Line, Span};

use super::line::draw_line;
use super::text::to_sentence;
use super::{Theme, WrappedLink, text};
use crate::domain::ProvisioningStep;
use crate::platform::qr::QrImage;
use crate::tui::state::{Model, PlanScreen, SignInScreen, TextField};

/// Draws the screen and returns where the address is, if it is shown in full.
pub fn draw(
    state: &SignInScreen,
    model: &Model,
    theme: Theme,
    frame: &mut Frame<'_>,
    area: Rect,
) -> Option<WrappedLink> {
    let qr_wanted =
        state.is_qr_code_shown && state.code_field.is_none() && state.is_awaiting_consent();
    if let (Some(address), true) = (&state.sign_in_url, qr_wanted) {
        draw_qr(&address.url, theme, frame, area);
        return None;
    }
    let area = match state.plan() {
        Some(plan) => draw_batch(plan, state, theme, frame, area),
        None => area,
    };
    let width = usize::from(area.width);
    let address = match &state.sign_in_url {
        Some(address) if state.is_awaiting_consent() => split_address(&address.url, width),
        _ => Vec::new(),
    };
    let tail = format_messages(state, model, theme);
    // The address is always shown in full; the other steps are hidden if there is no room.
    let needed = address.len()
        + 2
        + tail.iter().map(|line| line.width().div_ceil(width).max(1)).sum::<usize>();
    let room = usize::from(area.height).saturating_sub(needed);
    let steps = format_steps(state, model, theme, room >= ProvisioningStep::ALL.len());
    let mut y = area.y;
    let mut draw_lines = |frame: &mut Frame<'_>, lines: Vec<Line<'_>>, rows: usize| {
        let height = u16::try_from(rows).unwrap_or(u16::MAX).min(area.bottom().saturating_sub(y));
        let drawn = Rect { y, height, ..area };
        text::draw_paragraph(frame, drawn, lines);
        y += height;
        drawn
    };
    let count = steps.len();
    let mut link = None;
    draw_lines(frame, steps, count);
    if !address.is_empty() {
        let text = if state.needs_code() {
            "Open in any browser, press p, and paste the code it shows:"
        } else {
            "Sign in at:"
        };
        draw_lines(
            frame,
            vec![Line::default(), Line::styled(format!(" {text}"), theme.strong())],
            2,
        );
        // From the first column to the last, so that the whole address can be selected.
        let count = address.len();
        let drawn = draw_lines(
            frame,
            address.into_iter().map(|part| Line::styled(part, theme.accent())).collect(),
            count,
        );
        link = state.sign_in_url.as_ref().filter(|_| usize::from(drawn.height) == count).map(
            |address| WrappedLink { row: drawn.y, url: address.url.clone(), style: theme.accent() },
        );
    }
    if let Some(code) = &state.code_field {
        draw_lines(frame, vec![Line::default()], 1);
        draw_code_field(code, state.code_error, theme, frame, Rect { y, height: 1, ..area });
        y += 1;
    }
    let rest = Rect { y, height: area.bottom().saturating_sub(y), ..area };
    text::draw_paragraph(frame, text::inset(rest), tail);
    link
}

/// Draws the keys of the plan around the current one and returns the rest of the area.
fn draw_batch(
    plan: &PlanScreen,
    state: &SignInScreen,
    theme: Theme,
    frame: &mut Frame<'_>,
    area: Rect,
) -> Rect {
    let rows = plan.planned_keys().len();
    // The address and the messages need the rest of the rows.
    let max_rows = usize::from(area.height).saturating_sub(13).clamp(2, 12);
    let shown = rows.min(max_rows);
    let at = plan.current_index.unwrap_or(0);
    // The previous key, the current one, the next ones.
    let first = at.saturating_sub(1).min(rows - shown);
    let height = u16::try_from(shown).unwrap_or(u16::MAX).min(area.height);
    let current = plan.current_index.filter(|_| state.error.is_none());
    let lines = Rect { height, ..text::inset(area) };
    super::plan::draw_keys(plan, first, Some(current.unwrap_or(usize::MAX)), theme, frame, lines);
    let used = (height + 1).min(area.height);
    Rect { y: area.y + used, height: area.height - used, ..area }
}

fn format_steps(
    state: &SignInScreen,
    model: &Model,
    theme: Theme,
    all: bool,
) -> Vec<Line<'static>> {
    let elapsed = model.now.duration_since(state.started_at).as_secs().max(0);
    let clock = |seconds: i64| format!("{}:{:02}", seconds / 60, seconds % 60);
    ProvisioningStep::ALL
        .into_iter()
        .filter(|step| all || *step == state.step)
        .map(|step| {
            let text = match step {
                ProvisioningStep::OpenBrowser if state.needs_code() => "show the address",
                step => step.description(),
            };
            if step == ProvisioningStep::OpenBrowser && state.has_browser_failed {
                return Line::styled(format!(" ✗ {text}"), theme.warning());
            }
            if step < state.step {
                return Line::styled(format!(" ✓ {text}"), theme.success());
            }
            if step > state.step {
                return Line::styled(format!("   {text}"), theme.dim());
            }
            if state.error.is_some() {
                return Line::styled(format!(" ✗ {text}"), theme.error());
            }
            let left = state
                .consent_time_left(model.now)
                .map(|left| format!(", {} left", clock(left.as_secs())))
                .unwrap_or_default();
            Line::from(vec![
                Span::styled(format!(" ▸ {text}"), theme.strong()),
                Span::styled(format!("  {} elapsed{left}", clock(elapsed)), theme.dim()),
            ])
        })
        .collect()
}

/// Returns the error, the notice and what stands for the consent in the sandbox, below the address.
fn format_messages(state: &SignInScreen, model: &Model, theme: Theme) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    if let Some(error) = &state.error {
        lines.push(Line::default());
        lines.extend(text::format_error(error, theme));
        return lines;
    }
    if let Some(notice) = &state.notice {
        lines.push(Line::default());
        lines.push(Line::styled(to_sentence(notice), theme.warning()));
    }
    if model.is_sandbox && state.is_awaiting_consent() && state.code_field.is_none() {
        lines.push(Line::default());
        let text = "In the sandbox no browser is needed: y approves, x denies.";
        lines.push(Line::styled(text, theme.strong()));
    }
    lines
}

/// Draws the code field, masked: until the code is used, it is as secret as the key.
fn draw_code_field(
    code: &TextField,
    problem: Option<&'static str>,
    theme: Theme,
    frame: &mut Frame<'_>,
    area: Rect,
) {
    draw_line(&Line::styled(" ▸ Code", theme.accent()), area, frame.buffer_mut());
    let masked = "•".repeat(code.text().chars().count());
    let at = Rect { x: area.x + 9, width: area.width.saturating_sub(10), ..area };
    match problem {
        Some(problem) => {
            draw_line(&Line::styled(format!("✗ {problem}"), theme.error()), at, frame.buffer_mut());
        }
        None => text::draw_text_field(code, &masked, true, theme, frame, at),
    }
}

/// Splits an address, which is ASCII, into pieces of `width` characters.
fn split_address(text: &str, width: usize) -> Vec<&str> {
    text.as_bytes()
        .chunks(width.max(1))
        .filter_map(|piece| std::str::from_utf8(piece).ok())
        .collect()
}

/// Draws the address as a QR code, dark on light because cameras need it. The RGB colours are the same
/// in every theme; the terminal's palette may map black and white to other colours.
fn draw_qr(url: &str, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let code = QrImage::encode(url);
    match code {
        Some(code) if code.fits(usize::from(area.width), usize::from(area.height)) => {
            let style = Style::new().fg(Color::Rgb(0, 0, 0)).bg(Color::Rgb(255, 255, 255));
            let lines = code.lines.into_iter().map(|line| Line::styled(line, style)).collect();
            text::draw_paragraph(frame, area, lines);
        }
        code => {
            let needs = code.map_or(String::new(), |code| {
                format!(" It needs {} columns and {} rows.", code.columns, code.lines.len() + 5)
            });
            let text = format!(
                "The QR code does not fit this terminal.{needs} # shows the address again."
            );
            text::draw_paragraph(
                frame,
                text::inset(area),
                vec![Line::default(), Line::styled(text, theme.warning())],
            );
        }
    }
}
