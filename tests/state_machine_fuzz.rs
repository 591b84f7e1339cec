//! Sends random messages to the state machine: keys, mouse, pastes, sizes, clocks, and responses of any
//! kind in any order, late, twice or never. Checks what must hold after each message. Longer than 400
//! lines, because the checks share the state of one run.
//!
//! `MONKEY_SEED` and `MONKEY_MESSAGES` change the run. A long one:
//! `MONKEY_MESSAGES=1000000 cargo test --profile long --test state_machine_fuzz`.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may fail, and says how")]

#[path = "state_machine_fuzz/answers.rs"]
mod answers;
#[path = "state_machine_fuzz/input.rs"]
mod input;
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

use rng::{Dice, MARK};

/// How many messages are told when it breaks.
const TAIL: usize = 30;

/// How long a key may stay on screen in clear.
const MOMENT: SignedDuration = SignedDuration::from_secs(10);

struct Monkey {
    dice: Dice,
    seed: u64,
    model: Model,
    now: Timestamp,
    /// Asked for and not answered.
    asked: Vec<Effect>,
    /// Answers that came once and may come again.
    late: Vec<Msg>,
    /// Keys that the world holds.
    world: Vec<StoredKey>,
    /// Hashes of keys that were issued and are nowhere but here.
    owed: BTreeMap<String, &'static str>,
    /// How often each screen was drawn.
    drawn: BTreeMap<&'static str, u64>,
    told: u64,
    tail: VecDeque<Msg>,
}

/// Says how to see it again.
impl Drop for Monkey {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for msg in &self.tail {
                println!("  {}", format!("{msg:?}").replace(MARK, "·"));
            }
            println!("message {} of MONKEY_SEED={}", self.told, self.seed);
        }
    }
}

impl Monkey {
    fn new(seed: u64) -> Self {
        let now = "2026-11-24T12:00:00Z".parse().unwrap();
        let mut dice = Dice(seed);
        let model = Self::model(&mut dice, now);
        Self {
            dice,
            seed,
            model,
            now,
            asked: Vec::new(),
            late: Vec::new(),
            world: Vec::new(),
            owed: BTreeMap::new(),
            drawn: BTreeMap::new(),
            told: 0,
            tail: VecDeque::new(),
        }
    }

    fn model(dice: &mut Dice, now: Timestamp) -> Model {
        let world = AppContext {
            server: "https://openrouter.ai".into(),
            is_sandbox: dice.once_in(2),
            store_name: "the Secret Service keychain".into(),
            keychain_service: "keywright".into(),
            refresh_interval: dice.maybe(|_| SignedDuration::from_mins(5)),
            alternate_store: dice.maybe(|dice| AlternateStore {
                store_kind: StoreKind::File,
                display_name: "/home/me/vault.age".into(),
                needs_passphrase: dice.once_in(2),
            }),
        };
        Model::new(world, (80, 24), now)
    }

    /// A program is started.
    fn begin(&mut self) {
        self.model = Self::model(&mut self.dice, self.now);
        self.asked = load_keys(&mut self.model);
        self.late.clear();
        self.owed.clear();
        self.tail.clear();
    }

    /// One thing happens, and what must hold is looked after. Whether the program goes on.
    fn step(&mut self) -> bool {
        self.pass_time();
        let (msg, again) = self.next();
        let before = again.then(|| {
            // Nothing else changes meanwhile.
            self.now = self.model.now;
            format!("{:?}", self.model)
        });
        self.told += 1;
        self.tail.push_back(msg.clone());
        if self.tail.len() > TAIL {
            self.tail.pop_front();
        }
        self.note_owed(&msg);
        let let_go = self.is_let_go(&msg);
        let ticked = matches!(msg, Msg::Tick);
        let effects = update(&mut self.model, msg, self.now);
        if let Some(before) = before {
            assert!(effects.is_empty(), "an answer that came again has effects: {effects:?}");
            assert_eq!(before, format!("{:?}", self.model), "an answer was taken twice");
        }
        if let Some(hash) = let_go {
            self.owed.remove(&hash);
        }
        self.check_kept();
        self.check_places();
        if ticked {
            let wake = self.model.next_tick_at();
            assert!(wake.is_none_or(|at| at > self.now), "woken again at once: {wake:?}");
        }
        self.draw();
        if effects.iter().any(|effect| matches!(effect, Effect::Quit)) {
            assert!(
                self.model.is_disconnected || self.owed.is_empty(),
                "left with a key that is nowhere else: {:?}",
                self.owed
            );
            return false;
        }
        self.asked.extend(effects);
        // Nobody waits for all of them.
        if self.asked.len() > 40 {
            let at = self.dice.below(self.asked.len());
            self.asked.swap_remove(at);
        }
        true
    }

