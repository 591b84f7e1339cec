//! Feeds terminal bytes of any kind to the dashboard while keys are at stake.
//!
//! Longer than 400 lines, because the generators of replies and their checks belong together.
//!
//! Two promises are tested. Replies of a terminal, however they are damaged, split or cut off, press no
//! key at all. And from arbitrary bytes a key is changed, copied or revealed only where an independent
//! parser (`vte`) also sees the exact keys of the command, in order.
//!
//! `INPUT_FUZZ_BYTES` and `INPUT_FUZZ_SEED` change the run. A long one:
//! `INPUT_FUZZ_BYTES=10000000 cargo test --profile long --test terminal_input -- --nocapture`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may fail, and reports figures"
)]

use std::collections::BTreeMap;

use crossterm::event::{Event, KeyCode, KeyModifiers};
use jiff::Timestamp;
use keywright::domain::{
    AccountKey, ApiKey, ErrorKind, ProvisioningEvent, ProvisioningOutcome, ProvisioningStep,
    StoredKey, UserError,
};
use keywright::tui::input::InputParser;
use keywright::tui::keymap::{self, palette_entries, selected_entry};
use keywright::tui::state::{
    AlternateStore, AppContext, Effect, Intent, Model, Msg, Overlay, Request, Response, Screen,
};
use keywright::tui::update::{load_keys, update};

/// SplitMix64.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, below: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(below).unwrap()).unwrap()
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

fn now() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

fn key(label: &str) -> StoredKey {
    StoredKey::new(
        label.parse().unwrap(),
        &ApiKey::from(String::new()),
        "https://openrouter.ai".into(),
        "os".parse().unwrap(),
        now(),
    )
    .with(|key| key.hash = keywright::domain::encode_hex(label.as_bytes()))
}

/// Returns the dashboard with keys, on each screen that terminal input can reach from there.
fn start_models() -> Vec<Model> {
    let context = AppContext {
        alternate_store: Some(AlternateStore {
            store_kind: "file".parse().unwrap(),
            display_name: "/home/me/vault.age".into(),
            needs_passphrase: true,
        }),
        ..AppContext::default()
    };
    let mut model = Model::new(context, (80, 24), now());
    let effects = load_keys(&mut model);
    let [Effect::Request(ticket, Request::LoadKeys)] = effects[..] else { panic!() };
    let disabled = key("notebook").with(|key| key.disabled = Some(true));
    let keys = vec![key("c"), key("laptop"), disabled, key("y")];
    update(&mut model, Msg::Response(ticket, Response::KeysLoaded(Ok(keys))), now());
    let after = |intents: &[Intent]| {
        let mut model = model.clone();
        let mut effects = Vec::new();
        for intent in intents {
            effects = update(&mut model, Msg::Intent(intent.clone()), now());
        }
        (model, effects)
    };
    let (mut sign_in, effects) = after(&[Intent::NewKey, Intent::TypeChar('n'), Intent::Submit]);
    let [Effect::Request(ticket, Request::ProvisionKey { .. })] = effects[..] else {
        panic!("{effects:?}")
    };
    for event in [
        ProvisioningEvent::SignInUrl { url: "https://openrouter.ai/auth".into(), needs_code: true },
        ProvisioningEvent::StepStarted(ProvisioningStep::AwaitConsent),
    ] {
        update(&mut sign_in, Msg::Response(ticket, Response::ProvisioningEvent(event)), now());
    }
    let mut unstored = sign_in.clone();
    let outcome = ProvisioningOutcome::NotStored {
        entry: key("new"),
        key: ApiKey::from("sk-or-v1-secret".to_owned()),
        error: UserError::new(ErrorKind::SecretStore, "it failed", "try again"),
    };
    update(&mut unstored, Msg::Response(ticket, Response::ProvisioningFinished(outcome)), now());
    let mut models = vec![model.clone(), sign_in, unstored];
    for intents in [
        &[Intent::ToggleDisabled][..],
        &[Intent::Remove],
        &[Intent::Rotate],
        &[Intent::RespondToLeak],
        &[Intent::NewKey],
        &[Intent::ImportKey],
        &[Intent::EditFilter],
        &[Intent::ToggleDetails],
        &[Intent::Remove, Intent::Revoke],
    ] {
        models.push(after(intents).0);
    }
    models
}

