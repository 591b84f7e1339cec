//! Loading, refreshing, sorting, marking and removing keys.

use super::*;

#[test]
fn the_inventory_is_loaded_at_start() {
    let mut model = Model::new(AppContext::default(), (80, 24), now());
    let effects = load_keys(&mut model);
    assert!(matches!(effects[..], [Effect::Request(Ticket(1), Request::LoadKeys)]));
    assert!(matches!(model.dashboard.keys, KeyList::Loading));
}

#[test]
fn an_outdated_key_list_is_ignored() {
    let mut model = model_with_keys(&["laptop"]);
    send_intent(&mut model, Intent::Reload);
    send(&mut model, Msg::Response(Ticket(1), Response::KeysLoaded(Ok(Vec::new()))));
    assert_eq!(model.dashboard.stored_keys().len(), 1);
}

#[test]
fn a_refresh_that_is_due_and_cannot_start_keeps_nothing_awake() {
    let mut model = Model::new(AppContext::default(), (80, 24), now());
    model.refresh.next_at = Some(now());
    assert_eq!(model.next_tick_at(), Some(now() + SignedDuration::from_secs(1)));
}

#[test]
fn without_keys_no_refresh_is_repeated_at_once() {
    let context = AppContext {
        refresh_interval: Some(SignedDuration::from_mins(5)),
        ..AppContext::default()
    };
    let mut model = Model::new(context, (80, 24), now());
    load_keys(&mut model);
    send(&mut model, Msg::Response(Ticket(1), Response::KeysLoaded(Ok(vec![key("laptop")]))));
    let ticket = model.refresh.current_round.as_ref().unwrap().ticket;
    let ended = Msg::Response(
        ticket,
        Response::RefreshFinished { error: None, retry_after: None, rejected_keys: Vec::new() },
    );
    send(&mut model, ended);
    send(&mut model, Msg::KeyRemoved { label: "laptop".parse().unwrap(), result: Ok(None) });
    let due = model.next_tick_at().unwrap();
    update(&mut model, Msg::Tick, due);
    assert!(model.next_tick_at().unwrap() > due);
}

#[test]
fn removing_asks_for_confirmation_and_says_that_the_key_stays_valid() {
    let mut model = model_with_keys(&["laptop", "ci"]);
    assert!(send_intent(&mut model, Intent::Remove).is_empty());
    assert_eq!(model.question, Some(Question::RemoveKeys(vec!["laptop".parse().unwrap()])));
    let effects = send_intent(&mut model, Intent::Yes);
    assert!(
        matches!(&effects[..], [Effect::RemoveKeys(keys)] if keys[0].label.as_str() == "laptop")
    );
    let label = "laptop".parse().unwrap();
    send(&mut model, Msg::KeyRemoved { label, result: Ok(None) });
    assert_eq!(model.dashboard.selected_key().unwrap().label.as_str(), "ci");
    assert!(model.notice.unwrap().unwrap().contains("stays valid"));
}

#[test]
fn a_key_is_shown_for_ten_seconds_and_hidden_by_moving_on() {
    let mut model = model_with_keys(&["laptop", "ci"]);
    let show = |model: &mut Model| {
        let effects = send_intent(model, Intent::ToggleReveal);
        let [Effect::Request(ticket, Request::ReadSecret(key))] = &effects[..] else {
            panic!("{effects:?}")
        };
        let (ticket, label) = (*ticket, key.label.clone());
        send(model, Msg::Response(ticket, Response::SecretRead { label, result: Ok(secret()) }));
        assert!(model.dashboard.revealed_key.is_some());
        assert_eq!(model.next_tick_at(), Some(now() + SignedDuration::from_secs(1)));
    };
    show(&mut model);
    update(&mut model, Msg::Tick, now() + SignedDuration::from_secs(10));
    assert!(model.dashboard.revealed_key.is_none());
    show(&mut model);
    send_intent(&mut model, Intent::Move(1));
    assert!(model.dashboard.revealed_key.is_some(), "the page scrolls");
    send_intent(&mut model, Intent::Back);
    send_intent(&mut model, Intent::Back);
    show_pane(&mut model, true);
    show(&mut model);
    send_intent(&mut model, Intent::Move(1));
    assert!(model.dashboard.revealed_key.is_none());
    show_pane(&mut model, false);
    show(&mut model);
    send_intent(&mut model, Intent::NewKey);
    assert!(model.dashboard.revealed_key.is_none(), "leaving the screen hides it");
}

