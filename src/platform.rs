//! Access to the operating system: browser, clipboard, environment, blocking calls, QR codes.

pub(crate) mod blocking_worker;
pub mod browser;
pub mod clipboard;
pub(crate) mod environment;
pub(crate) mod qr;
