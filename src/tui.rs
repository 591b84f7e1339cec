//! The program on a terminal: the guard of its modes, the loop, the runner of effects.
//! Must not know: what a key press means, or what is drawn.
//!
//! The first frame is drawn before anything is read. From then on the loop sleeps until a key, a
//! result, a signal, or the moment at which something on screen moves; what has already arrived is
//! taken in before one frame is drawn.

mod effects;
mod input;
pub mod keymap;
pub mod state;
mod terminal;
pub mod update;
pub mod view;

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::domain::{ErrorKind, UserError};
use crate::platform::environment;
use crate::services::provision::ServiceContext;
use crate::storage::secret_store;
use crate::tui::state::{AppContext, Intent, Model, Msg, Screen};
use crate::tui::view::Theme;
use effects::{EffectRunner, LoopAction};
use terminal::Terminal;

/// What can be done in the sandbox and nowhere else.
#[derive(Clone, Copy, Debug)]
pub struct SandboxControls {
    /// Approves or refuses at the address of a consent page in the browser's place: a code, where
    /// the page shows one; or why not.
    pub decide_consent: fn(&str, bool) -> Result<Option<String>, String>,
    /// Spends USD on the key with that hash at that server.
    pub spend: fn(&str, &str, f64) -> Result<(), String>,
    /// Moves the clock of that server on by a day.
    pub skip_day: fn(&str) -> Result<(), String>,
}

/// What the dashboard is run with, beside the services.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Set in the sandbox.
    pub sandbox_controls: Option<SandboxControls>,
    /// Whether colours are wanted.
    pub use_color: bool,
    /// The pause between two rounds of asking the keys; `None` for none of itself.
    pub refresh_interval: Option<SignedDuration>,
}

/// What the loop is told from outside.
enum LoopEvent {
    /// A result of an effect.
    Message(Msg),
    /// A sequence for the terminal that only the thread that draws may write.
    TerminalWrite(SecretString),
    /// The terminal's content is not what we left there.
    Redraw,
    /// A signal asks to leave, or the terminal is gone: nobody is there to answer a question.
    Disconnected,
}

/// The least time between two frames that only bring results.
const MIN_FRAME_INTERVAL: Duration = Duration::from_millis(16);

/// Runs the dashboard until the person leaves.
pub fn run(services: ServiceContext, options: Options) -> Result<(), UserError> {
    let size = check_terminal()?;
    let Options { sandbox_controls: play, use_color: colours, refresh_interval: every } = options;
    let clock = Clock::default();
    let theme = match (colours, environment::has_light_background()) {
        (false, _) => Theme::NoColor,
        (true, true) => Theme::Light,
        (true, false) => Theme::Dark,
    };
    let world = AppContext {
        server: services.server.clone(),
        is_sandbox: play.is_some(),
        store_name: services.secret_store.display_name(),
        alternate_store: alternate_store(&services),
        keychain_service: services.keychain_service.clone(),
        refresh_interval: every,
    };
    let mut model = Model::new(world, size, Timestamp::now());
    // The theme knows whether colours are wanted; crossterm would take weight away with them.
    crossterm::style::force_color_output(true);
    let signals = input::SignalHandlers::register();
    let mut terminal = Terminal::enter().map_err(|error| terminal_error(&error))?;
    let shown = terminal.draw(|frame| view::draw(&model, theme, frame));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| terminal_error(&error))?;
    let local = tokio::task::LocalSet::new();
    let farewell = local.block_on(&runtime, async {
        let (results, told) = unbounded_channel();
        let mut runner = EffectRunner::new(services, play, clock.clone(), results.clone());
        let typed = input::spawn_event_reader(results.clone());
        let leave = Arc::clone(&signals.quit_requested);
        input::spawn_signal_forwarder(signals, results);
        let mut desk = EventLoop {
            model: &mut model,
            effect_runner: &mut runner,
            theme,
            is_writable: shown.is_ok(),
            clock,
            last_message_at: Instant::now(),
            quit_requested: leave,
        };
        desk.run(&mut terminal, typed, told).await;
        runner.clear_clipboard_on_exit()
    });
    drop((terminal, local));
    // A keychain or a display server that hangs is not waited for.
    runtime.shutdown_background();
    if let Some(words) = farewell {
        print_status(&words);
    }
    Ok(())
}

