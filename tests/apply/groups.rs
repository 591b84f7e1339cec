//! With the management key several attempts are recorded at once, before their requests are sent.

use keywright::storage::journal::{self, AttemptStage};

use super::*;

fn labels() -> Vec<String> {
    (0..40).map(|number| format!("key {number}")).collect()
}

fn journal_stages(world: &TestAccount) -> Vec<AttemptStage> {
    let attempts = journal::list_all_attempts(&world.services.location).unwrap();
    attempts.iter().map(|attempt| attempt.stage).collect()
}

#[test]
fn a_stopped_batch_leaves_no_attempt_of_its_group() {
    let world = TestAccount::new();
    let labels = labels();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let results = world.apply_with(&labels, world.management(), |progress, command| {
        if let Progress::ItemStarted { number: 20, .. } = progress {
            command.try_send(BatchCommand::Stop).unwrap();
        }
    });
    let stored = results.iter().filter(|result| *result == "stored").count();
    assert!((19..=20).contains(&stored), "{results:?}");
    assert!(results[21..].iter().all(|result| result.ends_with("not started")), "{results:?}");
    assert_eq!(world.issued().len(), stored);
    assert_eq!(world.listed().len(), stored);
    // The key that was created last may still have the name of its attempt, which the next start replaces with its label.
    let stages = journal_stages(&world);
    assert!(stages.len() <= 1 && !stages.contains(&AttemptStage::RequestSent), "{stages:?}");
    assert!(!stages.contains(&AttemptStage::Prepared), "{stages:?}");
}

#[test]
fn an_interrupted_group_is_settled_by_the_next_start() {
    let world = TestAccount::new();
    let requests: Vec<KeyRequest> = labels().iter().map(|label| request(label)).collect();
    // The twentieth request gets no response, and the program ends while it waits.
    world.inject_fault(CREATE_PATH, 20..=20, Fault::LoseResponse);
    let sent = tokio::sync::Notify::new();
    let creations = AtomicUsize::new(0);
    let report = |progress: Progress<'_>| {
        if matches!(
            progress,
            Progress::Provisioning(ProvisioningEvent::Notice(_))
                | Progress::ItemStarted { number: 21, .. }
        ) && creations.fetch_add(1, Ordering::Relaxed) == 0
        {
            sent.notify_one();
        }
    };
    let controls = BatchControls { commands: mpsc::channel(1).1, pasted_codes: mpsc::channel(1).1 };
    let management = world.management();
    block_on(async {
        let apply = keys::create_keys(&requests, management, &world.services, controls, &report);
        tokio::select! {
            biased;
            () = sent.notified() => {}
            _ = apply => panic!("the response of the twentieth is lost"),
        }
    });
    let stages = journal_stages(&world);
    assert!(stages.contains(&AttemptStage::RequestSent), "{stages:?}");
    assert!(stages.contains(&AttemptStage::Prepared), "{stages:?}");
    let AuthMethod::ManagementKey(management) = world.management() else { panic!() };
    let services = ServiceContext { management_key: Some(management), ..world.services.clone() };
    let recovered = block_on(keys::recover_attempts(&services)).unwrap();
    assert!(recovered.unresolved.is_empty() && recovered.errors.is_empty(), "{recovered:?}");
    assert_eq!(journal_stages(&world), []);
    let mut listed = world.listed();
    listed.sort();
    assert_eq!(world.issued(), listed);
    assert_eq!(listed.len(), 19);
    let again: Vec<String> = labels().into_iter().filter(|label| !listed.contains(label)).collect();
    let again: Vec<&str> = again.iter().map(String::as_str).collect();
    assert_eq!(world.apply(&again, world.management()), vec!["stored"; 21]);
    assert_eq!(world.issued().len(), 40);
}

#[test]
fn a_rejection_of_a_recorded_request_is_no_unresolved_attempt() {
    let world = TestAccount::new();
    world.inject_fault(
        CREATE_PATH,
        3..=3,
        Fault::Respond(403, r#"{"error":{"message":"no"}}"#.into()),
    );
    let results = world.apply(&["a", "b", "c", "d"], world.management());
    assert!(results[2].starts_with("1 the management key created no key"), "{results:?}");
    assert_eq!((results[1].as_str(), results[3].as_str()), ("stored", "stored"));
    assert_eq!(journal_stages(&world), []);
}

#[test]
fn a_received_key_is_not_deleted_while_the_secret_store_cannot_be_read() {
    let world = TestAccount::new();
    let AuthMethod::ManagementKey(management) = world.management() else { panic!() };
    // The program ended between storing the key and giving it its label at the server.
    world.proxy.set_rule(|request| {
        if request.starts_with("PATCH") { Fault::Respond(500, String::new()) } else { Fault::Pass }
    });
    let results = world.apply(&["a"], world.management());
    assert!(results[0].contains("could not be renamed"), "{results:?}");
    assert_eq!(journal_stages(&world), [AttemptStage::Stored]);
    world.proxy.set_rule(|_| Fault::Pass);
    inventory::update_keys(&world.services.location, Vec::clear).unwrap();

    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("vault.age"), "no vault").unwrap();
    let ask = std::sync::Arc::new(|_| Ok("p".into()));
    let damaged = ServiceContext {
        management_key: Some(management.clone()),
        secret_store: SecretStore::age_file(dir.path().to_owned(), ask),
        ..world.services.clone()
    };
    let mut attempts = journal::list_all_attempts(&world.services.location).unwrap();
    let mut attempt = attempts.remove(0);
    attempt.store = Some(StoreKind::File);
    attempt.stage = AttemptStage::KeyReceived;
    journal::dismiss_attempt(&world.services.location, &attempt.id).unwrap();
    drop(journal::AttemptGuard::begin_all(&world.services.location, vec![attempt]).unwrap());
    let recovered = block_on(keys::recover_attempts(&damaged)).unwrap();
    assert!(!recovered.errors.is_empty() && recovered.settled.deleted.is_empty(), "{recovered:?}");
    assert_eq!(journal_stages(&world), [AttemptStage::KeyReceived]);
    assert_eq!(world.issued().len(), 1);
}
