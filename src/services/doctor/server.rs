//! The server and its clock. Must not know: keys.

use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

use super::{DoctorProgress, HealthCheck};
use crate::services::provision::ServiceContext;

/// A clock that is off by more than this misjudges expiries and windows.
const MAX_CLOCK_SKEW: SignedDuration = SignedDuration::from_secs(60);

/// Whether it answers as itself.
pub(super) async fn check_server(
    services: &ServiceContext,
    tell: &mut dyn FnMut(DoctorProgress),
) -> bool {
    let name = "server";
    let began = Instant::now();
    let answer = match services.build_client() {
        Ok(client) => client.probe_server().await,
        Err(error) => Err(error),
    };
    let reached = match answer {
        Ok(reached) => reached,
        Err(error) => {
            let advice = "held keys can still be read; look at the network, a proxy and --server";
            tell(DoctorProgress::CheckFinished(HealthCheck::fail(name, error.to_string(), advice)));
            return false;
        }
    };
    let message = format!("{} answered in {} ms", services.server, began.elapsed().as_millis());
    // A key was asked for and none was shown.
    let itself = reached.status == 401;
    tell(DoctorProgress::CheckFinished(match reached.status {
        401 => HealthCheck::ok(name, message),
        429 => HealthCheck::warn(
            name,
            format!("{message}: slow down (429)"),
            "wait a little, and try again",
        ),
        status => HealthCheck::warn(
            name,
            format!("{message}, but with {status} where 401 was due"),
            "something may answer in its place: a proxy, or a network that wants you to log in first",
        ),
    }));
    tell(DoctorProgress::CheckFinished(check_clock(reached.date, Timestamp::now())));
    itself
}

fn check_clock(server: Option<Timestamp>, here: Timestamp) -> HealthCheck {
    let name = "clock";
    let Some(server) = server else {
        return HealthCheck::ok(name, "the server does not tell the time");
    };
    let off = here.duration_since(server);
    let seconds = off.as_secs().unsigned_abs();
    if off.abs() <= MAX_CLOCK_SKEW {
        return HealthCheck::ok(name, format!("within {} s of the server's", seconds.max(1)));
    }
    let way = if off.is_positive() { "ahead of" } else { "behind" };
    let message = format!("{seconds} s {way} the server's");
    HealthCheck::warn(name, message, "set it: expiries and resets are reckoned by this clock")
}

#[cfg(test)]
mod tests {
    use super::super::HealthStatus;
    use super::*;

    #[test]
    fn a_clock_may_be_off_by_a_minute() {
        let here = Timestamp::UNIX_EPOCH;
        let at = |seconds| here.checked_add(SignedDuration::from_secs(seconds)).ok();
        for (server, status, words) in [
            (at(0), HealthStatus::Ok, "within 1 s of the server's"),
            (at(-60), HealthStatus::Ok, "within 60 s of the server's"),
            (at(61), HealthStatus::Warn, "61 s behind the server's"),
            (at(-7200), HealthStatus::Warn, "7200 s ahead of the server's"),
            (None, HealthStatus::Ok, "the server does not tell the time"),
        ] {
            let check = check_clock(server, here);
            assert_eq!((check.status, check.message.as_str()), (status, words));
        }
    }
}
