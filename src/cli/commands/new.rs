//! `keywright new LABEL`: cuts a key. The journey is [`provision::run`]'s; here are its arguments
//! and the words for its end.

use clap::Args;
use jiff::Timestamp;
use secrecy::ExposeSecret;

use crate::cli::output::{print, print_status, print_warning, usage_error};
use crate::cli::sign_in::{
    SignInArgs, is_browser_unavailable, retry_store_interactively, run_with_prompts,
};
use crate::cli::{json, run_async};
use crate::domain::{
    ApiKey, Cents, Expiry, KeyRequest, Label, ManagementKey, ProvisioningOutcome, ResetInterval,
    StoredKey, UserError,
};
use crate::services::keys::management_key;
use crate::services::provision::{self, ServiceContext};
use crate::storage::secret_store::StoreKind;

/// Arguments of `new`.
#[derive(Args, Debug)]
pub struct NewArgs {
    /// The key's name, such as the tool that will use it: 1 to 100 characters, unique here
    label: String,
    /// The most it may spend, in USD, or none
    #[arg(long, value_name = "USD", default_value = "none")]
    limit: String,
    /// When the limit starts anew: daily, weekly, monthly or never; always at 00:00 UTC
    #[arg(long, value_name = "INTERVAL", default_value = "never")]
    reset: String,
    /// When it stops working: 30d, 12h, 6w, 3mo, 1y, 2027-12-31, 2027-12-31T23:59:59Z or never
    #[arg(long, value_name = "WHEN", default_value = "never")]
    expires: String,
    /// The workspace it belongs to, by its UUID [default: the account's default one]
    #[arg(long, value_name = "UUID")]
    workspace: Option<String>,
    #[command(flatten)]
    sign_in: SignInArgs,
    /// As one JSON document
    #[arg(long)]
    pub(in crate::cli) json: bool,
    /// Put the key itself into the JSON document
    #[arg(long, requires = "json")]
    print_key: bool,
}

impl NewArgs {
    pub(in crate::cli) fn run(&self, services: &ServiceContext) -> Result<(), UserError> {
        let request = self.parse_request()?;
        // A sandbox's keys buy nothing; a real one is gone with this program.
        let real = !services.server.starts_with("http://");
        if services.secret_store.kind() == StoreKind::Memory && real && !self.print_key {
            print_status(
                "this key will be kept in memory, and is gone when this command ends: ctrl-c now, and take it with --json --print-key, use --store os, or open the dashboard",
            );
        }
        // While a person signs in, standard input is the code's.
        services.secret_store.unlock().map_err(|error| error.to_user_error())?;
        let way = self
            .sign_in
            .choose_auth_method(services, self.read_fallback_management_key(services)?)?;
        let outcome = run_async(async {
            let (outcome, mut controls) = run_with_prompts(async |controls, report| {
                provision::run(&request, way, services, controls, report).await
            })
            .await;
            retry_store_interactively(outcome, &mut controls, services).await
        })?;
        match outcome {
            ProvisioningOutcome::Stored { stored_key: held, key, warning: note } => {
                self.print_stored(&held, &key, note, services)
            }
            ProvisioningOutcome::NotStored { entry: held, key, error: trouble } => {
                self.report_unstored(&held, &key, trouble)
            }
            ProvisioningOutcome::Failed(trouble) => Err(trouble),
        }
    }

    /// The management key, where nobody could consent in a browser and no road was asked for.
    fn read_fallback_management_key(
        &self,
        services: &ServiceContext,
    ) -> Result<Option<ManagementKey>, UserError> {
        if !self.sign_in.is_unspecified() || !is_browser_unavailable(services) {
            return Ok(None);
        }
        let known = run_async(management_key::load_management_key(services))?
            .map_err(|error| error.to_user_error())?;
        if known.is_some() {
            print_status("no browser is here: the management key cuts it");
        }
        Ok(known.map(|(key, _)| key))
    }

    fn parse_request(&self) -> Result<KeyRequest, UserError> {
        const NOTHING_SENT: &str = "nothing was sent";
        let wrong = |option: &str, problem: &dyn std::fmt::Display| {
            usage_error(format!("{option}: {problem}"), NOTHING_SENT)
        };
        let request = KeyRequest {
            label: self.label.parse::<Label>().map_err(|problem| wrong("LABEL", &problem))?,
            limit: Cents::parse_limit(&self.limit).map_err(|problem| wrong("--limit", &problem))?,
            limit_reset: ResetInterval::parse(&self.reset)
                .map_err(|problem| wrong("--reset", &problem))?,
            expiry: Expiry::parse(&self.expires, Timestamp::now())
                .map_err(|problem| wrong("--expires", &problem))?,
            workspace_id: self.workspace.clone(),
        };
        request.validate().map_err(|problem| usage_error(problem, NOTHING_SENT))?;
        Ok(request)
    }

    #[expect(clippy::disallowed_methods, reason = "door: new --print-key")]
    fn print_stored(
        &self,
        held: &StoredKey,
        key: &ApiKey,
        note: Option<UserError>,
        services: &ServiceContext,
    ) -> Result<(), UserError> {
        if let Some(trouble) = note {
            print_warning(&trouble);
        }
        for name in held.differing_fields() {
            print_status(&format!(
                "{name} is not as asked; keywright show {} has both",
                held.label
            ));
        }
        if self.json {
            let mut document = json::key_to_json(held, Timestamp::now());
            if self.print_key {
                document["key"] = key.expose_secret().into();
            }
            return print(&format!("{document:#}\n"));
        }
        print(&format!(
            "{}  {}  stored in {}, read back\n",
            held.label,
            held.masked,
            services.secret_store.display_name()
        ))
    }

    /// A key that is nowhere but here: shown where someone can see it and asked for it.
    #[expect(clippy::disallowed_methods, reason = "door: new --print-key")]
    fn report_unstored(
        &self,
        held: &StoredKey,
        key: &ApiKey,
        trouble: UserError,
    ) -> Result<(), UserError> {
        if self.print_key {
            let mut document = json::key_to_json(held, Timestamp::now());
            document["key"] = key.expose_secret().into();
            document["store"] = serde_json::Value::Null;
            document["error"] = json::error_to_json(&trouble)["error"].take();
            print(&format!("{document:#}\n"))?;
            return Err(trouble);
        }
        Err(UserError {
            advice: format!(
                "{}; the key is lost with this program: revoke it at {}",
                trouble.advice,
                held.page_url()
            ),
            ..trouble
        })
    }
}
