//! Rotating and panicking: whole journeys, with a fault at each step. At every moment the label is
//! one of the two keys, and both are in the vault.

use keywright::cli::exit_code;
use keywright::domain::{
    ApiKey, GrantedPolicy, KeyRequest, LeakResponse, PendingReplacement, ProvisioningOutcome,
    ResetInterval, RetirePolicy, RotationOutcome, StoredKey,
};
use keywright::services::keys;
use keywright::services::provision::{self, AuthMethod, ProvisioningControls, Replacement};
use keywright::storage::inventory;
use keywright::storage::json_store::StoreLocation;
use tokio::sync::{mpsc, watch};

use super::proxy::Fate;
use super::{SOON, World, label, slot, wait};

/// What somebody did to a row meanwhile.
type Deed = fn(&mut StoredKey);

const TERMS: RetirePolicy = RetirePolicy { unused_for: 3_600, revoke_when_unused: true };

fn controls() -> ProvisioningControls {
    ProvisioningControls { cancel: watch::channel(false).1, pasted_codes: mpsc::channel(1).1 }
}

fn rotate(world: &World, name: &str, way: AuthMethod) -> RotationOutcome {
    let held = world.held(name);
    wait(keys::rotate_key(&world.services, &held, way, TERMS, &mut controls(), &|_| ()))
}

fn management(world: &World) -> AuthMethod {
    AuthMethod::ManagementKey(world.management.clone())
}

/// The label is the new key, the old one is beside it, and nothing else is left.
fn handed_over(world: &World, old: &str) {
    let new = world.get("agent").unwrap();
    assert_ne!(new, old);
    assert_eq!(world.get("agent (old)").as_deref(), Some(old));
    assert_eq!(world.entries(), ["agent", "agent (old)", "ci", "laptop", "notebook"]);
    assert_eq!(world.labels().len(), 5);
    let (held, retired) = (world.held("agent"), world.held("agent (old)"));
    assert_eq!(held.hash, ApiKey::from(new).hash());
    assert_eq!((held.replaces, held.retirement), (None, None));
    let retiring = retired.retirement.unwrap();
    assert_eq!((retiring.unused_for, retiring.revoke_when_unused), (3_600, true));
}

#[test]
fn a_rotation_cuts_a_key_under_the_same_policy_and_hands_the_label_over() {
    let world = World::new();
    let old = world.get("agent").unwrap();
    let rotation = rotate(&world, "agent", management(&world));
    let RotationOutcome::Completed { rotated: handed, warning: note } = rotation else {
        panic!("{rotation:?}")
    };
    assert_eq!(note, None);
    handed_over(&world, &old);
    let before = handed.old.unwrap();
    assert_eq!((handed.new.limit(), handed.new.reset()), (Some(8.0), Some(ResetInterval::Daily)));
    assert_eq!(handed.new.expires_at(), before.requested.expires_at);
    assert_eq!(handed.new.differing_fields(), [""; 0]);
    let client = world.services.build_client().unwrap();
    let there = wait(client.get_key(&world.management, &handed.new.hash)).unwrap();
    assert_eq!(there.name.as_deref(), Some("agent"), "the server knows it by its label");
    // The old one has a successor; the new one can be replaced in its turn.
    let again = rotate(&world, "agent (old)", management(&world));
    assert!(
        matches!(again, RotationOutcome::Failed(trouble) if trouble.message.contains("already"))
    );
    let third = rotate(&world, "agent", management(&world));
    assert!(matches!(third, RotationOutcome::Completed { .. }), "{third:?}");
    assert!(world.labels().contains(&"agent (old) 2".to_owned()));
}

#[test]
fn a_key_that_is_held_can_vouch_for_its_own_successor() {
    let world = World::new();
    let old = world.get("agent").unwrap();
    let rotation = rotate(
        &world,
        "agent",
        AuthMethod::ExistingKey(ApiKey::from(old.clone()), Box::new(AuthMethod::PasteCode)),
    );
    assert!(matches!(rotation, RotationOutcome::Completed { .. }), "{rotation:?}");
    handed_over(&world, &old);
}

