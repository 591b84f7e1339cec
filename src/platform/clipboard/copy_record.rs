//! The copies that may still be on a clipboard.

use super::{Digest, Error};

/// Where a copy can be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Backend {
    Clipboard,
    Tmux,
    Terminal,
}

/// The backend of the last copy and the digests of the secrets that may be there.
#[derive(Default)]
pub(super) struct CopyRecord {
    number: u64,
    copies: Option<(Backend, Vec<Digest>)>,
}

impl CopyRecord {
    /// Returns the number of the last successful copy; 0 before the first.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn backend(&self) -> Option<Backend> {
        self.copies.as_ref().map(|(backend, _)| *backend)
    }

    pub(super) fn digests(&self, backend: Backend) -> &[Digest] {
        match &self.copies {
            Some((last, digests)) if *last == backend => digests,
            _ => &[],
        }
    }

    pub(super) fn take(&mut self) -> Option<(Backend, Vec<Digest>)> {
        self.copies.take()
    }

    /// Records the result of a copy. A successful copy replaces the earlier ones. A failed one
    /// leaves them where they are, and may still arrive after a timeout, so all are kept.
    pub(super) fn add(&mut self, backend: Backend, digest: Digest, error: Option<&Error>) {
        match &mut self.copies {
            Some((last, digests)) if *last == backend && error.is_some() => digests.push(digest),
            copies => *copies = Some((backend, vec![digest])),
        }
        if error.is_none() {
            self.number += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_copy_leaves_the_timer_of_the_copy_before_it_in_charge() {
        for error in [Error::Unavailable("gone".into()), Error::TimedOut] {
            let mut record = CopyRecord::default();
            record.add(Backend::Clipboard, [1; 32], None);
            let first = record.number();
            record.add(Backend::Clipboard, [2; 32], Some(&error));
            assert_eq!(record.number(), first, "the timer of the first copy still clears");
            assert!(record.digests(Backend::Clipboard).contains(&[1; 32]), "it finds the first");
        }
    }

    #[test]
    fn a_successful_copy_replaces_the_copies_before_it() {
        let mut record = CopyRecord::default();
        record.add(Backend::Clipboard, [1; 32], None);
        record.add(Backend::Clipboard, [2; 32], None);
        assert_eq!((record.number(), record.digests(Backend::Clipboard)), (2, &[[2; 32]][..]));
        assert_eq!(record.take(), Some((Backend::Clipboard, vec![[2; 32]])));
        assert_eq!((record.backend(), record.number()), (None, 2));
    }
}
