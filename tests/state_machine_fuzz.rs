//! Sends random messages to the state machine: keys, mouse events, pastes, sizes, clock changes, and
//! responses of any kind in any order, late, twice or never. Checks the invariants after each message.
//!
//! `FUZZ_SEED` and `FUZZ_MESSAGES` change the run. A long run:
//! `FUZZ_MESSAGES=1000000 cargo test --profile long --test state_machine_fuzz`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may fail and prints how to repeat it"
)]

#[path = "state_machine_fuzz/input.rs"]
mod input;
#[path = "state_machine_fuzz/repeated.rs"]
mod repeated;
#[path = "state_machine_fuzz/responses.rs"]
mod responses;
#[path = "state_machine_fuzz/rng.rs"]
mod rng;

use std::collections::{BTreeMap, VecDeque};

use jiff::{SignedDuration, Timestamp};
use keywright::domain::{ProvisioningOutcome, RotationOutcome, StoreKind, StoredKey};
use keywright::tui::state::{
    AlternateStore, AppContext, Effect, Intent, Model, Msg, Question, Response, Screen, Ticket,
};
use keywright::tui::update::{load_keys, update};
use keywright::tui::view::{self, Theme};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use rng::{Rng, SECRET_MARK, env_number};

/// How many of the last messages are printed when a check fails.
const RECENT_COUNT: usize = 30;
/// How long a key may stay on screen in plaintext.
const REVEAL_TIME: SignedDuration = SignedDuration::from_secs(10);

struct Fuzzer {
    rng: Rng,
    seed: u64,
    model: Model,
    now: Timestamp,
    /// Effects that were requested and have no response yet.
    pending: Vec<Effect>,
    /// Responses that were sent once and may be sent again.
    repeatable: Vec<Msg>,
    /// Keys in the simulated inventory.
    stored_keys: Vec<StoredKey>,
    /// Hashes of keys that were issued and exist only in the model, with what created them.
    unstored: BTreeMap<String, &'static str>,
    /// How often each screen was drawn.
    drawn: BTreeMap<&'static str, u64>,
    message_count: u64,
    recent: VecDeque<Msg>,
}

/// Prints how to repeat a failure.
impl Drop for Fuzzer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for msg in &self.recent {
                println!("  {}", format!("{msg:?}").replace(SECRET_MARK, "·"));
            }
            println!("message {} of FUZZ_SEED={}", self.message_count, self.seed);
        }
    }
}

impl Fuzzer {
    fn new(seed: u64) -> Self {
        let now = "2026-11-24T12:00:00Z".parse().unwrap();
        let mut rng = Rng(seed);
        let model = Self::model(&mut rng, now);
        Self {
            rng,
            seed,
            model,
            now,
            pending: Vec::new(),
            repeatable: Vec::new(),
            stored_keys: Vec::new(),
            unstored: BTreeMap::new(),
            drawn: BTreeMap::new(),
            message_count: 0,
            recent: VecDeque::new(),
        }
    }

    fn model(rng: &mut Rng, now: Timestamp) -> Model {
        let context = AppContext {
            server: "https://openrouter.ai".into(),
            is_sandbox: rng.one_in(2),
            store_name: "the Secret Service keychain".into(),
            refresh_interval: rng.option(|_| SignedDuration::from_mins(5)),
            alternate_store: rng.option(|rng| AlternateStore {
                store_kind: StoreKind::File,
                display_name: "/home/me/vault.age".into(),
                needs_passphrase: rng.one_in(2),
            }),
            profiles: rng.profiles(),
            shared_store: input::shared_store(rng),
            ..AppContext::default()
        };
        Model::new(context, (80, 24), now)
    }

    /// Starts the program again.
    fn restart(&mut self) {
        self.model = Self::model(&mut self.rng, self.now);
        self.pending = load_keys(&mut self.model);
        self.repeatable.clear();
        self.unstored.clear();
        self.recent.clear();
    }

    /// Sends one message and checks the invariants. Returns whether the program continues.
    fn step(&mut self) -> bool {
        self.pass_time();
        let (msg, is_repeated) = self.next_message();
        let before = is_repeated.then(|| {
            // The clock stands still, so that only the message could change the model.
            self.now = self.model.now;
            format!("{:?}", self.model)
        });
        self.message_count += 1;
        self.recent.push_back(msg.clone());
        if self.recent.len() > RECENT_COUNT {
            self.recent.pop_front();
        }
        self.record_unstored(&msg);
        let released = self.released_key(&msg);
        let ticked = matches!(msg, Msg::Tick);
        let effects = update(&mut self.model, msg, self.now);
        if let Some(before) = before {
            assert!(effects.is_empty(), "a repeated response has effects: {effects:?}");
            assert_eq!(before, format!("{:?}", self.model), "a response was applied twice");
        }
        if let Some(hash) = released {
            self.unstored.remove(&hash);
        }
        self.check_unstored_keys();
        self.check_row_indices();
        if ticked {
            let next_tick = self.model.next_tick_at();
            assert!(
                next_tick.is_none_or(|at| at > self.now),
                "the next tick is not in the future: {next_tick:?}"
            );
        }
        self.draw();
        if effects.iter().any(|effect| matches!(effect, Effect::Quit)) {
            assert!(
                self.model.is_disconnected || self.unstored.is_empty(),
                "quit with an unstored key: {:?}",
                self.unstored
            );
            return false;
        }
        self.pending.extend(effects);
        // Some effects never get a response.
        if self.pending.len() > 40 {
            let at = self.rng.below(self.pending.len());
            self.pending.swap_remove(at);
        }
        true
    }

