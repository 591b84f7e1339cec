//! The schedule of the refresh rounds: at a fixed interval, earlier when a limit resets, later after
//! failures.

use jiff::{SignedDuration, Timestamp};

use super::ticket::Ticket;
use crate::domain::{CheckResult, ErrorKind, UserError};

/// Focusing the terminal starts a round if the last one is older than this.
const REFRESH_ON_FOCUS_AFTER: SignedDuration = SignedDuration::from_secs(30);

/// The longest pause after failures.
const MAX_BACKOFF: SignedDuration = SignedDuration::from_mins(30);

/// The longest `Retry-After` that is honoured.
const MAX_RETRY_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// A refresh round: each stored key is checked once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshRound {
    /// The ticket of the round.
    pub ticket: Ticket,
    /// How many keys were checked.
    pub checked_count: usize,
    /// How many keys the round checks.
    pub key_count: usize,
    /// How many checks failed, and the last error.
    pub failures: (usize, String),
    /// Whether the server answered that the account has no credit (402).
    pub has_insufficient_credits: bool,
}

impl RefreshRound {
    /// Records the result of one check.
    pub fn record_check(&mut self, result: &CheckResult) {
        self.checked_count += 1;
        self.has_insufficient_credits |= *result == CheckResult::InsufficientCredits;
        if let CheckResult::Failed(message) = result {
            self.failures = (self.failures.0 + 1, message.clone());
        }
    }

    /// Returns the error about the failed checks.
    fn into_error(self) -> Option<UserError> {
        let Self { checked_count: checked, failures: (failed, reason), .. } = self;
        let message = match failed {
            0 => return None,
            _ if checked == 1 => format!("the key could not be checked: {reason}"),
            _ => format!("{failed} of {checked} keys could not be checked: {reason}"),
        };
        Some(UserError::new(ErrorKind::Unreachable, message, ""))
    }
}

/// The schedule of the refresh rounds.
#[derive(Clone, Debug, Default)]
pub struct RefreshSchedule {
    /// The interval between two rounds; `None` disables automatic rounds.
    pub refresh_interval: Option<SignedDuration>,
    /// The current round.
    pub current_round: Option<RefreshRound>,
    /// When the next round starts automatically.
    pub next_at: Option<Timestamp>,
    /// When the last round succeeded.
    pub last_success_at: Option<Timestamp>,
    /// The error of the last round.
    pub last_error: Option<UserError>,
    /// Whether the server reported insufficient credits (402) in the last round.
    pub has_insufficient_credits: bool,
    /// Whether to start another round when the current one finishes.
    pub rerun_requested: bool,
    /// Whether the user requested the round, so that its end is reported.
    pub reports_result: bool,
    /// Whether to start a round when the inventory is loaded.
    pub refresh_after_load: bool,
    consecutive_failures: u32,
    last_finished_at: Option<Timestamp>,
}

impl RefreshSchedule {
    /// Returns the schedule before the first round.
    pub(super) fn new(interval: Option<SignedDuration>) -> Self {
        Self { refresh_interval: interval, ..Self::default() }
    }

    /// Starts a round.
    pub fn start_round(&mut self, ticket: Ticket, key_count: usize) {
        self.current_round = Some(RefreshRound {
            has_insufficient_credits: false,
            ticket,
            checked_count: 0,
            key_count,
            failures: (0, String::new()),
        });
        self.next_at = None;
    }

    /// Postpones the next round by one interval, when there is no key to check.
    pub fn postpone(&mut self, now: Timestamp) {
        self.next_at = self.refresh_interval.and_then(|interval| now.checked_add(interval).ok());
    }

    /// Returns whether `ticket` is the ticket of the current round.
    pub fn is_current_round(&self, ticket: Ticket) -> bool {
        self.current_round.as_ref().is_some_and(|round| round.ticket == ticket)
    }

    /// Finishes the round and schedules the next one. `error` is why it ended early, `retry_after`
    /// the pause that the server requested, and `next_reset_at` when the next limit resets.
    pub fn finish_round(
        &mut self,
        now: Timestamp,
        error: Option<UserError>,
        retry_after: Option<SignedDuration>,
        next_reset_at: Option<Timestamp>,
    ) {
        let round = self.current_round.take();
        if let Some(round) = round.as_ref().filter(|round| round.checked_count > 0) {
            self.has_insufficient_credits = round.has_insufficient_credits;
        }
        self.last_finished_at = Some(now);
        // A round in which all checks failed counts as a failure.
        let has_answers = round
            .as_ref()
            .is_none_or(|round| round.checked_count == 0 || round.failures.0 < round.checked_count);
        if error.is_none() && has_answers {
            self.consecutive_failures = 0;
            self.last_success_at = Some(now);
        } else {
            self.consecutive_failures += 1;
        }
        self.last_error = error.or_else(|| round.and_then(RefreshRound::into_error));
        let Some(interval) = self.refresh_interval else { return };
        let pause = interval
            .saturating_mul(1 << self.consecutive_failures.min(5))
            .min(MAX_BACKOFF.max(interval));
        // The pause that the server requests is limited to one day.
        let pause = retry_after
            .unwrap_or(pause)
            .clamp(SignedDuration::from_secs(1), MAX_RETRY_AFTER.max(interval));
        self.next_at = now.checked_add(pause + jitter_for(now, pause)).ok();
        // Figures from before a reset are obsolete. The jitter keeps many programs from refreshing
        // exactly at midnight.
        if self.consecutive_failures == 0
            && let Some(next_reset_at) = next_reset_at.and_then(|next_reset_at| {
                next_reset_at
                    .checked_add(SignedDuration::from_secs(5) + jitter_for(now, interval))
                    .ok()
            })
        {
            self.next_at = self.next_at.map(|next| next.min(next_reset_at));
        }
    }

