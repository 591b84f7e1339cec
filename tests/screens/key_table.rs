//! The table of keys and the details of one key.

use keywright::domain::{Credits, DailySpending, ModelSpending};
use keywright::tui::state::AccountReport;

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
    let keys = model.dashboard.stored_keys();
    let rejected = keys.iter().find(|key| key.rejected_at.is_some()).unwrap().hash.clone();
    want(&mut model, &[Intent::SelectKey(rejected), Intent::ToggleDetails]);
    let screen = drawn(&model);
    assert!(screen.contains(" dead  × rejected "), "{screen}");
    assert!(
        screen.contains(" rejected  by the server (401), now: revoked, disabled or deleted there "),
        "{screen}"
    );
    assert!(screen.contains(" spent     $2.00 of $5.00 "), "{screen}");
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
    assert!(shown.contains("Attention  5") && !shown.contains(" more  ! next"), "{shown}");
    // With fewer rows the last one leads to the others.
    let low = drawn(&in_every_state((160, 30)));
    assert!(low.contains("Attention  5") && low.contains("+1 more  ! next"), "{low}");
    assert!(shown.contains("All keys  9"), "{shown}");
    let shown = drawn(&in_every_state((159, 50)));
    assert!(shown.contains(" Attention 5  ") && !shown.contains("── Attention"), "{shown}");
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

#[test]
fn a_click_on_a_key_that_needs_attention_selects_it_or_does_what_stands_beside_it() {
    let mut model = in_every_state((160, 30));
    let shown = drawn(&model);
    let find = |words: &str| {
        let (row, line) = shown.lines().enumerate().find(|(_, line)| line.contains(words)).unwrap();
        // Each line of a drawn screen is quoted.
        let column = line[..line.find(words).unwrap()].chars().count() - 1;
        (u16::try_from(column).unwrap(), u16::try_from(row).unwrap())
    };
    let (column, row) = find("R rotate");
    let Some(Intent::ActOnKey(hash, intent)) = view::intent_at(&model, column, row) else {
        panic!("{shown}")
    };
    assert_eq!(*intent, Intent::Rotate);
    assert_eq!(view::intent_at(&model, 4, row), Some(Intent::SelectKey(hash.clone())));
    want(&mut model, &[Intent::ToggleMark, Intent::SetFilter("fresh".into())]);
    want(&mut model, &[Intent::ActOnKey(hash.clone(), intent)]);
    let Screen::Confirm(dialog) = &model.screen else { panic!("{:?}", model.screen) };
    assert_eq!(dialog.keys.len(), 1);
    assert_eq!(dialog.keys[0].hash, hash);
    let (column, row) = find("! next");
    want(&mut model, &[Intent::Back]);
    assert_eq!(view::intent_at(&model, column, row), Some(Intent::NextAttention));
    model.terminal_size = (80, 24);
    assert_eq!(view::intent_at(&model, 5, 2), Some(Intent::NextAttention));
}

#[test]
fn a_key_that_is_nearly_spent_and_ends_soon_says_both() {
    let mut model = model((80, 24));
    let both = read(key("both", Some("10"), None, Some(2)), Some(1.0), 9.0);
    update(&mut model, Msg::Response(Ticket(1), Response::KeysLoaded(Ok(vec![both]))), now());
    let shown = drawn(&model);
    assert!(shown.contains("both 90% spent, ends in 2 days"), "{shown}");
    assert!(shown.contains("◐ low ◔"), "{shown}");
    want(&mut model, &[Intent::SetFilter("state:expiring".into())]);
    assert_eq!(model.dashboard.rows.len(), 1);
}

#[test]
fn the_figure_of_today_is_the_sum_of_its_column() {
    let mut model = model((120, 40));
    let keys = ["a", "b", "c"].map(|label| read(key(label, None, None, None), None, 12.06));
    update(&mut model, Msg::Response(Ticket(1), Response::KeysLoaded(Ok(keys.into()))), now());
    let loaded = Response::SpendingLoaded(std::collections::HashMap::new());
    let ticket = model.account.spending_ticket.unwrap();
    update(&mut model, Msg::Response(ticket, loaded), now());
    let shown = drawn(&model);
    // Each key spent $1.206, which the column shows as 1.21: as `usage` sums it up, too.
    assert!(shown.contains("today $3.63") && shown.contains(" 1.21 "), "{shown}");
}

