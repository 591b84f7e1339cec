//! When the keys are asked about themselves again: at a pace that is kind to the server, sooner
//! when a window ends, later when the network is away. Must not know: how they are asked.

use jiff::{SignedDuration, Timestamp};

use super::message::Ticket;
use crate::domain::{CheckResult, ErrorKind, UserError};

/// Coming back to the terminal asks again, if the last time is longer ago than this.
const RETURNED: SignedDuration = SignedDuration::from_secs(30);

/// The longest pause, however often it failed.
const LONGEST: SignedDuration = SignedDuration::from_mins(30);

/// The longest that a server is left alone because it asked for it.
const A_DAY: SignedDuration = SignedDuration::from_hours(24);

/// A round of asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Round {
    /// Its ticket.
    pub ticket: Ticket,
    /// Keys that have answered, or will not.
    pub done: usize,
    /// Keys to be asked.
    pub total: usize,
    /// How many of those that are done told nothing, and why the last of them did not.
    pub failed: (usize, String),
}

impl Round {
    /// One more is done.
    pub fn note(&mut self, read: &CheckResult) {
        self.done += 1;
        if let CheckResult::Failed(why) = read {
            self.failed = (self.failed.0 + 1, why.clone());
        }
    }

    /// What to say of those that told nothing.
    fn trouble(self) -> Option<UserError> {
        let Self { done, failed: (failed, why), .. } = self;
        let message = match failed {
            0 => return None,
            _ if done == 1 => format!("the key could not be asked: {why}"),
            _ => format!("{failed} of {done} keys could not be asked: {why}"),
        };
        Some(UserError::new(ErrorKind::Unreachable, message, "their figures are old; r asks again"))
    }
}

/// The rounds.
#[derive(Clone, Debug, Default)]
pub struct Refresh {
    /// The pause between two rounds; `None` for no rounds but those that are asked for.
    pub every: Option<SignedDuration>,
    /// The round under way.
    pub round: Option<Round>,
    /// When the next one begins of itself.
    pub next: Option<Timestamp>,
    /// When the last one ended well.
    pub at: Option<Timestamp>,
    /// What ended the last one early.
    pub trouble: Option<UserError>,
    /// Whether the account was without credit (402) when it was last asked.
    pub no_credit: bool,
    /// Whether another round is to follow the one under way at once.
    pub again: bool,
    /// Whether the person asked for a round that waits for the list.
    pub asked: bool,
    failures: u32,
    ended: Option<Timestamp>,
}

impl Refresh {
    /// No round yet.
    pub(super) fn new(every: Option<SignedDuration>) -> Self {
        Self { every, ..Self::default() }
    }

    /// A round begins.
    pub fn begin(&mut self, ticket: Ticket, total: usize) {
        self.round = Some(Round { ticket, done: 0, total, failed: (0, String::new()) });
        self.next = None;
    }

    /// There is nobody to ask: the next round has time.
    pub fn put_off(&mut self, now: Timestamp) {
        self.next = self.every.and_then(|every| now.checked_add(every).ok());
    }

    /// Whether that round is the one under way.
    pub fn is(&self, ticket: Ticket) -> bool {
        self.round.as_ref().is_some_and(|round| round.ticket == ticket)
    }

    /// The round ended, early where there was trouble; the server may have said how long to wait.
    /// `reset` is when the next window of a key ends.
    pub fn end(
        &mut self,
        now: Timestamp,
        trouble: Option<UserError>,
        wait: Option<SignedDuration>,
        reset: Option<Timestamp>,
    ) {
        let round = self.round.take();
        self.ended = Some(now);
        // A round in which no key told anything is as good as none.
        let told =
            round.as_ref().is_none_or(|round| round.done == 0 || round.failed.0 < round.done);
        if trouble.is_none() && told {
            self.failures = 0;
            self.at = Some(now);
        } else {
            self.failures += 1;
        }
        self.trouble = trouble.or_else(|| round.and_then(Round::trouble));
        let Some(every) = self.every else { return };
        let pause = every.saturating_mul(1 << self.failures.min(5)).min(LONGEST.max(every));
        // What a server asks for is obeyed, but for a day at most.
        let pause = wait.unwrap_or(pause).clamp(SignedDuration::from_secs(1), A_DAY.max(every));
        self.next = now.checked_add(pause + jitter(now, pause)).ok();
        // The figures of a window that has ended are worth nothing; but not all keys of the world
        // ask at midnight sharp.
        if self.failures == 0
            && let Some(reset) = reset.and_then(|reset| {
                reset.checked_add(SignedDuration::from_secs(5) + jitter(now, every)).ok()
            })
        {
            self.next = self.next.map(|next| next.min(reset));
        }
    }

