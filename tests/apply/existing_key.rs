//! Batches that an existing key authorises.

use super::*;

#[test]
fn existing_key_requests_the_whole_policy() {
    let world = TestAccount::new();
    let workspace = "1f0e9c1a-5b7d-4c3e-9a44-0d2b6f8e7a10";
    let key_request = KeyRequest {
        limit_reset: Some(ResetInterval::Monthly),
        expiry: Expiry::parse("30d", jiff::Timestamp::now()).unwrap(),
        workspace_id: Some(workspace.into()),
        ..request("a")
    };
    let key = ApiKey::from(world.sandbox.seed_keys()[0].secret.clone());
    let controls = BatchControls { commands: mpsc::channel(1).1, pasted_codes: mpsc::channel(1).1 };
    let auth_method = AuthMethod::ExistingKey(key, Box::new(AuthMethod::Browser));
    let results = block_on(keys::create_keys(
        std::slice::from_ref(&key_request),
        auth_method,
        &world.services,
        controls,
        &|_| (),
    ));
    assert_eq!(world.in_words(&results[0]), "stored");
    let management = ManagementKey::from(world.sandbox.management_key().to_owned());
    let client = world.services.build_management_client(&management).unwrap();
    let rows = block_on(client.list_keys(Some(workspace), 0)).unwrap().items;
    let row = rows.into_iter().find(|row| row.display_name() == "a").unwrap();
    assert_eq!(row.info.limit.value(), Some(5.0));
    assert_eq!(row.info.limit_reset.value(), Some(ResetInterval::Monthly));
    assert_eq!(row.info.expires_at.value(), key_request.expiry.map(|expiry| expiry.at));
}

#[test]
fn existing_key_authorises_all_or_each_needs_consent_if_not_allowed() {
    let world = TestAccount::new();
    let key = || ApiKey::from(world.sandbox.seed_keys()[0].secret.clone());
    let by_key = || AuthMethod::ExistingKey(key(), Box::new(AuthMethod::Browser));
    assert_eq!(world.apply(&["a", "b"], by_key()), ["stored"; 2]);
    assert_eq!(world.proxy.count(CODE_PATH), 2);
    for (number, status) in [403_u16, 400, 401, 409, 500].into_iter().enumerate() {
        world.inject_fault(
            CODE_PATH,
            1..=9,
            Fault::Respond(status, r#"{"error":{"message":"Said so"}}"#.into()),
        );
        let before = world.proxy.count(CODE_PATH);
        let labels = [format!("c{number}"), format!("d{number}")];
        let results = world.apply(&labels.each_ref().map(String::as_str), by_key());
        let requests = world.proxy.count(CODE_PATH) - before;
        match status {
            403 => assert_eq!((results, requests), (vec!["stored".to_owned(); 2], 1)),
            500 => assert!(
                requests == 2 && results[0].starts_with("6 the server issued no code"),
                "{results:?}"
            ),
            _ => assert!(
                requests == 2 && results[0].contains(&format!("{status}: Said so")),
                "{results:?}"
            ),
        }
    }
    world.inject_fault(CODE_PATH, 1..=1, Fault::RateLimit(1));
    assert_eq!(world.apply(&["e"], by_key()), ["stored"]);
}

#[test]
fn a_retiring_key_authorises_no_other_key() {
    let world = TestAccount::new();
    let seed = &world.sandbox.seed_keys()[0];
    let key = ApiKey::from(seed.secret.clone());
    block_on(keys::import_key(&world.services, &"laptop".parse().unwrap(), &key)).unwrap();
    let method =
        || block_on(keys::choose_batch_auth_method(&world.services, AuthMethod::PasteCode, true)).0;
    assert!(matches!(method(), AuthMethod::ExistingKey(..)));
    let retire = |key: &mut StoredKey| {
        key.retirement = Some(Retirement {
            replaced_at: jiff::Timestamp::now(),
            unused_for: 60,
            revoke_when_unused: false,
        });
    };
    let services = &world.services;
    inventory::update_key(&services.location, &services.server, &key.hash(), retire).unwrap();
    assert!(matches!(method(), AuthMethod::PasteCode));
}
