//! Checks of the connection to the server, its responses and its clock.

use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

use super::{DoctorProgress, HealthCheck};
use crate::api::openrouter::{Error, ProbeResponse, Route, TrustedCertificates};
use crate::domain::format_duration;
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
    if services.server.starts_with("https://") {
        report(DoctorProgress::CheckFinished(check_certificates(TrustedCertificates::from_env())));
    }
    let route = services.server_url().and_then(|server| Route::from_env(&server));
    report(DoctorProgress::CheckFinished(check_proxy(route, &response)));
    let response = match response {
        Ok(response) => response,
        Err(error) => {
            let advice = format!(
                "stored keys can still be read; {}",
                error.settings_advice().unwrap_or("try again later")
            );
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

fn check_certificates(certificates: Result<TrustedCertificates, Error>) -> HealthCheck {
    let name = "certificates";
    match certificates {
        Ok(TrustedCertificates::System) => HealthCheck::ok(name, "those of the system are trusted"),
        Ok(TrustedCertificates::Variables { sources, count, problems }) => {
            let message = format!(
                "only {} trusted",
                match count {
                    1 => format!("the one of {} is", sources.join(" and ")),
                    _ => format!("the {count} of {} are", sources.join(" and ")),
                }
            );
            if problems.is_empty() {
                HealthCheck::ok(name, message)
            } else {
                HealthCheck::warn(
                    name,
                    format!("{message}; {}", problems.join("; ")),
                    "correct or unset the variable",
                )
            }
        }
        Err(error) => {
            HealthCheck::fail(name, error.to_string(), error.settings_advice().unwrap_or_default())
        }
    }
}

/// Reports the proxy that was used just now for the request to the server.
fn check_proxy(
    route: Result<Route, Error>,
    response: &Result<ProbeResponse, Error>,
) -> HealthCheck {
    let name = "proxy";
    let proxy = match route {
        Ok(Route::Loopback) => {
            return HealthCheck::ok(name, "not used for a server on this machine");
        }
        Ok(Route::Direct) => return HealthCheck::ok(name, "not set"),
        Ok(Route::Excepted(variable)) => {
            return HealthCheck::ok(name, format!("not used: {variable} lists this server"));
        }
        Ok(Route::Proxy(proxy)) => proxy,
        Err(error) => {
            let advice = error.settings_advice().unwrap_or_default();
            return HealthCheck::fail(name, error.to_string(), advice);
        }
    };
    let setting = format!("{}={}", proxy.variable(), proxy.address());
    match response {
        Err(error @ Error::ProxyFailed { advice, .. }) => {
            HealthCheck::fail(name, error.to_string(), advice)
        }
        Err(Error::NotSent { .. } | Error::InvalidSetting { .. }) => HealthCheck::warn(
            name,
            format!("{setting} was not tried, because no connection was made"),
            "correct the other checks first",
        ),
        _ => match proxy.ignored_variable() {
            Some(other) => HealthCheck::warn(
                name,
                format!(
                    "the server was reached through {setting}; {other} differs and is not used"
                ),
                format!("unset {other}"),
            ),
            None => HealthCheck::ok(name, format!("the server was reached through {setting}")),
        },
    }
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
    let size = format_duration(difference.abs());
    let message = format!("{size} {direction} the server's");
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
            (at(61), HealthStatus::Warn, "1 minute behind the server's"),
            (at(-7200), HealthStatus::Warn, "2 hours ahead of the server's"),
            (at(8_640_000), HealthStatus::Warn, "100 days behind the server's"),
            (None, HealthStatus::Ok, "the server sent no date"),
        ] {
            let check = check_clock(server_time, local_time);
            assert_eq!((check.status, check.message.as_str()), (status, message));
        }
    }
}
