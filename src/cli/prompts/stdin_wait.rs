//! Waits for standard input on a thread that another one can end. A blocked read would keep the
//! lock of standard input, and consume what the user types next.

use std::io;

/// Ends the wait of its [`StdinWait`] when it is dropped.
pub(in crate::cli) struct StdinWaitEnd {
    #[cfg(unix)]
    _writer: io::PipeWriter,
}

/// Waits for standard input.
pub(in crate::cli) struct StdinWait {
    #[cfg(unix)]
    reader: io::PipeReader,
}

impl StdinWait {
    /// Returns a wait and the handle that ends it.
    #[cfg(unix)]
    pub(in crate::cli) fn new() -> io::Result<(Self, StdinWaitEnd)> {
        let (reader, writer) = io::pipe()?;
        Ok((Self { reader }, StdinWaitEnd { _writer: writer }))
    }

    #[cfg(not(unix))]
    pub(in crate::cli) fn new() -> io::Result<(Self, StdinWaitEnd)> {
        Ok((Self {}, StdinWaitEnd {}))
    }

    /// Blocks until standard input can be read. Returns `false` if the wait was ended.
    #[cfg(unix)]
    pub(in crate::cli) fn wait(&self) -> bool {
        use rustix::event::{PollFd, PollFlags, poll};
        loop {
            let stdin = io::stdin();
            let mut descriptors =
                [PollFd::new(&self.reader, PollFlags::IN), PollFd::new(&stdin, PollFlags::IN)];
            match poll(&mut descriptors, None) {
                Ok(_) => return descriptors[0].revents().is_empty(),
                Err(rustix::io::Errno::INTR) => {}
                // The next read reports the error.
                Err(_) => return true,
            }
        }
    }

    /// Returns `true`: the console has no such wait.
    #[cfg(not(unix))]
    #[expect(clippy::unused_self, reason = "the same interface on every system")]
    pub(in crate::cli) fn wait(&self) -> bool {
        true
    }
}