/// The other store, as far as it can be told without opening it.
fn alternate_store(services: &ServiceContext) -> Option<state::AlternateStore> {
    let unasked = || secret_store::Error::NoPassphrase(String::new());
    let vault = services.alternate_secret_store(Arc::new(move |_| Err(unasked())))?;
    Some(state::AlternateStore {
        store_kind: vault.kind().to_string(),
        display_name: vault.display_name(),
        needs_passphrase: vault.kind() == secret_store::StoreKind::File,
    })
}

/// The time; in the sandbox, as far ahead of the world's as its own clock was moved.
#[derive(Clone, Debug, Default)]
struct Clock(Arc<AtomicI64>);

impl Clock {
    fn now(&self) -> Timestamp {
        let ahead = SignedDuration::from_secs(self.0.load(Ordering::Relaxed));
        let now = Timestamp::now();
        now.checked_add(ahead).unwrap_or(now)
    }

    fn skip_day(&self) {
        self.0.fetch_add(24 * 3_600, Ordering::Relaxed);
    }
}

struct EventLoop<'a> {
    model: &'a mut Model,
    effect_runner: &'a mut EffectRunner,
    theme: Theme,
    /// Whether the terminal still takes what is written to it.
    is_writable: bool,
    clock: Clock,
    /// When the model heard the last message.
    last_message_at: Instant,
    /// Whether a signal asks to leave.
    quit_requested: Arc<AtomicBool>,
}

impl EventLoop<'_> {
    async fn run(
        &mut self,
        terminal: &mut Terminal,
        mut typed: UnboundedReceiver<Event>,
        mut told: UnboundedReceiver<LoopEvent>,
    ) {
        let first = update::load_keys(self.model);
        let mut next = self.effect_runner.run_effects(first);
        let mut swarming = false;
        // What is to be seen before anything is read has been drawn.
        let mut fresh = true;
        loop {
            match next {
                LoopAction::Quit => return,
                LoopAction::Suspend => {
                    // What fails here fails at the next frame, and is seen there.
                    let _ = terminal.suspend(&self.quit_requested);
                }
                LoopAction::Continue => {}
            }
            self.is_writable &=
                !self.is_writable || terminal.set_mouse_capture(self.is_mouse_enabled()).is_ok();
            if !std::mem::take(&mut fresh)
                && self.is_writable
                && terminal.draw(|frame| view::draw(self.model, self.theme, frame)).is_err()
            {
                self.is_writable = false;
                next = self.handle_message(Msg::Disconnected);
                continue;
            }
            let drawn = Instant::now();
            next = tokio::select! {
                biased;
                Some(event) = typed.recv() => {
                    swarming = false;
                    self.handle_terminal_event(event)
                }
                Some(incoming) = told.recv() => {
                    let next = self.handle_loop_event(incoming, terminal);
                    // Results may come in swarms: the first is shown at once, then no more frames
                    // than can be seen. A key press does not wait for the swarm.
                    let pause = MIN_FRAME_INTERVAL.saturating_sub(drawn.elapsed());
                    if std::mem::replace(&mut swarming, true) && !pause.is_zero() {
                        self.coalesce_events(next, pause, terminal, &mut typed, &mut told).await
                    } else {
                        next
                    }
                }
                () = sleep_until(self.model.next_tick_at(), self.model.now, self.last_message_at) => self.handle_message(Msg::Tick),
            };
            // One frame for all that has arrived by now.
            while matches!(next, LoopAction::Continue) {
                if let Ok(event) = typed.try_recv() {
                    next = self.handle_terminal_event(event);
                } else if let Ok(incoming) = told.try_recv() {
                    next = self.handle_loop_event(incoming, terminal);
                } else {
                    break;
                }
            }
        }
    }

    /// Takes results in for so long, unless a key is pressed.
    async fn coalesce_events(
        &mut self,
        mut next: LoopAction,
        pause: Duration,
        terminal: &mut Terminal,
        typed: &mut UnboundedReceiver<Event>,
        told: &mut UnboundedReceiver<LoopEvent>,
    ) -> LoopAction {
        let over = tokio::time::sleep(pause);
        tokio::pin!(over);
        while matches!(next, LoopAction::Continue) {
            next = tokio::select! {
                biased;
                Some(event) = typed.recv() => return self.handle_terminal_event(event),
                () = &mut over => return next,
                Some(incoming) = told.recv() => self.handle_loop_event(incoming, terminal),
            };
        }
        next
    }

    fn handle_message(&mut self, msg: Msg) -> LoopAction {
        self.last_message_at = Instant::now();
        let effects = update::update(self.model, msg, self.clock.now());
        self.effect_runner.run_effects(effects)
    }

    fn handle_terminal_event(&mut self, event: Event) -> LoopAction {
        match event {
            Event::Key(key) => match keymap::intent_for_key(self.model, &key) {
                Some(intent) => self.handle_message(Msg::Intent(intent)),
                // `esc` and a key right after it arrive as that key with alt.
                None if key.modifiers.contains(KeyModifiers::ALT) => {
                    let esc = KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE);
                    let rest = KeyEvent { modifiers: key.modifiers - KeyModifiers::ALT, ..key };
                    match self.handle_terminal_event(Event::Key(esc)) {
                        LoopAction::Continue => self.handle_terminal_event(Event::Key(rest)),
                        next => next,
                    }
                }
                None => LoopAction::Continue,
            },
            Event::Paste(text) => self.handle_message(Msg::Intent(Intent::Paste(text))),
            Event::Resize(columns, rows) => self.handle_message(Msg::Resized(columns, rows)),
            Event::FocusGained => self.handle_message(Msg::FocusGained),
            Event::Mouse(mouse) => match keymap::intent_for_mouse(&mouse) {
                Some(intent) if self.is_mouse_enabled() => self.handle_message(Msg::Intent(intent)),
                _ => LoopAction::Continue,
            },
            Event::FocusLost => LoopAction::Continue,
        }
    }

    fn handle_loop_event(&mut self, incoming: LoopEvent, terminal: &mut Terminal) -> LoopAction {
        match incoming {
            LoopEvent::Message(msg) => self.handle_message(msg),
            LoopEvent::TerminalWrite(sequence) => {
                self.is_writable &= Terminal::write_sequence(&sequence).is_ok();
                LoopAction::Continue
            }
            LoopEvent::Redraw => {
                if self.is_writable {
                    let _ = terminal.reenter();
                }
                LoopAction::Continue
            }
            LoopEvent::Disconnected => self.handle_message(Msg::Disconnected),
        }
    }

    /// Only the list is clicked. Elsewhere the terminal's own selection is worth more: an address
    /// or a command can be taken with it.
    fn is_mouse_enabled(&self) -> bool {
        matches!(self.model.screen, Screen::Dashboard)
    }
}

