//! Signing in: with a code, an address, a QR code, and cancelled.

use super::*;

#[test]
fn without_a_browser_y_approves_and_the_code_comes_over() {
    let mut terminal = sandbox(&[]);
    terminal.type_text("nssh\u{13}");
    let waiting = terminal.wait_for("paste the code");
    assert!(!waiting.contains("callback_url"), "{waiting}");
    terminal.type_text("y");
    terminal.wait_for("ssh was created");
    terminal.type_text("\u{3}");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn esc_while_waiting_cancels_at_once_and_the_port_is_closed() {
    let mut terminal = sandbox(BROWSER);
    terminal.type_text("nx\u{13}");
    let waiting = terminal.wait_for("Sign in at:").replace('\n', "");
    let port = waiting.split("callback_url=http%3A%2F%2F127.0.0.1%3A").nth(1).unwrap();
    let port: u16 = port.split('%').next().unwrap().parse().unwrap();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
    terminal.type_text("\u{1b}");
    terminal.wait_for("Credit limit");
    // The form is back at once; the port closes as soon as the provisioning is cancelled.
    let until = Instant::now() + PATIENCE;
    while TcpStream::connect(("127.0.0.1", port)).is_ok() {
        assert!(Instant::now() < until, "the port is still open");
        std::thread::yield_now();
    }
    terminal.type_text("\u{3}");
    assert_eq!(terminal.end(), 0);
    terminal.assert_given_back();
}

#[test]
fn without_a_browser_the_address_is_a_qr_code_where_it_fits_and_the_code_is_not_shown() {
    let arguments = ["--sandbox", "new", "x", "--no-browser"];
    let mut terminal = Terminal::start((120, 60), &[], &arguments);
    let screen = terminal.wait_for("code:");
    assert!(screen.lines().filter(|line| line.contains(['█', '▀', '▄'])).count() > 15, "{screen}");
    let bytes = terminal.bytes();
    let url = bytes.split("\r\n").find(|line| line.starts_with("http")).unwrap();
    let code = keywright::sandbox::answer_consent(url, true).unwrap().unwrap();
    terminal.type_text(&format!("{code}\n"));
    assert_eq!(terminal.end(), 0);
    assert!(!terminal.bytes().contains(&code));
    terminal.assert_given_back();

    let mut small = Terminal::start((80, 20), &[], &arguments);
    let screen = small.wait_for("code:");
    assert!(screen.contains("QR code does not fit this terminal: it needs"), "{screen}");
    small.type_text("\u{3}");
    assert_eq!(small.end(), 5);
    small.assert_given_back();
}

#[test]
fn the_address_to_which_another_machines_browser_was_sent_is_pasted() {
    let arguments = ["--sandbox", "new", "x", "--no-open"];
    let mut terminal = Terminal::start((200, 50), &[], &arguments);
    terminal.wait_for("waiting for your consent there, for at most ten minutes");
    terminal.wait_for("or paste the address to which the page leads");
    let (callback, code) = code_of(&address(&terminal, 1));
    let other = "http://127.0.0.1:9/callback/other?code=other";
    terminal.type_text(&format!("\n \n{other}\n"));
    terminal.wait_for("this belongs to another sign-in");
    terminal.type_text("two words\n");
    terminal.wait_for("this is not a code");
    terminal.type_text(&format!("`{callback}?code={code}`\n"));
    assert_eq!(terminal.end(), 0);
    let bytes = terminal.bytes();
    assert!(bytes.contains("stored in memory") && !bytes.contains(&code), "{bytes}");
    terminal.assert_given_back();
}

#[test]
fn a_pasted_refusal_ends_the_sign_in_as_refused() {
    let arguments = ["--sandbox", "new", "x", "--no-browser"];
    let mut terminal = Terminal::start((120, 60), &[], &arguments);
    terminal.wait_for("code:");
    terminal.type_text("<http://127.0.0.1:4711/callback/N0nce?error=access_denied>\n");
    assert_eq!(terminal.end(), 5);
    assert!(terminal.bytes().contains("access was denied on the consent page"));
    terminal.assert_given_back();
}

#[test]
fn a_callback_that_arrives_leaves_the_next_line_to_the_shell() {
    let arguments = ["--sandbox", "new", "x", "--no-open"];
    let mut terminal = Terminal::start((200, 50), &[], &arguments);
    terminal.wait_for("or paste the address");
    keywright::sandbox::answer_consent(&address(&terminal, 1), true).unwrap();
    assert_eq!(terminal.end(), 0);
    terminal.assert_given_back();
}

#[test]
fn qr_code_never_pushes_the_address_off_the_screen() {
    let arguments = ["--sandbox", "new", "x", "--no-browser"];
    for size in [(80, 24), (80, 30), (80, 40), (120, 42), (60, 16)] {
        let mut terminal = Terminal::start(size, &[], &arguments);
        let screen = terminal.wait_for("code:");
        let shown = screen.lines().find(|line| line.starts_with("http")).unwrap_or_default();
        let bytes = terminal.bytes();
        let printed = bytes.split("\r\n").find(|line| line.starts_with("http")).unwrap();
        assert_eq!(shown, printed, "{size:?}: {screen}");
        terminal.type_text("\u{3}");
        assert_eq!(terminal.end(), 5);
    }
}

#[test]
fn browser_that_fails_late_is_reported_while_consent_is_awaited() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let browser = dir.path().join("slow-browser");
    std::fs::write(&browser, "#!/bin/sh\nsleep 0.6\nexit 3\n").unwrap();
    std::fs::set_permissions(&browser, std::fs::Permissions::from_mode(0o700)).unwrap();
    let mut terminal = sandbox(&[("BROWSER", browser.to_str().unwrap())]);
    terminal.type_text("nx\u{13}");
    let screen = terminal.wait_for("slow-browser exited with an error: open the address");
    assert!(screen.contains("Sign in at:"), "{screen}");
    assert!(screen.contains("✗ open the browser"), "{screen}");
    terminal.type_text("y");
    terminal.wait_for("x was created");
    terminal.type_text("\u{3}");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn text_browser_counts_as_no_browser() {
    // Without a display, programs that choose a browser choose one for the terminal.
    for list in ["w3m:lynx %s", "sensible-browser", "xdg-open:/usr/bin/x-www-browser", "gio open"] {
        let mut terminal = sandbox(&[("BROWSER", list)]);
        terminal.type_text("nx\u{13}");
        let screen = terminal.wait_for("paste the code it shows");
        assert!(!screen.contains("no browser could be started"), "{screen}");
        terminal.type_text("\u{3}");
        assert_eq!(terminal.end(), 0);
    }
}
