//! The top line: what this is, where one is, and whether it is for real.

use ratatui::Frame;
use ratatui::layout::{Alignment, Rect};
use ratatui::text::{Line, Span};

use super::Theme;
use super::text::truncate;
use crate::tui::state::{Deliberation, Errand, Keys, Model, Purpose, Scope, Screen};

pub fn draw(model: &Model, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let here = if model.help.is_some() {
        "help".to_owned()
    } else {
        match &model.screen {
            Screen::Dashboard => match &model.dashboard.keys {
                Keys::Loaded(_) if model.dashboard.scope != Scope::Here => {
                    model.dashboard.scope.as_str().to_owned()
                }
                Keys::Loaded(_) if !model.dashboard.held().is_empty() => {
                    let count = model.dashboard.held().len();
                    format!("{count} {} held", if count == 1 { "key" } else { "keys" })
                }
                Keys::Loaded(_) | Keys::Loading | Keys::Failed(_) => "keys".to_owned(),
            },
            Screen::Form(form) => match &form.purpose {
                Purpose::New => "a new key".to_owned(),
                Purpose::Change { held, .. } => format!("change {}", held.label),
                Purpose::Import => "a key from elsewhere".to_owned(),
            },
            Screen::Login(login) => match (&login.errand, login.errand.label()) {
                (Errand::Cut { .. }, Some(label)) => format!("signing in for {label}"),
                (Errand::Rotate { .. }, Some(label)) => format!("another key for {label}"),
                (Errand::Panic(_), Some(label)) => format!("{label} leaked"),
                (Errand::Apply(plan), _) => {
                    let (done, all) = plan.done();
                    format!("applying a plan: {done} of {all} cut")
                }
                (_, None) => String::new(),
            },
            Screen::Reveal(reveal) => reveal.held.label.to_string(),
            Screen::Ask(ask) => match ask.what {
                Deliberation::Rotate => "rotate".to_owned(),
                Deliberation::Panic => "it leaked".to_owned(),
                Deliberation::Revoke => "delete at OpenRouter".to_owned(),
            },
            Screen::Deeds(_) => "what was done".to_owned(),
            Screen::Plan(plan) if plan.over => "a plan, applied".to_owned(),
            Screen::Plan(_) => "a plan of keys".to_owned(),
        }
    };
    let world = if model.sandbox {
        Span::styled("SANDBOX: an imitation, no real keys ", theme.warning())
    } else {
        let host = model.server.split_once("://").map_or(&*model.server, |(_, host)| host);
        Span::styled(format!("{host} "), theme.dim())
    };
    let here_width = Span::raw(&*here).width();
    let room = usize::from(area.width).saturating_sub(world.width() + 14);
    // The figures' own time, to the minute: nothing has to be repainted for it.
    let checked = match (&model.screen, model.refresh.at) {
        (Screen::Dashboard, Some(at)) if model.help.is_none() => {
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
