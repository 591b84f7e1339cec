//! Signals, suspension, resizing, and terminals that cannot be used.

use super::*;

#[test]
fn signals_restore_the_terminal() {
    for signal in ["TERM", "HUP", "INT"] {
        let mut terminal = sandbox(BROWSER);
        terminal.type_text("nx\u{13}");
        terminal.wait_for("Sign in at:");
        terminal.signal(signal);
        assert_eq!(terminal.end(), 0, "{signal}");
        terminal.assert_given_back();
    }
}

#[test]
fn stopped_program_continues() {
    let mut terminal = sandbox(&[]);
    for _ in 0..3 {
        terminal.signal("STOP");
        terminal.signal("CONT");
        terminal.type_text("n");
        terminal.wait_for("Credit limit");
        terminal.type_text("\u{1b}");
        terminal.wait_for("notebook");
    }
    terminal.type_text("q");
    assert_eq!(terminal.end(), 0);
    terminal.assert_given_back();
}

#[test]
fn signal_does_not_answer_a_question() {
    let mut terminal = sandbox(&[]);
    terminal.type_text("x");
    // The key on top is another one once the keys are checked.
    terminal.wait_for(" from this machine?");
    terminal.signal("TERM");
    assert_eq!(terminal.end(), 0);
    terminal.assert_given_back();
}

#[test]
fn resized_window_is_redrawn() {
    let mut terminal = sandbox(&[]);
    let resize = |terminal: &Terminal, cols: u16, rows: u16| {
        terminal.shown.0.lock().unwrap().parser.screen_mut().set_size(some(rows), some(cols));
        terminal.master.resize(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }).unwrap();
    };
    resize(&terminal, 30, 5);
    terminal.wait_for("Keywright needs");
    resize(&terminal, 120, 40);
    terminal.wait_for("LABEL");
    // Keys are read by now; the first one after a resize is as good as any.
    for key in ["n", "\u{1b}", "?", "\u{1b}"] {
        let (cols, before) = (121, terminal.wait(|screen| screen.contains("Keywright")));
        resize(&terminal, cols, 40);
        terminal.wait(|screen| screen != before);
        resize(&terminal, 120, 40);
        terminal.type_text(key);
        match key {
            "n" => terminal.wait_for("Keywright · a new key"),
            "?" => terminal.wait_for("Keywright · help"),
            // No page has a title on the dashboard.
            _ => terminal
                .wait(|screen| screen.contains("notebook") && !screen.contains("Keywright ·")),
        };
    }
    terminal.type_text("q");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn a_terminal_that_will_not_do_is_left_alone_with_a_sentence() {
    for (size, term, words) in [
        ((20, 5), "xterm", "the terminal has 20 columns and 5 rows"),
        ((80, 24), "dumb", "the terminal type is dumb"),
    ] {
        let mut terminal = Terminal::start(size, &[("TERM", term)], &["--sandbox"]);
        assert_eq!(terminal.end(), 1);
        let said = terminal.bytes();
        assert!(said.contains(words), "{said}");
        assert!(!said.contains('\u{1b}'), "{said:?}");
    }
}
