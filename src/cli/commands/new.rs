//! `keywright new`: creates a key.

mod questions;

use clap::Args;
use jiff::Timestamp;
use secrecy::ExposeSecret;

use crate::cli::output::{
    print, print_confirmed_key, print_next_command, print_status, print_stored_key, print_warning,
    usage_error,
};
use crate::cli::shared_store::check_may_write;
use crate::cli::sign_in::{SignInArgs, is_browser_unavailable, run_with_prompts};
use crate::cli::unstored_keys::retry_store;
use crate::cli::{json, run_async};
use crate::domain::{
    ApiKey, Cents, ConfiguredName, ErrorKind, Expiry, KeyDefaults, KeyRequest, Label,
    ManagementKey, PartialPolicy, ProvisioningOutcome, ResetInterval, StoreKind, StoredKey,
    UserError,
};
use crate::services::keys::{self, NameResolver, WorkspaceText, management_key};
use crate::services::provision::{self, ServiceContext};
use questions::{Defaults, ask_for_request};

/// Arguments of `new`.
#[derive(Args, Debug)]
pub struct NewArgs {
    /// The key's label, such as the name of the tool that will use it: 1 to 100 characters, unique
    /// [default: asked for on the terminal, and the policy with it]
    label: Option<String>,
    /// The credit limit in USD, or none [default: the configuration's, else 10]
    #[arg(long, value_name = "USD", allow_hyphen_values = true)]
    limit: Option<String>,
    /// When the limit resets: daily, weekly, monthly or never; always at 00:00 UTC [default: the configuration's, else monthly]
    #[arg(long, value_name = "INTERVAL")]
    reset: Option<String>,
    /// When the key expires: 30d, 12h, 6w, 3mo, 1y, 2027-12-31, 2027-12-31T23:59:59Z or never [default: the configuration's, else 90d]
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    expires: Option<String>,
    /// The key's workspace: its UUID, or with a management key its slug or name [default: the configuration's, else the account's default workspace]
    #[arg(long, value_name = "WORKSPACE")]
    workspace: Option<String>,
    /// Put the key under this guardrail, by name or id, or under none; needs a management key [default: the configuration's, else none]
    #[arg(long, value_name = "NAME")]
    guardrail: Option<String>,
    #[command(flatten)]
    sign_in: SignInArgs,
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
    /// Include the key itself in the JSON
    #[arg(long, requires = "json")]
    print_key: bool,
}

impl NewArgs {
    pub(in crate::cli) fn run(&self, services: &ServiceContext) -> Result<(), UserError> {
        let mut request = match &self.label {
            Some(label) => self.parse_request(label, &services.key_defaults)?,
            None => ask_for_request(&self.defaults(&services.key_defaults), services)?,
        };
        check_may_write(services, [request.label.as_str()])?;
        self.resolve_names(&mut request, services)?;
        let other_account = &self.sign_in.other_account;
        if let Some(stored_key) = other_account.confirm_stored(services, request.label.as_str())? {
            return self.print_confirmed(&stored_key);
        }
        keys::check_label(services, &request.label)?;
        if request.defaulted.any() && self.label.is_some() {
            let configured = services.key_defaults.workspace_name.as_ref();
            let workspace =
                self.workspace.as_deref().or_else(|| configured.map(|name| name.name.as_str()));
            let policy = request.describe_policy(workspace);
            print_status(&format!("policy: {policy}"));
        }
        // The keys of a sandbox are worth nothing, so losing one needs no warning.
        let is_real = !services.server.starts_with("http://");
        if services.secret_store.kind() == StoreKind::Memory && is_real && !self.print_key {
            print_status(
                "the memory store loses this key when the command ends: press ctrl-c now, and use --store os or --json --print-key",
            );
        }
        // A prompt of the secret store must come first: sign-in reads the code from standard input.
        services.unlock()?;
        let auth_method = self
            .sign_in
            .choose_auth_method(services, self.read_fallback_management_key(services)?)?;
        let opens_manually = auth_method.opens_manually();
        let outcome = run_async(async {
            let (outcome, mut controls) =
                run_with_prompts(opens_manually, async |controls, report| {
                    keys::create_key(&request, auth_method, services, controls, report).await
                })
                .await;
            retry_store(outcome, &mut controls, services).await
        })?;
        match outcome {
            ProvisioningOutcome::Stored { mut stored_key, key, mut warning } => {
                if stored_key.is_of_unconfirmed_account() {
                    match other_account.confirm_account(services, &stored_key, true) {
                        Ok(confirmed) => stored_key = confirmed.new,
                        Err(error) => warning = Some(error),
                    }
                }
                self.print_stored(&stored_key, &key, warning, services)
            }
            ProvisioningOutcome::NotStored { entry, key, error } => {
                self.report_unstored(&entry, &key, error)
            }
            ProvisioningOutcome::Failed(error) => Err(error),
        }
    }