    /// Returns whether a round is due because the terminal got the focus.
    pub fn is_due_on_focus(&self, now: Timestamp) -> bool {
        self.refresh_interval.is_some()
            && self.current_round.is_none()
            && self.consecutive_failures == 0
            && self
                .last_finished_at
                .is_some_and(|at| now.duration_since(at) > REFRESH_ON_FOCUS_AFTER)
    }

    /// Returns whether a round is due.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.current_round.is_none() && self.next_at.is_some_and(|next| next <= now)
    }
}

/// Returns up to a fifth of the pause, derived from the fraction of the second in `now`, so that many
/// programs do not refresh at the same time.
fn jitter_for(now: Timestamp, pause: SignedDuration) -> SignedDuration {
    // Many clocks count microseconds or milliseconds only, so every digit of the fraction counts:
    // multiplied by 2^64 divided by the golden ratio, the highest bits are evenly spread.
    let nanoseconds = u64::from(now.subsec_nanosecond().unsigned_abs());
    let fraction = nanoseconds.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 54;
    let fifth = i64::try_from(pause.as_millis()).unwrap_or(0) / 5;
    SignedDuration::from_millis(fifth.saturating_mul(i64::try_from(fraction).unwrap_or(0)) / 1_024)
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

    #[test]
    fn coarse_clocks_spread_refreshes_as_well() {
        let pause = SignedDuration::from_mins(5);
        for step in [1_i64, 1_000, 1_000_000, 10_000_000] {
            let jitters: Vec<_> = (0..100)
                .map(|count| {
                    let now = Timestamp::from_nanosecond(i128::from(count * step)).unwrap();
                    jitter_for(now, pause).as_millis()
                })
                .collect();
            let distinct: std::collections::HashSet<_> = jitters.iter().collect();
            assert!(distinct.len() > 60, "{step} ns: {}", distinct.len());
            assert!(jitters.iter().all(|jitter| (0..60_000).contains(jitter)));
        }
    }

    fn error() -> Option<UserError> {
        Some(UserError::new(ErrorKind::Unreachable, String::new(), String::new()))
    }

    #[test]
    fn pause_doubles_after_failures_and_resets_after_success() {
        let mut refresh = refresh();
        let mut pauses = Vec::new();
        for failed in [true, true, true, true, false] {
            refresh.finish_round(at(0), error().filter(|_| failed), None, None);
            pauses.push(refresh.next_at.unwrap().as_second() / 60);
        }
        assert_eq!(pauses, [10, 20, 30, 30, 5]);
    }

    #[test]
    fn failed_checks_are_reported_and_a_round_without_success_is_not_dated() {
        let round = |statuses: &[bool]| {
            let mut refresh = refresh();
            refresh.start_round(Ticket(1), statuses.len());
            for has_answers in statuses {
                let result = if *has_answers {
                    CheckResult::Rejected
                } else {
                    CheckResult::Failed("500".into())
                };
                refresh.current_round.as_mut().unwrap().record_check(&result);
            }
            refresh.finish_round(at(0), None, None, None);
            (refresh.last_success_at.is_some(), refresh.last_error.map(|error| error.message))
        };
        assert_eq!(round(&[true, true]), (true, None));
        assert_eq!(
            round(&[true, false]),
            (true, Some("1 of 2 keys could not be checked: 500".into()))
        );
        assert_eq!(round(&[false]), (false, Some("the key could not be checked: 500".into())));
    }

    #[test]
    fn retry_after_of_the_server_is_honoured() {
        let mut refresh = refresh();
        refresh.finish_round(at(0), error(), Some(SignedDuration::from_hours(2)), Some(at(60)));
        assert_eq!(refresh.next_at, Some(at(7_200)));
        assert!(!refresh.is_due_on_focus(at(100)));
    }

    #[test]
    fn a_limit_reset_brings_the_next_round_forward() {
        let mut refresh = refresh();
        refresh.finish_round(at(0), None, None, Some(at(60)));
        assert_eq!(refresh.next_at, Some(at(65)));
        assert!(!refresh.is_due(at(64)) && refresh.is_due(at(65)));
    }

    #[test]
    fn without_an_interval_no_round_starts_automatically() {
        let mut refresh = RefreshSchedule::default();
        refresh.finish_round(at(0), None, None, Some(at(60)));
        assert_eq!(refresh.next_at, None);
        assert!(!refresh.is_due_on_focus(at(1_000)));
    }
}
