//! When the keys are asked about themselves again: at a pace that is kind to the server, sooner
//! when a window ends, later when the network is away. Must not know: how they are asked.

use jiff::{SignedDuration, Timestamp};

use super::message::Ticket;
use crate::domain::{CheckResult, ErrorKind, UserError};

/// Coming back to the terminal asks again, if the last time is longer ago than this.
const REFRESH_ON_FOCUS_AFTER: SignedDuration = SignedDuration::from_secs(30);

/// The longest pause, however often it failed.
const MAX_BACKOFF: SignedDuration = SignedDuration::from_mins(30);

/// The longest that a server is left alone because it asked for it.
const MAX_RETRY_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// A round of asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshRound {
    /// Its ticket.
    pub ticket: Ticket,
    /// Keys that have answered, or will not.
    pub checked_count: usize,
    /// Keys to be asked.
    pub key_count: usize,
    /// How many of those that are done told nothing, and why the last of them did not.
    pub failures: (usize, String),
}

impl RefreshRound {
    /// One more is done.
    pub fn record_check(&mut self, read: &CheckResult) {
        self.checked_count += 1;
        if let CheckResult::Failed(why) = read {
            self.failures = (self.failures.0 + 1, why.clone());
        }
    }

    /// What to say of those that told nothing.
    fn into_error(self) -> Option<UserError> {
        let Self { checked_count: done, failures: (failed, why), .. } = self;
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
pub struct RefreshSchedule {
    /// The pause between two rounds; `None` for no rounds but those that are asked for.
    pub refresh_interval: Option<SignedDuration>,
    /// The round under way.
    pub current_round: Option<RefreshRound>,
    /// When the next one begins of itself.
    pub next_at: Option<Timestamp>,
    /// When the last one ended well.
    pub last_success_at: Option<Timestamp>,
    /// What ended the last one early.
    pub last_error: Option<UserError>,
    /// Whether the account was without credit (402) when it was last asked.
    pub has_insufficient_credits: bool,
    /// Whether another round is to follow the one under way at once.
    pub rerun_requested: bool,
    /// Whether the person asked for a round that waits for the list.
    pub refresh_after_load: bool,
    consecutive_failures: u32,
    last_finished_at: Option<Timestamp>,
}

impl RefreshSchedule {
    /// No round yet.
    pub(super) fn new(every: Option<SignedDuration>) -> Self {
        Self { refresh_interval: every, ..Self::default() }
    }

    /// A round begins.
    pub fn start_round(&mut self, ticket: Ticket, total: usize) {
        self.current_round = Some(RefreshRound {
            ticket,
            checked_count: 0,
            key_count: total,
            failures: (0, String::new()),
        });
        self.next_at = None;
    }

    /// There is nobody to ask: the next round has time.
    pub fn postpone(&mut self, now: Timestamp) {
        self.next_at = self.refresh_interval.and_then(|every| now.checked_add(every).ok());
    }

    /// Whether that round is the one under way.
    pub fn is_current_round(&self, ticket: Ticket) -> bool {
        self.current_round.as_ref().is_some_and(|round| round.ticket == ticket)
    }

    /// The round ended, early where there was trouble; the server may have said how long to wait.
    /// `reset` is when the next window of a key ends.
    pub fn finish_round(
        &mut self,
        now: Timestamp,
        trouble: Option<UserError>,
        wait: Option<SignedDuration>,
        reset: Option<Timestamp>,
    ) {
        let round = self.current_round.take();
        self.last_finished_at = Some(now);
        // A round in which no key told anything is as good as none.
        let told = round
            .as_ref()
            .is_none_or(|round| round.checked_count == 0 || round.failures.0 < round.checked_count);
        if trouble.is_none() && told {
            self.consecutive_failures = 0;
            self.last_success_at = Some(now);
        } else {
            self.consecutive_failures += 1;
        }
        self.last_error = trouble.or_else(|| round.and_then(RefreshRound::into_error));
        let Some(every) = self.refresh_interval else { return };
        let pause =
            every.saturating_mul(1 << self.consecutive_failures.min(5)).min(MAX_BACKOFF.max(every));
        // What a server asks for is obeyed, but for a day at most.
        let pause =
            wait.unwrap_or(pause).clamp(SignedDuration::from_secs(1), MAX_RETRY_AFTER.max(every));
        self.next_at = now.checked_add(pause + jitter_for(now, pause)).ok();
        // The figures of a window that has ended are worth nothing; but not all keys of the world
        // ask at midnight sharp.
        if self.consecutive_failures == 0
            && let Some(reset) = reset.and_then(|reset| {
                reset.checked_add(SignedDuration::from_secs(5) + jitter_for(now, every)).ok()
            })
        {
            self.next_at = self.next_at.map(|next| next.min(reset));
        }
    }

    /// The person came back: whether to ask again now.
    pub fn is_due_on_focus(&self, now: Timestamp) -> bool {
        self.refresh_interval.is_some()
            && self.current_round.is_none()
            && self.consecutive_failures == 0
            && self
                .last_finished_at
                .is_some_and(|at| now.duration_since(at) > REFRESH_ON_FOCUS_AFTER)
    }

    /// Whether a round is due.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.current_round.is_none() && self.next_at.is_some_and(|next| next <= now)
    }
}

/// Up to a fifth of the pause, out of the odd nanoseconds of the moment: enough to keep many
/// programs from asking in step.
fn jitter_for(now: Timestamp, pause: SignedDuration) -> SignedDuration {
    let odd = i64::from(now.subsec_nanosecond().unsigned_abs() % 1_000);
    SignedDuration::from_millis(i64::try_from(pause.as_millis()).unwrap_or(0) / 5 * odd / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn refresh() -> RefreshSchedule {
        RefreshSchedule {
            refresh_interval: Some(SignedDuration::from_mins(5)),
            ..RefreshSchedule::default()
        }
    }

    fn trouble() -> Option<UserError> {
        Some(UserError::new(ErrorKind::Unreachable, String::new(), String::new()))
    }

    #[test]
    fn the_pause_doubles_while_the_network_is_away_and_comes_back() {
        let mut refresh = refresh();
        let mut pauses = Vec::new();
        for failed in [true, true, true, true, false] {
            refresh.finish_round(at(0), trouble().filter(|_| failed), None, None);
            pauses.push(refresh.next_at.unwrap().as_second() / 60);
        }
        assert_eq!(pauses, [10, 20, 30, 30, 5]);
    }

    #[test]
    fn a_round_in_which_keys_failed_says_so_and_one_in_which_all_did_dates_nothing() {
        let round = |fates: &[bool]| {
            let mut refresh = refresh();
            refresh.start_round(Ticket(1), fates.len());
            for told in fates {
                let read =
                    if *told { CheckResult::Rejected } else { CheckResult::Failed("500".into()) };
                refresh.current_round.as_mut().unwrap().record_check(&read);
            }
            refresh.finish_round(at(0), None, None, None);
            (refresh.last_success_at.is_some(), refresh.last_error.map(|trouble| trouble.message))
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
        refresh.finish_round(at(0), trouble(), Some(SignedDuration::from_hours(2)), Some(at(60)));
        assert_eq!(refresh.next_at, Some(at(7_200)));
        assert!(!refresh.is_due_on_focus(at(100)));
    }

    #[test]
    fn a_window_that_ends_before_the_next_round_brings_it_forward() {
        let mut refresh = refresh();
        refresh.finish_round(at(0), None, None, Some(at(60)));
        assert_eq!(refresh.next_at, Some(at(65)));
        assert!(!refresh.is_due(at(64)) && refresh.is_due(at(65)));
    }

    #[test]
    fn without_a_pace_nothing_happens_of_itself() {
        let mut refresh = RefreshSchedule::default();
        refresh.finish_round(at(0), None, None, Some(at(60)));
        assert_eq!(refresh.next_at, None);
        assert!(!refresh.is_due_on_focus(at(1_000)));
    }
}