    fn pass_time(&mut self) {
        let seconds = match self.rng.below(200) {
            0 => -86_400,
            1 => 86_400 * 40,
            2 => -86_400 * 4_000,
            3 => 86_400 * 4_000,
            4..20 => 30,
            _ => 0,
        };
        let nanos = i32::try_from(self.rng.below(1_000_000_000)).unwrap();
        let later = self.now.checked_add(SignedDuration::new(seconds, nanos));
        self.now = match self.rng.below(20_000) {
            0 => Timestamp::MIN,
            1 => Timestamp::MAX,
            2..50 => "2026-11-24T12:00:00Z".parse().unwrap(),
            _ => later.unwrap_or(self.now),
        };
    }

    /// Returns the next message, and whether it repeats one that has no further effect.
    fn next_message(&mut self) -> (Msg, bool) {
        match self.rng.below(100) {
            0..45 => (self.input(), false),
            45..50 => (Msg::Intent(self.any_intent()), false),
            50..80 if !self.pending.is_empty() => (self.response(), false),
            80..84 if !self.repeatable.is_empty() => {
                let at = self.rng.below(self.repeatable.len());
                let msg = self.repeatable[at].clone();
                let is_repeated = repeated::is_applied_once(&msg);
                (msg, is_repeated)
            }
            84..88 => (self.response_to_any_ticket(), false),
            88..91 => {
                let size = self.size();
                (Msg::Resized(size.0, size.1), false)
            }
            91..99 => (Msg::Tick, false),
            _ if self.rng.one_in(60) => (Msg::Disconnected, false),
            _ => (Msg::FocusGained, false),
        }
    }

    fn size(&mut self) -> (u16, u16) {
        let (columns, rows) = match self.rng.below(4) {
            0 => (61, 21),
            1 => (301, 101),
            _ => (161, 51),
        };
        let mut to = |most: usize| u16::try_from(self.rng.below(most)).unwrap().max(1);
        (to(columns), to(rows))
    }

    /// Records the keys that could not be stored according to a message.
    fn record_unstored(&mut self, msg: &Msg) {
        let mut record = |entry: &StoredKey, how| self.unstored.insert(entry.hash.clone(), how);
        match msg {
            Msg::Response(
                _,
                Response::ProvisioningFinished(ProvisioningOutcome::NotStored { entry, .. }),
            ) => {
                record(entry, "a provisioning run");
            }
            Msg::Response(
                _,
                Response::RotationFinished(RotationOutcome::NotStored { entry, .. }),
            ) => {
                record(entry, "a rotation");
            }
            Msg::Response(_, Response::LeakResponseFinished(leak_responses)) => {
                for response in leak_responses {
                    if let Some(RotationOutcome::NotStored { entry, .. }) = &response.rotation {
                        record(entry, "a leak");
                    }
                }
            }
            Msg::Response(_, Response::RotationsFinished(outcomes)) => {
                for (_, outcome) in outcomes {
                    if let RotationOutcome::NotStored { entry, .. } = outcome {
                        record(entry, "rotations");
                    }
                }
            }
            Msg::RecoveryFinished { unstored_keys: not_stored, .. } => {
                for outcome in not_stored {
                    if let ProvisioningOutcome::NotStored { entry, .. } = outcome {
                        record(entry, "an earlier run");
                    }
                }
            }
            _ => {}
        }
    }

    /// Returns the hash of the key that need not be kept after a message: it was stored, or the user
    /// confirmed that it is discarded.
    fn released_key(&self, msg: &Msg) -> Option<String> {
        let is_discarding = matches!(
            self.model.question,
            Some(Question::DiscardUnstoredKey | Question::QuitWithUnstoredKey)
        );
        match (msg, &self.model.screen) {
            (
                Msg::Response(
                    _,
                    Response::ProvisioningFinished(ProvisioningOutcome::Stored {
                        stored_key, ..
                    }),
                ),
                _,
            ) => Some(stored_key.hash.clone()),
            (Msg::Intent(Intent::Yes | Intent::Interrupt), Screen::NewKey(reveal))
                if is_discarding =>
            {
                Some(reveal.entry.hash.clone())
            }
            _ => None,
        }
    }

