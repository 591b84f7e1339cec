//! When a key ends that replaces another one under the same policy.

use jiff::{SignedDuration, Timestamp};

use super::{Expiry, StoredKey, Thresholds, format_timestamp};

impl StoredKey {
    /// Returns when the lifetime began of which the expiry is the end: a rotation carries a fixed date over
    /// to a key that is younger than the policy.
    pub fn lifetime_start(&self) -> Timestamp {
        self.lifetime_from.unwrap_or(self.created_at)
    }

    /// Returns how long it lives in all, up to `end`.
    pub(super) fn lifetime_until(&self, end: Timestamp) -> SignedDuration {
        end.duration_since(self.lifetime_start())
    }

    /// Returns the expiry of a replacement with the same policy: a period such as `30d` begins again, a
    /// date stays the same.
    ///
    /// # Errors
    ///
    /// Returns why the expiry cannot be requested again.
    pub fn replacement_expiry(&self, now: Timestamp) -> Result<Option<Expiry>, String> {
        let expires_at = self.expires_at().to_known().map_err(|words| match words {
            "" => "its expiry is not known".to_owned(),
            _ => format!("its expiry is '{words}', which this version does not understand"),
        })?;
        match (&self.requested.expires_input, expires_at) {
            (Some(text), _) => Expiry::parse(text, now)
                .map_err(|problem| format!("its expiry was {text}; {problem}")),
            (None, Some(at)) if at > now => Ok(Some(Expiry { at, input: at.to_string() })),
            (None, Some(at)) => Err(format!("it expired {}", format_timestamp(at))),
            (None, None) => Ok(None),
        }
    }

    /// Returns whether a replacement with the same policy would have the same end, and that is near or has
    /// passed.
    pub fn needs_new_expiry(&self, now: Timestamp) -> bool {
        let Some(end) = self.expires_at().value() else { return false };
        match self.replacement_expiry(now) {
            Ok(Some(expiry)) => {
                expiry.at.as_second() == end.as_second()
                    && end.duration_since(now)
                        <= Thresholds::current().expiring_for(self.lifetime_until(end))
            }
            Ok(None) => false,
            Err(_) => end <= now,
        }
    }

    /// Counts the lifetime of this key from that of the key that it replaces, if both have the same end.
    pub fn continue_lifetime_of(&mut self, replaced: &Self) {
        let end = |key: &Self| key.expires_at().value().map(Timestamp::as_second);
        let is_same_end = end(self).is_some() && end(self) == end(replaced);
        self.lifetime_from = is_same_end.then(|| replaced.lifetime_start());
    }
}

#[cfg(test)]
mod tests {
    use super::super::{KeyInfo, KeyState};
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn key(created: &str, expires: &str, input: Option<&str>) -> StoredKey {
        let info = KeyInfo { expires_at: Some(at(expires)).into(), ..KeyInfo::default() };
        let mut key = StoredKey::sample("agent", at(created)).with_check(at(NOW), info);
        key.requested.expires_input = input.map(str::to_owned);
        key.requested.expires_at = Some(at(expires));
        key
    }

    const NOW: &str = "2026-11-27T12:00:00Z";
    const END: &str = "2026-11-30T23:59:59Z";

    #[test]
    fn a_period_begins_again_and_a_date_stays() {
        let now = at(NOW);
        let period = key("2026-11-01T00:00:00Z", END, Some("30d"));
        let expiry = period.replacement_expiry(now).unwrap().unwrap();
        assert_eq!(expiry.to_api_string(), "2026-12-27T23:59:59Z");
        assert!(!period.needs_new_expiry(now));
        for input in [None, Some("2026-11-30"), Some(END)] {
            let dated = key("2026-11-01T00:00:00Z", END, input);
            assert_eq!(dated.replacement_expiry(now).unwrap().unwrap().at, at(END), "{input:?}");
            assert!(dated.needs_new_expiry(now), "{input:?}");
            assert!(!dated.needs_new_expiry(at("2026-11-10T00:00:00Z")), "{input:?}");
        }
        let past = key("2026-10-01T00:00:00Z", "2026-11-20T00:00:00Z", None);
        assert!(past.replacement_expiry(now).is_err() && past.needs_new_expiry(now));
    }

    #[test]
    fn a_replacement_with_the_same_end_is_expiring_like_the_replaced_key() {
        let now = at(NOW);
        let old = key("2026-11-01T00:00:00Z", END, None);
        assert_eq!(old.state(now), KeyState::Expiring);
        let mut new = key(NOW, END, None);
        assert_eq!(new.state(now), KeyState::Active);
        new.continue_lifetime_of(&old);
        assert_eq!(new.state(now), KeyState::Expiring);
        assert!(new.needs_new_expiry(now));
        // The replacement of the replacement counts from the first key.
        let mut third = key(NOW, END, None);
        third.continue_lifetime_of(&new);
        assert_eq!(third.lifetime_start(), old.created_at);
        // Another end is another lifetime.
        let mut longer = key(NOW, "2026-12-27T23:59:59Z", None);
        longer.continue_lifetime_of(&old);
        assert_eq!(longer.lifetime_from, None);
    }
}
