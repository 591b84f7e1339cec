//! The table of keys and the details of one key.

use super::*;

#[test]
fn keys_at_80_by_24() {
    insta::assert_snapshot!(drawn(&loaded_model((80, 24))));
}

#[test]
fn keys_at_120_by_40() {
    let mut model = loaded_model((120, 40));
    model.is_sandbox = true;
    insta::assert_snapshot!(drawn(&model));
}

#[test]
fn keys_at_160_by_50_have_their_details_beside_them() {
    insta::assert_snapshot!(drawn(&loaded_model((160, 50))));
}

#[test]
fn every_state_at_80_by_24() {
    insta::assert_snapshot!(drawn(&in_every_state((80, 24))));
}

#[test]
fn every_state_at_160_by_50() {
    insta::assert_snapshot!(drawn(&in_every_state((160, 50))));
}

#[test]
fn details_show_the_usage() {
    let mut model = in_every_state((80, 24));
    want(&mut model, &[Intent::Move(1), Intent::ToggleDetails]);
    insta::assert_snapshot!(drawn(&model));
}

#[test]
fn details_show_that_a_key_was_rejected() {
    let mut model = in_every_state((80, 24));
    want(&mut model, &[Intent::Move(6), Intent::ToggleDetails]);
    insta::assert_snapshot!(drawn(&model));
}

#[test]
fn filter_is_shown_below_the_table_while_it_is_edited() {
    let mut model = in_every_state((80, 24));
    want(&mut model, &[Intent::ToggleMark, Intent::NextSortOrder, Intent::EditFilter]);
    type_text(&mut model, "sp");
    insta::assert_snapshot!(drawn(&model));
}

#[test]
fn missing_account_credit_does_not_change_key_states() {
    let mut model = in_every_state((80, 24));
    let effects = update(&mut model, Msg::Intent(Intent::Reload), now());
    assert_eq!(effects.len(), 1);
    let ticket = model.dashboard.load_ticket.unwrap();
    update(&mut model, Msg::Response(ticket, Response::KeysLoaded(Ok(states()))), now());
    let round = model.refresh.current_round.as_ref().unwrap().ticket;
    let hash = states()[0].hash.clone();
    let msg = Msg::Response(
        round,
        Response::KeyChecked { hash, result: CheckResult::InsufficientCredits, checked_at: now() },
    );
    update(&mut model, msg, now());
    let screen = drawn(&model);
    assert!(screen.contains("out of credit"), "{screen}");
    assert!(screen.contains("● active"), "{screen}");
}

#[test]
fn details_show_the_commands_that_read_the_key() {
    let mut model = loaded_model((80, 24));
    want(&mut model, &[Intent::Move(1), Intent::ToggleDetails]);
    insta::assert_snapshot!(drawn(&model));
}

#[test]
fn a_step_without_the_pane_repaints_two_rows() {
    let mut before = loaded_model((120, 40));
    want(&mut before, &[Intent::TogglePane]);
    let mut after = before.clone();
    want(&mut after, &[Intent::Move(1)]);
    let (before, after) = (screen(&before, Theme::Dark), screen(&after, Theme::Dark));
    let changed = before.backend().buffer().diff(after.backend().buffer());
    let rows: std::collections::BTreeSet<_> = changed.iter().map(|(_, row, _)| *row).collect();
    assert_eq!(rows.into_iter().collect::<Vec<_>>(), [2, 4, 5], "the position and two rows");
}

#[test]
fn large_terminals_say_what_to_press_for_the_keys_that_need_attention() {
    let shown = drawn(&in_every_state((160, 50)));
    let line = |label: &str| shown.lines().find(|line| line.contains(label)).unwrap().to_owned();
    let spent = line("at its limit, resets in 12 hours");
    assert!(spent.contains("spent") && spent.contains("e raise the limit"), "{spent}");
    assert!(line("rejected").contains("R rotate"), "{shown}");
    assert!(shown.contains("Attention  5") && shown.contains("+1 more  ! next"), "{shown}");
    assert!(shown.contains("All keys  9"), "{shown}");
    let shown = drawn(&in_every_state((159, 50)));
    assert!(shown.contains("5 need you") && !shown.contains("Attention"), "{shown}");
}

#[test]
fn profiles_are_listed_over_the_keys() {
    let mut model = loaded_model((80, 24));
    let profiles = [
        ("default", Ok("https://openrouter.ai".to_owned())),
        ("team", Err("line 3: not a URL".to_owned())),
        ("work", Ok("http://127.0.0.1:4000".to_owned())),
    ];
    let choice = |(name, server): (&str, _)| ProfileChoice { name: name.parse().unwrap(), server };
    model.profiles = profiles.map(choice).to_vec();
    want(&mut model, &[Intent::OpenProfiles, Intent::Move(1)]);
    insta::assert_snapshot!(drawn(&model));
}
