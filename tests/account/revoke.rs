//! Keys that are deleted at the server, and then on this machine.

use keywright::services::keys::RevokeOutcome;

use super::*;

#[test]
fn revoked_key_is_removed_and_an_html_response_is_no_deletion() {
    let world = TestAccount::new();
    let revoke = |name: &str| {
        block_on(keys::revoke_and_remove(
            &world.services,
            &world.management,
            &world.stored_key(name),
        ))
    };
    assert_eq!(revoke("laptop").unwrap(), RevokeOutcome::Revoked);
    assert_eq!(world.get("laptop"), None);
    block_on(keys::revoke_key(&world.services, &world.management, &world.stored_key("ci").hash))
        .unwrap();
    assert_eq!(revoke("ci").unwrap(), RevokeOutcome::AlreadyRevoked);
    // The management key of another account does not have the key either, and its text stays.
    world.inject_fault("DELETE", Fault::Respond(404, String::new()));
    let error = revoke("agent").unwrap_err().to_user_error();
    assert!(error.message.contains("belongs to another account"), "{error:?}");
    assert_eq!(error.meaning, "nothing was removed");
    assert!(world.get("agent").is_some() && world.labels().contains(&"agent".into()));
    // A disabled key is rejected, and its owner may enable it again: it can be restored.
    world.proxy.set_rule(|request| {
        if request.starts_with("DELETE") {
            Fault::Respond(404, String::new())
        } else if request == "GET /api/v1/key" {
            Fault::Respond(401, r#"{"error":{"code":401,"message":"disabled"}}"#.into())
        } else {
            Fault::Pass
        }
    });
    let text = world.get("agent");
    assert_eq!(revoke("agent").unwrap(), RevokeOutcome::AlreadyRevoked);
    assert_eq!(world.get("agent"), None);
    world.proxy.set_rule(|_| Fault::Pass);
    let trashed = world.services.list_trash().unwrap().remove(0);
    assert_eq!(trashed.key.validity_when_removed(), "is not accepted by OpenRouter any more");
    keys::restore_key(&world.services, &trashed, &trashed.key.label).unwrap();
    assert_eq!(world.get("agent"), text);
    // A page instead of a response, and no change: the key stays.
    world.inject_fault("DELETE", Fault::Respond(200, "<html>".into()));
    assert!(revoke("agent").is_err());
    assert!(world.get("agent").is_some());
    // The server deleted the key, and the response was lost.
    world.inject_fault("DELETE", Fault::ReplaceResponse(200, "<html>".into()));
    assert_eq!(revoke("agent").unwrap(), RevokeOutcome::Revoked);
    assert_eq!(
        (world.labels(), world.entries()),
        (vec!["notebook".into()], vec!["notebook".into()])
    );
}

#[test]
fn invalid_hash_is_never_sent() {
    let world = TestAccount::new();
    for hash in ["", "../../auth/keys", "A", "a%2f"] {
        assert!(block_on(keys::revoke_key(&world.services, &world.management, hash)).is_err());
    }
    assert_eq!(world.proxy.requests(), [""; 0]);
}
