//! Keywright cuts labelled OpenRouter API keys, keeps them in the OS keychain and watches them.
//!
//! # The road
//!
//! A key's journey leaves the pure core once and comes back once. `Enter` on the form becomes
//! [`app::Msg`]; [`app::update`] turns the form into a [`key::KeyRequest`] and returns one effect;
//! [`tui`] runs [`provision::run`], which reads top to bottom: preflight, journal, consent,
//! exchange, store, read back, compare; its [`key::Outcome`] comes back as one message. The
//! command line and the tests walk the same road with another `report`.
//!
//! # The rooms
//!
//! Each imports only what stands below it (`tests/house.rs` checks the arrows):
//!
//! | room | owns |
//! | --- | --- |
//! | `main` | arguments to settings, the sandbox, the exit code |
//! | [`tui`] | the terminal, the loop, running effects |
//! | [`cli`] | commands, words on standard error, JSON |
//! | [`config`] | settings and what they build |
//! | [`ui`] | drawing; decides nothing |
//! | [`app`] | the model and its pure transitions: no clock, no I/O |
//! | [`plan`] | the keys there should be: a file without secrets, compared with what is held |
//! | [`account`] | keys that exist: import, rename, edit, rotate, revoke, move; what was left behind; the management key |
//! | [`provision`] | the journey of a key, and recovery |
//! | [`oauth`] | the address, PKCE, the callback listener |
//! | [`openrouter`] | one HTTP request, one answer |
//! | [`vault`] | secrets: the OS keychain, a file under a passphrase, or memory |
//! | [`inventory`], [`journal`] | what is known of held keys; attempts under way |
//! | [`samples`] | what keys had spent, and when |
//! | [`document`] | locked, synced, atomic files |
//! | [`doctor`] | whether all it takes is in order, and repairs |
//! | [`finder`] | keys that lie in clear in files |
//! | [`browser`], [`clipboard`] | the person's desktop |
//! | `qr` | an address for a phone's camera |
//! | [`key`] | the vocabulary: secrets, labels, limits, states, troubles |
//! | [`sandbox`] | the imitation of OpenRouter; knows nothing of the rest |
//!
//! # Promises
//!
//! A key exists once, in one answer: [`provision`]'s `store` never drops it. Secrets are types that
//! do not print, and each place that opens one says so with `#[expect]`. The first frame is drawn
//! before any I/O, and an idle Keywright does nothing.

/// What must hold for whatever comes from outside; for the fuzz targets and their tests alone.
#[cfg(any(test, fuzzing))]
#[path = "../tests/fuzz/properties.rs"]
pub mod properties;

pub mod api;
pub mod cli;
pub mod domain;
pub mod platform;
pub mod sandbox;
pub mod services;
pub mod storage;
pub mod tui;
