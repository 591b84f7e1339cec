//! The footer, the message log, the account page and the mouse.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use keywright::tui::keymap::{
    Safety, footer_items, intent_for_key, palette_entries, screen_bindings,
};
use keywright::tui::state::{Attention, KeyOverrides, MessageView, Overlay};
use keywright::tui::view::intent_at;

use super::*;

pub(super) fn press(model: &mut Model, code: KeyCode) -> Vec<Effect> {
    let event = KeyEvent::new(code, KeyModifiers::NONE);
    intent_for_key(model, &event).map(|intent| send_intent(model, intent)).unwrap_or_default()
}

pub(super) fn press_chars(model: &mut Model, text: &str) {
    for c in text.chars() {
        press(model, KeyCode::Char(c));
    }
}

fn footer(model: &Model, columns: u16) -> String {
    let items = footer_items(model, columns).into_iter();
    let texts = items
        .map(|item| format!("{} {}", item.binding.key_text(), item.binding.action.description));
    texts.collect::<Vec<_>>().join("  ")
}

#[test]
fn the_account_is_found_by_what_it_shows_and_scrolls() {
    for typed in ["credits", "models", "spending", "usage", "account"] {
        let mut model = model_with_keys(&["laptop"]);
        press_chars(&mut model, &format!(":{typed}"));
        let Some(Overlay::Palette(palette)) = &model.overlay else { panic!() };
        let entries = palette_entries(&model, palette);
        let texts: Vec<_> = entries.iter().take(2).map(|entry| entry.text).collect();
        assert!(texts.contains(&"credits, spending, models"), "{typed}: {texts:?}");
    }
    let mut model = model_with_keys(&["laptop"]);
    press_chars(&mut model, "$jjj");
    assert!(matches!(model.overlay, Some(Overlay::Account { scroll: 3 })));
    model.limit_scroll(1);
    assert!(matches!(model.overlay, Some(Overlay::Account { scroll: 1 })));
    press(&mut model, KeyCode::Esc);
    assert!(model.overlay.is_none());
}

#[test]
fn footer_offers_only_what_works_and_fits() {
    let model = model_with_keys(&[]);
    let text = footer(&model, 78);
    for absent in ["copy", "reveal", "disable", "edit"] {
        assert!(!text.contains(absent), "{text}");
    }
    let mut model = model_with_keys(&["laptop"]);
    assert!(footer(&model, 200).contains("d disable"));
    let account_key = AccountKey { disabled: Some(true), ..account_key("laptop") };
    model.dashboard.record_account_key(&account_key, now());
    let text = footer(&model, 200);
    assert!(text.contains("d enable") && !text.contains("d disable"), "{text}");
    for columns in 58..300 {
        let items = footer_items(&model, columns);
        let last = items.last().unwrap();
        assert!(last.column + last.width <= columns);
        let text = footer(&model, columns);
        assert!(text.contains(": more") && text.ends_with("q quit"), "{columns}: {text}");
    }
}

#[test]
fn a_configured_key_is_pressed_shown_and_found() {
    let mut model = model_with_keys(&["laptop"]);
    let (overrides, problems) =
        keywright::tui::keymap::resolve_key_overrides([("new-key", "ctrl-n"), ("copy", "K")]);
    assert!(problems.is_empty(), "{problems:?}");
    model.key_overrides = overrides;
    assert!(footer(&model, 100).starts_with("ctrl-n new  K copy"));
    assert!(press(&mut model, KeyCode::Char('c')).is_empty());
    assert!(matches!(&press(&mut model, KeyCode::Char('K'))[..], [Effect::CopyStoredKey(_)]));
    model.key_overrides = KeyOverrides::default();
    assert!(matches!(&press(&mut model, KeyCode::Char('c'))[..], [Effect::CopyStoredKey(_)]));
}

