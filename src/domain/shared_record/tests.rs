//! Fields of any kind, and what a colleague reads of them.

use proptest::prelude::*;

use super::*;
use crate::domain::{
    ApiKey, Cents, GuardrailRef, OtherAccount, PendingReplacement, RequestedPolicy, ResetInterval,
    Retirement, StoreKind,
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn location() -> KeyLocation {
    KeyLocation::Stored(StoreKind::Memory)
}

fn key(label: &str) -> StoredKey {
    let secret = ApiKey::from(format!("sk-or-v1-{}", "ab12".repeat(16)));
    let label = label.parse().unwrap();
    StoredKey::new(label, &secret, "https://s".into(), StoreKind::Memory, at(1_700_000_000))
}

fn full_key() -> StoredKey {
    let mut key = key("ci");
    key.requested = RequestedPolicy {
        limit: Some("12.50".parse::<Cents>().unwrap()),
        limit_reset: Some(ResetInterval::Weekly),
        expires_at: Some(at(1_800_000_000)),
        workspace_id: Some("w".repeat(36)),
        ..RequestedPolicy::default()
    };
    key.user_id = Some("user_1".into());
    key.other_account = Some(OtherAccount { confirmed: true, intended_label: None });
    key.rejected_at = Some(at(1_700_000_100));
    key.disabled = Some(true);
    key.guardrail = Some(GuardrailRef { id: "g".into(), name: "Safe \u{e9}".into() });
    key.replaces = Some(PendingReplacement {
        hash: "0".repeat(64),
        unused_for: 60,
        revoke_when_unused: true,
        is_planned: false,
    });
    key.retirement = Some(Retirement {
        replaced_at: at(1_700_000_200),
        unused_for: 3_600,
        revoke_when_unused: false,
    });
    key
}

/// Returns the key that someone else reads from the pairs of `key`.
fn read_by_others(key: &StoredKey) -> Option<StoredKey> {
    let fields = join_pairs(split_fields(&key.to_shared_fields()));
    let record = SharedRecord::new(key.label.clone(), 1, fields);
    StoredKey::from_shared_record(record, &key.server, location(), at(0))
}

fn record_of(fields: SharedFields) -> SharedRecord {
    SharedRecord::new("ci".parse().unwrap(), 3, fields)
}

fn fields(pairs: &[(&str, &str)]) -> SharedFields {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn a_colleague_reads_the_key_as_it_was_written() {
    let key = full_key();
    let pairs = split_fields(&key.to_shared_fields());
    assert_eq!(pairs["hash"], key.hash);
    assert_eq!(pairs["created_at"], "2023-11-14T22:13:20Z");
    assert_eq!(pairs["disabled"], "true");
    let read = read_by_others(&key).unwrap();
    assert!(!read.is_unshared());
    assert_eq!(read.with(|key| key.shared = None), key);
}

#[test]
fn what_a_check_reports_is_not_written() {
    let mut key = full_key();
    let before = key.to_shared_fields();
    key.info = Some(std::sync::Arc::default());
    key.checked_at = Some(at(1_900_000_000));
    assert_eq!(key.to_shared_fields(), before);
}

#[test]
fn a_long_field_is_split_and_joined_again() {
    let mut key = key("ci");
    key.guardrail = Some(GuardrailRef { id: "g".into(), name: "\u{e9}".repeat(290) });
    key.requested.workspace_id = Some("x".repeat(290));
    let pairs = split_fields(&key.to_shared_fields());
    assert!(pairs.contains_key("guardrail.2"), "{pairs:?}");
    assert!(pairs.values().all(|value| value.len() <= MAX_VALUE_BYTES));
    assert_eq!(read_by_others(&key).unwrap().guardrail, key.guardrail);
}

#[test]
fn unknown_pairs_are_preserved_and_old_writers_make_room() {
    let mut all = fields(&[("team", "search"), ("a.2", "x"), ("created_by", "eva@here")]);
    all.extend(key("ci").to_shared_fields());
    for version in 1..=80 {
        set_writer(&mut all, version, "eva@here", false);
    }
    let record = record_of(all);
    assert_eq!(record.writer(80).unwrap(), "eva@here");
    let key = StoredKey::from_shared_record(record, "https://s", location(), at(0)).unwrap();
    let pairs = split_fields(&key.to_shared_fields());
    assert_eq!(pairs.len(), MAX_PAIRS);
    assert_eq!((&*pairs["team"], &*pairs["a.2"]), ("search", "x"));
    assert!(pairs.contains_key("writer_80") && !pairs.contains_key("writer_1"));
}

#[test]
fn hostile_fields_are_dropped_and_the_server_is_never_that_of_an_entry() {
    let mut hostile = key("ci").to_shared_fields();
    hostile.extend(fields(&[
        ("server", "https://evil.example"),
        ("masked", "sk\u{1b}[31m"),
        ("created_at", "yesterday"),
        ("disabled", "\"perhaps\""),
        ("guardrail", r#"{"id": "g", "name": "a\u001b[2Jb"}"#),
        ("requested", "[[["),
        ("retiring", "{\"since\": 5}"),
        ("user_id", "\u{202e}abc"),
    ]));
    let read =
        StoredKey::from_shared_record(record_of(hostile), "https://s", location(), at(7)).unwrap();
    assert_eq!(read.server, "https://s");
    assert_eq!(read.created_at, at(7));
    assert_eq!(read.disabled, None);
    assert_eq!(read.retirement, None);
    assert_eq!(read.user_id.as_deref(), Some("abc"));
    assert_eq!(read.guardrail.as_ref().unwrap().name, "a[2Jb");
    assert!(!read.masked.contains('\u{1b}'));
    let nameless = record_of(fields(&[("hash", "not a hash")]));
    assert_eq!(StoredKey::from_shared_record(nameless, "s", location(), at(0)), None);
}

#[test]
fn two_changes_are_merged_and_the_store_decides_where_both_changed_a_field() {
    let base = fields(&[("disabled", "false"), ("guardrail", "a"), ("retiring", "r"), ("x", "1")]);
    let local = fields(&[("disabled", "true"), ("guardrail", "b"), ("x", "1"), ("new", "l")]);
    let remote =
        fields(&[("disabled", "false"), ("guardrail", "c"), ("retiring", "r"), ("y", "2")]);
    let merged = merge_fields(&base, &local, &remote);
    assert_eq!(
        merged,
        fields(&[("disabled", "true"), ("guardrail", "c"), ("new", "l"), ("y", "2")])
    );
}

fn any_fields() -> impl Strategy<Value = SharedFields> {
    let names = prop_oneof![
        prop::sample::select(
            TEXT_FIELDS
                .iter()
                .chain(&JSON_FIELDS)
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>()
        ),
        "[a-z_.0-9]{1,12}",
    ];
    let values = prop_oneof![
        any::<String>(),
        "[{}\\[\\]\":,a-z0-9 ]{0,900}",
        Just("null".to_owned()),
        Just("{\"limit\": 1e308}".to_owned()),
        Just("[".repeat(5_000)),
    ];
    prop::collection::btree_map(names, values, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn any_fields_give_a_key_or_none_and_never_a_control_character(mut fields in any_fields()) {
        fields.entry("hash".into()).and_modify(|hash| *hash = "a".repeat(64));
        let record = record_of(join_pairs(fields));
        if let Some(key) = StoredKey::from_shared_record(record, "s", location(), at(0)) {
            let shown = key.with(|key| key.shared = None);
            let json = serde_json::to_string(&shown).unwrap();
            prop_assert!(!json.contains("\\u00"), "{}", json);
        }
    }

    #[test]
    fn what_is_split_is_joined_to_the_same(guardrail in "\\PC{0,1500}", workspace in "\\PC{0,1500}") {
        let mut key = key("ci");
        let sanitized = |text: &str| sanitize(text, 300);
        key.guardrail = Some(GuardrailRef { id: sanitized(&workspace), name: sanitized(&guardrail) });
        let fields = key.to_shared_fields();
        let pairs = split_fields(&fields);
        prop_assert!(pairs.values().all(|value| value.len() <= MAX_VALUE_BYTES));
        prop_assert_eq!(join_pairs(pairs), fields);
    }

    #[test]
    fn a_merge_with_no_other_change_is_the_own_change(base in any_fields(), local in any_fields()) {
        prop_assert_eq!(merge_fields(&base, &local, &base), local.clone());
        prop_assert_eq!(merge_fields(&base, &base, &local), local);
    }
}

#[test]
fn fields_that_cannot_be_read_are_named_and_hide_no_others() {
    let mut fields = full_key().to_shared_fields();
    fields.insert("disabled".into(), "maybe".into());
    fields.insert("retiring".into(), "3".into());
    fields.insert("created_at".into(), "yesterday".into());
    let key = StoredKey::from_shared_record(record_of(fields), "https://s", location(), at(0));
    let key = key.unwrap();
    assert_eq!(key.invalid_shared_fields(), ["created_at", "disabled", "retiring"]);
    assert_eq!((key.disabled, key.retirement.clone()), (None, None));
    assert_eq!(key.requested, full_key().requested);
    assert_eq!(full_key().invalid_shared_fields(), Vec::<&str>::new());
}