    /// Returns the management key where no browser is available and no method was requested.
    fn read_fallback_management_key(
        &self,
        services: &ServiceContext,
    ) -> Result<Option<ManagementKey>, UserError> {
        if !self.sign_in.is_unspecified() || !is_browser_unavailable(services) {
            return Ok(None);
        }
        let known = run_async(management_key::load_management_key(services))??;
        if known.is_some() {
            print_status("no browser is available: authorising with the management key");
        }
        Ok(known)
    }

    /// Finds the workspace and the guardrail by name, before anything is created.
    fn resolve_names(
        &self,
        request: &mut KeyRequest,
        services: &ServiceContext,
    ) -> Result<(), UserError> {
        let defaults = &services.key_defaults;
        let option = |name: &str| ConfiguredName { name: name.to_owned(), place: String::new() };
        let guardrail = match self.guardrail.as_deref().map(str::trim) {
            Some(name) => (!name.eq_ignore_ascii_case("none")).then(|| option(name)),
            None => defaults.guardrail.clone(),
        };
        let workspace = match (&self.workspace, &self.label) {
            // Without a label, the user was asked for the workspace.
            (_, None) => None,
            (None, Some(_)) => defaults.workspace_name.clone(),
            (Some(text), Some(_)) => match keys::parse_workspace(text) {
                WorkspaceText::Id(id) => {
                    request.workspace_id = Some(id.to_owned());
                    None
                }
                WorkspaceText::Name(name) => Some(option(name)),
                WorkspaceText::Default => None,
            },
        };
        if guardrail.is_none() && workspace.is_none() {
            return Ok(());
        }
        services.unlock()?;
        run_async(async {
            let names = NameResolver::load(services).await?;
            if let Some(name) = workspace {
                let found = names.find_workspace(&name.name).await;
                request.workspace_id = Some(found.map_err(|error| name_error(&name, &error))?);
            }
            if let Some(name) = guardrail {
                let found = names.find_guardrail(&name.name).await;
                request.guardrail = Some(found.map_err(|error| name_error(&name, &error))?);
            }
            Ok(())
        })?
    }

    fn defaults(&self, defaults: &KeyDefaults) -> Defaults {
        let or = |option: &Option<String>, default: &str| {
            option.clone().unwrap_or_else(|| default.to_owned())
        };
        Defaults {
            limit: or(&self.limit, &defaults.limit_text()),
            reset: or(&self.reset, defaults.reset_text()),
            expires: or(&self.expires, &defaults.expires),
            workspace: self.workspace.clone().or_else(|| {
                let name = defaults.workspace_name.as_ref().map(|name| name.name.clone());
                name.or_else(|| defaults.workspace_id.clone())
            }),
        }
    }