    fn check_unstored_keys(&self) {
        for (hash, how) in &self.unstored {
            let is_on_screen =
                matches!(&self.model.screen, Screen::NewKey(reveal) if reveal.entry.hash == *hash);
            let is_waiting =
                self.model.unstored_keys.iter().any(|reveal| reveal.entry.hash == *hash);
            assert!(is_on_screen || is_waiting, "the key {hash} of {how} was dropped");
        }
    }

    fn check_row_indices(&self) {
        let dashboard = &self.model.dashboard;
        let all = dashboard.all_keys().len();
        assert!(dashboard.rows.iter().all(|place| *place < all));
        assert!(dashboard.attention_list.iter().all(|(place, _)| *place < all));
        assert!(dashboard.selected_row < dashboard.rows.len().max(1));
        assert!(
            dashboard.stored_keys().iter().all(StoredKey::is_stored),
            "an account key is among the stored keys"
        );
    }

    /// Draws the screen and checks that no secret is visible except a revealed one.
    fn draw(&mut self) {
        let (columns, rows) =
            if self.rng.one_in(2) { self.size() } else { self.model.terminal_size };
        let screen = match &self.model.screen {
            Screen::Dashboard if self.model.dashboard.revealed_key.is_some() => {
                "dashboard with a revealed key"
            }
            Screen::Dashboard => "dashboard",
            Screen::Form(_) => "form",
            Screen::SignIn(_) => "sign-in",
            Screen::NewKey(reveal) if reveal.revealed_until.is_some() => "revealed new key",
            Screen::NewKey(_) => "new key",
            Screen::Confirm(_) => "confirm dialog",
            Screen::ActionResults(_) => "action results",
            Screen::Plan(_) => "plan",
            Screen::Management(_) => "management key",
            Screen::Trash(_) => "removed keys",
            Screen::Limits(_) => "limits",
        };
        *self.drawn.entry(screen).or_default() += 1;
        let theme = *self.rng.choose(&[Theme::Dark, Theme::NoColor, Theme::Light]);
        let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
        terminal.draw(|frame| _ = view::draw(&self.model, theme, frame)).unwrap();
        let cells = terminal.backend().buffer().content().iter();
        let visible_text: String =
            cells.map(ratatui::buffer::Cell::symbol).filter(|symbol| *symbol != " ").collect();
        // A masked key contains the mark fewer than five times in a row.
        let mark_count = if visible_text.contains(&SECRET_MARK.repeat(5)) {
            visible_text.matches(SECRET_MARK).count()
        } else {
            0
        };
        let (key, until) = match &self.model.screen {
            Screen::NewKey(reveal) => (Some(&reveal.key), reveal.revealed_until),
            Screen::Dashboard => {
                let shown = self.model.dashboard.revealed_key.as_ref();
                (shown.map(|shown| &shown.key), shown.map(|shown| shown.revealed_until))
            }
            _ => (None, None),
        };
        if let Some(until) = until {
            let left = until.duration_since(self.now);
            assert!(
                left.is_positive() && left <= REVEAL_TIME,
                "a key is revealed for another {left:#}"
            );
        }
        if mark_count > 0 {
            assert!(until.is_some(), "a secret on a screen that reveals none:\n{visible_text}");
            let revealed = responses::expose(key.unwrap());
            // Even if the key is wrapped, no part of another secret is visible.
            assert!(
                mark_count <= revealed.matches(SECRET_MARK).count(),
                "two secrets on one screen"
            );
            assert!(visible_text.contains(&revealed[9..25]), "another key than the revealed one");
        }
    }
}

#[test]
fn random_messages_never_lose_or_show_a_key() {
    let (seed, messages) = (env_number("FUZZ_SEED", 1), env_number("FUZZ_MESSAGES", 5_000));
    let mut fuzzer = Fuzzer::new(seed);
    let mut starts = 0;
    while fuzzer.message_count < messages {
        fuzzer.restart();
        starts += 1;
        // Starts again after 3,000 messages even if the program did not quit.
        let end = fuzzer.message_count + 3_000;
        while fuzzer.message_count < messages.min(end) && fuzzer.step() {}
    }
    println!("{messages} messages, {starts} starts, {:?}", fuzzer.drawn);
    for screen in ["dashboard", "form", "sign-in", "new key", "revealed new key", "confirm dialog"]
    {
        assert!(messages < 4_000 || fuzzer.drawn.contains_key(screen), "never drawn: {screen}");
    }
}

#[test]
fn response_with_an_unknown_ticket_is_ignored() {
    let mut fuzzer = Fuzzer::new(1);
    fuzzer.restart();
    let before = format!("{:?}", fuzzer.model);
    let msg = Msg::Response(Ticket(u64::MAX), Response::KeysLoaded(Ok(Vec::new())));
    assert!(update(&mut fuzzer.model, msg, fuzzer.now).is_empty());
    assert_eq!(before, format!("{:?}", fuzzer.model));
}
