//! Benchmarks of one update, one frame and one parser call. Run with `cargo bench`.

use std::hint::black_box;

use divan::Bencher;
use jiff::Timestamp;
use keywright::domain::{ApiKey, AuthCode, Expiry, RequestedPolicy, StoreKind, StoredKey};
use keywright::tui::state::{AppContext, Intent, Model, Msg, Response, Ticket};
use keywright::tui::update;
use keywright::tui::view::{self, Theme};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

fn main() {
    divan::main();
}

fn now() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

fn model(keys: usize) -> Model {
    let mut model = Model::new(AppContext::default(), (120, 40), now());
    update::load_keys(&mut model);
    let stored_keys = (0..keys).filter_map(|number| {
        Some(
            StoredKey::new(
                format!("tool-{number:05}").parse().ok()?,
                &ApiKey::from(String::new()),
                "https://openrouter.ai".into(),
                StoreKind::Keychain,
                now(),
            )
            .with(|key| {
                key.hash = format!("{number:064x}");
                key.masked = "sk-or-v1-0e6...1c96".into();
                key.requested =
                    RequestedPolicy { limit: "10".parse().ok(), ..RequestedPolicy::default() };
            }),
        )
    });
    let keys = Ok(stored_keys.collect());
    update::update(&mut model, Msg::Response(Ticket(1), Response::KeysLoaded(keys)), now());
    model
}

#[divan::bench(args = [10, 1_000, 10_000])]
fn update_moves_the_selection(bencher: Bencher, keys: usize) {
    let mut model = model(keys);
    bencher.bench_local(|| {
        update::update(&mut model, Msg::Intent(Intent::Move(1)), now());
        update::update(&mut model, Msg::Intent(Intent::Move(-1)), now())
    });
}

#[divan::bench(args = [10, 1_000, 10_000])]
fn draw_dashboard(bencher: Bencher, keys: usize) {
    let model = model(keys);
    let Ok(mut terminal) = Terminal::new(TestBackend::new(120, 40));
    bencher.bench_local(|| {
        let _ = terminal.draw(|frame| _ = view::draw(&model, Theme::Dark, frame));
    });
}

#[divan::bench]
fn parse_auth_code() -> bool {
    AuthCode::parse(black_box("auth_code_0123456789abcdef0123456789abcdef")).is_ok()
}

#[divan::bench]
fn parse_expiry() -> bool {
    Expiry::parse(black_box("3mo"), now()).is_ok()
}
