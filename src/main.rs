//! The thin binary: arguments to settings, the sandbox if asked for, the exit code.

use std::process::ExitCode;

use clap::Parser;
use keywright::cli::{self, Cli, Command, SandboxArgs};
use keywright::domain::{
    ApiKey, Cents, ErrorKind, GrantedPolicy, ManagementKey, RequestedPolicy, ResetInterval,
    StoredKey, UserError,
};
use keywright::sandbox::{self, Sandbox, SeedKey};
use keywright::services::config::{self, Config};
use keywright::services::provision::ServiceContext;
use keywright::storage::inventory;
use keywright::storage::json_store;
use keywright::storage::secret_store::{EntryId, SecretStore, StoreKind};
use keywright::tui;
use secrecy::SecretString;

/// Whatever held a secret on its way, in our code or in a library, is wiped when it is freed.
#[global_allocator]
static ALLOCATOR: zeroizing_alloc::ZeroAlloc<std::alloc::System> =
    zeroizing_alloc::ZeroAlloc(std::alloc::System);

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return report_usage_error(&error),
    };
    harden_process(cli.command.as_ref());
    if cli.global.quiet {
        cli::set_quiet();
    }
    let json = cli.command.as_ref().is_some_and(Command::is_json);
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            cli::report_error(&trouble, json);
            ExitCode::from(cli::exit_code(trouble.kind))
        }
    }
}