#[test]
fn an_idle_dashboard_ticks_only_when_its_text_changes() {
    let mut model = model_with_keys(&["laptop"]);
    // Resets at midnight: in 12 hours, which becomes 11 a second after half past twelve.
    assert_eq!(model.next_tick_at(), Some(now() + SignedDuration::from_secs(1_801)));
    update(&mut model, Msg::Tick, now() + SignedDuration::from_secs(1_801));
    assert_eq!(model.next_tick_at(), Some(now() + SignedDuration::from_secs(5_401)));
    let mut model = model_with_keys(&[]);
    assert_eq!(model.next_tick_at(), None);
    send_intent(&mut model, Intent::NewKey);
    assert_eq!(model.next_tick_at(), None);
}

/// Returns a dashboard that refreshes every five minutes, in its first refresh.
fn refreshing_model(labels: &[&str]) -> (Model, Ticket, Vec<String>) {
    let context = AppContext {
        refresh_interval: Some(SignedDuration::from_mins(5)),
        sort_order: SortOrder::CreatedAt,
        ..AppContext::default()
    };
    let mut model = Model::new(context, (80, 24), now());
    show_pane(&mut model, false);
    load_keys(&mut model);
    let keys = Ok(labels.iter().map(|label| key(label)).collect());
    let effects = send(&mut model, Msg::Response(Ticket(1), Response::KeysLoaded(keys)));
    let [
        Effect::RecoverInterrupted,
        Effect::Request(ticket, Request::RefreshKeys(keys)),
        Effect::Request(_, Request::LoadSpending),
    ] = &effects[..]
    else {
        panic!("{effects:?}")
    };
    let checked = keys.iter().map(|key| key.label.to_string()).collect();
    (model, *ticket, checked)
}

fn key_checked(ticket: Ticket, label: &str, remaining: f64) -> Msg {
    let info = KeyInfo {
        limit: Some(10.0).into(),
        limit_remaining: Some(remaining),
        ..KeyInfo::default()
    };
    let read = CheckResult::Valid(Arc::new(info));
    Msg::Response(
        ticket,
        Response::KeyChecked { hash: key(label).hash.clone(), result: read, checked_at: now() },
    )
}

#[test]
fn keys_are_checked_after_loading_the_visible_ones_first() {
    let labels: Vec<String> = (0..100).map(|number| format!("key {number:03}")).collect();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let (_, _, checked) = refreshing_model(&labels);
    assert_eq!(checked, labels);
    let (mut model, ticket, _) = refreshing_model(&labels);
    send(
        &mut model,
        Msg::Response(
            ticket,
            Response::RefreshFinished { error: None, retry_after: None, rejected_keys: Vec::new() },
        ),
    );
    send_intent(&mut model, Intent::MoveToBottom);
    let due = model.refresh.next_at.unwrap();
    let effects = update(&mut model, Msg::Tick, due);
    let [Effect::Request(_, Request::RefreshKeys(keys))] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!(keys[0].label.as_str(), "key 083", "the first row on screen");
    assert_eq!(keys.len(), 100);
}

#[test]
fn one_refresh_at_a_time_and_none_while_it_is_off() {
    let (mut model, ticket, _) = refreshing_model(&["a"]);
    let later = now() + SignedDuration::from_hours(1);
    assert!(update(&mut model, Msg::Tick, later).is_empty());
    assert!(update(&mut model, Msg::FocusGained, later).is_empty());
    update(
        &mut model,
        Msg::Response(
            ticket,
            Response::RefreshFinished { error: None, retry_after: None, rejected_keys: Vec::new() },
        ),
        later,
    );
    let due = model.refresh.next_at.unwrap();
    assert!(due > later + SignedDuration::from_mins(4));
    assert_eq!(update(&mut model, Msg::Tick, due).len(), 1);
    let mut off = model_with_keys(&["a"]);
    assert!(off.refresh.current_round.is_none());
    send_intent(&mut off, Intent::Reload);
    let keys = Ok(vec![key("a")]);
    let ticket = off.dashboard.load_ticket.unwrap();
    let effects = send(&mut off, Msg::Response(ticket, Response::KeysLoaded(keys)));
    assert!(
        matches!(
            effects[..],
            [Effect::RecoverInterrupted, Effect::Request(_, Request::RefreshKeys(_))]
        ),
        "a requested refresh runs"
    );
}

