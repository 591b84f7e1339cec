//! What the dashboard keeps for its next run, and the themes.

use keywright::domain::ThemeChoice;

use super::*;

#[test]
fn a_chosen_theme_survives_a_restart_unless_the_configuration_names_one() {
    let mut model = model_with_keys(&["laptop"]);
    model.uses_color = true;
    let effects = send_intent(&mut model, Intent::NextTheme);
    let [Effect::SaveView(view)] = &effects[..] else { panic!("{effects:?}") };
    let chosen = model.theme_choice;
    assert_ne!(chosen, ThemeChoice::Auto);
    for (configured, expected) in
        [(ThemeChoice::Auto, chosen), (ThemeChoice::HighContrast, ThemeChoice::HighContrast)]
    {
        let context = AppContext { theme_choice: configured, ..AppContext::default() };
        let mut next = Model::new(context, (80, 24), now());
        next.restore_view(view);
        assert_eq!(next.theme_choice, expected);
    }
    let mut next = Model::new(AppContext::default(), (80, 24), now());
    next.restore_view(&keywright::tui::state::ViewState::default());
    assert_eq!(next.theme_choice, ThemeChoice::Auto, "an old file has no theme");
}

#[test]
fn order_filter_and_details_survive_a_restart() {
    let mut model = model_with_keys(&["laptop", "ci"]);
    let effects = send_intent(&mut model, Intent::SortBy(SortOrder::Label));
    assert!(matches!(&effects[..], [Effect::SaveView(_)]));
    assert!(send_intent(&mut model, Intent::Move(1)).is_empty());
    send_intent(&mut model, Intent::EditFilter);
    send_intent(&mut model, Intent::TypeChar('c'));
    assert!(send_intent(&mut model, Intent::TypeChar('i')).is_empty());
    let effects = send_intent(&mut model, Intent::Enter);
    let [Effect::SaveView(view)] = &effects[..] else { panic!("{effects:?}") };
    let mut next = Model::new(AppContext::default(), (80, 24), now());
    next.restore_view(view);
    load_keys(&mut next);
    let keys = Ok(vec![key("laptop"), key("ci")]);
    let effects = send(&mut next, Msg::Response(Ticket(1), Response::KeysLoaded(keys)));
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::SaveView(_))));
    assert_eq!(labels(&next), ["ci"]);
    assert_eq!(next.dashboard.sort_order, SortOrder::Label);
}

#[test]
fn the_first_change_of_the_theme_is_visible() {
    let mut model = model_with_keys(&[]);
    model.uses_color = true;
    let mut seen = vec![model.resolve_theme(model.theme_choice)];
    for _ in 0..3 {
        send_intent(&mut model, Intent::NextTheme);
        let shown = model.resolve_theme(model.theme_choice);
        assert!(!seen.contains(&shown), "{shown} {seen:?}");
        seen.push(shown);
    }
    send_intent(&mut model, Intent::NextTheme);
    assert_eq!(model.theme_choice, ThemeChoice::Auto);
    assert!(matches!(&model.notice, Some(Ok(text)) if text.contains("follows the terminal")));
    model.uses_color = false;
    send_intent(&mut model, Intent::NextTheme);
    assert_eq!(model.theme_choice, ThemeChoice::Auto);
}
