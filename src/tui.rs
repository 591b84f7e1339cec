//! The dashboard: terminal, event loop, state and effects.
//!
//! The first frame is drawn before anything is loaded. After that the loop sleeps until a key press,
//! a result, a signal or the next tick, and handles all events that have arrived before it draws.

mod config_names;
mod effects;
pub mod input;
pub mod keymap;
mod session;
pub mod state;
mod terminal;
pub mod update;
pub mod view;

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use crossterm::event::Event;
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::domain::{ThemeChoice, UserError, io_error_text};
use crate::services::provision::ServiceContext;
use crate::tui::state::{Model, Msg};
use crate::tui::view::{Drawn, Theme};
pub use config_names::CONFIG_NAMES;
use effects::{EffectRunner, LoopAction};
use session::{Events, SessionOptions, take_environment_key};
pub use session::{OpenProfile, Options, Profiles};
use terminal::Terminal;

/// Actions that only the sandbox supports.
#[derive(Clone, Copy, Debug)]
pub struct SandboxControls {
    /// Approves or refuses consent at a consent page's address. Returns the code if the page shows
    /// one, or the reason for a failure.
    pub decide_consent: fn(&str, bool) -> Result<Option<String>, String>,
    /// Spends USD on the key with a hash; the first argument is the server.
    pub spend: fn(&str, &str, f64) -> Result<(), String>,
    /// Moves the clock of a server forward by a day.
    pub skip_day: fn(&str) -> Result<(), String>,
}

/// An event that does not come from the terminal.
enum LoopEvent {
    /// The result of an effect.
    Message(Msg),
    /// A terminal sequence, which only the drawing thread may write.
    TerminalWrite(SecretString),
    /// The content of the terminal was changed by another program.
    #[cfg_attr(not(unix), expect(dead_code, reason = "sent after SIGCONT"))]
    Redraw,
    /// A signal asks to quit or the terminal is closed; nobody can answer a question.
    Disconnected,
}

/// Minimum time between two frames that show only results.
const MIN_FRAME_INTERVAL: Duration = Duration::from_millis(16);

/// Runs the dashboard until the user quits.
pub fn run(mut services: ServiceContext, options: Options) -> Result<(), UserError> {
    let size = check_terminal()?;
    let Options { sandbox_controls, use_color, settings, profiles } = options;
    let clock = Clock::default();
    let environment_key = take_environment_key(&mut services, sandbox_controls.is_some());
    let session = SessionOptions { sandbox_controls, use_color, profiles };
    let context = session.build_context(&services, &settings, environment_key.is_some());
    let mut model = Model::new(context, size, Timestamp::now());
    // The theme decides about colours; without this, crossterm would also drop bold and dim.
    crossterm::style::force_color_output(true);
    let signals = input::SignalHandlers::register();
    // The Linux console prints the query. A console of Windows would type the answer.
    let answers =
        cfg!(unix) && std::env::var("TERM").is_ok_and(|name| name != "linux" && name != "dumb");
    let asks_background = use_color && model.theme_choice == ThemeChoice::Auto && answers;
    let mut terminal = Terminal::enter().map_err(|error| terminal_error(&error))?;
    let first_frame = draw(&mut terminal, &mut model);
    // After the first frame, which waits for no file.
    model.restore_view(&effects::load_view(&services.location));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| terminal_error(&error))?;
    let local = tokio::task::LocalSet::new();
    let exit_message = local.block_on(&runtime, async {
        let (event_sender, events) = unbounded_channel();
        let (result_sender, results) = unbounded_channel();
        let mut runner = EffectRunner::new(
            services,
            environment_key,
            sandbox_controls,
            clock.clone(),
            result_sender,
        );
        let terminal_events = input::spawn_event_reader(event_sender.clone());
        let quit_requested = Arc::clone(&signals.quit_requested);
        input::spawn_signal_forwarder(signals, event_sender);
        let mut event_loop = EventLoop {
            model: &mut model,
            effect_runner: &mut runner,
            is_writable: first_frame.is_ok(),
            clock,
            last_message_at: Instant::now(),
            quit_requested,
            asks_background,
            session,
        };
        let events = Events { program: events, results };
        event_loop.run(&mut terminal, terminal_events, events).await;
        runner.clear_clipboard_on_exit()
    });
    drop((terminal, local));
    // Does not wait for a keychain or a display server that hangs.
    runtime.shutdown_background();
    if let Some(message) = exit_message {
        print_status(&message);
    }
    Ok(())
}

