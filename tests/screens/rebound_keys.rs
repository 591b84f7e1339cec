//! With every key bound to another one, no text names a built-in key.

use keywright::tui::keymap::{action_names, active_bindings, resolve_key_overrides};

use super::*;

/// Binds every action that can be configured to a key that no text contains by chance.
fn rebind(model: &mut Model) {
    let letters = ('a'..='z').chain('A'..='Z');
    let keys: Vec<String> = letters.map(|letter| format!("ctrl-alt-{letter}")).collect();
    let names = action_names().iter().map(|(name, _)| *name);
    let bindings = names.zip(keys.iter().map(String::as_str));
    let (overrides, problems) = resolve_key_overrides(bindings);
    assert!(problems.is_empty(), "{problems:?}");
    model.key_overrides = overrides;
}

/// Returns the built-in keys that a text names as something to press, except those of `fixed`.
fn named_keys(text: &str, fixed: &[String]) -> Vec<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let is_key = |key: &str| {
        let is_built_in = action_names().iter().any(|(_, keys)| keys.split(' ').any(|k| k == key));
        is_built_in && !fixed.iter().any(|other| other == key)
    };
    let verbs = ["shows", "opens", "adds", "stores", "creates", "tries", "dismisses", "enables"];
    let named = |(at, word): (usize, &&str)| {
        let key = word.trim_matches(['(', ')']).trim_end_matches([':', ',', ';', '.']);
        let key = if *word == ":" { ":" } else { key };
        let follows = |others: &[&str]| {
            words.get(at + 1).is_some_and(|next| others.contains(&next.trim_end_matches('.')))
        };
        let is_pressed = at > 0 && ["press", "Press"].contains(&words[at - 1]);
        let is_word = matches!(
            key,
            "a" | "enter" | "space" | "tab" | "!" | "/" | ":" | "?" | "s" | "d" | "h" | "$" | "A"
        );
        let is_explained = follows(&verbs) || is_pressed || (word.ends_with(':') && key != ":");
        (is_key(key) && (is_explained || !is_word)).then(|| word.to_string())
    };
    words.iter().enumerate().filter_map(named).collect()
}

/// Draws the screen at several sizes and looks for built-in keys in it and in all messages.
fn check(model: &mut Model) {
    // Keys that cannot be configured, such as the answers of a question.
    let mut fixed: Vec<String> = Vec::new();
    for binding in active_bindings(model).iter().filter(|binding| binding.action.name.is_empty()) {
        fixed.extend(binding.key_text().split(' ').map(str::to_owned));
    }
    // The first answer of the question about a removal.
    fixed.push("r".into());
    for size in [(60, 16), (120, 40), (160, 50)] {
        update(model, Msg::Resized(size.0, size.1), now());
        let text = screen(model, Theme::NoColor).backend().to_string();
        let text: Vec<&str> = text.lines().map(|row| row.trim_matches('"')).collect();
        let found = named_keys(&text.join("\n"), &fixed);
        assert_eq!(found, Vec::<String>::new(), "{size:?}\n{}", text.join("\n"));
    }
    for message in &model.messages {
        let text = format!("{message:?}").replace(['"', '{', '}'], " ");
        assert_eq!(named_keys(&text, &fixed), Vec::<String>::new(), "{text}");
    }
}

fn dashboards() -> Vec<Model> {
    let mut without_management = in_every_state((80, 24));
    without_management.account.lacks_management_key = true;
    let mut empty = model((80, 24));
    update(&mut empty, Msg::Response(Ticket(1), Response::KeysLoaded(Ok(Vec::new()))), now());
    let mut failed = model((80, 24));
    let error = UserError::new(ErrorKind::Failed, "the inventory is damaged", "mend the file");
    update(&mut failed, Msg::Response(Ticket(1), Response::KeysLoaded(Err(error))), now());
    let mut unresolved = loaded_model((80, 24));
    unresolved.dashboard.unresolved_attempts = vec![UnresolvedAttempt {
        waits_for_store: false,
        id: "1".into(),
        label: "lost".parse().unwrap(),
        server: "https://openrouter.ai".into(),
        started_at: "2026-11-24T09:00:00Z".parse().unwrap(),
    }];
    let mut filtered = loaded_model((80, 24));
    want(&mut filtered, &[Intent::EditFilter]);
    type_text(&mut filtered, "nothing has this label");
    want(&mut filtered, &[Intent::Enter]);
    vec![in_every_state((80, 24)), without_management, empty, failed, unresolved, filtered]
}

#[test]
fn no_text_names_a_built_in_key_that_the_configuration_replaced() {
    let intents = [
        Intent::NewKey,
        Intent::ImportKey,
        Intent::EditKey,
        Intent::ToggleDisabled,
        Intent::Rotate,
        Intent::RespondToLeak,
        Intent::Remove,
        Intent::Undo,
        Intent::Copy,
        Intent::ToggleReveal,
        Intent::ToggleMark,
        Intent::ToggleDetails,
        Intent::TogglePane,
        Intent::NextAttention,
        Intent::NextScope,
        Intent::ToggleAccount,
        Intent::ToggleMessages,
        Intent::ToggleHelp,
        Intent::OpenManagement,
        Intent::OpenPlan,
        Intent::OpenProfiles,
        Intent::OpenTrash,
        Intent::DismissAttempt,
        Intent::Reload,
        Intent::NextTheme,
    ];
    for intent in &intents {
        for mut model in dashboards() {
            rebind(&mut model);
            check(&mut model);
            want(&mut model, std::slice::from_ref(intent));
            check(&mut model);
        }
        let mut marked = in_every_state((80, 24));
        rebind(&mut marked);
        want(&mut marked, &[Intent::ToggleMark, Intent::ToggleMark, intent.clone()]);
        check(&mut marked);
    }
    for paste in [false, true] {
        let mut model = waiting((80, 24), paste);
        rebind(&mut model);
        check(&mut model);
    }
    let error = UserError::new(ErrorKind::SecretStore, "the keychain is locked", "unlock it");
    let entry = key("laptop2", None, None, None);
    let mut unstored = revealed(ProvisioningOutcome::NotStored { entry, key: secret(), error });
    rebind(&mut unstored);
    check(&mut unstored);
}

#[test]
fn what_a_key_opens_it_closes_also_where_it_is_another_one() {
    for (intent, name) in [
        (Intent::ToggleHelp, "help"),
        (Intent::ToggleMessages, "messages"),
        (Intent::ToggleAccount, "spending"),
        (Intent::OpenTrash, "trash"),
    ] {
        for key in ["ctrl-alt-z", "esc"] {
            let mut model = loaded_model((80, 24));
            model.key_overrides = resolve_key_overrides([(name, "ctrl-alt-z")]).0;
            let before = drawn(&model);
            want(&mut model, std::slice::from_ref(&intent));
            assert_ne!(drawn(&model), before, "{name}");
            let press: keywright::tui::state::KeyPress = key.parse().unwrap();
            let event = crossterm::event::KeyEvent::new(press.code, press.modifiers);
            let closes = intent_for_key(&model, &event).unwrap();
            want(&mut model, &[closes]);
            assert_eq!(drawn(&model), before, "{name} {key}");
        }
    }
}
