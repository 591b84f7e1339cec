//! Faults that end a batch or fail only one key of it.

use super::*;

#[test]
fn rate_limits_are_obeyed_and_long_ones_end_the_batch() {
    let world = TestAccount::new();
    world.inject_fault(CREATE_PATH, 2..=2, Fault::RateLimit(1));
    let notices = AtomicUsize::new(0);
    let results = world.apply_with(&["a", "b", "c"], world.management(), |progress, _| {
        if let Progress::Provisioning(ProvisioningEvent::Notice(words)) = progress {
            assert!(words.contains("too many requests"), "{words}");
            notices.fetch_add(1, Ordering::Relaxed);
        }
    });
    assert_eq!(results, ["stored", "stored", "stored"]);
    assert_eq!(notices.into_inner(), 1);
    world.inject_fault(CREATE_PATH, 2..=9, Fault::RateLimit(3_600));
    let results = world.apply(&["d", "e", "f", "g"], world.management());
    assert_eq!(results[0], "stored");
    assert!(results[1].contains("too many requests"), "{results:?}");
    assert_eq!(results[2..], ["6 not started", "6 not started"]);
    // The next run continues from there.
    world.proxy.set_rule(|_| Fault::Pass);
    assert_eq!(world.apply(&["e", "f", "g"], world.management()), ["stored"; 3]);
    assert_eq!(world.issued(), ["a", "b", "c", "d", "e", "f", "g"]);
}

#[test]
fn lost_response_leaves_no_key_behind_and_two_in_a_row_end_the_batch() {
    let world = TestAccount::new();
    world.inject_fault(CREATE_PATH, 2..=2, Fault::LoseResponse);
    assert_eq!(world.apply(&["a", "b", "c"], world.management()), ["stored"; 3]);
    assert_eq!(world.issued(), ["a", "b", "c"]);
    world.inject_fault(CREATE_PATH, 1..=9, Fault::TruncateResponse);
    let results = world.apply(&["d", "e", "f"], world.management());
    assert!(results[1].starts_with('7') && results[2] == "7 not started", "{results:?}");
    // A response without a key is kept, and its label is unresolved as well.
    world.inject_fault(CREATE_PATH, 1..=1, Fault::ReplaceResponse(200, "{}".into()));
    let results = world.apply(&["g", "h"], world.management());
    assert!(
        results[0].starts_with("7 the server accepted") && results[1] == "stored",
        "{results:?}"
    );
    let creations = world.proxy.requests().iter().filter(|request| *request == CREATE_PATH).count();
    assert_eq!(creations, 10, "each lost response is followed by one more request");
    let pending = keys::list_pending_attempts(&world.services).unwrap();
    let labels: Vec<_> = pending.iter().map(|pending| pending.label.as_str()).collect();
    assert_eq!(labels, ["d", "e", "g"]);
    assert_eq!(exit_code(keys::pending_error(&pending[0]).kind), 7);
    // A key with the same label that someone else created is not affected.
    let AuthMethod::ManagementKey(management) = world.management() else { panic!() };
    let client = world.services.build_management_client(&management).unwrap();
    block_on(client.create_key(&request("d"), &"d".parse().unwrap())).unwrap();

    let services = ServiceContext { management_key: Some(management), ..world.services.clone() };
    let recovered = block_on(keys::recover_attempts(&services)).unwrap();
    assert!(recovered.unresolved.is_empty(), "{recovered:?}");
    assert_eq!(recovered.settled.foreign.len(), 1);
    assert_eq!(keys::list_pending_attempts(&world.services).unwrap(), []);
    assert_eq!(world.issued(), ["a", "b", "c", "d", "h"]);
    assert_eq!(world.apply(&["e", "f", "g"], world.management()), ["stored"; 3]);
}

#[test]
fn rejected_management_key_ends_the_batch() {
    let world = TestAccount::new();
    let auth_method = AuthMethod::ManagementKey(ManagementKey::from("sk-or-v1-dead".to_owned()));
    let results = world.apply(&["a", "b", "c", "d"], auth_method);
    assert!(
        results[0].starts_with("1 the management key created no key") && results[0] == results[1]
    );
    assert_eq!(results[2..], ["1 not started", "1 not started"]);
    assert_eq!(world.proxy.count(CREATE_PATH), 2);
}

