//! What a terminal sends and how it wraps: replies, bursts, links and sizes.

use std::time::Duration;

use portable_pty::PtySize;

use super::{BROWSER, sandbox};

#[test]
fn replies_and_alt_keys_do_nothing() {
    let mut terminal = sandbox(&[]);
    for reply in [
        "\u{1b}]10;rgb:d0d0/d0d0/d0d0\u{1b}\\",
        "\u{1b}]52;c;c2stb3ItdjEt\u{7}",
        "\u{1b}P>|xterm(390)\u{1b}\\",
        "\u{1b}[>41;354;0c",
        "\u{1b}d\u{1b}c\u{1b}x",
    ] {
        terminal.type_text(reply);
        let (first, second) = reply.split_at(4);
        terminal.type_text(first);
        std::thread::sleep(Duration::from_millis(5));
        terminal.type_text(second);
    }
    terminal.type_text("?");
    terminal.wait_for("esc back");
    terminal.type_text("?");
    terminal.wait_for("notebook");
    let bytes = terminal.bytes();
    for word in ["Disable", "Remove", "leak response", "opied", "Credit"] {
        assert!(!bytes.contains(word), "{word}: {bytes}");
    }
    terminal.type_text("n");
    terminal.wait_for("Credit limit");
    terminal.type_text("label\u{1b}c");
    terminal.wait_for("label");
    terminal.type_text("\u{1b}OM\u{1b}[27;5;115~");
    terminal.wait_for("paste the code");
    terminal.type_text("\u{1b}[27;5;99~");
    assert_eq!(terminal.end(), 0);
    terminal.assert_given_back();
}

#[test]
fn code_pasted_without_brackets_is_text_and_not_commands() {
    let mut terminal = sandbox(&[]);
    terminal.type_text("nssh\u{13}");
    terminal.wait_for("paste the code");
    terminal.type_text("cpb#y\rq");
    terminal.wait_for("•••••••");
    terminal.type_text("\u{3}");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn terminal_wraps_the_address_itself_and_knows_it_as_a_link() {
    let mut terminal = sandbox(BROWSER);
    terminal.type_text("nx\u{13}");
    // The parser joins rows that the terminal wrapped.
    let whole = |screen: &str| {
        let address = screen.lines().find(|line| line.starts_with("http")).map(str::trim_end);
        let state =
            |address: &str| address.rsplit_once("&state=").map_or(0, |(_, state)| state.len());
        address.filter(|address| state(address) == 43).map(str::to_owned)
    };
    let address = whole(&terminal.wait(|screen| whole(screen).is_some())).unwrap();
    assert!(address.contains("code_challenge="), "{address}");
    assert!(terminal.bytes().contains(&format!("\u{1b}]8;id=keywright;{address}\u{1b}\\")));
    terminal.type_text("\u{3}");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn terminal_of_the_largest_size_is_drawn_in_part() {
    let mut terminal = sandbox(&[]);
    for size in [u16::MAX, 80] {
        let size = PtySize { rows: size, cols: size, pixel_width: 0, pixel_height: 0 };
        terminal.master.resize(size).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    terminal.master.resize(PtySize { rows: 24, cols: 80, ..PtySize::default() }).unwrap();
    terminal.type_text("n");
    terminal.wait_for("Credit limit");
    terminal.type_text("\u{3}");
    assert_eq!(terminal.end(), 0);
}