    /// The person came back: whether to ask again now.
    pub fn is_due_on_return(&self, now: Timestamp) -> bool {
        self.every.is_some()
            && self.round.is_none()
            && self.failures == 0
            && self.ended.is_some_and(|at| now.duration_since(at) > RETURNED)
    }

    /// Whether a round is due.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.round.is_none() && self.next.is_some_and(|next| next <= now)
    }
}

/// Up to a fifth of the pause, out of the odd nanoseconds of the moment: enough to keep many
/// programs from asking in step.
fn jitter(now: Timestamp, pause: SignedDuration) -> SignedDuration {
    let odd = i64::from(now.subsec_nanosecond().unsigned_abs() % 1_000);
    SignedDuration::from_millis(i64::try_from(pause.as_millis()).unwrap_or(0) / 5 * odd / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn refresh() -> Refresh {
        Refresh { every: Some(SignedDuration::from_mins(5)), ..Refresh::default() }
    }

    fn trouble() -> Option<UserError> {
        Some(UserError::new(ErrorKind::Unreachable, String::new(), String::new()))
    }

    #[test]
    fn the_pause_doubles_while_the_network_is_away_and_comes_back() {
        let mut refresh = refresh();
        let mut pauses = Vec::new();
        for failed in [true, true, true, true, false] {
            refresh.end(at(0), trouble().filter(|_| failed), None, None);
            pauses.push(refresh.next.unwrap().as_second() / 60);
        }
        assert_eq!(pauses, [10, 20, 30, 30, 5]);
    }

    #[test]
    fn a_round_in_which_keys_failed_says_so_and_one_in_which_all_did_dates_nothing() {
        let round = |fates: &[bool]| {
            let mut refresh = refresh();
            refresh.begin(Ticket(1), fates.len());
            for told in fates {
                let read =
                    if *told { CheckResult::Rejected } else { CheckResult::Failed("500".into()) };
                refresh.round.as_mut().unwrap().note(&read);
            }
            refresh.end(at(0), None, None, None);
            (refresh.at.is_some(), refresh.trouble.map(|trouble| trouble.message))
        };
        assert_eq!(round(&[true, true]), (true, None));
        assert_eq!(
            round(&[true, false]),
            (true, Some("1 of 2 keys could not be asked: 500".into()))
        );
        assert_eq!(round(&[false]), (false, Some("the key could not be asked: 500".into())));
    }

    #[test]
    fn what_the_server_asks_for_is_obeyed() {
        let mut refresh = refresh();
        refresh.end(at(0), trouble(), Some(SignedDuration::from_hours(2)), Some(at(60)));
        assert_eq!(refresh.next, Some(at(7_200)));
        assert!(!refresh.is_due_on_return(at(100)));
    }

    #[test]
    fn a_window_that_ends_before_the_next_round_brings_it_forward() {
        let mut refresh = refresh();
        refresh.end(at(0), None, None, Some(at(60)));
        assert_eq!(refresh.next, Some(at(65)));
        assert!(!refresh.is_due(at(64)) && refresh.is_due(at(65)));
    }

    #[test]
    fn without_a_pace_nothing_happens_of_itself() {
        let mut refresh = Refresh::default();
        refresh.end(at(0), None, None, Some(at(60)));
        assert_eq!(refresh.next, None);
        assert!(!refresh.is_due_on_return(at(1_000)));
    }
}
