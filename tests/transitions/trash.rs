//! Removed keys: undo right after the removal, and the screen that lists them.

use super::*;

fn trashed(label: &str) -> TrashedKey {
    TrashedKey { removed_at: now(), key: key(label) }
}

fn remove(model: &mut Model, removed: &[&str]) {
    send_intent(model, Intent::Remove);
    send_intent(model, Intent::Yes);
    for label in removed {
        let result = Ok(Some(trashed(label)));
        send(model, Msg::KeyRemoved { label: label.parse().unwrap(), result });
    }
}

#[test]
fn undo_restores_the_removed_key_at_once() {
    let mut model = model_with_keys(&["a", "b"]);
    remove(&mut model, &["a"]);
    assert!(matches!(&model.notice, Some(Ok(text)) if text.contains("press u to undo")));
    let effects = send_intent(&mut model, Intent::Undo);
    let [Effect::RestoreKeys(keys)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(keys[..], [trashed("a")]);
    send(&mut model, Msg::KeyRestored { trashed: trashed("a"), result: Ok(key("a")) });
    assert!(labels(&model).contains(&"a"));
    send_intent(&mut model, Intent::Undo);
    assert!(matches!(&model.notice, Some(Ok(text)) if text.contains("nothing to undo")));
}

#[test]
fn a_removed_key_that_is_disabled_is_said_to_stay_disabled() {
    let mut disabled = key("a");
    (disabled.disabled, disabled.rejected_at) = (Some(true), Some(now()));
    let mut model = model_with_keys(&["b"]);
    model.dashboard.upsert_key(disabled, now());
    send_intent(&mut model, Intent::MoveToBottom);
    remove(&mut model, &["a"]);
    let Some(Ok(text)) = &model.notice else { panic!("{:?}", model.notice) };
    assert!(text.contains("stays disabled at OpenRouter"), "{text}");
}

#[test]
fn undo_restores_all_keys_of_one_removal_and_not_those_of_an_earlier_one() {
    let mut model = model_with_keys(&["a", "b", "c"]);
    remove(&mut model, &["a"]);
    send_intent(&mut model, Intent::ToggleMark);
    send_intent(&mut model, Intent::ToggleMark);
    remove(&mut model, &["b", "c"]);
    send_intent(&mut model, Intent::Back);
    let effects = send_intent(&mut model, Intent::Undo);
    let [Effect::RestoreKeys(keys)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(keys[..], [trashed("b"), trashed("c")]);
}

#[test]
fn a_key_that_cannot_be_restored_stays_in_the_list_and_the_error_is_shown() {
    let mut model = model_with_keys(&["a"]);
    let effects = send_intent(&mut model, Intent::OpenTrash);
    let [Effect::Request(ticket, Request::LoadTrash)] = effects[..] else { panic!("{effects:?}") };
    let loaded = Response::TrashLoaded(Ok(vec![trashed("x"), trashed("y")]));
    send(&mut model, Msg::Response(ticket, loaded));
    send_intent(&mut model, Intent::Move(5));
    let effects = send_intent(&mut model, Intent::Enter);
    let [Effect::RestoreKeys(keys)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(keys[..], [trashed("y")]);
    let failed = Err(user_error(ErrorKind::SecretStore));
    let effects = send(&mut model, Msg::KeyRestored { trashed: trashed("y"), result: failed });
    assert!(matches!(&model.notice, Some(Err(_))));
    // Someone else may have restored it.
    let [Effect::Request(ticket, Request::LoadTrash)] = effects[..] else { panic!("{effects:?}") };
    let loaded = || Response::TrashLoaded(Ok(vec![trashed("x"), trashed("y")]));
    send(&mut model, Msg::Response(ticket, loaded()));
    let Screen::Trash(screen) = &model.screen else { panic!("{:?}", model.screen) };
    assert_eq!(screen.selected_key(), Some(&trashed("y")));
    send(&mut model, Msg::KeyRestored { trashed: trashed("y"), result: Ok(key("y")) });
    let Screen::Trash(screen) = &model.screen else { panic!("{:?}", model.screen) };
    assert_eq!(screen.keys.as_deref(), Some(&[trashed("x")][..]));
    assert_eq!(screen.selected_key(), Some(&trashed("x")));
    send_intent(&mut model, Intent::Back);
    assert!(matches!(model.screen, Screen::Dashboard));
}