/// Returns the name of what an effect does to a key, with the keys that open its dialog and those that
/// confirm it. Nothing opens what one key does.
fn stake(effect: &Effect) -> Option<(&'static str, &'static str, &'static str)> {
    Some(match effect {
        Effect::CopyStoredKey(_) | Effect::CopyShownKey(_) => ("copied", "", "c"),
        Effect::Request(_, Request::ReadSecret(_)) => ("revealed", "", "v"),
        Effect::SetKeysDisabled { .. } => ("disabled or enabled", "d", "yY"),
        Effect::RemoveKeys(_) => ("removed", "x", "yY"),
        Effect::EditLimits(_) => ("edited", "eu", "yY\r\u{13}"),
        Effect::RevokeKeys(_) => ("revoked", "x", "\r"),
        Effect::Request(_, Request::RotateKey { .. } | Request::RotateKeys { .. }) => {
            ("rotated", "R", "yY")
        }
        Effect::Request(_, Request::RespondToLeak(_)) => ("replaced after a leak", "P", "yY"),
        Effect::Request(_, Request::ProvisionKey { .. }) => ("created", "n", "\r\u{13}r"),
        Effect::Request(_, Request::UpdateKey(_)) => ("edited", "e", "yY\r\u{13}"),
        Effect::Request(_, Request::ImportKey { .. }) => ("imported", "i", "\r\u{13}"),
        Effect::Request(_, Request::ApplyPlan(_)) => ("planned", "A", "yY"),
        Effect::SubmitCode(..) => ("authorised", "", "\r"),
        Effect::Request(_, Request::RetryStore { .. }) => ("stored", "", "r"),
        Effect::Request(_, Request::StoreInAlternate { .. }) => ("stored elsewhere", "", "s\r"),
        Effect::DismissAttempt(_) => ("dismissed", "D", "yY"),
        _ => return None,
    })
}

/// The dashboard behind the parser.
struct Dashboard {
    model: Model,
    parser: InputParser,
    /// The keys that the reference parser saw since the dashboard was at rest.
    typed: String,
    /// What was typed or pasted into the palette since it was opened.
    palette_input: String,
    /// Whether the selection in the palette was moved since the last character.
    is_palette_moved: bool,
    done: BTreeMap<&'static str, u64>,
}

impl Dashboard {
    fn is_at_rest(&self) -> bool {
        matches!(self.model.screen, Screen::Dashboard)
            && self.model.question.is_none()
            && self.model.overlay.is_none()
            && !self.model.dashboard.is_filtering
    }

    /// Handles an event and returns the effects. Answers what opens the edit form.
    fn handle(&mut self, event: Event) -> Vec<Effect> {
        let Some(msg) = keymap::msg_for_event(&self.model, event.clone(), |_, _| None) else {
            return Vec::new();
        };
        self.check_palette(&event, &msg);
        let was_revealed = self.is_new_key_revealed();
        let effects = update(&mut self.model, msg, now());
        for effect in &effects {
            if let Effect::Request(ticket, Request::FetchAccountKey(_)) = effect {
                let account_key = AccountKey::default();
                let response = Response::AccountKeyFetched(Ok(Some(account_key)));
                let msg = Msg::Response(*ticket, response);
                update(&mut self.model, msg, now());
            }
        }
        if self.is_new_key_revealed() && !was_revealed {
            assert!(self.typed.ends_with('v'), "revealed after {:?}", self.typed);
            *self.done.entry("revealed on its screen").or_default() += 1;
        }
        for (name, opened_by, confirmed_by) in effects.iter().filter_map(stake) {
            let last = self.typed.chars().next_back();
            assert!(
                last.is_some_and(|c| confirmed_by.contains(c))
                    && (opened_by.is_empty() || self.typed.contains(opened_by)),
                "a key was {name} after {:?}",
                self.typed
            );
            *self.done.entry(name).or_default() += 1;
        }
        effects
    }