/// Sleeps from `told`, when it was `now`, until then; for ever without a then. A clock that is put
/// back meanwhile makes nobody wait: what is shown for a moment would be shown for hours.
async fn sleep_until(then: Option<Timestamp>, now: Timestamp, told: Instant) {
    match then {
        Some(then) => {
            let left = Duration::try_from(then.duration_since(now)).unwrap_or_default();
            tokio::time::sleep(left.saturating_sub(told.elapsed())).await;
        }
        None => std::future::pending().await,
    }
}

/// The terminal's size, if it is one that a screen can be drawn on.
fn check_terminal() -> Result<(u16, u16), UserError> {
    let trouble = |message: &str, advice: &str| UserError::new(ErrorKind::Failed, message, advice);
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err(trouble(
            "the dashboard needs a terminal to draw on and to read keys from",
            "nothing was done; in scripts use the commands, see keywright --help",
        ));
    }
    if std::env::var_os("TERM").is_some_and(|term| term == "dumb") {
        return Err(trouble(
            "this terminal calls itself dumb: it cannot place the cursor",
            "nothing was done; use another terminal, or the commands, see keywright --help",
        ));
    }
    let size = crossterm::terminal::size().map_err(|error| terminal_error(&error))?;
    // A terminal that does not know its size says 0.
    if size == (0, 0) {
        return Ok((80, 24));
    }
    if size.0 < view::MIN_TERMINAL_SIZE.0 || size.1 < view::MIN_TERMINAL_SIZE.1 {
        return Err(trouble(
            &format!(
                "the terminal has {} columns and {} rows; the dashboard needs {} and {}",
                size.0,
                size.1,
                view::MIN_TERMINAL_SIZE.0,
                view::MIN_TERMINAL_SIZE.1
            ),
            "nothing was done; enlarge it, or use the commands, see keywright --help",
        ));
    }
    Ok(size)
}

fn terminal_error(error: &io::Error) -> UserError {
    UserError::new(
        ErrorKind::Failed,
        format!("the terminal cannot be used: {}", error.kind()),
        "nothing was done; use another terminal, or the commands, see keywright --help",
    )
}

/// The last words, once the terminal is the shell's again. Whoever does not hear them has gone.
fn print_status(words: &str) {
    let _ = writeln!(io::stderr(), "keywright: {words}");
}