    fn pass_time(&mut self) {
        let seconds = match self.dice.below(200) {
            0 => -86_400,
            1 => 86_400 * 40,
            2 => -86_400 * 4_000,
            3 => 86_400 * 4_000,
            4..20 => 30,
            _ => 0,
        };
        let nanos = i32::try_from(self.dice.below(1_000_000_000)).unwrap();
        let later = self.now.checked_add(SignedDuration::new(seconds, nanos));
        self.now = match self.dice.below(20_000) {
            0 => Timestamp::MIN,
            1 => Timestamp::MAX,
            2..50 => "2026-11-24T12:00:00Z".parse().unwrap(),
            _ => later.unwrap_or(self.now),
        };
    }

    /// The next message, and whether it is one that came before.
    fn next(&mut self) -> (Msg, bool) {
        match self.dice.below(100) {
            0..45 => (self.press(), false),
            45..50 => (Msg::Intent(self.any_intent()), false),
            50..80 if !self.asked.is_empty() => (self.answer(), false),
            80..84 if !self.late.is_empty() => {
                let at = self.dice.below(self.late.len());
                let msg = self.late[at].clone();
                let again = is_answered_once(&msg);
                (msg, again)
            }
            84..88 => (self.stale(), false),
            88..91 => {
                let size = self.size();
                (Msg::Resized(size.0, size.1), false)
            }
            91..99 => (Msg::Tick, false),
            _ if self.dice.once_in(60) => (Msg::Disconnected, false),
            _ => (Msg::FocusGained, false),
        }
    }

    fn size(&mut self) -> (u16, u16) {
        let (columns, rows) = match self.dice.below(4) {
            0 => (61, 21),
            1 => (301, 101),
            _ => (161, 51),
        };
        let mut to = |most: usize| u16::try_from(self.dice.below(most)).unwrap().max(1);
        (to(columns), to(rows))
    }

    /// Keys that a message says are nowhere but here.
    fn note_owed(&mut self, msg: &Msg) {
        let mut owe = |held: &StoredKey, how| self.owed.insert(held.hash.clone(), how);
        match msg {
            Msg::Response(
                _,
                Response::ProvisioningFinished(ProvisioningOutcome::NotStored {
                    entry: held, ..
                }),
            ) => {
                owe(held, "a journey");
            }
            Msg::Response(
                _,
                Response::RotationFinished(RotationOutcome::NotStored { entry: held, .. }),
            ) => {
                owe(held, "a rotation");
            }
            Msg::Response(_, Response::LeakResponseFinished(panicked)) => {
                for one in panicked {
                    if let RotationOutcome::NotStored { entry: held, .. } = &one.rotation {
                        owe(held, "a leak");
                    }
                }
            }
            Msg::RecoveryFinished { unstored_keys: not_stored, .. } => {
                for outcome in not_stored {
                    if let ProvisioningOutcome::NotStored { entry: held, .. } = outcome {
                        owe(held, "an earlier run");
                    }
                }
            }
            _ => {}
        }
    }

    /// The key that a message lets go: it is stored, or the person said so.
    fn is_let_go(&self, msg: &Msg) -> Option<String> {
        let asked = matches!(
            self.model.question,
            Some(Question::DiscardUnstoredKey | Question::QuitWithUnstoredKey)
        );
        match (msg, &self.model.screen) {
            (
                Msg::Response(
                    _,
                    Response::ProvisioningFinished(ProvisioningOutcome::Stored {
                        stored_key: held,
                        ..
                    }),
                ),
                _,
            ) => Some(held.hash.clone()),
            (Msg::Intent(Intent::Yes | Intent::Interrupt), Screen::NewKey(reveal)) if asked => {
                Some(reveal.entry.hash.clone())
            }
            _ => None,
        }
    }

    fn check_kept(&self) {
        for (hash, how) in &self.owed {
            let on_screen =
                matches!(&self.model.screen, Screen::NewKey(reveal) if reveal.entry.hash == *hash);
            let waits = self.model.unstored_keys.iter().any(|reveal| reveal.entry.hash == *hash);
            assert!(on_screen || waits, "the key {hash} of {how} is dropped");
        }
    }

    fn check_places(&self) {
        let dashboard = &self.model.dashboard;
        let all = dashboard.all_keys().len();
        assert!(dashboard.rows.iter().all(|place| *place < all));
        assert!(dashboard.attention_list.iter().all(|(place, _)| *place < all));
        assert!(dashboard.selected_row < dashboard.rows.len().max(1));
        assert!(
            dashboard.stored_keys().iter().all(StoredKey::is_stored),
            "a key of the account is held"
        );
    }

