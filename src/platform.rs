//! Access to the operating system: browser, clipboard, environment, child processes, blocking calls, QR codes.

pub(crate) mod blocking_call;
pub(crate) mod blocking_worker;
pub mod browser;
pub(crate) mod child_process;
pub mod clipboard;
#[cfg(windows)]
pub mod console_events;
pub(crate) mod environment;
pub(crate) mod limited_process;
pub(crate) mod qr;
#[cfg(windows)]
pub(crate) mod standard_streams;
