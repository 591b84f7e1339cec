//! Lists of the keys of an account.

use std::sync::atomic::{AtomicUsize, Ordering};

use keywright::cli::exit_code;
use keywright::services::keys::{self, Error, JoinedKey};
use keywright::storage::inventory;
use keywright::storage::json_store::StoreLocation;
use serde_json::json;

use super::proxy::Fault;
use super::{TestAccount, block_on};

fn count_listed_keys(world: &TestAccount) -> Result<usize, Error> {
    block_on(keys::list_account_keys(&world.services, &world.management)).map(|keys| keys.len())
}

#[test]
fn all_pages_of_account_keys_are_fetched_also_disabled_ones() {
    let world = TestAccount::of(250, StoreLocation::in_memory());
    world.inject_fault("GET /api/v1/workspaces", Fault::Respond(404, String::new()));
    assert_eq!(count_listed_keys(&world).unwrap(), 250);
    assert_eq!(world.proxy.count("GET /api/v1/keys?"), 4, "{:?}", world.proxy.requests());
    let last = world.proxy.requests().pop().unwrap();
    for part in ["offset=250", "include_disabled=true", "include_expired=true"] {
        assert!(last.contains(part), "{last}");
    }
}

#[test]
fn each_workspace_is_listed_or_else_the_default_one() {
    let world = TestAccount::new();
    let (a, b) = ("a".repeat(64), "b".repeat(64));
    world.proxy.set_rule(move |request| {
        let rows = match request {
            _ if !request.contains("offset=0") => json!([]),
            _ if request.contains("/workspaces") => json!([{"id": "w1"}, {"id": "w2"}]),
            _ if request.contains("workspace_id=w1") => json!([{"hash": a}]),
            _ if request.contains("workspace_id=w2") => json!([{"hash": a}, {"hash": b}]),
            _ => json!([{"hash": "c".repeat(64)}, {"hash": "d".repeat(64)}, {"hash": a}]),
        };
        Fault::Respond(200, json!({"data": rows}).to_string())
    });
    assert_eq!(count_listed_keys(&world).unwrap(), 2);
    for odd in [Fault::Respond(403, String::new()), Fault::Respond(200, "<html>".into())] {
        world.inject_fault("GET /api/v1/workspaces", odd);
        assert_eq!(count_listed_keys(&world).unwrap(), 4);
    }
}

#[test]
fn rows_that_cannot_be_read_are_counted_in_all_workspaces() {
    let world = TestAccount::new();
    world.proxy.set_rule(move |request| {
        let rows = match request {
            _ if !request.contains("offset=0") => json!([]),
            _ if request.contains("/workspaces") => {
                json!([{"id": "w1"}, {"id": "w2"}, {"slug": "?"}])
            }
            _ if request.contains("workspace_id=w1") => {
                json!([{"hash": "a".repeat(64)}, {"hash": "../keys"}])
            }
            _ => json!([7, null]),
        };
        Fault::Respond(200, json!({"data": rows}).to_string())
    });
    assert_eq!(count_listed_keys(&world).unwrap(), 1);
    let errors = world.services.skipped_rows.take_errors();
    let messages: Vec<&str> = errors.iter().map(|error| error.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "3 of 4 keys in the account's list could not be read",
            "1 of 3 workspaces in the account's list could not be read"
        ]
    );
    assert_eq!(world.services.skipped_rows.take_errors(), [], "it is reported once");
}

#[test]
fn failed_key_list_is_an_error_and_not_an_empty_list() {
    let world = TestAccount::new();
    let html = || "<html>proxy</html>".to_owned();
    for (fault, code, words) in [
        (Fault::Respond(401, String::new()), 1, "no longer works"),
        (Fault::Respond(403, html()), 1, "may not"),
        (Fault::RateLimit(3_600), 6, "wait a minute"),
        (Fault::Respond(500, String::new()), 6, "500"),
        (Fault::Respond(200, html()), 1, "instead of a list of keys"),
        (Fault::Respond(200, "{}".into()), 1, "instead of a list of keys"),
        (Fault::TruncateResponse, 6, "incomplete"),
        (Fault::LoseResponse, 6, "closed the connection"),
    ] {
        let case = format!("{fault:?}");
        world.inject_fault("GET /api/v1/keys", fault);
        let error = count_listed_keys(&world).expect_err(&case).to_user_error();
        let all = error.one_line();
        assert!(exit_code(error.kind) == code && all.contains(words), "{case}: {error:?}");
    }
}

#[test]
fn repeated_or_endless_pages_end_the_listing() {
    let world = TestAccount::new();
    let count = AtomicUsize::new(0);
    let page = |hash: String| Fault::Respond(200, json!({"data": [{"hash": hash}]}).to_string());
    world.inject_fault("GET /api/v1/", page("a".repeat(64)));
    assert_eq!(count_listed_keys(&world).unwrap(), 1);
    assert_eq!(world.proxy.count("GET /api/v1/keys?"), 2);
    world.proxy.set_rule(move |_| page(format!("{:064x}", count.fetch_add(1, Ordering::Relaxed))));
    assert!(count_listed_keys(&world).unwrap_err().to_string().contains("at most 100000 rows"));
}

#[test]
fn endless_workspaces_and_large_pages_do_not_fill_the_memory() {
    let world = TestAccount::new();
    let (count, workspaces) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let name = "x".repeat(3 * 1024 * 1024);
    world.proxy.set_rule(move |request| {
        let count = count.fetch_add(1, Ordering::Relaxed);
        let rows = if request.contains("/workspaces") {
            match workspaces.fetch_add(1, Ordering::Relaxed) {
                0..5 => json!([{"id": format!("w{count}")}]),
                _ => json!([]),
            }
        } else if request.contains("offset=0") {
            json!([{"hash": format!("{count:064x}"), "name": name},
                   {"hash": format!("{:064x}", count + 1_000_000), "name": ""}])
        } else if count % 10 == 0 {
            json!([])
        } else {
            json!([{"hash": format!("{count:064x}"), "name": name}])
        };
        Fault::Respond(200, json!({"data": rows}).to_string())
    });
    assert!(count_listed_keys(&world).unwrap_err().to_string().contains("100 MiB"));
    assert!(world.proxy.requests().len() < 60, "{}", world.proxy.requests().len());
}

#[test]
fn key_counts_as_revoked_only_after_a_request_for_it() {
    let world = TestAccount::new();
    let revoked = world.stored_key("ci");
    block_on(keys::revoke_key(&world.services, &world.management, &revoked.hash)).unwrap();
    inventory::remove_key(&world.services.location, &world.stored_key("agent")).unwrap();
    let rows = block_on(keys::join_account_keys(&world.services, &world.management)).unwrap();
    let words: Vec<_> = rows
        .iter()
        .map(|row| match row {
            JoinedKey::Both(stored_key, _) => format!("both {}", stored_key.label),
            JoinedKey::AccountOnly(remote) => format!("remote {}", remote.display_name()),
            JoinedKey::NotListed(stored_key) => format!("missing {}", stored_key.label),
            JoinedKey::Revoked(stored_key) => format!("gone {}", stored_key.label),
        })
        .collect();
    assert_eq!(words, ["both laptop", "gone ci", "both notebook", "remote agent"]);
    assert_eq!(world.stored_key("notebook").disabled, Some(true), "it is noted");
    world.inject_fault("GET /api/v1/keys/", Fault::Respond(500, String::new()));
    let rows = block_on(keys::join_account_keys(&world.services, &world.management)).unwrap();
    assert!(
        matches!(&rows[1], JoinedKey::NotListed(stored_key) if stored_key.hash == revoked.hash)
    );
}
