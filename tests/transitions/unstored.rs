//! A key that is nowhere but here, and leaving while there is one or may be.

use super::*;

#[test]
fn a_key_that_could_not_be_stored_is_shown_wherever_the_person_went() {
    let (mut model, ticket) = waiting();
    want(&mut model, Intent::Back);
    tell(&mut model, Msg::Provisioned { ticket, outcome: not_stored("new") });
    assert!(matches!(model.screen, Screen::Form(_)), "what is being typed is not taken away");
    want(&mut model, Intent::Back);
    assert_eq!(revealed(&model), Some("new"));
}

#[test]
fn several_keys_that_could_not_be_stored_wait_for_each_other() {
    let mut model = holding(&[]);
    recovered(&mut model, vec![not_stored("a"), not_stored("b")]);
    let first = revealed(&model).unwrap().to_owned();
    want(&mut model, Intent::Back);
    assert_eq!(model.question, Some(Question::DropUnstored));
    want(&mut model, Intent::No);
    assert_eq!(revealed(&model), Some(first.as_str()));
    want(&mut model, Intent::Back);
    want(&mut model, Intent::Yes);
    assert_ne!(revealed(&model).unwrap(), first);
}

#[test]
fn quitting_asks_first_while_a_key_is_stored_nowhere() {
    let (mut model, ticket) = waiting();
    tell(&mut model, Msg::Provisioned { ticket, outcome: not_stored("new") });
    for leave in [Intent::Quit, Intent::Interrupt] {
        assert!(want(&mut model, leave).is_empty());
        assert_eq!(model.question, Some(Question::QuitUnstored));
        assert!(want(&mut model, Intent::Copy).is_empty(), "a question waits for its answer");
        want(&mut model, Intent::No);
    }
    want(&mut model, Intent::Quit);
    assert!(matches!(want(&mut model, Intent::Yes)[..], [Effect::Quit]));
}

#[test]
fn leaving_is_no_answer_to_a_question_about_something_else() {
    for leave in [Msg::Wanted(Intent::Interrupt), Msg::Left] {
        let mut model = holding(&["laptop"]);
        want(&mut model, Intent::Remove);
        let effects = tell(&mut model, leave.clone());
        assert!(matches!(effects[..], [Effect::Quit]), "{effects:?}");
        assert_eq!(model.dashboard.held().len(), 1);
        let (mut model, ticket) = waiting();
        tell(&mut model, Msg::Provisioned { ticket, outcome: not_stored("new") });
        want(&mut model, Intent::Back);
        assert_eq!(model.question, Some(Question::DropUnstored));
        tell(&mut model, leave);
        assert!(revealed(&model) == Some("new"), "the only copy is not dropped for a signal");
    }
}

#[test]
fn when_nobody_is_there_an_exchange_is_still_waited_for() {
    let (mut model, ticket) = waiting();
    tell(
        &mut model,
        Msg::Reported {
            ticket,
            report: ProvisioningEvent::StepStarted(ProvisioningStep::ExchangeCode),
        },
    );
    let effects = tell(&mut model, Msg::Left);
    assert!(matches!(effects[..], [Effect::Cancel(_)]), "{effects:?}");
    let effects = tell(&mut model, Msg::Provisioned { ticket, outcome: not_stored("new") });
    assert!(matches!(effects[..], [Effect::Quit]), "{effects:?}");
}

#[test]
fn when_nobody_is_there_a_key_that_is_being_stored_is_waited_for() {
    let (mut model, ticket) = waiting();
    tell(&mut model, Msg::Provisioned { ticket, outcome: not_stored("new") });
    let effects = want(&mut model, Intent::Retry);
    let [Effect::StoreAgain { ticket, .. }] = effects[..] else { panic!("{effects:?}") };
    assert!(tell(&mut model, Msg::Left).is_empty());
    let effects = tell(&mut model, Msg::Provisioned { ticket, outcome: stored("new") });
    assert!(matches!(effects[..], [Effect::Quit]), "{effects:?}");
}