#[test]
fn no_single_key_press_changes_a_key_at_the_server() {
    let model = model_with_keys(&["laptop"]);
    for binding in screen_bindings(&model) {
        let mut model = model.clone();
        let effects = send_intent(&mut model, binding.intent());
        let changes = effects.iter().any(|effect| {
            matches!(
                effect,
                Effect::SetKeysDisabled { .. }
                    | Effect::RevokeKeys(_)
                    | Effect::RemoveKeys(_)
                    | Effect::EditLimits(_)
                    | Effect::Request(
                        _,
                        Request::UpdateKey(_)
                            | Request::RotateKey { .. }
                            | Request::RotateKeys { .. }
                    )
            )
        });
        assert!(!changes, "{}", binding.action.help_text());
        let asks = model.question.is_some() || !matches!(model.screen, Screen::Dashboard);
        if binding.action.safety == Safety::Harmless {
            assert!(model.question.is_none(), "{}", binding.action.help_text());
        } else {
            let fetches = !effects.is_empty();
            assert!(asks || fetches || !binding.action.is_enabled(&model));
        }
    }
}

#[test]
fn every_message_is_kept_in_the_log() {
    let mut model = model_with_keys(&["laptop"]);
    for number in 0..3 {
        send(&mut model, Msg::Notice(Ok(format!("message {number}"))));
    }
    send_intent(&mut model, Intent::Move(1));
    assert!(model.notice.is_none());
    assert_eq!(model.messages.len(), 3);
    press_chars(&mut model, "m");
    assert!(matches!(model.overlay, Some(Overlay::Messages(MessageView { selected: 0 }))));
    press_chars(&mut model, "jjjjj");
    assert!(matches!(model.overlay, Some(Overlay::Messages(MessageView { selected: 2 }))));
    press(&mut model, KeyCode::Esc);
    assert!(model.overlay.is_none());
}

#[test]
fn next_attention_goes_through_the_keys_that_need_it_and_around() {
    let expired = |label: &str| {
        let mut key = key(label);
        let info = KeyInfo {
            expires_at: Some(now() - SignedDuration::from_hours(1)).into(),
            ..KeyInfo::default()
        };
        key.record_check(&CheckResult::Valid(Arc::new(info)), now());
        key
    };
    let mut model = model_with_keys(&[]);
    model.dashboard.set_keys(Ok(vec![key("a"), expired("b"), key("c"), expired("d")]), now());
    let selected = |model: &Model| model.dashboard.selected_key().unwrap().label.to_string();
    for label in ["b", "d", "b"] {
        send_intent(&mut model, Intent::NextAttention);
        assert_eq!(selected(&model), label);
    }
    send_intent(&mut model, Intent::SetFilter("c".into()));
    send_intent(&mut model, Intent::NextAttention);
    assert_eq!(selected(&model), "b");
    let mut model = model_with_keys(&["a"]);
    send_intent(&mut model, Intent::NextAttention);
    assert!(matches!(&model.notice, Some(Ok(message)) if message.contains("no key")));
}

#[test]
fn esc_leaves_the_account_view() {
    let mut model = model_with_keys(&["laptop"]);
    model.dashboard.set_scope(KeyScope::All, now());
    press(&mut model, KeyCode::Esc);
    assert_eq!(model.dashboard.scope, KeyScope::Stored);
}

#[test]
fn a_click_in_the_footer_acts_and_one_outside_the_palette_closes_it() {
    let mut model = model_with_keys(&["laptop"]);
    let items = footer_items(&model, 78);
    let commands = items.iter().find(|item| item.binding.action.name == "commands").unwrap();
    let intent = intent_at(&model, commands.column + 1, 23).unwrap();
    send_intent(&mut model, intent);
    assert!(matches!(model.overlay, Some(Overlay::Palette(_))));
    let intent = intent_at(&model, 0, 12).unwrap();
    send_intent(&mut model, intent);
    assert!(model.overlay.is_none());
}

