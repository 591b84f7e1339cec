//! Keywright creates OpenRouter API keys with a label and a limit, stores them in the OS keychain
//! and watches their usage.
//!
//! This library holds everything but `main`; it is an internal API of the `keywright` program.
//!
//! | module | contains |
//! | --- | --- |
//! | [`domain`] | keys, labels, policies, amounts, states, forecasts: values and rules without I/O |
//! | [`storage`] | the inventory, the journal and the usage history (JSON files), and the secret stores: keychain, encrypted file, memory, shared engine (`bao`), credential helper (`exec`) |
//! | [`api`] | the OpenRouter client, and OAuth: authorize URL, PKCE, callback listener |
//! | [`platform`] | browser, clipboard, environment, QR codes |
//! | [`services`] | what Keywright does: create, import, rotate and revoke keys, plans, the keys of a shared store, recovery, doctor, secret scan |
//! | [`cli`] | commands, output, prompts |
//! | [`tui`] | the dashboard: state, update, view, effects |
//! | [`sandbox`] | an imitation of OpenRouter on loopback |
//!
//! Each module imports only from those to its left, which `tests/architecture.rs` checks:
//! `domain` ← `storage`, `api`, `platform` ← `services` ← `cli`, `tui` ← `main`. `storage` may also
//! use `platform`, and `sandbox` imports nothing. See `docs/architecture.md`.
//!
//! A good first function to read is [`services::provision::run`], which creates one key from start
//! to end: it checks the stores, records the attempt, gets the consent and the code, exchanges the
//! code, stores the key, reads it back and compares the granted policy with the requested one. The
//! command line, the dashboard and the tests all call it.

#![cfg_attr(not(windows), forbid(unsafe_code))]

/// Properties that must hold for all input from outside, for the fuzz targets and their tests.
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
