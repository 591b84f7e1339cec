//! The binary: parses arguments, starts the sandbox where requested, and sets the exit code.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use keywright::cli::{self, Cli, Command, SandboxArgs};
use keywright::domain::{
    ApiKey, Cents, ErrorKind, GrantedPolicy, ManagementKey, ProfileName, RequestedPolicy,
    ResetInterval, StoreKind, StoredKey, UserError, io_error_text,
};
use keywright::sandbox::{self, Sandbox, SeedKey};
use keywright::services::config::Config;
use keywright::services::provision::ServiceContext;
use keywright::storage::inventory;
use keywright::storage::json_store;
use keywright::storage::secret_store::{self, EntryId, SecretStore};
use keywright::tui;
use secrecy::SecretString;

/// Zeroes all memory when it is freed, since libraries copy secrets too.
#[global_allocator]
static ALLOCATOR: zeroizing_alloc::ZeroAlloc<std::alloc::System> =
    zeroizing_alloc::ZeroAlloc(std::alloc::System);

fn main() -> ExitCode {
    let cli = match Cli::parse_args(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => return report_usage_error(&error),
    };
    harden_process(cli.command.as_ref());
    // The program that `run` starts replaces this one, and gets its signals as they were.
    if !matches!(cli.command, Some(Command::Run(_))) {
        cli::survive_file_size_limit();
    }
    // Older consoles of Windows print escape sequences unless the program enables their processing.
    #[cfg(windows)]
    crossterm::ansi_support::supports_ansi();
    if cli.global.quiet {
        cli::set_quiet();
    }
    cli::set_repeated_options(&cli.global.repeated_options);
    let json = cli.command.as_ref().is_some_and(Command::is_json);
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            cli::report_error(&error, json);
            ExitCode::from(cli::exit_code(error.kind))
        }
    }
}

