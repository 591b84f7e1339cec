//! The operating system around the program: browser, clipboard, surroundings, threads that block.

pub mod browser;
pub mod clipboard;
pub(crate) mod qr;
pub(crate) mod surroundings;
pub(crate) mod worker;
