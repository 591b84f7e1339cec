//! A store that fails for a received key and works a second later. It is a shell script.

use keywright::domain::ProvisioningStep;
use keywright::storage::journal;

use super::*;
use crate::helper::write_helper;

/// Creates keys with a store that fails for the first one, and works a second later.
fn apply_with_a_store_that_fails_once(world: &mut TestAccount, labels: &[&str]) -> Vec<String> {
    let dir = world.dir.path().to_owned();
    let fault = r#"[ "$1" = store ] && [ -f "$dir/broken" ] && { rm "$dir/broken"; exit 1; }"#;
    let StoreKind::Exec(program) = write_helper(&dir, fault) else { unreachable!() };
    world.services.secret_store = SecretStore::exec(program);
    let notices = AtomicUsize::new(0);
    let results = world.apply_with(labels, world.management(), |progress, _| match progress {
        Progress::Provisioning(ProvisioningEvent::StepStarted(ProvisioningStep::StoreKey))
            if notices.load(Ordering::Relaxed) == 0 =>
        {
            fs::write(dir.join("broken"), "").unwrap();
        }
        Progress::Provisioning(ProvisioningEvent::Notice(text)) => {
            assert!(text.contains("retrying to store it"), "{text}");
            notices.fetch_add(1, Ordering::Relaxed);
        }
        _ => {}
    });
    assert_eq!(notices.into_inner(), 1);
    results
}

#[test]
fn a_key_that_is_stored_at_the_second_try_gets_its_name_at_the_server() {
    let mut world = TestAccount::new();
    assert_eq!(apply_with_a_store_that_fails_once(&mut world, &["a", "b"]), ["stored"; 2]);
    assert_eq!(world.issued(), ["a", "b"]);
    assert_eq!(journal::list_all_attempts(&world.services.location).unwrap(), []);
    let keys = inventory::list_keys(&world.services.location, &world.services.server).unwrap();
    assert!(keys.iter().all(|key| key.checked_at.is_some()), "{keys:?}");
}

#[test]
fn a_key_that_keeps_the_name_of_its_attempt_is_reported_and_named_by_the_next_start() {
    let mut world = TestAccount::new();
    world.proxy.set_rule(|request| {
        if request.starts_with("PATCH ") { Fault::Respond(503, String::new()) } else { Fault::Pass }
    });
    let results = apply_with_a_store_that_fails_once(&mut world, &["a"]);
    assert!(results[0].starts_with("but ") && results[0].contains("name"), "{results:?}");
    assert!(world.issued()[0].starts_with("a [kw:"), "{:?}", world.issued());
    world.proxy.set_rule(|_| Fault::Pass);
    let AuthMethod::ManagementKey(management) = world.management() else { panic!() };
    let services = ServiceContext { management_key: Some(management), ..world.services.clone() };
    block_on(keys::recover_attempts(&services)).unwrap();
    assert_eq!(world.issued(), ["a"]);
}