    /// Checks that the palette runs only what is named, by its key or the start of a word, or what was
    /// selected by moving to it. Running it stands for its key.
    fn check_palette(&mut self, event: &Event, msg: &Msg) {
        let Some(Overlay::Palette(palette)) = &self.model.overlay else {
            self.palette_input.clear();
            self.is_palette_moved = false;
            return;
        };
        match (event, msg) {
            (_, Msg::Intent(Intent::Move(_))) => self.is_palette_moved = true,
            (Event::Paste(text), _) => {
                self.palette_input.push_str(text);
                self.is_palette_moved = false;
            }
            (_, Msg::Intent(Intent::TypeChar(c))) => {
                self.palette_input.push(*c);
                self.is_palette_moved = false;
            }
            (_, Msg::Intent(Intent::EditText(_))) => self.is_palette_moved = false,
            (_, Msg::Intent(Intent::RunFromPalette(_))) => {
                assert!(self.typed.contains([':', '\u{10}']) && self.typed.ends_with('\r'));
                let query = palette.query.text().trim();
                assert!(query.chars().all(|c| self.palette_input.contains(c)), "{query:?}");
                let entries = palette_entries(&self.model, palette);
                let entry = &entries[selected_entry(palette, &entries).unwrap()];
                let [name, others] = entry.other_words;
                let words = format!(" {} {} {others}", entry.text, name.replace('-', " "));
                let words = words.to_lowercase();
                let is_named = entry.key_text == query
                    || query.contains(char::is_alphanumeric)
                        && words.contains(&format!(" {}", query.to_lowercase()));
                assert!(
                    is_named || self.is_palette_moved,
                    "the palette ran {:?} after {:?}",
                    entry.text,
                    self.palette_input
                );
                *self.done.entry("run from the palette").or_default() += 1;
                match &*entry.key_text {
                    "enter" => self.typed.push('\r'),
                    "ctrl-s" => self.typed.push('\u{13}'),
                    key => self.typed.push_str(key),
                }
            }
            _ => {}
        }
    }

    fn is_new_key_revealed(&self) -> bool {
        matches!(&self.model.screen, Screen::NewKey(new_key) if new_key.revealed_until.is_some())
    }
}

/// Records the keys that another parser sees: printed characters, controls, and characters that are
/// reported by their code.
#[derive(Default)]
struct Reference(String);

impl vte::Perform for Reference {
    fn print(&mut self, c: char) {
        self.0.push(c);
    }

    fn execute(&mut self, byte: u8) {
        self.0.push(char::from(byte));
    }

    fn csi_dispatch(&mut self, params: &vte::Params, _: &[u8], _: bool, action: char) {
        let params: Vec<u16> = params.iter().map(|fields| fields[0]).collect();
        let code = match (action, &params[..]) {
            ('u', [code, ..]) | ('~', [27, _, code, ..]) => u32::from(*code),
            _ => return,
        };
        // The keypad's enter of kitty's protocol.
        let c = if code == 57_414 { Some('\r') } else { char::from_u32(code) };
        let ctrl = c.filter(char::is_ascii).map(|c| char::from(c as u8 & 0x1f));
        self.0.extend(c.into_iter().flat_map(|c| [c.to_ascii_uppercase(), c]).chain(ctrl));
    }
}

/// Returns what a key event must correspond to in the reference, or `None` if no command has it.
fn expected_char(event: &Event) -> Option<char> {
    let Event::Key(key) = event else { return None };
    let modifiers = key.modifiers - KeyModifiers::SHIFT;
    match key.code {
        KeyCode::Char(c) if modifiers.is_empty() && c.is_ascii() => Some(c),
        KeyCode::Char(c @ 'a'..='z') if modifiers == KeyModifiers::CONTROL => {
            Some(char::from(c as u8 & 0x1f))
        }
        KeyCode::Enter if modifiers.is_empty() => Some('\r'),
        _ => None,
    }
}

const REPLY_STARTS: &[&[u8]] = &[
    b"\x1b]10;rgb:",
    b"\x1b]11;",
    b"\x1b]52;c;",
    b"\x1b]l",
    b"\x1b]",
    b"\x1bP>|",
    b"\x1bP1+r",
    b"\x1bP",
    b"\x1b_G",
    b"\x1b_",
    b"\x1b^",
    b"\x1bX",
    b"\x1b[?",
    b"\x1b[>",
    b"\x1b[=",
    b"\x1b[<",
    b"\x9d",
    b"\x90",
    b"\x9b?",
];