fn draw(terminal: &mut Terminal, model: &mut Model) -> io::Result<()> {
    let mut drawn = Drawn::default();
    terminal.draw(|frame| drawn = view::draw(model, Theme::of(model), frame))?;
    model.limit_scroll(drawn.scroll_end);
    drawn.link.map_or(Ok(()), |link| terminal.draw_link(&link))
}

/// The system time plus the seconds by which the sandbox clock was moved forward.
#[derive(Clone, Debug, Default)]
struct Clock(Arc<AtomicI64>);

impl Clock {
    fn now(&self) -> Timestamp {
        let offset = SignedDuration::from_secs(self.0.load(Ordering::Relaxed));
        let now = Timestamp::now();
        now.checked_add(offset).unwrap_or(now)
    }

    fn skip_day(&self) {
        self.0.fetch_add(24 * 3_600, Ordering::Relaxed);
    }
}

struct EventLoop<'a> {
    model: &'a mut Model,
    effect_runner: &'a mut EffectRunner,
    /// Whether the terminal can still be written to.
    is_writable: bool,
    clock: Clock,
    /// When the model handled the last message.
    last_message_at: Instant,
    /// Whether a signal asked to quit.
    quit_requested: Arc<AtomicBool>,
    /// Whether to request the background colour of the terminal. No frame waits for the answer.
    asks_background: bool,
    session: SessionOptions,
}