/// clap's own words and exit code; under `--json` wrong usage is a document as well.
fn report_usage_error(error: &clap::Error) -> ExitCode {
    // A reader who has gone is no error of ours.
    let _ = error.print();
    if error.use_stderr() && std::env::args_os().any(|argument| argument == "--json") {
        let words = error.to_string();
        // What is missing stands on lines of its own.
        let lines = words.lines().take_while(|line| !line.is_empty()).map(str::trim);
        let message = lines.collect::<Vec<_>>().join(" ");
        let message = message.trim_start_matches("error: ");
        let advice = "see keywright --help";
        cli::print_usage_error_json(&UserError::new(ErrorKind::InvalidInput, message, advice));
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

fn run(cli: &Cli) -> Result<(), UserError> {
    if let Some(Command::Sandbox(args)) = &cli.command {
        return serve_sandbox(args);
    }
    if let Some(printed) = cli.command.as_ref().and_then(cli::run_without_config) {
        return printed;
    }
    let mut sandbox = if cli.global.sandbox {
        Some(start_sandbox(0, cli.sandbox_key_count.unwrap_or(4))?)
    } else {
        None
    };
    let config = cli.global.to_config(sandbox.as_ref().map(Sandbox::url))?;
    init_logging(&config)?;
    let mut services = config.build_context()?;
    if let Some(sandbox) = &mut sandbox
        && config.store_kind == StoreKind::Memory
    {
        seed_sandbox(&mut services, sandbox.take_seed_keys())?;
        services.management_key = Some(ManagementKey::from(sandbox.management_key().to_owned()));
        // These have no figures of an earlier run.
        if let Some(Command::List(_) | Command::Show(_)) = &cli.command {
            cli::refresh_all_keys(&services)?;
        }
    }
    if let Some(command) = &cli.command {
        return cli::run(command, &config, &services);
    }
    // The screen has no place to ask for it.
    services.secret_store.unlock().map_err(|error| error.to_user_error())?;
    cli::disable_prompt_signals();
    let options = tui::Options {
        sandbox_controls: sandbox.is_some().then_some(tui::SandboxControls {
            decide_consent: sandbox::answer_consent,
            spend: sandbox::spend_on_key,
            skip_day: sandbox::advance_clock_one_day,
        }),
        use_color: cli.global.use_color(),
        refresh_interval: cli.refresh_interval(),
    };
    tui::run(services, options)
}

fn start_sandbox(port: u16, keys: usize) -> Result<Sandbox, UserError> {
    Sandbox::start(&sandbox::Options { port, key_count: keys }).map_err(|error| {
        UserError::new(
            ErrorKind::Failed,
            format!("the sandbox could not listen on loopback: {}", error.kind()),
            "choose another port with --port, or none for any free one",
        )
    })
}

/// `keywright sandbox`: serves until interrupted.
fn serve_sandbox(args: &SandboxArgs) -> Result<(), UserError> {
    let sandbox = start_sandbox(args.port, args.key_count)?;
    cli::print(&format!(
        "listening on {}\nmanagement key: {}\n",
        sandbox.url(),
        sandbox.management_key()
    ))?;
    #[cfg(unix)]
    if let Ok(mut signals) = signal_hook::iterator::Signals::new([
        signal_hook::consts::SIGINT,
        signal_hook::consts::SIGTERM,
        signal_hook::consts::SIGHUP,
    ]) {
        signals.forever().next();
        return Ok(());
    }
    loop {
        std::thread::park();
    }
}

/// Puts the keys that the sandbox's account holds from the start into the memory vault.
fn seed_sandbox(services: &mut ServiceContext, seeds: Vec<SeedKey>) -> Result<(), UserError> {
    let mut held = Vec::with_capacity(seeds.len());
    let mut secrets = Vec::with_capacity(seeds.len());
    for seed in seeds {
        let key = ApiKey::from(seed.secret.clone());
        let Ok(label) = seed.label.parse() else { continue };
        let granted = GrantedPolicy {
            limit: seed.limit,
            limit_reset: seed.limit_reset.map(str::to_owned),
            expires_at: seed.expires_at,
        };
        held.push(StoredKey {
            requested: RequestedPolicy {
                limit: seed.limit.and_then(|limit| Cents::try_from(limit).ok()),
                limit_reset: seed.limit_reset.and_then(|word| ResetInterval::parse(word).ok()?),
                expires_at: seed.expires_at,
                workspace_id: None,
                expires_input: None,
            },
            granted: Some(granted),
            user_id: Some(seed.user_id.into()),
            ..StoredKey::new(
                label,
                &key,
                services.server.clone(),
                StoreKind::Memory.to_string(),
                seed.created_at,
            )
        });
        let slot = EntryId { service: services.keychain_service.clone(), account: seed.label };
        secrets.push((slot, SecretString::from(seed.secret)));
    }
    services.secret_store = SecretStore::memory_with_entries(secrets);
    inventory::upsert_keys(&services.location, held).map_err(|error| error.to_user_error())
}

/// No core files and no debugger of another process: both would hold keys. What the system does
/// not offer is left alone. What `run` becomes is not ours to limit: it inherits no limit, and the
/// system lifts the ban on debuggers itself.
#[cfg_attr(not(unix), expect(unused_variables, reason = "nothing is limited there"))]
fn harden_process(command: Option<&Command>) {
    #[cfg(unix)]
    if !matches!(command, Some(Command::Run(_))) {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}

/// Opens the log where `KEYWRIGHT_LOG` asks for one. Only our own lines are written: libraries may
/// log what travels.
fn init_logging(config: &Config) -> Result<(), UserError> {
    use tracing_subscriber::filter::{FilterExt, Targets, filter_fn};
    use tracing_subscriber::prelude::*;
    let Some(filter) = std::env::var_os("KEYWRIGHT_LOG") else { return Ok(()) };
    let filter: Targets = filter.to_string_lossy().parse().map_err(|_| {
        UserError::new(
            ErrorKind::InvalidInput,
            "KEYWRIGHT_LOG is not a filter",
            "write a level such as debug, or keywright::services::provision=trace",
        )
    })?;
    let unwritable = |error: &dyn std::fmt::Display| {
        UserError::new(
            ErrorKind::Failed,
            format!("the log cannot be written: {error}"),
            "choose another place with --data-dir, or unset KEYWRIGHT_LOG",
        )
    };
    let dir = config.resolve_data_dir()?;
    json_store::create_private_dir(&dir).map_err(|error| unwritable(&error))?;
    let path = dir.join("keywright.log");
    let file =
        json_store::open_private_file(std::fs::OpenOptions::new().create(true).append(true), &path)
            .map_err(|error| unwritable(&error.kind()))?;
    let ours = filter_fn(|metadata| metadata.target().starts_with("keywright"));
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(std::sync::Mutex::new(file))
        .with_ansi(false)
        .with_filter(filter.and(ours));
    tracing_subscriber::registry().with(layer).init();
    tracing::info!(server = %config.server, service = %config::keychain_service(&config.server), "started");
    Ok(())
}