#[test]
fn a_click_on_a_title_sorts_and_a_double_click_opens() {
    let mut model = model_with_keys(&["laptop", "ci"]);
    let click = |model: &mut Model, column, row, millis| {
        let intent = intent_at(model, column, row).unwrap();
        let at = now() + SignedDuration::from_millis(millis);
        update(model, Msg::Intent(intent), at);
    };
    click(&mut model, 5, 3, 0);
    assert_eq!(model.dashboard.sort_order, SortOrder::Label);
    click(&mut model, 5, 5, 0);
    click(&mut model, 5, 5, 900);
    assert!(!model.dashboard.are_details_shown);
    click(&mut model, 5, 5, 1_200);
    assert!(model.dashboard.are_details_shown);
}

/// With `INSTA_UPDATE=always` the README is changed instead. On Windows there is no ctrl-z.
#[cfg(unix)]
#[test]
fn readme_lists_the_built_in_keys() {
    use keywright::tui::keymap::key_table;

    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(path).unwrap();
    let (start, end) = ("<!-- keys: start -->\n", "<!-- keys: end -->");
    let from = readme.find(start).unwrap() + start.len();
    let to = readme.find(end).unwrap();
    let table = format!("\n{}\n", key_table());
    if std::env::var_os("INSTA_UPDATE").is_some_and(|update| update == "always") {
        std::fs::write(path, format!("{}{table}{}", &readme[..from], &readme[to..])).unwrap();
    } else {
        assert_eq!(&readme[from..to], table, "run with INSTA_UPDATE=always to update it");
    }
}

#[test]
fn the_footer_of_80_columns_disables_the_selected_key() {
    let mut model = model_with_keys(&["laptop"]);
    assert!(footer(&model, 78).contains("d disable"), "{}", footer(&model, 78));
    model.dashboard.attention_list = vec![(0, Attention::State(KeyState::Low))];
    assert!(footer(&model, 78).contains("d disable"), "{}", footer(&model, 78));
}

#[test]
fn the_footer_has_what_is_used_most_at_each_width() {
    let model = model_with_keys(&["laptop"]);
    let shown = footer(&model, 78);
    for action in ["n new", "e edit", "/ filter", "R rotate", ": more", "? help", "q quit"] {
        assert!(shown.contains(action), "{action} in {shown}");
    }
    let shown = footer(&model, 118);
    assert!(shown.contains("space mark") && shown.contains("enter open"), "{shown}");
}

#[test]
fn the_page_of_the_account_names_the_key_that_lists_all_keys() {
    let mut model = model_with_keys(&["laptop"]);
    send_intent(&mut model, Intent::ToggleAccount);
    assert_eq!(footer(&model, 78), "a all keys of the account  esc close");
    press(&mut model, KeyCode::Char('a'));
    assert!(model.overlay.is_none() && model.notice.is_some());
}

#[test]
fn the_footer_says_what_esc_clears() {
    let mut model = model_with_keys(&["a", "b"]);
    let esc = |model: &Model| {
        let items = footer_items(model, 78);
        let item = items.iter().find(|item| item.binding.intent() == Intent::Back);
        item.map(|item| item.binding.action.description)
    };
    assert_eq!(esc(&model), None);
    send_intent(&mut model, Intent::ToggleMark);
    assert_eq!(esc(&model), Some("clear marks"));
    send_intent(&mut model, Intent::SetFilter("a".into()));
    assert_eq!(esc(&model), Some("clear filter"));
    send_intent(&mut model, Intent::ToggleDetails);
    assert_eq!(esc(&model), Some("close"));
    let effects = send_intent(&mut model, Intent::OpenTrash);
    let [Effect::Request(ticket, Request::LoadTrash)] = effects[..] else { panic!("{effects:?}") };
    send(&mut model, Msg::Response(ticket, Response::TrashLoaded(Ok(Vec::new()))));
    let items = footer_items(&model, 78);
    let items: Vec<_> = items.iter().map(|item| item.binding.action.description).collect();
    assert_eq!(items, ["to the keys"], "nothing can be restored");
}