    /// Draws; no secret is seen but one that is revealed.
    fn draw(&mut self) {
        let (columns, rows) =
            if self.dice.once_in(2) { self.size() } else { self.model.terminal_size };
        let screen = match &self.model.screen {
            Screen::Dashboard if self.model.dashboard.revealed_key.is_some() => {
                "list with a key in clear"
            }
            Screen::Dashboard => "list",
            Screen::Form(_) => "form",
            Screen::SignIn(_) => "login",
            Screen::NewKey(reveal) if reveal.revealed_until.is_some() => "reveal in clear",
            Screen::NewKey(_) => "reveal",
            Screen::Confirm(_) => "ask",
            Screen::ActionResults(_) => "deeds",
            Screen::Plan(_) => "plan",
        };
        *self.drawn.entry(screen).or_default() += 1;
        let theme = *self.dice.one(&[Theme::Dark, Theme::NoColor, Theme::Light]);
        let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
        terminal.draw(|frame| view::draw(&self.model, theme, frame)).unwrap();
        let cells = terminal.backend().buffer().content().iter();
        let seen: String =
            cells.map(ratatui::buffer::Cell::symbol).filter(|symbol| *symbol != " ").collect();
        // What a mask leaves of a key is shorter.
        let marks = if seen.contains(&MARK.repeat(5)) { seen.matches(MARK).count() } else { 0 };
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
            assert!(left.is_positive() && left <= MOMENT, "a key is revealed for another {left:#}");
        }
        if marks > 0 {
            assert!(until.is_some(), "a secret on a screen that reveals none:\n{seen}");
            let revealed = answers::text(key.unwrap());
            // However it is wrapped, nothing of another one is left.
            assert!(marks <= revealed.matches(MARK).count(), "two secrets on one screen");
            assert!(seen.contains(&revealed[9..25]), "another key than the revealed one");
        }
    }
}

/// Whether an answer counts once: then the same one again changes nothing. An unstored key is kept,
/// however often it comes; a decision in the sandbox's browser is asked for under the journey's own
/// ticket; what has no ticket is news each time.
fn is_answered_once(msg: &Msg) -> bool {
    match msg {
        Msg::Response(_, Response::ProvisioningFinished(outcome)) => {
            !matches!(outcome, ProvisioningOutcome::NotStored { .. })
        }
        Msg::Response(_, Response::RotationFinished(rotation)) => {
            !matches!(rotation, RotationOutcome::NotStored { .. })
        }
        Msg::Response(_, Response::LeakResponseFinished(panicked)) => {
            !panicked.iter().any(|one| matches!(one.rotation, RotationOutcome::NotStored { .. }))
        }
        Msg::Response(
            _,
            Response::KeysLoaded(_)
            | Response::RefreshFinished { .. }
            | Response::AccountKeyFetched(_)
            | Response::KeyUpdated(_)
            | Response::KeyImported(_)
            | Response::AccountKeysLoaded(_)
            | Response::UsageHistoryLoaded(_)
            | Response::PlanLoaded(_)
            | Response::PlanApplied(_)
            | Response::SecretRead { .. },
        ) => true,
        Msg::Intent(_)
        | Msg::Tick
        | Msg::Resized(..)
        | Msg::Response(
            _,
            Response::KeyChecked { .. }
            | Response::ProvisioningEvent(_)
            | Response::ItemStarted(_)
            | Response::ItemFinished { .. }
            | Response::ConsentDecided(_),
        )
        | Msg::Disconnected
        | Msg::FocusGained
        | Msg::AccountConfirmed { .. }
        | Msg::RecoveryFinished { .. }
        | Msg::KeyDisabledSet { .. }
        | Msg::KeyRevoked { .. }
        | Msg::ManagementKeyDetected(_)
        | Msg::KeyRemoved { .. }
        | Msg::SandboxActionFinished(_)
        | Msg::Notice(_) => false,
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

#[test]
fn nothing_that_a_monkey_does_loses_a_key_shows_one_or_breaks_the_core() {
    let (seed, messages) = (number("MONKEY_SEED", 1), number("MONKEY_MESSAGES", 5_000));
    let mut monkey = Monkey::new(seed);
    let mut starts = 0;
    while monkey.told < messages {
        monkey.begin();
        starts += 1;
        // A program that nobody leaves is left at last.
        let life = monkey.told + 3_000;
        while monkey.told < messages.min(life) && monkey.step() {}
    }
    println!("{messages} messages, {starts} starts, {:?}", monkey.drawn);
    for screen in ["list", "form", "login", "reveal", "reveal in clear", "ask"] {
        assert!(messages < 4_000 || monkey.drawn.contains_key(screen), "never: {screen}");
    }
}

#[test]
fn a_ticket_that_nobody_gave_out_is_worth_nothing() {
    let mut monkey = Monkey::new(1);
    monkey.begin();
    let before = format!("{:?}", monkey.model);
    let msg = Msg::Response(Ticket(u64::MAX), Response::KeysLoaded(Ok(Vec::new())));
    assert!(update(&mut monkey.model, msg, monkey.now).is_empty());
    assert_eq!(before, format!("{:?}", monkey.model));
}