#[test]
fn a_policy_that_is_over_or_cannot_be_asked_for_is_said_and_no_key_is_cut() {
    let world = World::new();
    let change = |how: Deed| {
        let held = world.held("agent");
        inventory::update_key(&world.services.location, &world.services.server, &held.hash, how)
            .unwrap();
    };
    let cases: [(Deed, &str); 3] = [
        (|held| held.requested.expires_input = Some("2020-01-01".into()), "2020-01-01"),
        (
            |held| {
                held.requested.expires_input = None;
                held.requested.expires_at = "2020-01-01T00:00:00Z".parse().ok();
            },
            "it expired",
        ),
        (
            |held| {
                held.requested.expires_at = None;
                held.granted = Some(GrantedPolicy { limit: Some(0.0), ..GrantedPolicy::default() });
            },
            "above zero",
        ),
    ];
    for (how, words) in cases {
        change(how);
        let rotation = rotate(&world, "agent", management(&world));
        let RotationOutcome::Failed(trouble) = rotation else { panic!("{rotation:?}") };
        assert!(trouble.message.contains(words), "{trouble:?}");
    }
    assert_eq!(world.proxy.asked(), [""; 0]);
    // Words count from today.
    change(|held| {
        held.granted = None;
        held.requested.expires_input = Some("30d".into());
    });
    let rotation = rotate(&world, "agent", management(&world));
    let RotationOutcome::Completed { rotated: handed, .. } = rotation else {
        panic!("{rotation:?}")
    };
    let hours = handed.new.expires_at().unwrap().duration_since(jiff::Timestamp::now()).as_hours();
    assert!((29 * 24..=31 * 24).contains(&hours), "{hours}");
}

#[test]
fn an_answer_lost_while_a_key_is_cut_is_code_7_and_is_not_asked_for_again() {
    for (fate, code, sends) in [
        (Fate::Swallow, 7, 1),
        (Fate::Say(500, String::new()), 7, 1),
        (Fate::Lie(201, "<html>".into()), 7, 1),
        (Fate::Say(403, String::new()), 1, 1),
        (Fate::SlowDown(0), 6, 2),
    ] {
        let world = World::new();
        let old = world.get("agent").unwrap();
        let said = format!("{fate:?}");
        world.spoil("POST /api/v1/keys", fate);
        let RotationOutcome::Failed(trouble) = rotate(&world, "agent", management(&world)) else {
            panic!("{said}")
        };
        assert_eq!(
            (exit_code(trouble.kind), world.proxy.count("POST")),
            (code, sends),
            "{said}: {trouble:?}"
        );
        assert_eq!(world.get("agent"), Some(old), "{said}");
        assert_eq!(world.labels().len(), 4, "{said}");
        let recovered = wait(provision::recover_attempts(&world.services)).unwrap();
        assert_eq!(recovered.unresolved.len(), usize::from(code == 7), "{said}");
        assert_eq!(world.proxy.count("POST"), sends, "{said}: nor at the next start");
    }
}

/// The two keys of a rotation that was interrupted after cutting.
fn interrupted(world: &World) -> (String, String) {
    let old = world.get("agent").unwrap();
    let replacement = Replacement {
        label: label("agent (new)"),
        replaces: PendingReplacement {
            hash: world.held("agent").hash,
            unused_for: 3_600,
            revoke_when_unused: true,
        },
    };
    let request = KeyRequest {
        label: label("agent"),
        limit: None,
        limit_reset: None,
        expiry: None,
        workspace_id: None,
    };
    let outcome = wait(provision::run_replacement(
        &request,
        &replacement,
        management(world),
        &world.services,
        &mut controls(),
        &|_| (),
    ));
    let ProvisioningOutcome::Stored { stored_key: held, .. } = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(held.label.as_str(), "agent (new)");
    (old, world.get("agent (new)").unwrap())
}

#[test]
fn a_rotation_goes_on_at_the_next_start_from_wherever_it_was_interrupted() {
    for steps in 0..=4 {
        let world = World::new();
        let (old, new) = interrupted(&world);
        // As far as it came before it was killed; a keychain killed while it writes has nothing.
        if steps > 0 {
            world.put("agent (old)", &old);
        }
        match steps {
            0 | 1 => {}
            4 => world.services.secret_store.delete(&slot("agent"), SOON).unwrap(),
            _ => world.put("agent", &new),
        }
        if steps == 3 {
            world.services.secret_store.delete(&slot("agent (new)"), SOON).unwrap();
        }
        let resumed = wait(keys::resume_rotations(&world.services)).unwrap();
        assert_eq!(resumed.len(), 1);
        assert!(resumed[0].1.is_ok(), "{steps}: {resumed:?}");
        handed_over(&world, &old);
        assert_eq!(world.get("agent"), Some(new), "{steps}");
        assert!(wait(keys::resume_rotations(&world.services)).unwrap().is_empty());
        assert_eq!(world.proxy.count("POST"), 1, "no second key was cut");
    }
}

#[test]
fn rotating_again_goes_on_with_the_interrupted_rotation() {
    let world = World::new();
    let (old, new) = interrupted(&world);
    let rotation = rotate(&world, "agent", management(&world));
    assert!(matches!(rotation, RotationOutcome::Completed { .. }), "{rotation:?}");
    handed_over(&world, &old);
    assert_eq!((world.get("agent"), world.proxy.count("POST")), (Some(new), 1));
}