#[test]
fn check_results_do_not_move_rows() {
    let (mut model, ticket, _) = refreshing_model(&["a", "b", "c"]);
    send_intent(&mut model, Intent::NextSortOrder);
    send_intent(&mut model, Intent::NextSortOrder);
    send_intent(&mut model, Intent::NextSortOrder);
    assert_eq!(model.dashboard.sort_order, SortOrder::SpentShare);
    send_intent(&mut model, Intent::Move(1));
    let rows = model.dashboard.rows.clone();
    send(&mut model, key_checked(ticket, "c", 1.0));
    send(&mut model, key_checked(ticket, "a", 9.0));
    assert_eq!(
        (&model.dashboard.rows, model.dashboard.selected_key().unwrap().label.as_str()),
        (&rows, "b")
    );
    assert_eq!(model.dashboard.stored_keys()[2].state(now()), KeyState::Low);
    send_intent(&mut model, Intent::ReverseSort);
    send_intent(&mut model, Intent::ReverseSort);
    let labels: Vec<_> = model.visible_keys().map(|(_, key)| key.label.to_string()).collect();
    assert_eq!(labels, ["c", "a", "b"], "a requested sort uses the new figures");
    assert_eq!(model.dashboard.selected_key().unwrap().label.as_str(), "b");
}

#[test]
fn outdated_results_and_results_of_unknown_keys_are_ignored() {
    let (mut model, ticket, _) = refreshing_model(&["a"]);
    send(&mut model, key_checked(Ticket(999), "a", 1.0));
    send(&mut model, key_checked(ticket, "zzz", 1.0));
    assert_eq!(model.dashboard.stored_keys()[0].info, None);
}

#[test]
fn esc_stops_a_running_refresh_only() {
    let (mut model, ticket, _) = refreshing_model(&["a"]);
    let effects = send_intent(&mut model, Intent::Back);
    assert!(matches!(effects[..], [Effect::StopRefresh(stopped)] if stopped == ticket));
    send(
        &mut model,
        Msg::Response(
            ticket,
            Response::RefreshFinished { error: None, retry_after: None, rejected_keys: Vec::new() },
        ),
    );
    assert!(send_intent(&mut model, Intent::Back).is_empty());
}

