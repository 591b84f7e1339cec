//! An imitation of OpenRouter on loopback, for demonstrations and tests. Its keys exist in memory
//! only and cannot call models.
//!
//! ```text
//! wire ─ HttpRequest → routes ─ request → ledger ─ response → wire
//!                         └ consent, pages: the HTML pages
//! ```
//!
//! It follows OpenRouter's documentation and is strict where the documentation is. It imports no
//! other module of this crate, so that a misunderstanding cannot be in client and server alike.

mod account_json;
mod account_routes;
mod activity;
mod consent;
mod fake_browser;
mod ledger;
mod origin;
mod pages;
mod request;
mod response;
mod routes;
mod secrets;
mod seeds;
mod wire;

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{self, JoinHandle};

use jiff::Timestamp;
use tiny_http::Server;

pub use fake_browser::{advance_clock_one_day, answer_consent, spend_on_key};
use ledger::Account;

/// How many requests are handled concurrently; a slow client blocks one worker.
const WORKER_COUNT: usize = 4;

/// Options of [`Sandbox::start`].
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The port on 127.0.0.1; 0 selects a free one.
    pub port: u16,
    /// How many keys the account has at the start.
    pub key_count: usize,
}

/// A key that the account has at the start.
#[derive(Clone)]
pub struct SeedKey {
    /// The user's name for the key.
    pub label: String,
    /// The key itself.
    pub secret: String,
    /// The limit in USD.
    pub limit: Option<f64>,
    /// `daily`, `weekly` or `monthly`.
    pub limit_reset: Option<&'static str>,
    /// When the key expires.
    pub expires_at: Option<Timestamp>,
    /// When the key was created.
    pub created_at: Timestamp,
    /// The user ID of the owner.
    pub user_id: &'static str,
}

/// A running sandbox. Dropping it closes the port.
pub struct Sandbox {
    /// Starts the server. Its result keeps the server running; `None` when the sandbox is dropped.
    starter: Option<JoinHandle<io::Result<Arc<Server>>>>,
    url: String,
    management_key: String,
    seed_keys: Vec<SeedKey>,
}

impl Sandbox {
    /// Creates an account with seed keys and serves it.
    ///
    /// # Errors
    ///
    /// Fails if the port is in use or the operating system returns no random bytes.
    pub fn start(options: &Options) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port))?;
        let url = format!("http://{}", listener.local_addr()?);
        let management_key = secrets::generate_key()?;
        let mut ledger = Account::new(&management_key);
        ledger.create_resources(Timestamp::now());
        let seed_keys = seeds::create_seed_keys(
            &mut ledger,
            secrets::generate_keys(options.key_count)?,
            Timestamp::now(),
        );
        // Nine threads are started, and the port already takes connections, so nobody waits for them.
        let starter = thread::Builder::new()
            .name("sandbox".into())
            .spawn(move || start_server(listener, ledger))?;
        Ok(Self { starter: Some(starter), url, management_key, seed_keys })
    }

    /// Returns the base URL, `http://127.0.0.1:PORT` without a slash.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the account's management key.
    pub fn management_key(&self) -> &str {
        &self.management_key
    }

    /// Returns the seed keys in order; empty after [`Self::take_seed_keys`].
    pub fn seed_keys(&self) -> Vec<SeedKey> {
        self.seed_keys.clone()
    }

    /// Removes and returns the seed keys, so that no copy of the secrets remains here.
    pub fn take_seed_keys(&mut self) -> Vec<SeedKey> {
        std::mem::take(&mut self.seed_keys)
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let server = self.starter.take().map(JoinHandle::join);
        if let Some(Ok(Ok(server))) = server {
            for _ in 0..WORKER_COUNT {
                server.unblock();
            }
        }
    }
}

/// Starts the threads that serve the account.
fn start_server(listener: TcpListener, account: Account) -> io::Result<Arc<Server>> {
    let server = Arc::new(Server::from_listener(listener, None).map_err(io::Error::other)?);
    let ledger = Arc::new(Mutex::new(account));
    for _ in 0..WORKER_COUNT {
        let (server, ledger) = (Arc::downgrade(&server), Arc::clone(&ledger));
        thread::Builder::new()
            .name("sandbox".into())
            .spawn(move || serve_requests(&server, &ledger))?;
    }
    Ok(server)
}

/// Handles requests until the sandbox is dropped. It holds no strong reference to the server while
/// it handles one, so that a slow client cannot keep the port open.
fn serve_requests(server: &Weak<Server>, ledger: &Mutex<Account>) {
    while let Some(Ok(request)) = server.upgrade().map(|server| server.recv()) {
        let Some((http_request, connection)) = wire::read_request(request) else { continue };
        let (response, now) = {
            let mut ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
            // The only place where the sandbox reads the clock.
            let now = ledger.account_time(Timestamp::now());
            (routes::handle_request(&http_request, &mut ledger, now), now)
        };
        // Fails if the client has disconnected.
        let _ = wire::write_response(connection, &response, now);
    }
}
