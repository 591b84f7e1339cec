//! The top line: the figures of all keys or the name of the screen, and the server or the sandbox.

use ratatui::Frame;
use ratatui::layout::{Alignment, Rect};
use ratatui::text::{Line, Span};

use super::line::draw_line;
use super::text::truncate;
use super::{Theme, overview};
use crate::tui::state::{
    ConfirmKind, FormKind, KeyList, KeyScope, Model, Operation, Overlay, Screen,
};

pub fn draw(model: &Model, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let title = if let Some(Overlay::Help { .. }) = model.overlay {
        "help".to_owned()
    } else if let Some(Overlay::Messages(_)) = model.overlay {
        "messages".to_owned()
    } else if let Some(Overlay::Account { .. }) = model.overlay {
        "account".to_owned()
    } else {
        match &model.screen {
            Screen::Dashboard => match &model.dashboard.keys {
                KeyList::Loaded(_) if model.dashboard.scope != KeyScope::Stored => {
                    model.dashboard.scope.description().to_owned()
                }
                KeyList::Loaded(_) | KeyList::Loading | KeyList::Failed(_) => "keys".to_owned(),
            },
            Screen::Form(form) => match &form.kind {
                FormKind::New => "a new key".to_owned(),
                FormKind::Edit { key, .. } => format!("edit {}", key.label),
                FormKind::Import => "import a key".to_owned(),
            },
            Screen::SignIn(state) => match (&state.operation, state.operation.label()) {
                (Operation::CreateKey { .. }, Some(label)) => format!("signing in for {label}"),
                (Operation::RotateKey { .. }, Some(label)) => format!("rotating {label}"),
                (Operation::RotateKeys { keys, current, .. }, Some(label)) => {
                    format!("rotating {label}: {} of {}", current + 1, keys.len())
                }
                (Operation::RespondToLeak(_), Some(label)) => format!("{label} leaked"),
                (Operation::ApplyPlan(plan), _) => {
                    let (done, all) = plan.creation_counts();
                    format!("applying a plan: {done} of {all} created")
                }
                (_, None) => String::new(),
            },
            Screen::NewKey(state) => state.entry.label.to_string(),
            Screen::Confirm(dialog) => match dialog.kind {
                ConfirmKind::Rotate => "rotate".to_owned(),
                ConfirmKind::RespondToLeak => "leak response".to_owned(),
                ConfirmKind::Revoke => "revoke at OpenRouter".to_owned(),
                ConfirmKind::ConfirmAccount => "another account".to_owned(),
            },
            Screen::ActionResults(_) => "results".to_owned(),
            Screen::Plan(_) => "plan".to_owned(),
            Screen::Management(_) => "management key".to_owned(),
            Screen::Trash(_) => "trash: removed keys".to_owned(),
            Screen::Limits(_) => "edit limits".to_owned(),
        }
    };
    let environment = if model.is_sandbox {
        Span::styled("SANDBOX: no real keys ", theme.warning())
    } else {
        let host = model.server.split_once("://").map_or(&*model.server, |(_, host)| host);
        // The name of the default profile is not shown.
        let profile = if model.profile.is_default() {
            String::new()
        } else {
            format!("profile {} · ", model.profile)
        };
        Span::styled(format!("{profile}{host} "), theme.dim())
    };
    let name = Span::styled(" Keywright", theme.strong().patch(theme.accent()));
    let is_dashboard =
        matches!(&model.screen, Screen::Dashboard | Screen::Confirm(_) | Screen::ActionResults(_));
    let shows_figures = is_dashboard
        && model.overlay.is_none()
        && !model.dashboard.stored_keys().is_empty()
        && model.dashboard.scope == KeyScope::Stored;
    let width = usize::from(area.width);
    let mut line = Line::from(name);
    let environment = if shows_figures {
        // Where there is little room, the figures matter more than the known server.
        let environment = match (model.is_sandbox, width < 100) {
            (true, true) => Span::styled("SANDBOX ", theme.warning()),
            (false, true) if model.profile.is_default() => Span::raw(""),
            (false, true) => Span::styled(format!("{} ", model.profile), theme.dim()),
            (_, false) => environment,
        };
        let room = width.saturating_sub(line.width() + environment.width() + 1);
        line.extend(overview::format_figures(model, theme, room));
        environment
    } else {
        let room = width.saturating_sub(environment.width() + 14);
        line.push_span(Span::styled(" · ", theme.dim()));
        line.push_span(Span::raw(truncate(&title, room)));
        environment
    };
    draw_line(&line, area, frame.buffer_mut());
    let width = u16::try_from(environment.width()).unwrap_or(area.width).min(area.width);
    let right = Rect { x: area.right() - width, width, ..area };
    draw_line(&Line::from(environment).alignment(Alignment::Right), right, frame.buffer_mut());
}
