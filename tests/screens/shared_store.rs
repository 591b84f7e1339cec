//! A dashboard whose keys are in a shared store.

use keywright::domain::{KeyLocation, SecretLoss, SharedRecord, TrashedKey};
use keywright::tui::state::Question;

use super::*;

#[test]
fn a_shared_store_that_is_not_read_yet_is_not_called_empty() {
    let mut model = model((80, 24));
    model.shared_store.is_in_use = true;
    update(&mut model, Msg::Response(Ticket(1), Response::KeysLoaded(Ok(Vec::new()))), now());
    assert!(drawn(&model).contains("Reading the shared store."));
    let ticket = model.dashboard.load_ticket.unwrap();
    let (keys, error, is_read_only) = (Ok(Vec::new()), None, false);
    let read = Response::SharedKeysRead { keys, error, is_read_only };
    update(&mut model, Msg::Response(ticket, read), now());
    assert!(drawn(&model).contains("No keys are stored yet."));
}

#[test]
fn a_token_that_may_only_read_is_offered_no_rotation() {
    let mut model = model((160, 50));
    model.shared_store.is_in_use = true;
    let mut shared = key("ci", Some("5"), None, Some(-2));
    shared.location = KeyLocation::Stored(StoreKind::Bao);
    let keys = vec![shared];
    update(&mut model, Msg::Response(Ticket(1), Response::KeysLoaded(Ok(keys.clone()))), now());
    assert!(drawn(&model).contains("R rotate"), "{}", drawn(&model));
    let ticket = model.dashboard.load_ticket.unwrap();
    let read = Response::SharedKeysRead { keys: Ok(keys), error: None, is_read_only: true };
    update(&mut model, Msg::Response(ticket, read), now());
    assert!(!drawn(&model).contains("R rotate"), "{}", drawn(&model));
}

#[test]
fn what_the_shared_store_lost_or_could_not_take_is_said_with_the_next_step() {
    let mut model = model((160, 50));
    let mut lost = key("ci", Some("5"), None, None);
    lost.location = KeyLocation::Stored(StoreKind::Bao);
    let record = SharedRecord::new(lost.label.clone(), 2, lost.to_shared_fields());
    lost.shared = Some(Box::new(SharedRecord { loss: Some(SecretLoss::Deleted), ..record }));
    let mut waiting = key("web", Some("5"), None, None);
    waiting.move_to = Some(StoreKind::Bao);
    update(
        &mut model,
        Msg::Response(Ticket(1), Response::KeysLoaded(Ok(vec![lost, waiting]))),
        now(),
    );
    let shown = drawn(&model);
    for text in [
        "! no text",
        "text deleted in the shared store",
        "on this machine only: the shared store could not take it",
        "deleted in the shared store; what to do:",
    ] {
        assert!(shown.contains(text), "{text}\n{shown}");
    }
}

#[test]
fn a_removal_from_the_shared_store_says_that_it_is_one_for_everyone() {
    let mut model = model((100, 30));
    let mut shared = key("ci", Some("5"), None, None);
    shared.location = KeyLocation::Stored(StoreKind::Bao);
    let own = key("own", Some("5"), None, None);
    let keys = Response::KeysLoaded(Ok(vec![shared, own]));
    update(&mut model, Msg::Response(Ticket(1), keys), now());
    for (label, place) in [
        ("ci", "Remove ci from the shared store, for everyone who uses it?"),
        ("own", "Remove own from this machine?"),
    ] {
        model.question = Some(Question::RemoveKeys(vec![label.parse().unwrap()]));
        let shown = drawn(&model);
        assert!(shown.contains(place), "{shown}");
        assert!(shown.contains(" y  remove"), "{shown}");
    }
    let both = ["ci", "own"].map(|label| label.parse().unwrap());
    model.question = Some(Question::RemoveKeys(both.into()));
    assert!(drawn(&model).contains("Remove ci, own from this machine and the shared store?"));
}

#[test]
fn the_trash_says_who_removed_a_shared_key() {
    let mut removed = key("ci", Some("5"), None, None);
    removed.location = KeyLocation::Stored(StoreKind::Bao);
    let mut fields = removed.to_shared_fields();
    fields.insert(TrashedKey::REMOVED_BY.into(), "alice@vm".into());
    let record = SharedRecord::new(removed.label.clone(), 2, fields);
    removed.shared = Some(Box::new(record));
    for (width, has_masked) in [(60, false), (80, false), (100, true)] {
        let mut model = model((width, 24));
        let trashed = TrashedKey { removed_at: now(), key: removed.clone() };
        want(&mut model, &[Intent::OpenTrash]);
        let Screen::Trash(screen) = &model.screen else { panic!("{:?}", model.screen) };
        let (ticket, loaded) = (screen.ticket.unwrap(), Response::TrashLoaded(Ok(vec![trashed])));
        update(&mut model, Msg::Response(ticket, loaded), now());
        let shown = drawn(&model);
        assert!(shown.contains("UNTIL") && shown.contains("alice@vm"), "{shown}");
        assert_eq!(shown.contains("sk-or-v1"), has_masked, "{shown}");
    }
}

#[test]
fn an_address_at_the_beginning_of_an_error_keeps_its_letters() {
    let mut model = model((100, 24));
    let message = "http://127.0.0.1:8200 is sealed";
    let error = UserError::new(ErrorKind::SecretStore, message, "unseal it: bao operator unseal");
    model.notice = Some(Err(error));
    let shown = drawn(&model);
    assert!(shown.contains("http://127.0.0.1:8200 is sealed. Unseal it"), "{shown}");
}