/// Prints clap's message, and under `--json` also an error document; returns clap's exit code.
fn report_usage_error(error: &clap::Error) -> ExitCode {
    let printed = error.print().and_then(|()| std::io::Write::flush(&mut std::io::stdout()));
    // A closed pipe is not an error, and standard error may not be writable at all.
    if let Err(problem) = printed
        && !error.use_stderr()
        && problem.kind() != std::io::ErrorKind::BrokenPipe
    {
        cli::report_error(&cli::stdout_error(&problem), false);
        return ExitCode::from(cli::exit_code(ErrorKind::Failed));
    }
    if error.use_stderr() && cli::is_json_requested(std::env::args_os()) {
        let text = error.to_string();
        // Missing arguments are listed on lines of their own.
        let lines = text.lines().take_while(|line| !line.is_empty()).map(str::trim);
        let message = lines.collect::<Vec<_>>().join(" ");
        let message = message.trim_start_matches("error: ");
        let advice = "see keywright --help";
        cli::print_error_json(&UserError::new(ErrorKind::InvalidInput, message, advice));
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
    // Completions are requested at each key press.
    let is_completion = matches!(cli.command, Some(Command::Complete(_)));
    let sandbox_key_count = cli.dashboard.sandbox_key_count.unwrap_or(4);
    let mut sandbox = if cli.global.sandbox && !is_completion {
        Some(start_sandbox(0, sandbox_key_count)?)
    } else {
        None
    };
    let mut loaded = cli.load_settings(&tui::CONFIG_NAMES)?;
    loaded.sandbox = sandbox.as_ref().map(|sandbox| cli::RunningSandbox {
        server: sandbox.url().to_owned(),
        key_count: sandbox_key_count,
    });
    // `config show` prints all errors itself.
    if !is_completion && !matches!(cli.command, Some(Command::Config(_))) {
        loaded.print_errors();
    }
    let with_settings =
        |command| cli::run_with_settings(command, &cli.global, &loaded, &tui::CONFIG_NAMES);
    if let Some(result) = cli.command.as_ref().and_then(with_settings) {
        return result;
    }
    let profiles = cli::DashboardProfiles::new(&cli.global, &loaded);
    let config = cli.global.to_config(loaded, sandbox.as_ref().map(Sandbox::url))?;
    config.settings.thresholds().make_current();
    init_logging(&config)?;
    let mut services = config.build_context()?;
    if let Some(sandbox) = &mut sandbox
        && config.store_kind == StoreKind::Memory
    {
        seed_sandbox(&mut services, sandbox.take_seed_keys())?;
        services.management_key = Some(ManagementKey::from(sandbox.management_key().to_owned()));
        // The sandbox's keys have not been checked by an earlier run.
        if let Some(
            Command::List(_)
            | Command::Show(_)
            | Command::Status(_)
            | Command::Usage(_)
            | Command::Account(_),
        ) = &cli.command
        {
            cli::refresh_all_keys(&services)?;
        }
    }
    if let Some(command) = &cli.command {
        return cli::run(command, &config, &services);
    }
    unlock_stores(&mut services)?;
    cli::disable_prompts();
    let options = tui::Options {
        sandbox_controls: sandbox.is_some().then_some(tui::SandboxControls {
            decide_consent: sandbox::answer_consent,
            spend: sandbox::spend_on_key,
            skip_day: sandbox::advance_clock_one_day,
        }),
        use_color: cli.global.use_color(),
        settings: config.settings,
        profiles: dashboard_profiles(profiles),
    };
    tui::run(services, options)
}

/// Unlocks the stores of the dashboard, which has no prompt for the passphrase. The first frame waits for
/// this, so the inventory is read only where a file or a shared store may have keys.
fn unlock_stores(services: &mut ServiceContext) -> Result<(), UserError> {
    services.unlock()?;
    let has_keys = |store: &SecretStore| {
        let keys = services.filter_keys(|key| key.is_in_store(&store.kind()));
        keys.is_ok_and(|keys| !keys.is_empty())
    };
    let mut other_stores = services.other_stores.clone();
    // Without a key of it, the engine of a team is not asked.
    other_stores.retain(|store| store.kind() != StoreKind::Bao || has_keys(store));
    for store in &other_stores {
        let is_asked = store.kind() == StoreKind::File && store.exists() && has_keys(store);
        // After another error the store tells whoever needs one of its keys; the others can be used.
        if is_asked && let Err(error @ secret_store::Error::PromptCancelled) = store.unlock() {
            return Err(error.to_user_error());
        }
    }
    services.other_stores = other_stores;
    Ok(())
}

/// Returns the profiles that the dashboard can switch between.
fn dashboard_profiles(profiles: cli::DashboardProfiles) -> tui::Profiles {
    let choices = profiles.list();
    let choices =
        choices.into_iter().map(|(name, server)| tui::state::ProfileChoice { name, server });
    let choices = choices.collect();
    let open = std::sync::Arc::new(move |name: &ProfileName| {
        let config = profiles.to_config(name)?;
        let mut services = config.build_context()?;
        unlock_stores(&mut services)?;
        Ok((services, config.settings))
    });
    tui::Profiles { choices, open }
}

fn start_sandbox(port: u16, keys: usize) -> Result<Sandbox, UserError> {
    Sandbox::start(&sandbox::Options { port, key_count: keys }).map_err(|error| {
        UserError::failed(
            format!("the sandbox could not listen on loopback: {}", io_error_text(&error)),
            "choose another port with --port, or leave --port out to use any free port",
        )
    })
}

/// Runs `keywright sandbox`, which serves until interrupted.
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

/// Stores the keys that the sandbox's account starts with in the memory store.
fn seed_sandbox(services: &mut ServiceContext, seeds: Vec<SeedKey>) -> Result<(), UserError> {
    let mut keys = Vec::with_capacity(seeds.len());
    let mut secrets = Vec::with_capacity(seeds.len());
    for seed in seeds {
        let key = ApiKey::from(seed.secret.clone());
        let Ok(label) = seed.label.parse() else { continue };
        let granted = GrantedPolicy {
            limit: seed.limit.into(),
            limit_reset: seed.limit_reset.and_then(|word| ResetInterval::parse(word).ok()?).into(),
            expires_at: seed.expires_at.into(),
        };
        keys.push(
            StoredKey::new(
                label,
                &key,
                services.server.clone(),
                StoreKind::Memory,
                seed.created_at,
            )
            .with(|key| {
                key.requested = RequestedPolicy {
                    guardrail: None,
                    limit: seed.limit.and_then(|limit| Cents::try_from(limit).ok()),
                    limit_reset: seed
                        .limit_reset
                        .and_then(|word| ResetInterval::parse(word).ok()?),
                    expires_at: seed.expires_at,
                    workspace_id: None,
                    expires_input: None,
                };
                key.granted = Some(granted);
                key.user_id = Some(seed.user_id.into());
            }),
        );
        let entry = EntryId { service: services.keychain_service.clone(), account: seed.label };
        secrets.push((entry, SecretString::from(seed.secret)));
    }
    services.secret_store = SecretStore::memory_with_entries(secrets);
    inventory::upsert_keys(&services.location, keys).map_err(UserError::from)
}

/// Disables core files and debuggers, which would expose keys. Does nothing where the system has no
/// such limits. The program that `run` starts must not inherit the limit on core files; the kernel
/// allows debuggers again on exec.
#[cfg_attr(not(unix), expect(unused_variables, reason = "used on Unix only"))]
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

/// Opens the log where `KEYWRIGHT_LOG` is set. Writes only Keywright's own records, because
/// libraries may log request contents.
fn init_logging(config: &Config) -> Result<(), UserError> {
    use tracing_subscriber::filter::{FilterExt, Targets, filter_fn};
    use tracing_subscriber::prelude::*;
    let filter = std::env::var_os("KEYWRIGHT_LOG").filter(|filter| !filter.is_empty());
    let Some(filter) = filter else { return Ok(()) };
    let filter: Targets = filter.to_string_lossy().parse().map_err(|_| {
        UserError::new(
            ErrorKind::InvalidInput,
            "KEYWRIGHT_LOG is not a valid filter",
            "set a level such as debug, or keywright::services::provision=trace",
        )
    })?;
    let dir = config.resolve_data_dir()?;
    let path = dir.join("keywright.log");
    let mut options = std::fs::OpenOptions::new();
    let file =
        json_store::create_private_dir(&dir).map_err(|error| error.to_string()).and_then(|()| {
            json_store::open_private_file(options.create(true).append(true), &path)
                .map_err(|error| io_error_text(&error))
        });
    let file = match file {
        Ok(file) => file,
        Err(reason) => {
            // The command does not need the log.
            let message = format!("there is no log, because it cannot be written: {reason}");
            let advice = "choose another directory with --data-dir, or unset KEYWRIGHT_LOG";
            cli::report_error(&UserError::failed(message, advice), false);
            return Ok(());
        }
    };
    let own_records = filter_fn(|metadata| metadata.target().starts_with("keywright"));
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(std::sync::Mutex::new(file))
        .with_ansi(false)
        .with_filter(filter.and(own_records));
    tracing_subscriber::registry().with(layer).init();
    tracing::info!(server = %config.server, service = %config.keychain_service(&config.server), "started");
    Ok(())
}
