//! State of the dashboard. The current time arrives with each message, so that tests choose it.
//!
//! [`update`](super::update::update) takes one [`Msg`] and returns the [`Effect`]s to run. The
//! result of an effect arrives as a message with the ticket of its request.

mod account;
mod app_context;
mod bulk;
mod columns;
mod confirm_dialog;
mod dashboard;
mod effect;
mod filter;
mod form;
mod key_overrides;
mod layout;
mod limits_screen;
mod management_screen;
mod message;
mod new_key_screen;
mod overlay;
mod plan_screen;
mod profile_picker;
mod question;
mod refresh;
mod results_screen;
mod shared_store;
mod sign_in_screen;
mod sort_filter;
mod text_field;
mod ticket;
mod trash_screen;
mod view_state;

pub use account::{AccountReport, AccountState};
pub use app_context::{AppContext, Background};
pub use bulk::{BulkAction, UndoableChange};
pub use columns::{Column, MARK_WIDTH, PlacedColumn, place_columns};
pub use confirm_dialog::{ConfirmDialog, ConfirmKind, ExpectedLosses, UNUSED_FOR_CHOICES};
pub use dashboard::{Attention, Dashboard, KeyList, KeyScope, RevealedKey};
pub use effect::{Effect, Request};
pub use filter::Filter;
pub(in crate::tui) use form::Submission;
pub use form::{
    AuthChoice, EXPIRY_PRESETS, FieldHint, Form, FormChoices, FormChoicesState, FormField,
    FormKind, Picker, PickerOption,
};
pub use key_overrides::{KeyOverrides, KeyPress};
pub use layout::{DashboardLayout, Region, ScreenLayout};
pub use limits_screen::{LimitsScreen, PlannedLimit};
pub use management_screen::{KeyRight, ManagementScreen, StoredManagementKey};
pub use message::{Intent, Msg, Response};
pub use new_key_screen::{NewKeyScreen, PassphraseForm};
pub use overlay::{LoggedMessage, MessageView, Overlay, Palette};
pub use plan_screen::{PlanComparison, PlanScreen, PlanStatus, PlannedKey};
pub use profile_picker::{ProfileChoice, ProfilePicker};
pub use question::Question;
pub use refresh::{RefreshRound, RefreshSchedule};
pub use results_screen::{ResultsScreen, scroll_by};
pub use shared_store::SharedStoreState;
pub use sign_in_screen::{Operation, SignInScreen, SignInUrl};
pub use sort_filter::{SortOrder, spent_share};
pub use text_field::TextField;
pub use ticket::Ticket;
pub use trash_screen::TrashScreen;
pub use view_state::ViewState;

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

use crate::domain::{
    ErrorKind, KeyDefaults, Label, ProfileName, StoreKind, StoredKey, ThemeChoice, UserError,
};

/// The screen that is shown.
#[derive(Clone, Debug, Default)]
pub enum Screen {
    /// The table of keys.
    #[default]
    Dashboard,
    /// The form that creates, edits or imports a key.
    Form(Form),
    /// A provisioning run under way.
    SignIn(Box<SignInScreen>),
    /// A newly created key.
    NewKey(Box<NewKeyScreen>),
    /// An action to confirm.
    Confirm(Box<ConfirmDialog>),
    /// The results of an action on several keys.
    ActionResults(ResultsScreen),
    /// A plan: its path, its comparison and its results.
    Plan(Box<PlanScreen>),
    /// The field for a management key, and what the key may do.
    Management(Box<ManagementScreen>),
    /// The removed keys.
    Trash(TrashScreen),
    /// The limits of several keys.
    Limits(Box<LimitsScreen>),
}

/// A run without a screen that has not finished yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackgroundRun {
    /// The ticket of the run.
    pub ticket: Ticket,
    /// The label of the key being created.
    pub label: Label,
}

/// A request for the account key that the edit form needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EditRequest {
    /// The ticket of the request.
    pub ticket: Ticket,
    /// The hash of the key to edit.
    pub hash: String,
}

/// A secret store other than the one in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlternateStore {
    /// The kind of store.
    pub store_kind: StoreKind,
    /// The name shown to people.
    pub display_name: String,
    /// Whether the store needs a passphrase.
    pub needs_passphrase: bool,
}

