//! The thresholds at which a key counts as low, expiring or dormant.

use std::sync::OnceLock;

use jiff::SignedDuration;

use super::LowThreshold;

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// The thresholds at which a key counts as low, expiring or dormant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// The remaining budget; `None` is a fifth of the limit, or the spending of a day.
    pub low: Option<LowThreshold>,
    /// The time until the expiry; `None` is a quarter of the key's lifetime, at most seven days.
    pub expiring: Option<SignedDuration>,
    /// The time without use.
    pub dormant: SignedDuration,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { low: None, expiring: None, dormant: DAY * 30 }
    }
}

/// The thresholds of this process. All parts of the program must agree on which keys are low.
static CURRENT: OnceLock<Thresholds> = OnceLock::new();

impl Thresholds {
    /// Makes these the thresholds of the process. Only the first call has an effect.
    pub fn make_current(self) {
        let _ = CURRENT.set(self);
    }

    /// Returns the thresholds of the process.
    pub fn current() -> Self {
        CURRENT.get().copied().unwrap_or_default()
    }

    /// Returns the time before its expiry at which a key with this lifetime is expiring.
    pub fn expiring_for(&self, lifetime: SignedDuration) -> SignedDuration {
        self.expiring.unwrap_or_else(|| (lifetime / 4).min(DAY * 7))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_expiring_in_the_last_quarter_of_its_life_and_at_most_seven_days() {
        let thresholds = Thresholds::default();
        assert_eq!(thresholds.expiring_for(DAY * 90), DAY * 7);
        assert_eq!(thresholds.expiring_for(DAY * 4), DAY);
        let fixed = Thresholds { expiring: Some(DAY * 2), ..thresholds };
        assert_eq!(fixed.expiring_for(DAY * 90), DAY * 2);
    }
}
