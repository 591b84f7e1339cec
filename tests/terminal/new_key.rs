//! The questions of `keywright new` without a label.

use super::*;

fn start() -> Terminal {
    let terminal = Terminal::start((100, 40), &[], &["--sandbox", "new"]);
    terminal.wait_for("Label, such as");
    terminal
}

#[test]
fn new_without_a_label_asks_step_by_step_and_repeats_a_wrong_answer() {
    let mut terminal = start();
    terminal.type_text("laptop\r");
    terminal.wait_for("a key with the label laptop is already stored");
    terminal.type_text("\r");
    terminal.wait_for("a label is required");
    terminal.type_text("work\r");
    terminal.wait_for("Credit limit in USD, or none [10]:");
    terminal.type_text("-5\r");
    terminal.wait_for("a limit is above zero");
    terminal.type_text("\r");
    terminal.wait_for("Reset of the limit: daily, weekly, monthly or never [monthly]:");
    terminal.type_text("hourly\r");
    terminal.wait(|screen| screen.matches("Reset of the limit").count() == 2);
    terminal.type_text("weekly\r");
    terminal.wait_for("2027-12-31, or never [");
    terminal.type_text("yesterday\r");
    terminal.wait_for("an expiry is 30d, 12h");
    terminal.type_text("30d\r");
    terminal.wait_for("Workspace: its name, slug or UUID [default]:");
    terminal.type_text("no such workspace\r");
    terminal.wait(|screen| screen.matches("Workspace: its name").count() == 2);
    terminal.type_text("\r");
    terminal.wait_for("stored in memory");
    assert_eq!(terminal.end(), 0);
    assert_eq!(whole_keys(&terminal.bytes()), 0);
}

#[test]
fn without_a_limit_no_reset_is_asked_for() {
    let mut terminal = start();
    terminal.type_text("work\r");
    terminal.wait_for("Credit limit");
    terminal.type_text("none\r");
    let screen = terminal.wait_for("Expires: ");
    assert!(!screen.contains("Reset of"), "{screen}");
}

#[test]
fn ctrl_c_and_the_end_of_the_input_cancel_the_questions() {
    for key in ["\u{3}", "\u{4}"] {
        let mut terminal = start();
        terminal.type_text("work\r");
        terminal.wait_for("Credit limit");
        terminal.type_text(key);
        assert_eq!(terminal.end(), 5);
        let text = terminal.bytes();
        assert!(text.contains("\nkeywright: cancelled"), "{text}");
        terminal.assert_given_back();
    }
}

#[test]
fn ctrl_c_at_the_passphrase_prompt_is_a_cancellation() {
    let arguments = ["--store", "file", "new", "work", "--no-browser"];
    let mut terminal = Terminal::start((100, 40), &[], &arguments);
    terminal.wait_for("passphrase");
    terminal.type_text("\u{3}");
    assert_eq!(terminal.end(), 5);
    let text = terminal.bytes();
    assert!(text.contains("keywright: cancelled"), "{text}");
    terminal.assert_given_back();
}
