//! Events of the Windows console.

use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers, MouseEventKind};

/// Returns the event as other terminals report it, or `None` for an event that they do not have: each
/// released key, and each move of the mouse.
pub(super) fn normalize_console_event(mut event: Event) -> Option<Event> {
    match &mut event {
        Event::Key(key) if key.kind == KeyEventKind::Release => return None,
        Event::Key(key) => {
            // AltGr is reported as ctrl and alt, and types a character.
            let alt_gr = KeyModifiers::CONTROL | KeyModifiers::ALT;
            if matches!(key.code, KeyCode::Char(_)) && key.modifiers.contains(alt_gr) {
                key.modifiers -= alt_gr;
            }
        }
        Event::Mouse(mouse) => {
            if matches!(mouse.kind, MouseEventKind::Moved | MouseEventKind::Drag(_)) {
                return None;
            }
        }
        Event::FocusGained | Event::FocusLost | Event::Paste(_) | Event::Resize(..) => {}
    }
    Some(event)
}

#[cfg(test)]
mod tests {
    use crossterm::event::{KeyEvent, MouseButton, MouseEvent};

    use super::*;

    fn key(c: char, modifiers: KeyModifiers) -> Event {
        Event::Key(KeyEvent::new(KeyCode::Char(c), modifiers))
    }

    #[test]
    fn a_released_key_is_no_event() {
        let mut released = KeyEvent::from(KeyCode::Char('c'));
        released.kind = KeyEventKind::Release;
        assert_eq!(normalize_console_event(Event::Key(released)), None);
        let pressed = key('c', KeyModifiers::CONTROL);
        assert_eq!(normalize_console_event(pressed.clone()), Some(pressed));
    }

    #[test]
    fn alt_gr_types_a_character() {
        let alt_gr = KeyModifiers::CONTROL | KeyModifiers::ALT;
        for c in ['@', '\\', '€', '~'] {
            let typed = normalize_console_event(key(c, alt_gr));
            assert_eq!(typed, Some(key(c, KeyModifiers::NONE)));
        }
        let alt = key('x', KeyModifiers::ALT);
        assert_eq!(normalize_console_event(alt.clone()), Some(alt));
        let f1 = Event::Key(KeyEvent::new(KeyCode::F(1), alt_gr));
        assert_eq!(normalize_console_event(f1.clone()), Some(f1));
    }

    #[test]
    fn clicks_and_the_wheel_are_events_and_moves_are_not() {
        let mouse = |kind| {
            Event::Mouse(MouseEvent { kind, column: 1, row: 2, modifiers: KeyModifiers::NONE })
        };
        for kind in [MouseEventKind::Down(MouseButton::Left), MouseEventKind::ScrollUp] {
            assert_eq!(normalize_console_event(mouse(kind)), Some(mouse(kind)));
        }
        for kind in [MouseEventKind::Moved, MouseEventKind::Drag(MouseButton::Left)] {
            assert_eq!(normalize_console_event(mouse(kind)), None);
        }
    }

    /// Returns the events of a paste: a console types a press and a release for each character.
    #[test]
    fn characters_that_the_console_types_at_once_are_a_paste() {
        use crate::tui::keymap::join_burst;
        let press_and_release = |c: char| {
            let mut released = KeyEvent::from(KeyCode::Char(c));
            released.kind = KeyEventKind::Release;
            [Event::Key(KeyEvent::from(KeyCode::Char(c))), Event::Key(released)]
        };
        let typed = "dPx".chars().flat_map(press_and_release);
        let events = typed.filter_map(normalize_console_event).collect();
        assert_eq!(join_burst(events), [Event::Paste("dPx".into())]);
    }
}
