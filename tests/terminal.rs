//! The real binary in a pseudo-terminal, against its own sandbox: what the user sees and types, and
//! a terminal that comes back as it was.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "terminal/input.rs"]
mod input;
#[path = "terminal/new_key.rs"]
mod new_key;
#[path = "terminal/process.rs"]
mod process;
#[path = "terminal/sign_in.rs"]
mod sign_in;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

const PATIENCE: Duration = Duration::from_secs(20);

/// A terminal with the program in it.
struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    master: Box<dyn MasterPty + Send>,
    keyboard: Box<dyn Write + Send>,
    shown: Arc<(Mutex<Shown>, Condvar)>,
    before: String,
    _home: tempfile::TempDir,
}

struct Shown {
    parser: vt100::Parser,
    /// Everything the program wrote.
    bytes: Vec<u8>,
    ended: bool,
}

impl Terminal {
    fn start(size: (u16, u16), environment: &[(&str, &str)], arguments: &[&str]) -> Self {
        let (cols, rows) = size;
        let pty = native_pty_system()
            .openpty(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 })
            .unwrap();
        let home = tempfile::tempdir().unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_keywright"));
        command.args(arguments);
        command.env_clear();
        command.env("HOME", home.path());
        command.env("TERM", "xterm-256color");
        for (name, value) in environment {
            command.env(name, value);
        }
        let before = modes(&*pty.master);
        let child = pty.slave.spawn_command(command).unwrap();
        drop(pty.slave);
        let shown = Arc::new((
            Mutex::new(Shown {
                parser: vt100::Parser::new(some(rows), some(cols), 0),
                bytes: Vec::new(),
                ended: false,
            }),
            Condvar::new(),
        ));
        let mut output = pty.master.try_clone_reader().unwrap();
        let screen = Arc::clone(&shown);
        std::thread::spawn(move || {
            let mut buffer = vec![0; 65_536];
            loop {
                // The kernel may report the end although the program wrote just before it ended: what it
                // wrote comes with the next read.
                let read = output.read(&mut buffer).or_else(|_| output.read(&mut buffer));
                let read = read.unwrap_or(0);
                let mut shown = screen.0.lock().unwrap();
                shown.parser.process(&buffer[..read]);
                shown.bytes.extend_from_slice(&buffer[..read]);
                shown.ended = read == 0;
                screen.1.notify_all();
                if read == 0 {
                    return;
                }
            }
        });
        let keyboard = pty.master.take_writer().unwrap();
        Self { child, master: pty.master, keyboard, shown, before, _home: home }
    }

    fn type_text(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
        self.keyboard.flush().unwrap();
    }

    /// Waits until the screen says so.
    fn wait(&self, is_expected: impl Fn(&str) -> bool) -> String {
        let until = Instant::now() + PATIENCE;
        let mut shown = self.shown.0.lock().unwrap();
        loop {
            let screen = shown.parser.screen().contents();
            if is_expected(&screen) {
                return screen;
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero() && !shown.ended, "the screen shows:\n{screen}");
            shown = self.shown.1.wait_timeout(shown, left).unwrap().0;
        }
    }

    fn wait_for(&self, words: &str) -> String {
        self.wait(|screen| screen.contains(words))
    }

    /// Presses keys for something that says when it is done; the next key takes the words away.
    fn does(&mut self, keys: &str, words: &str) {
        self.type_text(keys);
        self.wait_for(words);
        self.type_text("G");
        self.wait(|screen| !screen.contains(words));
    }

    fn signal(&self, name: &str) {
        let pid = self.child.process_id().unwrap().to_string();
        let sent = std::process::Command::new("kill").args([format!("-{name}"), pid]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits for the end; the exit code.
    fn end(&mut self) -> u32 {
        let until = Instant::now() + PATIENCE;
        let mut shown = self.shown.0.lock().unwrap();
        while !shown.ended {
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "still running:\n{}", shown.parser.screen().contents());
            shown = self.shown.1.wait_timeout(shown, left).unwrap().0;
        }
        drop(shown);
        self.child.wait().unwrap().exit_code()
    }

    fn bytes(&self) -> String {
        String::from_utf8_lossy(&self.shown.0.lock().unwrap().bytes).into_owned()
    }

    /// The terminal is as it was before.
    fn assert_given_back(&self) {
        let shown = self.shown.0.lock().unwrap();
        let screen = shown.parser.screen();
        assert!(!screen.alternate_screen(), "the main screen is not back");
        assert!(!screen.hide_cursor(), "the cursor is hidden");
        assert!(!screen.bracketed_paste(), "pastes are still bracketed");
        drop(shown);
        assert_eq!(modes(&*self.master), self.before);
    }
}