#[test]
fn a_key_that_waits_for_the_screen_waits_for_the_answer_to_a_question() {
    let mut model = holding(&["laptop"]);
    want(&mut model, Intent::Remove);
    recovered(&mut model, vec![not_stored("a")]);
    assert_eq!(model.question, Some(Question::Remove(vec!["laptop".parse().unwrap()])));
    want(&mut model, Intent::Revoke);
    assert!(matches!(model.screen, Screen::Ask(_)));
    want(&mut model, Intent::Back);
    assert_eq!(revealed(&model), Some("a"));
}

#[test]
fn storing_again_ends_on_the_reveal() {
    let (mut model, ticket) = waiting();
    tell(&mut model, Msg::Provisioned { ticket, outcome: not_stored("new") });
    let effects = want(&mut model, Intent::Retry);
    let [Effect::StoreAgain { ticket, .. }] = effects[..] else { panic!("{effects:?}") };
    assert!(want(&mut model, Intent::Retry).is_empty(), "one try at a time");
    tell(&mut model, Msg::Provisioned { ticket, outcome: stored("new") });
    assert!(matches!(&model.screen, Screen::Reveal(reveal) if reveal.stored));
}

#[test]
fn a_key_that_one_store_refuses_goes_into_the_other() {
    let elsewhere =
        |passphrase| Elsewhere { store: "file".into(), place: "vault.age".into(), passphrase };
    let (mut model, ticket) = waiting();
    tell(&mut model, Msg::Provisioned { ticket, outcome: not_stored("new") });
    assert!(want(&mut model, Intent::StoreElsewhere).is_empty(), "there is no other");

    model.elsewhere = Some(elsewhere(true));
    assert!(want(&mut model, Intent::StoreElsewhere).is_empty());
    assert!(want(&mut model, Intent::Enter).is_empty(), "nothing is typed");
    type_text(&mut model, "correct horse");
    assert!(want(&mut model, Intent::Enter).is_empty(), "once more");
    type_text(&mut model, "correct hose");
    assert!(want(&mut model, Intent::Enter).is_empty(), "a slip");
    type_text(&mut model, "correct horse");
    let effects = want(&mut model, Intent::Enter);
    let [Effect::StoreElsewhere { ticket, passphrase: Some(_), .. }] = effects[..] else {
        panic!("{effects:?}")
    };
    assert!(want(&mut model, Intent::StoreElsewhere).is_empty(), "one try at a time");
    tell(&mut model, Msg::Provisioned { ticket, outcome: not_stored("new") });
    assert_eq!(revealed(&model), Some("new"), "refused there, too");

    model.elsewhere = Some(elsewhere(false));
    let effects = want(&mut model, Intent::StoreElsewhere);
    let [Effect::StoreElsewhere { ticket, passphrase: None, .. }] = effects[..] else {
        panic!("{effects:?}")
    };
    tell(&mut model, Msg::Provisioned { ticket, outcome: stored("new") });
    assert!(matches!(&model.screen, Screen::Reveal(reveal) if reveal.stored));
}

#[test]
fn leaving_waits_for_a_key_that_may_be_on_its_way() {
    let (mut model, ticket) = waiting();
    tell(
        &mut model,
        Msg::Reported {
            ticket,
            report: ProvisioningEvent::StepStarted(ProvisioningStep::ExchangeCode),
        },
    );
    let effects = want(&mut model, Intent::Interrupt);
    assert!(matches!(effects[..], [Effect::Cancel(_)]), "{effects:?}");
    let effects = tell(&mut model, Msg::Provisioned { ticket, outcome: stored("new") });
    assert!(matches!(effects[..], [Effect::Quit]), "{effects:?}");
}

#[test]
fn leaving_stops_when_the_key_that_came_could_not_be_stored() {
    let (mut model, ticket) = waiting();
    want(&mut model, Intent::Interrupt);
    let effects = tell(&mut model, Msg::Provisioned { ticket, outcome: not_stored("new") });
    assert!(effects.is_empty(), "{effects:?}");
    assert!(want(&mut model, Intent::Interrupt).is_empty());
    assert_eq!((revealed(&model), &model.question), (Some("new"), &Some(Question::QuitUnstored)));
}