/// Returns a reply with a random payload, and whether it is complete.
fn reply(rng: &mut Rng) -> (Vec<u8>, bool) {
    // A mouse event of a terminal without the SGR encoding.
    if rng.below(12) == 0 {
        let payload = [0; 3].map(|_: u8| 0x20 + rng.byte() % 0xe0);
        return ([b"\x1b[M", &payload[..]].concat(), true);
    }
    let start = rng.one(REPLY_STARTS);
    let mut bytes = start.to_vec();
    let is_8_bit = start[0] >= 0x80;
    let is_csi = matches!(start, [0x1b, b'[', ..] | [0x9b, ..]);
    let is_osc = matches!(start, [0x1b, b']', ..] | [0x9d, ..]);
    for _ in 0..rng.below(40) {
        let byte = match rng.below(4) {
            0 => *rng
                .one(&[b"c", b"d", b"y", b"v", b"x", b"P", b"R", b"\r", b"n", b"i"])
                .first()
                .unwrap(),
            _ => rng.byte(),
        };
        let ends = match byte {
            0x1b | 0x03 | 0x18 | 0x1a => true,
            // In a 7-bit string it is a part of a character.
            0x9c => is_8_bit,
            0x07 => is_osc,
            0x40..=0x7e => is_csi,
            _ => false,
        };
        if !ends {
            bytes.push(byte);
        }
    }
    let is_complete = rng.below(4) != 0;
    if is_complete {
        bytes.extend_from_slice(match (is_csi, is_osc) {
            // Final bytes that no key and no mouse event with such a prefix has.
            (true, _) => rng.one(&[b"c", b"n", b"y", b"t", b"R", b"x"]),
            (_, true) if rng.below(2) == 0 => b"\x07",
            _ => b"\x1b\\",
        });
    } else if rng.below(3) == 0 && !is_csi {
        bytes.push(0x1b);
    }
    (bytes, is_complete)
}

#[test]
fn replies_of_a_terminal_press_no_key() {
    let (total, seed) = (number("INPUT_FUZZ_BYTES", 60_000), number("INPUT_FUZZ_SEED", 1));
    let mut rng = Rng(seed);
    let mut count = 0;
    let mut replies = 0_u64;
    let mut parser = InputParser::default();
    while count < total {
        let (bytes, is_complete) = reply(&mut rng);
        let mut events = Vec::new();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (read, later) = rest.split_at(1 + rng.below(rest.len()));
            parser.feed(read, &mut events);
            rest = later;
        }
        if !is_complete {
            parser.expire(&mut events);
        }
        assert_eq!(events, [], "seed {seed}: {bytes:?}");
        assert_eq!(parser.time_limit(), None, "seed {seed}: {bytes:?}");
        count += u64::try_from(bytes.len()).unwrap();
        replies += 1;
    }
    println!("{count} bytes of {replies} replies, no key press");
}

/// Sequences to mutate: replies, keys, pastes and commands.
const CORPUS: &[&[u8]] = &[
    b"\x1b]10;rgb:d0d0/d0d0/d0d0\x1b\\",
    b"\x1b]52;c;c2stb3ItdjEtZGN5ZGN5\x07",
    b"\x1bP>|xterm(390)\x1b\\",
    b"\x1b_Gi=31;OK\x1b\\",
    b"\x1b[>41;354;0c",
    b"\x1b[?62;22c",
    b"\x1b[24;80R",
    b"\x1b[M d#",
    b"\x1b[<0;12;7M",
    b"\x1b[A",
    b"\x1b[B",
    b"\x1b[1;5C",
    b"\x1bOM",
    b"\x1bOP",
    b"\x1b[27;5;115~",
    b"\x1b[27;1;99~",
    b"\x1b[121u",
    b"\x1b[13;1u",
    b"\x1b[I",
    b"\x1b[200~sk-or-v1-dcy\r\x1b[201~",
    b"\x1b[200~dcy",
    b"\x1bc",
    b"\x1bd",
    b"\x1b",
    "é🔑".as_bytes(),
    b"\xe2\x94",
    b"c",
    b"v",
    b"dy",
    b"xy",
    b"xr",
    b"R\r",
    b"Py",
    b"na\x13",
    b"e\x15\x31\r\x13",
    b"i",
    b"j",
    b"p",
    b"r",
    b"\r",
    b"y",
    b"\x1b\x1b",
    b"l",
    b":",
    b"\x10",
    b":,\r",
    b":cpy\r",
    b":copy\r",
    b"\x10rev\r",
    b":\x1b[B\r",
    b":rem\ry",
];

