//! Checks of the server and its clock.

use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

use super::{DoctorProgress, HealthCheck};
use crate::services::provision::ServiceContext;

/// A larger difference makes expiries and budget windows wrong.
const MAX_CLOCK_SKEW: SignedDuration = SignedDuration::from_secs(60);

/// Returns whether OpenRouter, and not something in between, answered.
pub(super) async fn check_server(
    services: &ServiceContext,
    report: &mut dyn FnMut(DoctorProgress),
) -> bool {
    let name = "server";
    let began = Instant::now();
    let response = match services.build_client() {
        Ok(client) => client.probe_server().await,
        Err(error) => Err(error),
    };
    let response = match response {
        Ok(response) => response,
        Err(error) => {
            let advice =
                "stored keys can still be read; check the network, the proxy settings and --server";
            report(DoctorProgress::CheckFinished(HealthCheck::fail(
                name,
                error.to_string(),
                advice,
            )));
            return false;
        }
    };
    let message = format!("{} answered in {} ms", services.server, began.elapsed().as_millis());
    // The request carries no key, so the expected status is 401.
    let reachable = response.status == 401;
    report(DoctorProgress::CheckFinished(match response.status {
        401 => HealthCheck::ok(name, message),
        429 => HealthCheck::warn(
            name,
            format!("{message}: too many requests (429)"),
            "wait a minute, then try again",
        ),
        status => HealthCheck::warn(
            name,
            format!("{message}, but with status {status} instead of 401"),
            "something else may be answering: a proxy, or a network that requires a login first",
        ),
    }));
    report(DoctorProgress::CheckFinished(check_clock(response.date, Timestamp::now())));
    reachable
}

fn check_clock(server_time: Option<Timestamp>, local_time: Timestamp) -> HealthCheck {
    let name = "clock";
    let Some(server_time) = server_time else {
        return HealthCheck::ok(name, "the server sent no date");
    };
    let difference = local_time.duration_since(server_time);
    let seconds = difference.as_secs().unsigned_abs();
    if difference.abs() <= MAX_CLOCK_SKEW {
        return HealthCheck::ok(name, format!("within {} s of the server's", seconds.max(1)));
    }
    let direction = if difference.is_positive() { "ahead of" } else { "behind" };
    let message = format!("{seconds} s {direction} the server's");
    HealthCheck::warn(
        name,
        message,
        "correct this machine's clock: expiries and resets are computed from it",
    )
}

#[cfg(test)]
mod tests {
    use super::super::HealthStatus;
    use super::*;

    #[test]
    fn clock_differences_up_to_a_minute_are_ok() {
        let local_time = Timestamp::UNIX_EPOCH;
        let at = |seconds| local_time.checked_add(SignedDuration::from_secs(seconds)).ok();
        for (server_time, status, message) in [
            (at(0), HealthStatus::Ok, "within 1 s of the server's"),
            (at(-60), HealthStatus::Ok, "within 60 s of the server's"),
            (at(61), HealthStatus::Warn, "61 s behind the server's"),
            (at(-7200), HealthStatus::Warn, "7200 s ahead of the server's"),
            (None, HealthStatus::Ok, "the server sent no date"),
        ] {
            let check = check_clock(server_time, local_time);
            assert_eq!((check.status, check.message.as_str()), (status, message));
        }
    }
}
