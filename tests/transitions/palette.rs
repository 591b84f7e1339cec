//! The palette: what it finds, and what it runs.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use keywright::tui::keymap::{
    intent_for_key, palette_entries, run_entry, screen_bindings, selected_entry,
};
use keywright::tui::state::{Overlay, Palette};

use super::overlay::{press, press_chars};
use super::*;

#[test]
fn palette_finds_every_action_by_its_own_words_and_runs_it() {
    let mut model = model_with_keys(&["laptop", "ci"]);
    for binding in screen_bindings(&model) {
        let action = binding.action;
        let moves =
            matches!(binding.intent(), Intent::Move(_) | Intent::OpenPalette | Intent::Interrupt);
        if moves || action.description.is_empty() {
            continue;
        }
        let mut palette = Palette::default();
        palette.query.paste(action.help_text());
        let entries = palette_entries(&model, &palette);
        let is_found = entries
            .iter()
            .any(|entry| entry.text == action.help_text() || entry.key_text == binding.key_text());
        assert!(is_found, "{}", action.help_text());
    }
    press_chars(&mut model, ":");
    assert!(matches!(model.overlay, Some(Overlay::Palette(_))));
    press_chars(&mut model, "creat");
    press(&mut model, KeyCode::Enter);
    assert!(matches!(model.screen, Screen::Form(_)) && model.overlay.is_none());
}

#[test]
fn palette_runs_only_what_works_now() {
    let mut model = model_with_keys(&[]);
    press_chars(&mut model, ":rotate");
    assert!(press(&mut model, KeyCode::Enter).is_empty());
    assert!(matches!(model.overlay, Some(Overlay::Palette(_))));
    press(&mut model, KeyCode::Esc);
    assert!(model.overlay.is_none());
}

#[test]
fn palette_runs_what_is_named_or_selected_and_nothing_else() {
    let model = model_with_keys(&["laptop"]);
    // Letters in order, the middle of a word, punctuation and nothing.
    for typed in [",", ".", "cpy", "opy", "cp as", ""] {
        let mut model = model.clone();
        press_chars(&mut model, &format!(":{typed}"));
        assert!(press(&mut model, KeyCode::Enter).is_empty(), "{typed}");
        assert!(matches!(model.overlay, Some(Overlay::Palette(_))), "{typed}");
    }
    for typed in ["c", "cop", "COPY", "copy, or several", "several"] {
        let mut model = model.clone();
        press_chars(&mut model, &format!(":{typed}"));
        let effects = press(&mut model, KeyCode::Enter);
        assert!(matches!(effects[..], [Effect::CopyStoredKey(_)]), "{typed}");
    }
    let mut model = model;
    press_chars(&mut model, ":cpy");
    press(&mut model, KeyCode::Down);
    assert!(matches!(press(&mut model, KeyCode::Enter)[..], [Effect::CopyStoredKey(_)]));
    // Another character ends the selection.
    press_chars(&mut model, ":cp");
    press(&mut model, KeyCode::Down);
    press_chars(&mut model, "y");
    assert!(press(&mut model, KeyCode::Enter).is_empty());
}

#[test]
fn arrows_move_through_the_palette_from_what_is_selected() {
    let mut model = model_with_keys(&["laptop"]);
    let selected = |model: &Model| {
        let Some(Overlay::Palette(palette)) = &model.overlay else { panic!() };
        selected_entry(palette, &palette_entries(model, palette))
    };
    press_chars(&mut model, ":");
    assert_eq!(selected(&model), None);
    for (code, expected) in [
        (KeyCode::Up, None),
        (KeyCode::Down, Some(0)),
        (KeyCode::Down, Some(1)),
        (KeyCode::Up, Some(0)),
        (KeyCode::Up, None),
    ] {
        press(&mut model, code);
        assert_eq!(selected(&model), expected);
    }
    press_chars(&mut model, "filter");
    assert_eq!(selected(&model), Some(0));
    for _ in 0..99 {
        press(&mut model, KeyCode::Down);
    }
    assert_eq!(selected(&model), Some(6));
    press(&mut model, KeyCode::Up);
    assert_eq!(selected(&model), Some(5));
}

#[test]
fn ctrl_p_opens_the_palette_on_a_form_and_leaves_the_form_as_it_is() {
    let mut model = model_with_keys(&["laptop"]);
    send_intent(&mut model, Intent::NewKey);
    type_text(&mut model, "new");
    let event = KeyEvent::new(KeyCode::Char('p'), KeyModifiers::CONTROL);
    let intent = intent_for_key(&model, &event).unwrap();
    send_intent(&mut model, intent);
    press_chars(&mut model, "xyz");
    press(&mut model, KeyCode::Esc);
    let Screen::Form(form) = &model.screen else { panic!() };
    assert_eq!(form.label.text(), "new");
}

#[test]
fn enter_in_the_palette_selects_first_and_then_runs() {
    let mut model = model_with_keys(&["laptop"]);
    send_intent(&mut model, Intent::OpenPalette);
    press(&mut model, KeyCode::Enter);
    assert!(matches!(&model.overlay, Some(Overlay::Palette(palette)) if palette.moved_by == 1));
    press(&mut model, KeyCode::Enter);
    assert!(model.overlay.is_none(), "{:?}", model.overlay);
    assert!(matches!(model.screen, Screen::Form(_)));
}

#[test]
fn palette_finds_an_action_by_its_name_and_by_what_others_call_it() {
    let model = model_with_keys(&["laptop"]);
    for (typed, intent) in [
        ("trash", Intent::OpenTrash),
        ("delete", Intent::Remove),
        ("rename", Intent::EditKey),
        ("panic", Intent::RespondToLeak),
        ("exit", Intent::Quit),
        ("colors", Intent::NextTheme),
    ] {
        let mut palette = Palette::default();
        palette.query.paste(typed);
        let entries = palette_entries(&model, &palette);
        let found = run_entry(&entries, 0);
        assert_eq!(found, Some(Intent::RunFromPalette(Box::new(intent))), "{typed}");
    }
}

#[test]
fn palette_does_not_find_letters_that_are_scattered_over_words() {
    let model = model_with_keys(&["laptop"]);
    let found = |typed: &str| {
        let mut palette = Palette::default();
        palette.query.paste(typed);
        let entries = palette_entries(&model, &palette);
        entries.into_iter().map(|entry| entry.text).collect::<Vec<_>>()
    };
    let spend = found("spend");
    assert!(spend.contains(&"credits, spending, models"), "{spend:?}");
    assert!(!spend.iter().any(|text| text.contains("expire")), "{spend:?}");
    assert_eq!(found("rotte"), ["rotate: get a new key"], "a letter may be missing");
    assert_eq!(found("new rot"), ["rotate: get a new key"], "words have any order");
}
