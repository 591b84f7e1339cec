//! The waiting screen: the address, always whole; what is happening; how long it may take.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};
use ratatui::text::{Line, Span};

use super::text::to_sentence;
use super::{Theme, text};
use crate::domain::ProvisioningStep;
use crate::platform::qr::QrImage;
use crate::tui::state::{Model, PlanScreen, SignInScreen, TextField};

pub fn draw(login: &SignInScreen, model: &Model, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let qr_wanted =
        login.is_qr_code_shown && login.code_field.is_none() && login.is_awaiting_consent();
    if let (Some(address), true) = (&login.sign_in_url, qr_wanted) {
        return draw_qr(&address.url, theme, frame, area);
    }
    let area = match login.plan() {
        Some(plan) => draw_batch(plan, login, theme, frame, area),
        None => area,
    };
    let width = usize::from(area.width);
    let address = match &login.sign_in_url {
        Some(address) if login.is_awaiting_consent() => split_address(&address.url, width),
        _ => Vec::new(),
    };
    let tail = format_messages(login, theme);
    // The address is always whole; the steps that are done or to come give way to it.
    let needed = address.len()
        + 2
        + tail.iter().map(|line| line.width().div_ceil(width).max(1)).sum::<usize>();
    let room = usize::from(area.height).saturating_sub(needed);
    let steps = format_steps(login, model, theme, room >= ProvisioningStep::ALL.len());
    let mut y = area.y;
    let mut put = |frame: &mut Frame<'_>, lines: Vec<Line<'_>>, rows: usize| {
        let height = u16::try_from(rows).unwrap_or(u16::MAX).min(area.bottom().saturating_sub(y));
        text::draw_paragraph(frame, Rect { y, height, ..area }, lines);
        y += height;
    };
    let count = steps.len();
    put(frame, steps, count);
    if !address.is_empty() {
        let words = if login.needs_code() {
            "Open in any browser, press p, and paste the code it shows:"
        } else {
            "Sign in at:"
        };
        put(frame, vec![Line::default(), Line::styled(format!(" {words}"), theme.strong())], 2);
        // From the first column to the last, so that it can be selected whole.
        let count = address.len();
        put(
            frame,
            address.into_iter().map(|part| Line::styled(part, theme.accent())).collect(),
            count,
        );
    }
    if let Some(code) = &login.code_field {
        put(frame, vec![Line::default()], 1);
        draw_code_field(code, login.code_error, theme, frame, Rect { y, height: 1, ..area });
        y += 1;
    }
    let rest = Rect { y, height: area.bottom().saturating_sub(y), ..area };
    text::draw_paragraph(frame, text::inset(rest), tail);
}

/// The keys that are done, the one whose turn it is, and those to come; what is left of the area.
fn draw_batch(
    plan: &PlanScreen,
    login: &SignInScreen,
    theme: Theme,
    frame: &mut Frame<'_>,
    area: Rect,
) -> Rect {
    let rows = plan.planned_keys().len();
    // The address and what is said of it come first.
    let most = usize::from(area.height).saturating_sub(13).clamp(2, 12);
    let shown = rows.min(most);
    let at = plan.current_index.unwrap_or(0);
    // The one before, the current one, the next ones.
    let first = at.saturating_sub(1).min(rows - shown);
    let height = u16::try_from(shown).unwrap_or(u16::MAX).min(area.height);
    let turn = plan.current_index.filter(|_| login.error.is_none());
    let lines = Rect { height, ..text::inset(area) };
    super::plan::draw_keys(plan, first, Some(turn.unwrap_or(usize::MAX)), theme, frame, lines);
    let used = (height + 1).min(area.height);
    Rect { y: area.y + used, height: area.height - used, ..area }
}

fn format_steps(
    login: &SignInScreen,
    model: &Model,
    theme: Theme,
    all: bool,
) -> Vec<Line<'static>> {
    let now = model.now.duration_since(login.started_at).as_secs().max(0);
    let clock = |seconds: i64| format!("{}:{:02}", seconds / 60, seconds % 60);
    ProvisioningStep::ALL
        .into_iter()
        .filter(|step| all || *step == login.step)
        .map(|step| {
            let words = match step {
                ProvisioningStep::OpenBrowser if login.needs_code() => "show the address",
                step => step.description(),
            };
            if step < login.step {
                return Line::styled(format!(" ✓ {words}"), theme.success());
            }
            if step > login.step {
                return Line::styled(format!("   {words}"), theme.dim());
            }
            if login.error.is_some() {
                return Line::styled(format!(" ✗ {words}"), theme.error());
            }
            let left = login
                .consent_time_left(model.now)
                .map(|left| format!(", {} left", clock(left.as_secs())))
                .unwrap_or_default();
            Line::from(vec![
                Span::styled(format!(" ▸ {words}"), theme.strong()),
                Span::styled(format!("  {} elapsed{left}", clock(now)), theme.dim()),
            ])
        })
        .collect()
}

/// What stands below the address.
fn format_messages(login: &SignInScreen, theme: Theme) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    if let Some(trouble) = &login.error {
        lines.push(Line::default());
        lines.extend(text::format_error(trouble, theme));
    } else if let Some(notice) = &login.notice {
        lines.push(Line::default());
        lines.push(Line::styled(to_sentence(notice), theme.warning()));
    }
    lines
}

/// The code is as good as the key until it is used: it is never shown.
fn draw_code_field(
    code: &TextField,
    problem: Option<&'static str>,
    theme: Theme,
    frame: &mut Frame<'_>,
    area: Rect,
) {
    frame.render_widget(Line::styled(" ▸ Code", theme.accent()), area);
    let masked = "•".repeat(code.text().chars().count());
    let at = Rect { x: area.x + 9, width: area.width.saturating_sub(10), ..area };
    match problem {
        Some(words) => frame.render_widget(Line::styled(format!("✗ {words}"), theme.error()), at),
        None => text::draw_text_field(code, &masked, true, theme, frame, at),
    }
}

/// Pieces of `width` characters; an address is ASCII.
fn split_address(text: &str, width: usize) -> Vec<&str> {
    text.as_bytes()
        .chunks(width.max(1))
        .filter_map(|piece| std::str::from_utf8(piece).ok())
        .collect()
}

/// The address for a phone's camera: dark on light whatever the theme, since cameras want it so.
fn draw_qr(url: &str, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let code = QrImage::encode(url);
    match code {
        Some(code) if code.fits(usize::from(area.width), usize::from(area.height)) => {
            let style = Style::new().fg(Color::Black).bg(Color::White);
            let lines = code.lines.into_iter().map(|line| Line::styled(line, style)).collect();
            text::draw_paragraph(frame, area, lines);
        }
        code => {
            let needs = code.map_or(String::new(), |code| {
                format!(
                    " It needs {} columns and {} rows here.",
                    code.columns,
                    code.lines.len() + 5
                )
            });
            let words = format!(
                "The QR code of this address does not fit this terminal.{needs} # goes back to the address."
            );
            text::draw_paragraph(
                frame,
                text::inset(area),
                vec![Line::default(), Line::styled(words, theme.warning())],
            );
        }
    }
}
