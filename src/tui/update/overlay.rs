//! Handles intents while the help, the palette, the message log, the account or the list of profiles covers
//! the screen.

use super::profiles;
use crate::tui::state::{Intent, MessageView, Model, Overlay, Palette, scroll_by};

/// Returns the intent that the screen below handles, if there is one.
pub(super) fn handle_intent(model: &mut Model, intent: Intent) -> Option<Intent> {
    match intent {
        Intent::ToggleHelp => {
            let is_open = matches!(model.overlay, Some(Overlay::Help { .. }));
            model.overlay = (!is_open).then_some(Overlay::Help { page: 0 });
            return None;
        }
        Intent::ToggleMessages => {
            let is_open = matches!(model.overlay, Some(Overlay::Messages(_)));
            model.overlay = (!is_open).then(|| Overlay::Messages(MessageView::default()));
            return None;
        }
        Intent::ToggleAccount => {
            let is_open = matches!(model.overlay, Some(Overlay::Account { .. }));
            model.overlay = (!is_open).then_some(Overlay::Account { scroll: 0 });
            return None;
        }
        Intent::OpenPalette => {
            model.dashboard.hide_revealed_key();
            model.overlay = Some(Overlay::Palette(Palette::default()));
            return None;
        }
        _ => {}
    }
    let (message_count, profile_count) = (model.messages.len(), model.profiles.len());
    match (&mut model.overlay, intent) {
        (None, intent) => return Some(intent),
        (Some(_), Intent::Back) | (Some(Overlay::Profiles(_)), Intent::OpenProfiles) => {
            model.overlay = None;
        }
        (Some(Overlay::Help { page }), Intent::Move(by)) => *page = page.saturating_add_signed(by),
        (Some(Overlay::Palette(palette)), intent) => edit_palette(palette, intent),
        (Some(Overlay::Messages(view)), intent) => {
            let selected = match intent {
                Intent::Move(by) => view.selected.saturating_add_signed(by),
                Intent::MovePage(by) => view.selected.saturating_add_signed(by.saturating_mul(10)),
                Intent::MoveToTop => 0,
                Intent::MoveToBottom => usize::MAX,
                _ => view.selected,
            };
            view.selected = selected.min(message_count.saturating_sub(1));
        }
        (Some(Overlay::Profiles(picker)), intent) => {
            let chosen = profiles::handle_intent(picker, profile_count, intent);
            if chosen.is_some() {
                model.overlay = None;
            }
            return chosen;
        }
        (Some(Overlay::Account { scroll }), Intent::Move(by)) => *scroll = scroll_by(*scroll, by),
        (Some(Overlay::Account { scroll }), Intent::MovePage(by)) => {
            *scroll = scroll_by(*scroll, by.saturating_mul(10));
        }
        (Some(Overlay::Account { scroll }), Intent::MoveToTop) => *scroll = 0,
        (Some(Overlay::Account { scroll }), Intent::MoveToBottom) => *scroll = u16::MAX,
        (Some(Overlay::Account { .. }), Intent::NextScope) => {
            model.overlay = None;
            return Some(Intent::NextScope);
        }
        (Some(Overlay::Help { .. } | Overlay::Account { .. }), _) => {}
    }
    None
}

fn edit_palette(palette: &mut Palette, intent: Intent) {
    match intent {
        Intent::Move(by) => {
            palette.moved_by = palette.moved_by.saturating_add_signed(by);
            return;
        }
        Intent::TypeChar(c) => palette.query.insert(c),
        Intent::Paste(text) => palette.query.paste(&text),
        Intent::EditText(request) => palette.query.edit(request),
        _ => return,
    }
    palette.moved_by = 0;
}