/// The whole state of the dashboard.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// The URL of the server.
    pub server: String,
    /// Whether the server is the sandbox.
    pub is_sandbox: bool,
    /// The name of the secret store.
    pub store_name: String,
    /// The shared store.
    pub shared_store: SharedStoreState,
    /// Another store that could store a key.
    pub alternate_store: Option<AlternateStore>,
    /// The keychain service name of this server's keys.
    pub keychain_service: String,
    /// The policy that new keys start from.
    pub key_defaults: KeyDefaults,
    /// The profile whose keys are shown.
    pub profile: ProfileName,
    /// The profiles to switch between.
    pub profiles: Vec<ProfileChoice>,
    /// The time of the last message.
    pub now: Timestamp,
    /// The columns and rows of the terminal.
    pub terminal_size: (u16, u16),
    /// The table of keys, below every other screen.
    pub dashboard: Dashboard,
    /// The figures of the account.
    pub account: AccountState,
    /// The theme that was chosen.
    pub theme_choice: ThemeChoice,
    /// The theme that was chosen in the dashboard, in this run or an earlier one.
    pub chosen_theme: Option<ThemeChoice>,
    /// The background of the terminal.
    pub background: Background,
    /// Whether colours may be used.
    pub uses_color: bool,
    /// Whether the terminal has only the 16 colours of its palette.
    pub has_few_colors: bool,
    /// The schedule of the refresh rounds.
    pub refresh: RefreshSchedule,
    /// The screen that is shown.
    pub screen: Screen,
    /// The help, the palette or the message log, while one covers the screen.
    pub overlay: Option<Overlay>,
    /// The question, while one covers the screen.
    pub question: Option<Question>,
    /// The last notice; the next key press clears it.
    pub notice: Option<Result<String, UserError>>,
    /// Every notice so far, oldest first.
    pub messages: VecDeque<LoggedMessage>,
    /// The keys of the configuration.
    pub key_overrides: KeyOverrides,
    /// Whether the user still has to agree before the environment's management key is used.
    pub asks_about_environment_key: bool,
    /// Keys that are stored nowhere and wait to be shown.
    pub unstored_keys: Vec<NewKeyScreen>,
    /// Runs that continue without a screen.
    pub background_runs: Vec<BackgroundRun>,
    /// Tickets of requests that change something; each accepts one result.
    pub open_requests: Vec<Ticket>,
    /// The form of a new key that was left with a label; the next one begins with its values.
    pub unsent_form: Option<Box<Form>>,
    /// The account key that is being fetched for the edit form.
    pub edit_request: Option<EditRequest>,
    /// Whether another program may have changed the inventory.
    pub is_inventory_check_due: bool,
    /// The view as it was kept on disk last.
    pub saved_view: ViewState,
    /// The action on several keys that is under way.
    pub bulk: Option<BulkAction>,
    /// The last change that can be undone.
    pub undoable: Option<UndoableChange>,
    /// The number of keys that are being changed at the server or in the stores.
    pub changes_under_way: usize,
    /// Whether to quit when all runs and changes have finished.
    pub quit_requested: bool,
    /// Whether the terminal is gone, so that no key can be shown.
    pub is_disconnected: bool,
    last_ticket: u64,
}

impl Model {
    /// Returns the model at the start, before anything is loaded.
    pub fn new(context: AppContext, terminal_size: (u16, u16), now: Timestamp) -> Self {
        let mut dashboard = Dashboard::new();
        dashboard.sort_order = context.sort_order;
        let mut model = Self {
            key_defaults: context.key_defaults,
            profile: context.profile,
            profiles: context.profiles,
            server: context.server,
            is_sandbox: context.is_sandbox,
            store_name: context.store_name,
            shared_store: context.shared_store,
            alternate_store: context.alternate_store,
            keychain_service: context.keychain_service,
            now,
            terminal_size,
            dashboard,
            theme_choice: context.theme_choice,
            background: context.background,
            uses_color: context.uses_color,
            has_few_colors: context.has_few_colors,
            refresh: RefreshSchedule::new(context.refresh_interval),
            key_overrides: context.key_overrides,
            asks_about_environment_key: context.asks_about_environment_key,
            ..Self::default()
        };
        model.saved_view = model.view_state();
        if let Some(error) = describe_errors(&context.config_errors) {
            model.notify(Err(error));
        }
        model
    }

