//! The top line: what this is, where one is, and whether it is for real.

use ratatui::Frame;
use ratatui::layout::{Alignment, Rect};
use ratatui::text::{Line, Span};

use super::Theme;
use super::text::fit;
use crate::app::{Keys, Model, Screen};

pub fn draw(model: &Model, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let here = if model.help {
        "help".to_owned()
    } else {
        match &model.screen {
            Screen::Dashboard => match &model.dashboard.keys {
                Keys::Loaded(keys) if keys.len() == 1 => "1 key held".to_owned(),
                Keys::Loaded(keys) if !keys.is_empty() => format!("{} keys held", keys.len()),
                Keys::Loaded(_) | Keys::Loading | Keys::Failed(_) => "keys".to_owned(),
            },
            Screen::Form(_) => "a new key".to_owned(),
            Screen::Login(login) => format!("signing in for {}", login.request.label),
            Screen::Reveal(reveal) => reveal.held.label.to_string(),
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
        (Screen::Dashboard, Some(at)) if !model.help => {
            at.strftime(" · as of %H:%M UTC").to_string()
        }
        _ => String::new(),
    };
    frame.render_widget(
        Line::from(vec![
            Span::styled(" Keywright", theme.strong().patch(theme.accent())),
            Span::styled(" · ", theme.dim()),
            Span::raw(fit(&here, room)),
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