#[test]
fn marked_keys_are_removed_together() {
    let mut model = model_with_keys(&["a", "b", "c"]);
    send_intent(&mut model, Intent::ToggleMark);
    send_intent(&mut model, Intent::ToggleMark);
    send_intent(&mut model, Intent::Remove);
    let effects = send_intent(&mut model, Intent::Yes);
    let [Effect::RemoveKeys(keys)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(keys.iter().map(|key| key.label.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert!(model.dashboard.marked_hashes.is_empty());
}

#[test]
fn the_filter_applies_while_it_is_typed_and_esc_clears_it() {
    let mut model = model_with_keys(&["laptop", "ci", "lab"]);
    send_intent(&mut model, Intent::EditFilter);
    type_text(&mut model, "la");
    assert_eq!(model.dashboard.rows, [0, 2]);
    type_text(&mut model, "p");
    assert_eq!(model.dashboard.selected_key().unwrap().label.as_str(), "laptop");
    send_intent(&mut model, Intent::Enter);
    send_intent(&mut model, Intent::Back);
    assert_eq!(model.dashboard.rows.len(), 3);
}

#[test]
fn a_click_selects_the_row_under_it() {
    let mut model = model_with_keys(&["a", "b", "c"]);
    send_intent(&mut model, Intent::ClickRow(6));
    assert_eq!(model.dashboard.selected_key().unwrap().label.as_str(), "c");
    for outside in [0, 3, 7, 23, 500] {
        send_intent(&mut model, Intent::ClickRow(outside));
        assert_eq!(model.dashboard.selected_key().unwrap().label.as_str(), "c");
    }
}

#[test]
fn an_account_without_credit_stays_reported_until_a_whole_round_has_none() {
    let mut model = model_with_keys(&["laptop", "ci"]);
    let round = |model: &mut Model, results: &[CheckResult]| {
        send_intent(model, Intent::Reload);
        let ticket = model.dashboard.load_ticket.unwrap();
        let keys = vec![key("laptop"), key("ci")];
        send(model, Msg::Response(ticket, Response::KeysLoaded(Ok(keys))));
        let ticket = model.refresh.current_round.as_ref().unwrap().ticket;
        for (label, result) in ["laptop", "ci"].iter().zip(results) {
            let hash = key(label).hash.clone();
            let checked = Response::KeyChecked { hash, result: result.clone(), checked_at: now() };
            send(model, Msg::Response(ticket, checked));
        }
        let error = None;
        let ended = Response::RefreshFinished { error, retry_after: None, rejected_keys: vec![] };
        send(model, Msg::Response(ticket, ended));
        model.refresh.has_insufficient_credits
    };
    let valid = CheckResult::Valid(Arc::new(KeyInfo::default()));
    assert!(round(&mut model, &[CheckResult::InsufficientCredits, valid.clone()]));
    assert!(!round(&mut model, &[valid.clone(), valid]));
}

#[test]
fn each_deleted_and_each_foreign_key_of_a_recovery_is_reported() {
    let mut model = model_with_keys(&["laptop"]);
    let before = model.messages.len();
    send(
        &mut model,
        Msg::RecoveryFinished {
            stored_keys: Vec::new(),
            unstored_keys: Vec::new(),
            rotations: Vec::new(),
            unresolved_attempts: Vec::new(),
            deleted_labels: vec!["ci".parse().unwrap(), "web".parse().unwrap()],
            foreign_keys: vec![account_key("ci")],
            finished: Vec::new(),
            errors: Vec::new(),
        },
    );
    let texts: Vec<String> = model
        .messages
        .iter()
        .skip(before)
        .map(|logged| logged.message.clone().unwrap_or_else(|error| error.message))
        .collect();
    assert_eq!(texts.len(), 3, "{texts:?}");
    assert!(texts[0].contains("'ci'") && texts[1].contains("'web'"), "{texts:?}");
    assert!(texts[2].contains("left as it is: "), "{texts:?}");
}

#[test]
fn a_change_by_another_program_is_looked_for_on_focus_and_never_drops_what_is_under_way() {
    let mut model = model_with_keys(&["laptop"]);
    model.refresh.current_round = None;
    assert!(model.open_requests.is_empty());
    let effects = send(&mut model, Msg::FocusGained);
    let is_check =
        |effects: &[Effect]| effects.iter().any(|effect| matches!(effect, Effect::CheckInventory));
    // A refresh that is due on focus comes first.
    assert!(is_check(&effects) || model.refresh.current_round.is_some());
    model.refresh.current_round = None;
    model.is_inventory_check_due = false;
    send(&mut model, Msg::InventoryChanged(vec![key("laptop"), key("other")]));
    assert_eq!(labels(&model), ["laptop", "other"]);
    // While a form is filled in, the list stays; the check follows later.
    send_intent(&mut model, Intent::NewKey);
    send(&mut model, Msg::InventoryChanged(vec![key("laptop")]));
    assert_eq!(labels(&model), ["laptop", "other"]);
    assert!(is_check(&send(&mut model, Msg::Intent(Intent::Back))));
}

#[test]
fn a_change_by_another_program_is_looked_for_before_an_action_and_closes_an_outdated_question() {
    let is_check =
        |effects: &[Effect]| effects.iter().any(|effect| matches!(effect, Effect::CheckInventory));
    for intent in [Intent::Remove, Intent::ToggleDisabled, Intent::Rotate, Intent::RespondToLeak] {
        let mut model = model_with_keys(&["laptop", "other"]);
        assert!(is_check(&send(&mut model, Msg::Intent(intent))));
        // The key that the question is about is the same.
        send(&mut model, Msg::InventoryChanged(vec![key("laptop")]));
        let is_asked =
            |model: &Model| model.question.is_some() || matches!(model.screen, Screen::Confirm(_));
        assert!(is_asked(&model));
        // It was rotated: the label is that of another key.
        let rotated = key("new").with(|key| key.label = "laptop".parse().unwrap());
        send(&mut model, Msg::InventoryChanged(vec![rotated]));
        assert!(!is_asked(&model) && matches!(model.screen, Screen::Dashboard));
        assert!(matches!(&model.notice, Some(Err(error)) if error.message.contains("'laptop'")));
        assert_eq!(labels(&model), ["laptop"]);
    }
    let mut model = model_with_keys(&["laptop"]);
    assert!(
        !is_check(&send(&mut model, Msg::Intent(Intent::Move(1)))),
        "nothing is read for moving"
    );
}

#[test]
fn the_order_is_the_one_that_the_title_names_after_every_change_of_a_key() {
    let mut model = model_with_keys(&["a", "b", "c"]);
    model.dashboard.set_sort_order(SortOrder::State, now());
    model.dashboard.set_sort_order(SortOrder::SpentShare, now());
    model.dashboard.set_sort_order(SortOrder::State, now());
    assert_eq!(labels(&model), ["a", "b", "c"]);
    send_intent(&mut model, Intent::MoveToBottom);
    send_intent(&mut model, Intent::ToggleDisabled);
    send_intent(&mut model, Intent::Yes);
    // The account reports the whole limit as spent.
    let spent =
        KeyInfo { limit: Some(5.0).into(), limit_remaining: Some(0.0), ..KeyInfo::default() };
    let account_key = AccountKey { info: spent, ..account_key("c") };
    let label: Label = "c".parse().unwrap();
    send(&mut model, Msg::KeyDisabledSet { label, result: Ok(account_key), warning: None });
    assert_eq!(labels(&model), ["c", "a", "b"]);
    assert_eq!(model.dashboard.selected_key().unwrap().label.as_str(), "c");
}