fn mutated(rng: &mut Rng) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..=rng.below(3) {
        bytes.extend_from_slice(rng.one(CORPUS));
    }
    for _ in 0..rng.below(4) {
        let at = rng.below(bytes.len().max(1));
        match rng.below(5) {
            0 if at < bytes.len() => bytes[at] = rng.byte(),
            1 if at < bytes.len() => bytes[at] ^= 1 << rng.below(8),
            2 if at < bytes.len() => drop(bytes.remove(at)),
            3 => bytes.truncate(at),
            _ => bytes.insert(at, rng.byte()),
        }
    }
    if rng.below(20) == 0 {
        bytes = (0..rng.below(64)).map(|_| rng.byte()).collect();
    }
    bytes
}

#[test]
fn only_the_exact_keys_of_a_command_change_copy_or_reveal_a_key() {
    let (total, seed) = (number("INPUT_FUZZ_BYTES", 60_000), number("INPUT_FUZZ_SEED", 1));
    let mut rng = Rng(seed);
    let models = start_models();
    let mut done: BTreeMap<&str, u64> = BTreeMap::new();
    let (mut count, mut starts) = (0, 0_u64);
    while count < total {
        starts += 1;
        let mut dashboard = Dashboard {
            model: models[rng.below(models.len())].clone(),
            parser: InputParser::default(),
            // The dialog of the first screen was opened by its own key.
            typed: "dxRPniA".into(),
            palette_input: String::new(),
            is_palette_moved: false,
            done: std::mem::take(&mut done),
        };
        let (mut vte, mut reference) = (vte::Parser::new(), Reference::default());
        let (mut recent, mut tail) = ([0; 2], Vec::new());
        'life: for _ in 0..200 {
            for byte in mutated(&mut rng) {
                let mut events = Vec::new();
                reference.0.clear();
                vte.advance(&mut reference, &[byte]);
                dashboard.parser.feed(&[byte], &mut events);
                count += 1;
                // A key of the keypad in application mode, which the reference does not know.
                if recent == *b"\x1bO" {
                    let keypad = if byte == b'M' { b'\r' } else { byte.wrapping_sub(64) };
                    reference.0.push_str("\t =\r");
                    reference.0.push(char::from(keypad));
                }
                if recent[1] != 0x1b || byte < 0x80 {
                    recent = [recent[1], byte];
                }
                tail.push(byte);
                if dashboard.is_at_rest() {
                    dashboard.typed.clear();
                }
                for event in events {
                    if let Some(c) = expected_char(&event) {
                        // Ctrl-c only quits, and ends every sequence.
                        assert!(
                            c == '\u{3}' || reference.0.contains(c),
                            "seed {seed}: {event:?} where the reference saw {:?} after {:?}",
                            reference.0,
                            String::from_utf8_lossy(&tail[tail.len().saturating_sub(60)..])
                        );
                        dashboard.typed.push(c);
                    }
                    // Both start again after what only this parser ends.
                    let is_alt = matches!(&event, Event::Key(key)
                        if key.modifiers.contains(KeyModifiers::ALT)
                            && !b"[]OPX^_".contains(&byte));
                    if is_alt || expected_char(&event) == Some('\u{3}') {
                        vte = vte::Parser::new();
                    }
                    let effects = dashboard.handle(event);
                    if effects.iter().any(|effect| matches!(effect, Effect::Quit)) {
                        break 'life;
                    }
                }
            }
            if rng.below(8) == 0 && dashboard.parser.time_limit().is_some() {
                let mut events = Vec::new();
                dashboard.parser.expire(&mut events);
                vte = vte::Parser::new();
                recent = [0; 2];
                for event in events {
                    assert_eq!(expected_char(&event), None);
                    assert!(!dashboard.handle(event).iter().any(|effect| stake(effect).is_some()));
                }
            }
        }
        done = dashboard.done;
    }
    println!("{count} bytes, {starts} starts, by exact keys: {done:?}");
    for name in ["copied", "revealed", "disabled or enabled", "removed", "run from the palette"] {
        assert!(total < 50_000 || done.contains_key(name), "never reached: {name}");
    }
}
