//! The help, at several sizes.

use super::*;

#[test]
fn help_lists_the_active_key_bindings() {
    let mut model = loaded_model((80, 24));
    want(&mut model, &[Intent::ToggleHelp]);
    insta::assert_snapshot!(drawn(&model));
}

#[test]
fn help_has_two_pages_at_80_by_24() {
    let mut model = loaded_model((80, 24));
    model.is_sandbox = true;
    want(&mut model, &[Intent::ToggleHelp]);
    let first = drawn(&model);
    want(&mut model, &[Intent::Move(1)]);
    let second = drawn(&model);
    assert!(first.contains("↓ next page (1 of 2)"), "{first}");
    assert!(second.contains("all that do not match") && second.contains("2 of 2"), "{second}");
}

#[test]
fn help_shows_every_binding_on_the_smallest_terminal() {
    let mut model = loaded_model(view::MIN_TERMINAL_SIZE);
    want(&mut model, &[Intent::ToggleHelp]);
    let mut text = String::new();
    for _ in 0..4 {
        text += &drawn(&model);
        want(&mut model, &[Intent::Move(1)]);
    }
    assert!(drawn(&model).contains("1 of 4"), "{}", drawn(&model));
    let mut keys_seen = Vec::new();
    for binding in screen_bindings(&model) {
        let key = binding.key_text();
        if keys_seen.contains(&key) {
            continue;
        }
        assert!(text.contains(&format!(" {:<11}{}", key, binding.action.short_text())), "{key}");
        keys_seen.push(key);
    }
}
