//! A dashboard whose keys are in a shared store.

use keywright::domain::{KeyLocation, TrashedKey};
use keywright::tui::state::{Attention, SharedStoreState};

use super::*;

fn shared_key(label: &str) -> StoredKey {
    key(label).with(|key| key.location = KeyLocation::Stored(StoreKind::Bao))
}

/// Returns a dashboard that shows what this machine knew and reads the shared store, and the ticket of
/// that request.
fn start_reading(known: Vec<StoredKey>) -> (Model, Ticket) {
    let shared_store = SharedStoreState { is_in_use: true, is_default: true, is_read_only: false };
    let context =
        AppContext { shared_store, sort_order: SortOrder::CreatedAt, ..AppContext::default() };
    let mut model = Model::new(context, (80, 24), now());
    show_pane(&mut model, false);
    load_keys(&mut model);
    let effects = send(&mut model, Msg::Response(Ticket(1), Response::KeysLoaded(Ok(known))));
    let is_reading =
        |effect: &Effect| matches!(effect, Effect::Request(_, Request::ReadSharedKeys));
    assert!(effects.iter().any(is_reading), "{effects:?}");
    let ticket = model.dashboard.load_ticket.unwrap();
    (model, ticket)
}

fn finish_reading(
    model: &mut Model,
    ticket: Ticket,
    keys: Vec<StoredKey>,
    error: Option<UserError>,
    is_read_only: bool,
) -> Vec<Effect> {
    let keys = Ok(keys);
    send(model, Msg::Response(ticket, Response::SharedKeysRead { keys, error, is_read_only }))
}

#[test]
fn a_token_that_may_only_read_is_offered_no_change_and_may_copy() {
    let (mut model, ticket) = start_reading(vec![shared_key("ci")]);
    finish_reading(&mut model, ticket, vec![shared_key("ci")], None, true);
    for intent in [
        Intent::Rotate,
        Intent::EditKey,
        Intent::ToggleDisabled,
        Intent::Remove,
        Intent::RespondToLeak,
        Intent::NewKey,
        Intent::ImportKey,
    ] {
        assert!(send_intent(&mut model, intent.clone()).is_empty(), "{intent:?}");
        assert!(matches!(model.screen, Screen::Dashboard) && model.question.is_none());
        let Some(Err(error)) = &model.notice else { panic!("{intent:?}: {:?}", model.notice) };
        assert_eq!(error.message, "your token may read the shared keys and not change them");
    }
    assert!(!send_intent(&mut model, Intent::Copy).is_empty());
    // A key of this machine can still be changed.
    let (mut model, ticket) = start_reading(vec![key("own")]);
    finish_reading(&mut model, ticket, vec![key("own")], None, true);
    send_intent(&mut model, Intent::Remove);
    assert!(matches!(model.question, Some(Question::RemoveKeys(_))), "{:?}", model.question);
}

#[test]
fn without_the_engine_the_keys_of_the_last_reading_are_shown_with_the_reason() {
    let (mut model, ticket) = start_reading(vec![shared_key("ci")]);
    assert_eq!(labels(&model), ["ci"]);
    let away = user_error(ErrorKind::SecretStore);
    let effects =
        finish_reading(&mut model, ticket, vec![shared_key("ci")], Some(away.clone()), false);
    assert_eq!(labels(&model), ["ci"]);
    assert_eq!(model.notice, Some(Err(away)));
    let recovers = |effect: &Effect| matches!(effect, Effect::RecoverInterrupted);
    assert!(effects.iter().any(recovers), "{effects:?}");
    // Changes are offered: what the token may do is not known.
    send_intent(&mut model, Intent::Remove);
    assert!(matches!(model.question, Some(Question::RemoveKeys(_))), "{:?}", model.question);
}

#[test]
fn a_key_that_waits_for_the_engine_needs_attention_until_it_is_moved() {
    let mut waiting = key("ci");
    waiting.move_to = Some(StoreKind::Bao);
    let (mut model, ticket) = start_reading(vec![waiting.clone()]);
    let away = user_error(ErrorKind::SecretStore);
    finish_reading(&mut model, ticket, vec![waiting], Some(away), false);
    assert_eq!(model.dashboard.attention_list, [(0, Attention::Waiting)]);
    // The engine is back: the recovery that follows each reading moves the key.
    send(
        &mut model,
        Msg::RecoveryFinished {
            stored_keys: vec![shared_key("ci")],
            unstored_keys: Vec::new(),
            rotations: Vec::new(),
            unresolved_attempts: Vec::new(),
            deleted_labels: Vec::new(),
            foreign_keys: Vec::new(),
            finished: Vec::new(),
            errors: Vec::new(),
        },
    );
    assert_eq!(labels(&model), ["ci"]);
    assert_eq!(model.dashboard.attention_list, []);
}

#[test]
fn a_failed_action_reads_the_keys_again_and_shows_what_others_changed() {
    let (mut model, ticket) = start_reading(vec![shared_key("ci")]);
    finish_reading(&mut model, ticket, vec![shared_key("ci")], None, false);
    let checks = |effects: &[Effect]| effects.iter().any(|e| matches!(e, Effect::CheckInventory));
    // Each action names the key as it is on screen, so that another key is not taken for it.
    let effects = send_intent(&mut model, Intent::Copy);
    let copied = effects.iter().any(
        |effect| matches!(effect, Effect::CopyStoredKey(key) if key.hash == shared_key("ci").hash),
    );
    assert!(copied, "{effects:?}");
    let replaced = user_error(ErrorKind::Failed);
    let effects = send(&mut model, Msg::Notice(Err(replaced.clone())));
    assert!(checks(&effects), "{effects:?}");
    send_intent(&mut model, Intent::ToggleDisabled);
    send_intent(&mut model, Intent::Yes);
    let result = Err(replaced.clone());
    let label = shared_key("ci").label.clone();
    let effects = send(&mut model, Msg::KeyDisabledSet { label, result, warning: None });
    assert!(checks(&effects), "{effects:?}");
    let mut other = shared_key("ci");
    other.hash = "other".into();
    send(&mut model, Msg::InventoryChanged(vec![other]));
    assert_eq!(model.notice, Some(Err(replaced)));
    assert_eq!(model.dashboard.selected_key().unwrap().hash, "other");
}

#[test]
fn what_someone_else_restored_is_not_undone_again() {
    let (mut model, ticket) = start_reading(vec![shared_key("ci"), shared_key("web")]);
    finish_reading(&mut model, ticket, vec![shared_key("ci"), shared_key("web")], None, false);
    let removed = shared_key("ci");
    let trashed = TrashedKey { removed_at: now(), key: removed.clone() };
    let removal = Msg::KeyRemoved { label: removed.label.clone(), result: Ok(Some(trashed)) };
    model.changes_under_way = 1;
    send(&mut model, removal);
    let Some(Ok(message)) = &model.notice else { panic!("{:?}", model.notice) };
    assert!(message.starts_with("'ci' was removed from the shared store and stays"), "{message}");
    assert_eq!(labels(&model), ["web"]);
    send(&mut model, Msg::InventoryChanged(vec![shared_key("ci"), shared_key("web")]));
    assert!(model.undoable.is_none());
    assert!(
        send_intent(&mut model, Intent::Undo).iter().all(|e| !matches!(e, Effect::RestoreKeys(_)))
    );
}
