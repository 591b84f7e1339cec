//! The profile that the dashboard shows, and the switch to another one.

use std::fmt;
use std::sync::Arc;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::state::{
    AlternateStore, AppContext, Background, Model, Msg, ProfileChoice, SharedStoreState, SortOrder,
};
use super::{EventLoop, LoopEvent, SandboxControls, effects, keymap, update};
use crate::domain::{ManagementKey, ProfileName, StoreKind, UserError};
use crate::platform::environment;
use crate::services::config::{DEFAULT_SERVER, Settings};
use crate::services::provision::ServiceContext;
use crate::storage::secret_store;

/// Returns the services and the settings of a profile.
pub type OpenProfile = Arc<dyn Fn(&ProfileName) -> Result<(ServiceContext, Settings), UserError>>;

/// The profiles that the dashboard can show.
#[derive(Clone)]
pub struct Profiles {
    /// The profiles.
    pub choices: Vec<ProfileChoice>,
    /// Opens one of them.
    pub open: OpenProfile,
}

impl fmt::Debug for Profiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profiles").field("choices", &self.choices).finish_non_exhaustive()
    }
}

/// Options of the dashboard.
#[derive(Clone, Debug)]
pub struct Options {
    /// Set only in the sandbox.
    pub sandbox_controls: Option<SandboxControls>,
    /// Whether to use colours.
    pub use_color: bool,
    /// The settings of the dashboard, and the errors of the configuration file.
    pub settings: Settings,
    /// The profiles to switch between.
    pub profiles: Profiles,
}

/// What all profiles have in common.
pub(super) struct SessionOptions {
    pub(super) sandbox_controls: Option<SandboxControls>,
    pub(super) use_color: bool,
    pub(super) profiles: Profiles,
}

impl SessionOptions {
    /// Returns what the state of a profile starts with.
    pub(super) fn build_context(
        &self,
        services: &ServiceContext,
        settings: &Settings,
        asks_about_environment_key: bool,
    ) -> AppContext {
        let bindings = settings.bindings.iter().map(|(name, key)| (name.as_str(), key.as_str()));
        // Problems with them are among the errors of the file.
        let (key_overrides, _) = keymap::resolve_key_overrides(bindings);
        AppContext {
            server: services.server.clone(),
            is_sandbox: self.sandbox_controls.is_some(),
            store_name: services.secret_store.display_name(),
            shared_store: SharedStoreState {
                is_in_use: services.store_kinds().iter().any(StoreKind::is_shared),
                is_default: services.secret_store.kind().is_shared(),
                is_read_only: false,
            },
            alternate_store: alternate_store(services),
            keychain_service: services.keychain_service.clone(),
            refresh_interval: settings.refresh_interval(),
            key_overrides,
            sort_order: SortOrder::from_name(settings.sort()),
            config_errors: settings.errors.clone(),
            key_defaults: services.key_defaults.clone(),
            profile: services.profile.clone(),
            profiles: self.profiles.choices.clone(),
            asks_about_environment_key,
            theme_choice: settings.theme().parse().unwrap_or_default(),
            has_few_colors: environment::has_few_colors(),
            background: if environment::has_light_background() {
                Background::Light
            } else {
                Background::Dark
            },
            uses_color: self.use_color,
        }
    }
}

/// Takes the environment's management key from the services where the user has to agree to its use: the
/// sandbox's key is its own, and another server than OpenRouter could be anyone's.
pub(super) fn take_environment_key(
    services: &mut ServiceContext,
    is_sandbox: bool,
) -> Option<ManagementKey> {
    let is_asked = !is_sandbox && services.server != DEFAULT_SERVER;
    if is_asked { services.management_key.take() } else { None }
}

/// Describes the alternate store without opening it.
fn alternate_store(services: &ServiceContext) -> Option<AlternateStore> {
    let no_passphrase = || secret_store::Error::NoPassphrase(String::new());
    let store = services.alternate_secret_store(Arc::new(move |_| Err(no_passphrase())))?;
    Some(AlternateStore {
        store_kind: store.kind(),
        display_name: store.display_name(),
        needs_passphrase: store.kind() == StoreKind::File,
    })
}

/// The events of the program, and the results for the profile that is shown.
pub(super) struct Events {
    pub(super) program: UnboundedReceiver<LoopEvent>,
    pub(super) results: UnboundedReceiver<LoopEvent>,
}

impl Events {
    pub(super) async fn recv(&mut self) -> Option<LoopEvent> {
        tokio::select! {
            biased;
            Some(event) = self.program.recv() => Some(event),
            Some(event) = self.results.recv() => Some(event),
            else => None,
        }
    }

    pub(super) fn try_recv(&mut self) -> Option<LoopEvent> {
        self.program.try_recv().or_else(|_| self.results.try_recv()).ok()
    }
}

impl EventLoop<'_> {
    /// Shows another profile: nothing of the state remains, and results for the old one are dropped.
    pub(super) fn switch_profile(&mut self, name: &ProfileName, events: &mut Events) {
        let (mut services, settings) = match (self.session.profiles.open)(name) {
            Ok(opened) => opened,
            Err(error) => {
                self.handle_message(Msg::Notice(Err(error)));
                return;
            }
        };
        let is_sandbox = self.session.sandbox_controls.is_some();
        let environment_key = take_environment_key(&mut services, is_sandbox);
        let context = self.session.build_context(&services, &settings, environment_key.is_some());
        let old = &self.model;
        let (theme_choice, background) = (old.theme_choice, old.background);
        let mut model = Model::new(context, old.terminal_size, self.clock.now());
        (model.theme_choice, model.background) = (theme_choice, background);
        model.restore_view(&effects::load_view(&services.location));
        model.notify(Ok(format!("the profile '{name}' is shown")));
        *self.model = model;
        let (results, receiver) = unbounded_channel();
        events.results = receiver;
        self.effect_runner.switch_services(services, environment_key, results);
        let first = update::load_keys(self.model);
        self.effect_runner.run_effects(first);
    }
}
