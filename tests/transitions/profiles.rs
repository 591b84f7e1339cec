//! The list of profiles and the switch to another one.

use crossterm::event::{KeyCode, KeyEvent};
use keywright::domain::ProfileName;
use keywright::tui::keymap::intent_for_key;
use keywright::tui::state::{Overlay, ProfileChoice};

use super::*;

fn model_with_profiles(names: &[&str]) -> Model {
    let mut model = model_with_keys(&["laptop"]);
    let choice = |name: &&str| ProfileChoice {
        name: name.parse().unwrap(),
        server: match *name {
            "broken" => Err("line 3: not a URL".into()),
            _ => Ok("https://openrouter.ai".into()),
        },
    };
    model.profiles = names.iter().map(choice).collect();
    model
}

fn press(model: &mut Model, code: KeyCode) -> Vec<Effect> {
    let intent = intent_for_key(model, &KeyEvent::from(code)).unwrap();
    send_intent(model, intent)
}

fn error_message(model: &Model) -> &str {
    &model.notice.as_ref().unwrap().as_ref().unwrap_err().message
}

#[test]
fn p_lists_the_profiles_and_enter_shows_the_selected_one() {
    let mut model = model_with_profiles(&["default", "personal", "work"]);
    assert!(press(&mut model, KeyCode::Char('p')).is_empty());
    assert!(matches!(&model.overlay, Some(Overlay::Profiles(picker)) if picker.selected == 0));
    press(&mut model, KeyCode::Down);
    press(&mut model, KeyCode::Down);
    press(&mut model, KeyCode::Down);
    let effects = press(&mut model, KeyCode::Enter);
    let work: ProfileName = "work".parse().unwrap();
    assert!(matches!(&effects[..], [Effect::SwitchProfile(name)] if *name == work));
    assert!(model.overlay.is_none());
}

#[test]
fn esc_closes_the_list_and_the_shown_profile_is_not_opened_again() {
    let mut model = model_with_profiles(&["default", "work"]);
    press(&mut model, KeyCode::Char('p'));
    press(&mut model, KeyCode::Esc);
    assert!(model.overlay.is_none());
    press(&mut model, KeyCode::Char('p'));
    assert!(press(&mut model, KeyCode::Enter).is_empty());
}

#[test]
fn with_one_profile_p_says_how_to_add_another_one() {
    let mut model = model_with_profiles(&["default"]);
    assert!(press(&mut model, KeyCode::Char('p')).is_empty());
    assert!(model.overlay.is_none());
    let message = model.notice.as_ref().unwrap().as_ref().unwrap();
    assert!(message.contains("[profiles.NAME]"), "{message}");
}

#[test]
fn an_unusable_profile_is_refused_with_its_reason() {
    let mut model = model_with_profiles(&["broken", "default"]);
    press(&mut model, KeyCode::Char('p'));
    press(&mut model, KeyCode::Up);
    assert!(press(&mut model, KeyCode::Enter).is_empty());
    assert_eq!(error_message(&model), "line 3: not a URL");
}

#[test]
fn the_profile_stays_while_a_key_is_created_or_changed() {
    let (mut model, _) = model_awaiting_consent();
    model.profiles = model_with_profiles(&["default", "work"]).profiles;
    send_intent(&mut model, Intent::Back);
    assert!(matches!(model.screen, Screen::Form(_) | Screen::Dashboard));
    model.screen = Screen::Dashboard;
    assert!(send_intent(&mut model, Intent::SwitchProfile(1)).is_empty());
    assert_eq!(
        error_message(&model),
        "'new' is still being created, so the profile cannot be changed now"
    );

    let mut model = model_with_profiles(&["default", "work"]);
    send_intent(&mut model, Intent::ToggleDisabled);
    send_intent(&mut model, Intent::Yes);
    assert!(send_intent(&mut model, Intent::SwitchProfile(1)).is_empty());
    assert!(error_message(&model).starts_with("keys are still being changed"));
    let label: Label = "laptop".parse().unwrap();
    let result = Ok(account_key("laptop"));
    send(&mut model, Msg::KeyDisabledSet { label, result, warning: None });
    assert_eq!(send_intent(&mut model, Intent::SwitchProfile(1)).len(), 1);
}