fn some(size: u16) -> std::num::NonZeroU16 {
    std::num::NonZeroU16::new(size).unwrap()
}

/// The modes of the line: echo, canonical, signals…
fn modes(master: &dyn MasterPty) -> String {
    let modes = master.get_termios().unwrap();
    format!("{:?} {:?} {:?}", modes.local_flags, modes.input_flags, modes.output_flags)
}

fn sandbox(environment: &[(&str, &str)]) -> Terminal {
    let terminal = Terminal::start((80, 24), environment, &["--sandbox"]);
    terminal.wait(|screen| {
        ["laptop", "ci", "notebook", "agent"].iter().all(|key| screen.contains(key))
    });
    terminal
}

/// A browser that "opens" everything: the callback waits, and `y` approves in its place.
const BROWSER: &[(&str, &str)] = &[("BROWSER", "true")];

fn whole_keys(text: &str) -> usize {
    text.split("sk-or-v1-")
        .skip(1)
        .filter(|rest| rest.bytes().take_while(u8::is_ascii_hexdigit).count() >= 64)
        .count()
}

/// Joins the rows of a wrapped value.
fn without_spaces(screen: &str) -> String {
    screen.split_whitespace().collect()
}

/// Approves on the page without its callback, as a browser on another machine; the code.
fn code_of(address: &str) -> (url::Url, String) {
    let url = url::Url::parse(address).unwrap();
    let callback = url.query_pairs().find(|(name, _)| name == "callback_url").unwrap().1;
    let callback = url::Url::parse(&callback).unwrap();
    let mut page = url.clone();
    page.query_pairs_mut()
        .clear()
        .extend_pairs(url.query_pairs().filter(|(name, _)| name != "callback_url"));
    (callback, keywright::sandbox::answer_consent(page.as_str(), true).unwrap().unwrap())
}

#[test]
fn first_key_is_created_revealed_and_hidden() {
    let mut terminal = sandbox(BROWSER);
    terminal.wait_for("notebook");
    terminal.type_text("n");
    terminal.wait_for("Credit limit");
    terminal.type_text("my tool\t5\tw\t30d\r");
    let waiting = terminal.wait_for("elapsed, 9:5");
    assert!(waiting.contains("Sign in at:") && waiting.contains("http://127.0.0.1:"), "{waiting}");
    terminal.type_text("y");
    let created = terminal.wait_for("my tool was created");
    assert!(created.contains("granted as requested") && created.contains("$5.00"), "{created}");
    assert_eq!(whole_keys(&terminal.bytes()), 0, "nothing showed the key");
    terminal.type_text("v");
    let shown = terminal.wait_for("shown below for");
    assert_eq!(whole_keys(&without_spaces(&shown)), 1);
    terminal.type_text("v");
    terminal.wait(|screen| whole_keys(&without_spaces(screen)) == 0);
    terminal.type_text("n");
    terminal.wait_for("a new key");
    terminal.type_text("\u{1b}");
    terminal.wait_for("my tool");
    terminal.type_text("q");
    assert_eq!(terminal.end(), 0);
    terminal.assert_given_back();
}

