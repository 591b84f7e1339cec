//! A built-in imitation of OpenRouter on loopback, for trying things out and for tests. Its keys
//! live in memory and buy nothing.
//!
//! ```text
//! wire ─ Call → routes ─ asks → ledger ─ answers → wire
//!                  └ consent, pages: what a person sees
//! ```
//!
//! Written from OpenRouter's documentation and strict where that is strict. Must know nothing of
//! the client, or one misunderstanding of ours would cancel itself out: no other room is imported.

mod consent;
mod fake_browser;
mod ledger;
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
use std::thread;

use jiff::Timestamp;
use tiny_http::Server;

pub use fake_browser::{advance_clock_one_day, answer_consent, spend_on_key};
use ledger::Account;

/// How many requests are answered at once; a slow client holds up one.
const WORKER_COUNT: usize = 4;

/// How to start.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The port on 127.0.0.1; 0 takes any free one.
    pub port: u16,
    /// How many keys the account holds from the start.
    pub key_count: usize,
}

/// A key that the account holds from the start.
#[derive(Clone)]
pub struct SeedKey {
    /// The person's name for it.
    pub label: String,
    /// The secret.
    pub secret: String,
    /// In USD.
    pub limit: Option<f64>,
    /// `daily`, `weekly` or `monthly`.
    pub limit_reset: Option<&'static str>,
    /// When it dies.
    pub expires_at: Option<Timestamp>,
    /// When it was cut.
    pub created_at: Timestamp,
    /// Whose it is.
    pub user_id: &'static str,
}

/// A running sandbox. Dropping it closes its port.
pub struct Sandbox {
    server: Arc<Server>,
    url: String,
    management_key: String,
    seed_keys: Vec<SeedKey>,
}

impl Sandbox {
    /// Furnishes an account and serves it. Fails where the port is taken or the OS gives no
    /// randomness.
    pub fn start(options: &Options) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port))?;
        let url = format!("http://{}", listener.local_addr()?);
        let management_key = secrets::generate_key()?;
        let mut ledger = Account::new(&management_key);
        let seeds = seeds::create_seed_keys(
            &mut ledger,
            secrets::generate_keys(options.key_count)?,
            Timestamp::now(),
        );
        let server = Arc::new(Server::from_listener(listener, None).map_err(io::Error::other)?);
        let ledger = Arc::new(Mutex::new(ledger));
        for _ in 0..WORKER_COUNT {
            let (server, ledger) = (Arc::downgrade(&server), Arc::clone(&ledger));
            thread::Builder::new()
                .name("sandbox".into())
                .spawn(move || serve_requests(&server, &ledger))?;
        }
        Ok(Self { server, url, management_key, seed_keys: seeds })
    }

    /// Where it listens, `http://127.0.0.1:PORT` without a slash.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The account's management key.
    pub fn management_key(&self) -> &str {
        &self.management_key
    }

    /// The keys that the account held at the start, in order, as long as nobody took them.
    pub fn seed_keys(&self) -> Vec<SeedKey> {
        self.seed_keys.clone()
    }

    /// The same, for good: nothing of them stays here.
    pub fn take_seed_keys(&mut self) -> Vec<SeedKey> {
        std::mem::take(&mut self.seed_keys)
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        for _ in 0..WORKER_COUNT {
            self.server.unblock();
        }
    }
}

/// Answers requests until the sandbox is dropped. While it answers it holds no share of the server,
/// so a slow client cannot keep the port open.
fn serve_requests(server: &Weak<Server>, ledger: &Mutex<Account>) {
    while let Some(Ok(request)) = server.upgrade().map(|server| server.recv()) {
        let Some((call, request)) = wire::read_request(request) else { continue };
        let (answer, now) = {
            let mut ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
            // The one place where the sandbox asks what time it is.
            let now = ledger.account_time(Timestamp::now());
            (routes::handle_request(&call, &mut ledger, now), now)
        };
        // A client that hung up has nobody to tell.
        let _ = wire::write_response(request, &answer, now);
    }
}