#[test]
fn interrupted_batch_is_added_to_the_inventory_at_the_next_start() {
    let world = TestAccount::new();
    let requests = ["a", "b", "wait"].map(request);
    let controls = BatchControls { commands: mpsc::channel(1).1, pasted_codes: mpsc::channel(1).1 };
    let waiting = tokio::sync::Notify::new();
    let report = |progress: Progress<'_>| {
        if matches!(progress, Progress::Provisioning(ProvisioningEvent::SignInUrl { url, .. }) if url.contains("=wait"))
        {
            waiting.notify_one();
        }
    };
    block_on(async {
        let apply =
            keys::create_keys(&requests, AuthMethod::Browser, &world.services, controls, &report);
        tokio::select! {
            _ = apply => panic!("it waits for the third"),
            () = waiting.notified() => {}
        }
    });
    assert_eq!(world.issued(), ["a", "b"]);
    let before = world.listed().len();
    let recovered = block_on(provision::recover_attempts(&world.services)).unwrap();
    assert_eq!((before + recovered.stored.len(), recovered.unresolved.len()), (2, 0));
    assert_eq!(world.listed(), ["a", "b"]);
    let journal = fs::read_to_string(world.data().join("journal.json")).unwrap();
    assert!(!journal.contains("\"label\""), "{journal}");
}

#[test]
fn unreachable_server_ends_the_batch() {
    let mut world = TestAccount::new();
    world.services.server = "http://127.0.0.1:1".into();
    let results = world.apply(&["a", "b", "c"], world.management());
    assert!(
        results[0].starts_with("6 ") && results[0].contains("could not be reached"),
        "{results:?}"
    );
    assert_eq!(results[1..], ["6 not started", "6 not started"]);
}

#[test]
fn key_is_kept_if_the_inventory_cannot_be_written() {
    let world = TestAccount::new();
    world.apply(&["a"], world.management());
    // A directory in the place of the file makes writing it fail, as a full disk would.
    let obstacle = world.data().join("inventory.json.new");
    fs::create_dir(&obstacle).unwrap();
    let results = world.apply(&["b"], world.management());
    assert!(
        results[0].starts_with("but the key is stored, but the inventory could not"),
        "{results:?}"
    );
    assert_eq!(world.listed(), ["a"]);
    fs::remove_dir(&obstacle).unwrap();
    let recovered = block_on(provision::recover_attempts(&world.services)).unwrap();
    assert!(recovered.unresolved.is_empty() && recovered.not_stored.is_empty());
    assert_eq!(world.listed(), ["a", "b"]);

    let obstacle = world.data().join("journal.json.new");
    fs::create_dir(&obstacle).unwrap();
    let results = world.apply(&["c", "d", "e"], world.management());
    assert!(results[0].starts_with("1 ") && results[0].contains("journal.json"), "{results:?}");
    assert_eq!(results[2], "1 not started");
    assert_eq!(world.issued(), ["a", "b"], "nothing is asked for that cannot be written down");
}

#[test]
fn label_in_the_secret_store_fails_only_that_key() {
    let world = TestAccount::new();
    let entry_id = EntryId { service: "keywright/test".into(), account: "b".into() };
    world.services.secret_store.set(&entry_id, &"theirs".into(), TIMEOUT).unwrap();
    let results = world.apply(&["a", "b", "c"], world.management());
    assert!(results[1].starts_with("2 the secret store has a key with the label b"), "{results:?}");
    assert_eq!(world.issued(), ["a", "c"]);
}

#[test]
fn a_label_that_another_program_lists_meanwhile_is_said_to_be_taken() {
    let world = TestAccount::new();
    let services = world.services.clone();
    world.proxy.set_rule(move |request| {
        let theirs = ApiKey::from("theirs".to_owned());
        if request == CREATE_PATH && services.find_key("b").unwrap().is_none() {
            let key = services.new_stored_key("b".parse().unwrap(), &theirs);
            services.secret_store.set(&services.entry_id("b"), &"theirs".into(), TIMEOUT).unwrap();
            inventory::upsert_keys(&services.location, vec![key]).unwrap();
        }
        Fault::Pass
    });
    let results = world.apply(&["a", "b"], world.management());
    assert_eq!(results, ["stored", "2 a key with the label b is already stored"]);
}
