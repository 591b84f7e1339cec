//! The operating system around the program: browser, clipboard, surroundings, threads that block.

pub(crate) mod blocking_worker;
pub mod browser;
pub mod clipboard;
pub(crate) mod environment;
pub(crate) mod qr;