#[test]
fn a_key_runs_low_resets_and_expires_within_a_minute() {
    let mut terminal = sandbox(BROWSER);
    terminal.wait_for("ci 97% spent");
    terminal.type_text("/agent\r");
    terminal.wait_for("1/1");
    for _ in 0..4 {
        terminal.does("+", "spent on this key");
    }
    terminal.wait_for("agent at its limit");
    terminal.does(">", "One day passed");
    terminal.wait(|screen| !screen.contains("agent at its limit"));
    for _ in 0..3 {
        terminal.does(">", "One day passed");
    }
    terminal.wait_for("agent ended");
    terminal.type_text("q");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn a_paste_with_escapes_and_newlines_is_text() {
    let mut terminal = sandbox(&[]);
    terminal.type_text("n");
    terminal.wait_for("Credit limit");
    terminal.type_text("\u{1b}[200~one\r\ntwo\u{3}\u{1b}\u{1b}[201~");
    let screen = terminal.wait_for("one two");
    assert!(screen.contains("a new key"), "{screen}");
    terminal.type_text("\u{3}");
    assert_eq!(terminal.end(), 0);
}

/// The last address that was shown, out of so many.
fn address(terminal: &Terminal, count: usize) -> String {
    let until = Instant::now() + PATIENCE;
    loop {
        let bytes = terminal.bytes();
        let found: Vec<_> = bytes.split("\r\n").filter(|line| line.starts_with("http")).collect();
        if found.len() == count && bytes.ends_with('\n') {
            return found[count - 1].to_owned();
        }
        assert!(Instant::now() < until, "{} addresses:\n{bytes}", found.len());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_queue_of_consents_is_skipped_retried_and_stopped_by_a_key_each() {
    let dir = tempfile::tempdir().unwrap();
    let plan = dir.path().join("plan.toml");
    let text: String = ["a", "b", "c", "d"].map(|l| format!("[[key]]\nlabel = \"{l}\"\n")).concat();
    std::fs::write(&plan, text).unwrap();
    let arguments = ["--sandbox", "apply", plan.to_str().unwrap(), "--no-open"];
    let mut terminal = Terminal::start((200, 50), &[], &arguments);
    terminal.wait_for("Create 4 keys one after the other, with your consent to each? [y/N]");
    terminal.type_text("y\n");
    terminal.wait_for("1 of 4: a");
    address(&terminal, 1);
    terminal.type_text("s");
    terminal.wait_for("a: skipped");
    keywright::sandbox::answer_consent(&address(&terminal, 2), true).unwrap();
    terminal.wait_for("b is stored (sk-or-v1-");
    address(&terminal, 3);
    terminal.type_text("r");
    keywright::sandbox::answer_consent(&address(&terminal, 4), true).unwrap();
    terminal.wait_for("c is stored");
    address(&terminal, 5);
    terminal.type_text("q");
    assert_eq!(terminal.end(), 5);
    let bytes = terminal.bytes();
    for words in [
        "!  a      failed: skipped",
        "+  b      created",
        "+  c      created",
        "!  d      failed: cancelled",
        "2 created, 2 failed",
    ] {
        assert!(bytes.contains(words), "{words}: {bytes}");
    }
    terminal.assert_given_back();
}

#[test]
fn a_queue_without_a_browser_takes_codes_and_wishes_by_the_line() {
    let dir = tempfile::tempdir().unwrap();
    let plan = dir.path().join("plan.toml");
    std::fs::write(&plan, "[[key]]\nlabel = \"a\"\n[[key]]\nlabel = \"b\"\n").unwrap();
    let server =
        keywright::sandbox::Sandbox::start(&keywright::sandbox::Options { port: 0, key_count: 1 });
    let server = server.unwrap();
    let plan = plan.to_str().unwrap();
    let arguments = ["--server", server.url(), "--store", "memory", "apply", plan];
    let mut terminal = Terminal::start((120, 60), &[("SSH_TTY", "/dev/pts/9")], &arguments);
    terminal.wait_for("Create 2 keys one after the other, with your consent to each?");
    terminal.type_text("y\n");
    terminal.wait_for("s skips this key");
    terminal.type_text("s\n");
    let code = keywright::sandbox::answer_consent(&address(&terminal, 2), true).unwrap().unwrap();
    terminal.type_text(&format!("{code}\n"));
    assert_eq!(terminal.end(), 5);
    let bytes = terminal.bytes();
    assert!(bytes.contains("1 created, 1 failed") && !bytes.contains(&code), "{bytes}");
    terminal.assert_given_back();
}

#[test]
fn an_address_pasted_into_a_queue_is_no_command() {
    let dir = tempfile::tempdir().unwrap();
    let plan = dir.path().join("plan.toml");
    std::fs::write(&plan, "[[key]]\nlabel = \"a\"\n").unwrap();
    let arguments = ["--sandbox", "apply", plan.to_str().unwrap(), "--no-open", "--yes"];
    let mut terminal = Terminal::start((200, 50), &[], &arguments);
    terminal.wait_for("s skips this key");
    let (callback, code) = code_of(&address(&terminal, 1));
    terminal.type_text(&format!("{callback}?code={code}\n"));
    assert_eq!(terminal.end(), 0);
    assert!(terminal.bytes().contains("1 created"));
}
