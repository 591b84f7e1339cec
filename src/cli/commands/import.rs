//! `keywright import LABEL`: takes over a key that was cut elsewhere.

use clap::Args;
use secrecy::ExposeSecret;

use crate::cli::output::{print, usage};
use crate::cli::{prompts, wait_for};
use crate::domain::{ApiKey, Label, UserError};
use crate::services::keys;
use crate::services::provision::Services;

/// Arguments of `import`.
#[derive(Args, Debug)]
pub struct Import {
    /// What to call it: 1 to 100 characters, unique here
    label: String,
}

impl Import {
    pub(in crate::cli) fn run(&self, services: &Services) -> Result<(), UserError> {
        let label: Label = self
            .label
            .parse()
            .map_err(|problem| usage(format!("LABEL: {problem}"), "nothing was stored"))?;
        let secret = prompts::secret("key: ")?;
        #[expect(clippy::disallowed_methods, reason = "door: import")]
        let key = ApiKey::from(secret.expose_secret().to_owned());
        let held =
            wait_for(keys::import(services, &label, &key))?.map_err(|error| error.trouble())?;
        print(&format!(
            "{}  {}  stored in {}, read back\n",
            held.label,
            held.masked,
            services.vault.display_name()
        ))
    }
}
