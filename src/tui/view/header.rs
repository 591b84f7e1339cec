//! The top line: what this is, where one is, and whether it is for real.

use ratatui::Frame;
use ratatui::layout::{Alignment, Rect};
use ratatui::text::{Line, Span};

use super::Theme;
use super::text::truncate;
use crate::tui::state::{ConfirmKind, FormKind, KeyList, KeyScope, Model, Operation, Screen};

pub fn draw(model: &Model, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let here = if model.help_page.is_some() {
        "help".to_owned()
    } else {
        match &model.screen {
            Screen::Dashboard => match &model.dashboard.keys {
                KeyList::Loaded(_) if model.dashboard.scope != KeyScope::Stored => {
                    model.dashboard.scope.description().to_owned()
                }
                KeyList::Loaded(_) if !model.dashboard.stored_keys().is_empty() => {
                    let count = model.dashboard.stored_keys().len();
                    format!("{count} {} held", if count == 1 { "key" } else { "keys" })
                }
                KeyList::Loaded(_) | KeyList::Loading | KeyList::Failed(_) => "keys".to_owned(),
            },
            Screen::Form(form) => match &form.kind {
                FormKind::New => "a new key".to_owned(),
                FormKind::Edit { key: held, .. } => format!("change {}", held.label),
                FormKind::Import => "a key from elsewhere".to_owned(),
            },
            Screen::SignIn(login) => match (&login.operation, login.operation.label()) {
                (Operation::CreateKey { .. }, Some(label)) => format!("signing in for {label}"),
                (Operation::RotateKey { .. }, Some(label)) => format!("another key for {label}"),
                (Operation::RespondToLeak(_), Some(label)) => format!("{label} leaked"),
                (Operation::ApplyPlan(plan), _) => {
                    let (done, all) = plan.creation_counts();
                    format!("applying a plan: {done} of {all} cut")
                }
                (_, None) => String::new(),
            },
            Screen::NewKey(reveal) => reveal.entry.label.to_string(),
            Screen::Confirm(ask) => match ask.kind {
                ConfirmKind::Rotate => "rotate".to_owned(),
                ConfirmKind::RespondToLeak => "it leaked".to_owned(),
                ConfirmKind::Revoke => "delete at OpenRouter".to_owned(),
            },
            Screen::ActionResults(_) => "what was done".to_owned(),
            Screen::Plan(plan) if plan.is_finished => "a plan, applied".to_owned(),
            Screen::Plan(_) => "a plan of keys".to_owned(),
        }
    };
    let world = if model.is_sandbox {
        Span::styled("SANDBOX: an imitation, no real keys ", theme.warning())
    } else {
        let host = model.server.split_once("://").map_or(&*model.server, |(_, host)| host);
        Span::styled(format!("{host} "), theme.dim())
    };
    let here_width = Span::raw(&*here).width();
    let room = usize::from(area.width).saturating_sub(world.width() + 14);
    // The figures' own time, to the minute: nothing has to be repainted for it.
    let checked = match (&model.screen, model.refresh.last_success_at) {
        (Screen::Dashboard, Some(at)) if model.help_page.is_none() => {
            at.strftime(" · as of %H:%M UTC").to_string()
        }
        _ => String::new(),
    };
    frame.render_widget(
        Line::from(vec![
            Span::styled(" Keywright", theme.strong().patch(theme.accent())),
            Span::styled(" · ", theme.dim()),
            Span::raw(truncate(&here, room)),
            Span::styled(
                if here_width + checked.len() <= room { checked } else { String::new() },
                theme.dim(),
            ),
        ]),
        area,
    );
    let width = u16::try_from(world.width()).unwrap_or(area.width).min(area.width);
    let right = Rect { x: area.right() - width, width, ..area };
    frame.render_widget(Line::from(world).alignment(Alignment::Right), right);
}