    /// Shows a notice and keeps it in the message log.
    pub(in crate::tui) fn notify(&mut self, message: Result<String, UserError>) {
        self.log_message(message.clone());
        self.notice = Some(message);
    }

    /// Keeps a message in the log without showing it.
    pub(in crate::tui) fn log_message(&mut self, message: Result<String, UserError>) {
        if self.messages.len() == overlay::MAX_MESSAGES {
            self.messages.pop_front();
        }
        self.messages.push_back(LoggedMessage { at: self.now, message });
    }

    /// Returns the regions of the dashboard.
    pub fn layout(&self) -> DashboardLayout {
        self.layout_of(self.terminal_size)
    }

    /// Returns the regions of the dashboard on a terminal of `size`, in columns and rows.
    pub fn layout_of(&self, size: (u16, u16)) -> DashboardLayout {
        let dashboard = &self.dashboard;
        let (count, urgent) = (dashboard.all_keys().len(), dashboard.attention_list.len());
        DashboardLayout::new(size, dashboard.is_pane_open, count, urgent)
    }

    /// Returns the rows on screen and their keys.
    pub fn visible_keys(&self) -> impl Iterator<Item = (usize, &StoredKey)> {
        self.dashboard.visible_keys(self.layout().page_size())
    }

    /// Limits the scroll position to that of the last line, which is known once it was drawn.
    pub fn limit_scroll(&mut self, end: u16) {
        let scroll = match (&mut self.overlay, &mut self.screen) {
            (Some(Overlay::Account { scroll }), _) => scroll,
            (_, Screen::NewKey(new_key)) => &mut new_key.scroll,
            (_, Screen::ActionResults(screen)) => &mut screen.scroll,
            _ => &mut self.dashboard.details_scroll,
        };
        *scroll = (*scroll).min(end);
    }

    /// Returns the name of the store of `key`.
    pub fn store_name_of(&self, key: &StoredKey) -> &str {
        match &self.alternate_store {
            Some(alternate) if key.is_in_store(&alternate.store_kind) => &alternate.display_name,
            _ => &self.store_name,
        }
    }

    pub(in crate::tui) const fn next_ticket(&mut self) -> Ticket {
        self.last_ticket += 1;
        Ticket(self.last_ticket)
    }

    /// Returns a ticket that accepts one result.
    pub(in crate::tui) fn open_request(&mut self) -> Ticket {
        let ticket = self.next_ticket();
        self.open_requests.push(ticket);
        ticket
    }

    /// Closes a request. Returns whether it was open.
    pub(in crate::tui) fn close_request(&mut self, ticket: Ticket) -> bool {
        let index = self.open_requests.iter().position(|open| *open == ticket);
        index.map(|index| self.open_requests.swap_remove(index)).is_some()
    }

    /// Returns when the screen changes by itself: the next [`Msg::Tick`] is due then.
    pub fn next_tick_at(&self) -> Option<Timestamp> {
        let seconds = match &self.screen {
            Screen::SignIn(sign_in) if sign_in.error.is_none() => Some(1),
            Screen::NewKey(new_key) => new_key.revealed_until.map(|_| 1),
            Screen::Dashboard => {
                self.dashboard.seconds_until_change(self.now, self.layout().page_size())
            }
            _ => None,
        };
        // Ticks fall on full seconds so that a countdown skips none.
        let moves = seconds.and_then(|seconds| {
            let second = Timestamp::from_second(self.now.as_second()).ok()?;
            second.checked_add(SignedDuration::from_secs(seconds)).ok()
        });
        let next = [moves, self.refresh.next_at].into_iter().flatten().min()?;
        // A refresh that is due and cannot start yet must not keep the program awake.
        if next > self.now {
            return Some(next);
        }
        self.now.checked_add(SignedDuration::from_secs(1)).ok()
    }
}

/// Returns the notice for the errors of the configuration file.
fn describe_errors(errors: &[String]) -> Option<UserError> {
    let (first, more) = errors.split_first()?;
    let more = match more.len() {
        0 => String::new(),
        count => format!(" (and {count} more)"),
    };
    let error = UserError::new(
        ErrorKind::InvalidInput,
        format!("configuration file: {first}{more}"),
        "see all errors: keywright config show",
    );
    Some(error.with_meaning("the built-in values are used instead"))
}