/// Returns the dashboard with keys in every state and the figures of their account.
fn with_account(size: (u16, u16)) -> Model {
    let mut model = in_every_state(size);
    let days: DailySpending = (1..24).map(|day| (jiff::civil::date(2026, 11, day), 2.0)).collect();
    let spent = |model: &str, usage| ModelSpending { model: model.into(), requests: 9, usage };
    let report = AccountReport {
        credits: Some(Credits { total_credits: 100.0, total_usage: 45.17 }),
        days: Some(days),
        spent_today: Some(135.6),
        models: vec![spent("openai/gpt-5", 71.0), spent("google/gemini-2.5-flash", 2.5)],
        keys: Vec::new(),
    };
    model.account.report_ticket = Some(Ticket(1_000));
    let loaded = Response::AccountLoaded(Some(report));
    update(&mut model, Msg::Response(Ticket(1_000), loaded), now());
    model
}

#[test]
fn credits_stand_in_the_first_row_and_the_account_on_a_page_at_every_size() {
    let shown = drawn(&with_account((80, 24)));
    assert!(shown.contains("credits $54.83 ≈ 27"), "{shown}");
    for size in [(60, 16), (80, 24)] {
        let mut model = with_account(size);
        want(&mut model, &[Intent::ToggleAccount]);
        let shown = drawn(&model);
        assert!(shown.contains("$54.83 of $100.00 left") && shown.contains("1 low"), "{shown}");
        assert!(size.0 == 80 || shown.contains("↓ scrolls"), "{shown}");
        assert!(!shown.contains("\" · "), "a continued line stands below its beginning: {shown}");
        want(&mut model, &[Intent::MoveToBottom]);
        let shown = drawn(&model);
        assert!(shown.contains("USD by day of the whole account"), "{shown}");
        assert!(shown.contains("█") && shown.contains("24 Nov"), "{shown}");
    }
    let mut model = with_account((120, 50));
    want(&mut model, &[Intent::ToggleAccount]);
    let shown = drawn(&model);
    assert!(shown.contains("openai/gpt-5") && shown.contains("97%"), "{shown}");
    assert!(shown.contains("24 Nov") && !shown.contains("scrolls"), "{shown}");
    let mut model = loaded_model((60, 16));
    want(&mut model, &[Intent::ToggleAccount]);
    assert!(drawn(&model).contains("need a management key: M"), "{}", drawn(&model));
}

#[test]
fn a_key_at_its_limit_says_until_when_and_a_disabled_one_is_not_alarming() {
    let mut model = in_every_state((120, 40));
    let shown = drawn(&model);
    assert!(shown.contains("blocked   until 25 Nov; e raises the limit"), "{shown}");
    want(&mut model, &[Intent::SetFilter("switched".into())]);
    assert!(!drawn(&model).contains("revoked, disabled or deleted"), "{}", drawn(&model));
}

#[test]
fn the_reason_of_the_selected_key_is_shown_and_shortened_before_it_is_left_out() {
    let mut model = in_every_state((60, 16));
    let shown = drawn(&model);
    assert!(shown.contains("Attention 5  spent at its limit · +4"), "{shown}");
    want(&mut model, &[Intent::NextAttention, Intent::NextAttention]);
    let shown = drawn(&model);
    assert!(shown.contains("Attention 5  nearly spent 95% spent"), "{shown}");
    model.dashboard.attention_list.clear();
    assert!(drawn(&model).contains("No key needs attention."));
}

#[test]
fn a_new_key_has_a_first_day() {
    let mut model = model((80, 24));
    let mut new = read(key("new", Some("10"), None, None), Some(10.0), 0.0);
    new.created_at = now();
    update(&mut model, Msg::Response(Ticket(1), Response::KeysLoaded(Ok(vec![new]))), now());
    let shown = drawn(&model);
    assert!(shown.contains("·············▁") && shown.contains("Nothing was spent."), "{shown}");
    // Nothing was spent on models either, so no rows say so.
    model.account.report = Some(AccountReport::default());
    for intents in [&[][..], &[Intent::ToggleDetails]] {
        want(&mut model, intents);
        let shown = drawn(&model);
        assert!(shown.contains("Nothing was spent.") && !shown.contains("By model"), "{shown}");
    }
}