    fn parse_request(&self, label: &str, defaults: &KeyDefaults) -> Result<KeyRequest, UserError> {
        let invalid = |message: String| {
            usage_error(message, "see keywright new --help").with_meaning("nothing was sent")
        };
        let wrong =
            |option: &str, problem: &dyn std::fmt::Display| invalid(format!("{option}: {problem}"));
        let now = Timestamp::now();
        let label = label.parse::<Label>().map_err(|problem| wrong("LABEL", &problem))?;
        let limit = self.limit.as_deref().map(Cents::parse_limit).transpose();
        let reset = self.reset.as_deref().map(ResetInterval::parse).transpose();
        let expiry = self.expires.as_deref().map(|text| Expiry::parse(text, now)).transpose();
        let requested = PartialPolicy {
            limit: limit.map_err(|problem| wrong("--limit", &problem))?,
            limit_reset: reset.map_err(|problem| wrong("--reset", &problem))?,
            expiry: expiry.map_err(|problem| wrong("--expires", &problem))?,
            // See `resolve_names`.
            workspace_id: self.workspace.as_ref().map(|_| None),
        };
        // The default limit is not meant to be spent again in each interval.
        if requested.limit_reset.flatten().is_some() && requested.limit.is_none() {
            return Err(invalid("a reset needs a limit: give --limit too".into()));
        }
        let request = defaults.complete(label, requested, now);
        request.validate().map_err(|problem| invalid(problem.to_string()))?;
        Ok(request)
    }

    #[expect(clippy::disallowed_methods, reason = "prints the key with --print-key")]
    fn print_stored(
        &self,
        stored_key: &StoredKey,
        key: &ApiKey,
        warning: Option<UserError>,
        services: &ServiceContext,
    ) -> Result<(), UserError> {
        for name in stored_key.differing_fields() {
            print_status(&format!(
                "{name} was not granted as requested; compare: {}",
                stored_key.label.command("show")
            ));
        }
        if self.json {
            let mut document = json::key_to_json(stored_key, Timestamp::now());
            json::PendingNames::load(services).add_to(&mut document);
            if self.print_key {
                document["key"] = key.expose_secret().into();
            }
            print(&format!("{document:#}\n")).map_err(|error| {
                let store = services.for_key(stored_key).secret_store.display_name();
                error.with_meaning(format!(
                    "the key '{}' is created and stored in {store}",
                    stored_key.label
                ))
            })?;
        } else {
            print_stored_key(stored_key, services)?;
        }
        match warning {
            // The key is stored and listed as requested; only its check failed.
            Some(warning) if warning.kind == ErrorKind::Unreachable => print_warning(&warning),
            Some(warning) => return Err(warning),
            None => {}
        }
        if !self.json {
            print_next_command(stored_key);
        }
        Ok(())
    }

    /// Prints a key that was stored before and whose account is confirmed now.
    fn print_confirmed(&self, stored_key: &StoredKey) -> Result<(), UserError> {
        if self.json {
            let document = json::key_to_json(stored_key, Timestamp::now());
            return print(&format!("{document:#}\n"));
        }
        print_confirmed_key(stored_key)
    }

    /// Reports a key that could not be stored; prints the key itself with `--print-key`.
    #[expect(clippy::disallowed_methods, reason = "prints the key with --print-key")]
    fn report_unstored(
        &self,
        entry: &StoredKey,
        key: &ApiKey,
        error: UserError,
    ) -> Result<(), UserError> {
        if self.print_key {
            let mut document = json::key_to_json(entry, Timestamp::now());
            document["key"] = key.expose_secret().into();
            document["store"] = serde_json::Value::Null;
            document["error"] = json::error_to_json(&error)["error"].take();
            return match print(&format!("{document:#}\n")) {
                Ok(()) => Err(error),
                Err(unprinted) => Err(provision::key_lost_error(UserError {
                    message: format!("{}; {}", error.message, unprinted.message),
                    ..error
                })),
            };
        }
        Err(provision::key_lost_error(error))
    }
}

/// Adds to an error where the configuration sets the name. A name from an option has no such place.
fn name_error(name: &ConfiguredName, error: &keys::Error) -> UserError {
    let error = error.to_user_error();
    if name.place.is_empty() { error } else { name.add_place(error) }
}