impl EventLoop<'_> {
    async fn run(
        &mut self,
        terminal: &mut Terminal,
        mut terminal_events: UnboundedReceiver<Event>,
        mut events: Events,
    ) {
        let first = update::load_keys(self.model);
        let mut next = self.effect_runner.run_effects(first);
        let mut last_was_result = false;
        // The first frame is already drawn.
        let mut skip_draw = true;
        loop {
            match next {
                LoopAction::Quit => return,
                LoopAction::Suspend => {
                    // An error here occurs again when the next frame is drawn.
                    let _ = terminal.suspend(&self.quit_requested);
                }
                LoopAction::SwitchProfile(name) => self.switch_profile(&name, &mut events),
                LoopAction::Continue => {}
            }
            self.is_writable &= !self.is_writable
                || terminal.set_mouse_capture(keymap::is_mouse_enabled(self.model)).is_ok();
            if !std::mem::take(&mut skip_draw) && self.is_writable {
                if std::mem::take(&mut self.asks_background) {
                    terminal.request_background();
                }
                if draw(terminal, self.model).is_err() {
                    self.is_writable = false;
                    next = self.handle_message(Msg::Disconnected);
                    continue;
                }
            }
            let drawn_at = Instant::now();
            next = tokio::select! {
                biased;
                Some(event) = terminal_events.recv() => {
                    last_was_result = false;
                    self.handle_terminal_event(event, &mut terminal_events).await
                }
                Some(event) = events.recv() => {
                    let next = self.handle_loop_event(event, terminal);
                    // Many results may arrive at once: the first is shown immediately, the others
                    // are collected for one frame. A key press is handled immediately.
                    let pause = MIN_FRAME_INTERVAL.saturating_sub(drawn_at.elapsed());
                    if std::mem::replace(&mut last_was_result, true) && !pause.is_zero() {
                        self.coalesce_events(next, pause, terminal, &mut terminal_events, &mut events).await
                    } else {
                        next
                    }
                }
                () = sleep_until(self.model.next_tick_at(), self.model.now, self.last_message_at) => self.handle_message(Msg::Tick),
            };
            // Handles all events that have arrived before one frame is drawn.
            while matches!(next, LoopAction::Continue) {
                if let Ok(event) = terminal_events.try_recv() {
                    next = self.handle_terminal_event(event, &mut terminal_events).await;
                } else if let Some(event) = events.try_recv() {
                    next = self.handle_loop_event(event, terminal);
                } else {
                    break;
                }
            }
        }
    }

    /// Handles results for the time of `pause`, or until a key is pressed.
    async fn coalesce_events(
        &mut self,
        mut next: LoopAction,
        pause: Duration,
        terminal: &mut Terminal,
        terminal_events: &mut UnboundedReceiver<Event>,
        events: &mut Events,
    ) -> LoopAction {
        let timer = tokio::time::sleep(pause);
        tokio::pin!(timer);
        while matches!(next, LoopAction::Continue) {
            next = tokio::select! {
                biased;
                Some(event) = terminal_events.recv() => {
                    return self.handle_terminal_event(event, terminal_events).await;
                }
                () = &mut timer => return next,
                Some(event) = events.recv() => self.handle_loop_event(event, terminal),
            };
        }
        next
    }

    fn handle_message(&mut self, msg: Msg) -> LoopAction {
        self.last_message_at = Instant::now();
        let effects = update::update(self.model, msg, self.clock.now());
        self.effect_runner.run_effects(effects)
    }

    /// Handles an event of the terminal, together with those that arrive with it in a burst.
    async fn handle_terminal_event(
        &mut self,
        event: Event,
        following: &mut UnboundedReceiver<Event>,
    ) -> LoopAction {
        let mut events = vec![event];
        if keymap::joins_bursts(self.model) {
            while events.last().is_some_and(|event| keymap::typed_char(event).is_some())
                && let Ok(Some(event)) =
                    tokio::time::timeout(keymap::BURST_GAP, following.recv()).await
            {
                events.push(event);
            }
            events = keymap::join_burst(events);
        }
        for event in events {
            let model = &*self.model;
            let intent_at = |column, row| view::intent_at(model, column, row);
            if let Some(msg) = keymap::msg_for_event(model, event, intent_at) {
                match self.handle_message(msg) {
                    LoopAction::Continue => {}
                    next => return next,
                }
            }
        }
        LoopAction::Continue
    }

    fn handle_loop_event(&mut self, event: LoopEvent, terminal: &mut Terminal) -> LoopAction {
        match event {
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
}

/// Sleeps until `deadline`, or forever without one. `now` is the time of the model at `last_message_at`.
/// Uses the monotonic clock, so that setting the system clock back does not extend the wait.
async fn sleep_until(deadline: Option<Timestamp>, now: Timestamp, last_message_at: Instant) {
    match deadline {
        Some(deadline) => {
            let left = Duration::try_from(deadline.duration_since(now)).unwrap_or_default();
            tokio::time::sleep(left.saturating_sub(last_message_at.elapsed())).await;
        }
        None => std::future::pending().await,
    }
}

/// Returns the terminal's size, or an error if the dashboard cannot run on it.
fn check_terminal() -> Result<(u16, u16), UserError> {
    let error = |message: &str, advice: &str| {
        UserError::failed(message, advice).with_meaning("nothing was done")
    };
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err(error(
            "the dashboard needs a terminal for standard input and output",
            "in scripts use the commands: keywright --help",
        ));
    }
    if std::env::var_os("TERM").is_some_and(|term| term == "dumb") {
        return Err(error(
            "the terminal type is dumb: it cannot position the cursor",
            "use another terminal, or the commands: keywright --help",
        ));
    }
    let (columns, rows) = terminal::size().map_err(|error| terminal_error(&error))?;
    let (least_columns, least_rows) = view::MIN_TERMINAL_SIZE;
    if columns < least_columns || rows < least_rows {
        return Err(error(
            &format!(
                "the terminal has {columns} columns and {rows} rows; \
                 the dashboard needs {least_columns} and {least_rows}"
            ),
            "enlarge it, or use the commands: keywright --help",
        ));
    }
    Ok((columns, rows))
}

fn terminal_error(error: &io::Error) -> UserError {
    UserError::failed(
        format!("the terminal cannot be used: {}", io_error_text(&error)),
        "use another terminal, or the commands: keywright --help",
    )
    .with_meaning("nothing was done")
}

/// Prints a message after the terminal was restored; ignores a closed standard error.
fn print_status(message: &str) {
    let _ = writeln!(io::stderr(), "keywright: {message}");
}
