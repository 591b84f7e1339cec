//! Keeps the standard streams from a program that is started and goes on running, on Windows.
//!
//! There a program inherits every handle that can be inherited, also those that it is not given as its own
//! streams. The pipe of `$x = keywright copy LABEL` would stay open until the program that clears the
//! clipboard ends.
#![expect(unsafe_code, reason = "the standard library cannot change what is inherited")]

use std::io;
use std::os::windows::io::AsRawHandle;

use windows_sys::Win32::Foundation::{HANDLE_FLAG_INHERIT, SetHandleInformation};

/// Marks the handles of the standard streams as not inheritable. Programs that are started with these
/// streams as their own still get them.
pub(crate) fn stop_inheritance() {
    let streams =
        [io::stdin().as_raw_handle(), io::stdout().as_raw_handle(), io::stderr().as_raw_handle()];
    for stream in streams {
        // SAFETY: the call reads and writes no memory of this process, and fails for a handle that is
        // null or closed: then there is nothing to inherit.
        unsafe { SetHandleInformation(stream, HANDLE_FLAG_INHERIT, 0) };
    }
}