#[test]
fn a_key_renamed_or_forgotten_meanwhile_is_followed() {
    let world = World::new();
    let (old, new) = interrupted(&world);
    wait(keys::rename_key(&world.services, &world.held("agent"), &label("bot"), None)).unwrap();
    assert!(wait(keys::resume_rotations(&world.services)).unwrap()[0].1.is_ok());
    assert_eq!((world.get("bot"), world.get("bot (old)")), (Some(new), Some(old)));

    let world = World::new();
    interrupted(&world);
    keys::remove_key(&world.services, &label("agent")).unwrap();
    let resumed = wait(keys::resume_rotations(&world.services)).unwrap();
    assert!(matches!(&resumed[0].1, Ok(handed) if handed.old.is_none()), "{resumed:?}");
    assert_eq!(world.held("agent (new)").replaces, None);
    assert!(world.get("agent (new)").is_some());
}

#[test]
fn a_foreign_key_under_the_label_is_never_written_over() {
    let world = World::new();
    interrupted(&world);
    world.put("agent", "foreign");
    let resumed = wait(keys::resume_rotations(&world.services)).unwrap();
    assert!(resumed[0].1.is_err());
    assert_eq!(world.get("agent").as_deref(), Some("foreign"));
    assert!(world.get("agent (new)").is_some());
}

#[test]
fn a_list_that_cannot_be_written_leaves_both_keys_and_the_next_start_hands_over() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::of(4, StoreLocation::Directory(dir.path().to_owned()));
    let (old, new) = interrupted(&world);
    let blocked = dir.path().join("inventory.json.new");
    std::fs::create_dir(&blocked).unwrap();
    let rotation = rotate(&world, "agent", management(&world));
    assert!(matches!(rotation, RotationOutcome::LabelNotMoved { .. }), "{rotation:?}");
    assert!([&old, &new].contains(&&world.get("agent").unwrap()));
    assert_eq!(world.get("agent (old)").as_ref(), Some(&old));
    std::fs::remove_dir(&blocked).unwrap();
    assert!(wait(keys::resume_rotations(&world.services)).unwrap()[0].1.is_ok());
    handed_over(&world, &old);
}

pub(super) fn panicked(
    world: &World,
    names: &[&str],
    with: bool,
    way: &AuthMethod,
) -> Vec<LeakResponse> {
    let leaked: Vec<_> = names.iter().map(|name| world.held(name)).collect();
    let management = with.then_some(&world.management);
    wait(keys::respond_to_leak(&world.services, &leaked, management, way, &mut controls(), &|_| ()))
}

#[test]
fn leaked_keys_are_switched_off_first_and_then_replaced() {
    let world = World::new();
    let old = world.get("agent").unwrap();
    let panicked = panicked(&world, &["agent", "laptop"], true, &management(&world));
    assert!(panicked.iter().all(LeakResponse::is_complete), "{panicked:?}");
    assert!(panicked.iter().flat_map(LeakResponse::action_results).all(|deed| deed.succeeded));
    let asked = world.proxy.asked();
    let switches = asked.iter().take_while(|asked| asked.starts_with("PATCH")).count();
    assert_eq!(switches, 2, "{asked:?}");
    assert_ne!(world.get("agent"), Some(old));
    assert_eq!(world.held("agent (old)").disabled, Some(true));
    assert_eq!(world.held("agent").disabled, None);
}

#[test]
fn without_a_management_key_the_leaked_key_is_said_not_to_be_off_and_where_to_do_it() {
    let world = World::new();
    let way = AuthMethod::ExistingKey(
        ApiKey::from(world.get("laptop").unwrap()),
        Box::new(AuthMethod::PasteCode),
    );
    let panicked = panicked(&world, &["agent"], false, &way);
    let deeds = panicked[0].action_results();
    assert_eq!((deeds[0].succeeded, deeds[1].succeeded), (false, true), "{deeds:?}");
    assert!(!panicked[0].is_complete());
    let page = world.held("agent (old)").page_url();
    assert!(
        deeds[0].message.contains("NOT disabled") && deeds[0].message.contains(&page),
        "{deeds:?}"
    );
}

#[test]
fn what_failed_in_a_panic_is_not_said_to_be_done_and_the_rest_is_done() {
    let world = World::new();
    world.spoil("PATCH", Fate::Say(403, String::new()));
    let first = panicked(&world, &["agent"], true, &management(&world));
    let done: Vec<_> = first[0].action_results().iter().map(|deed| deed.succeeded).collect();
    assert_eq!(done, [false, true], "{first:?}");
    let old = world.get("laptop").unwrap();
    world.spoil("POST", Fate::Swallow);
    let second = panicked(&world, &["laptop"], true, &management(&world));
    let deeds = second[0].action_results();
    assert_eq!((deeds[0].succeeded, deeds[1].succeeded), (true, false), "{deeds:?}");
    assert!(deeds[1].message.contains("may have been created"), "{deeds:?}");
    assert_eq!(world.get("laptop"), Some(old));
}
