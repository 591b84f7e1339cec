//! The server and its clock. Must not know: keys.

use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

use super::{Check, News};
use crate::services::provision::Services;

/// A clock that is off by more than this misjudges expiries and windows.
const OFF: SignedDuration = SignedDuration::from_secs(60);

/// Whether it answers as itself.
pub(super) async fn server(services: &Services, tell: &mut dyn FnMut(News)) -> bool {
    let name = "server";
    let began = Instant::now();
    let answer = match services.client() {
        Ok(client) => client.reach().await,
        Err(error) => Err(error),
    };
    let reached = match answer {
        Ok(reached) => reached,
        Err(error) => {
            let advice = "held keys can still be read; look at the network, a proxy and --server";
            tell(News::Check(Check::fail(name, error.to_string(), advice)));
            return false;
        }
    };
    let message = format!("{} answered in {} ms", services.server, began.elapsed().as_millis());
    // A key was asked for and none was shown.
    let itself = reached.status == 401;
    tell(News::Check(match reached.status {
        401 => Check::ok(name, message),
        429 => {
            Check::warn(name, format!("{message}: slow down (429)"), "wait a little, and try again")
        }
        status => Check::warn(
            name,
            format!("{message}, but with {status} where 401 was due"),
            "something may answer in its place: a proxy, or a network that wants you to log in first",
        ),
    }));
    tell(News::Check(clock(reached.date, Timestamp::now())));
    itself
}

fn clock(server: Option<Timestamp>, here: Timestamp) -> Check {
    let name = "clock";
    let Some(server) = server else {
        return Check::ok(name, "the server does not tell the time");
    };
    let off = here.duration_since(server);
    let seconds = off.as_secs().unsigned_abs();
    if off.abs() <= OFF {
        return Check::ok(name, format!("within {} s of the server's", seconds.max(1)));
    }
    let way = if off.is_positive() { "ahead of" } else { "behind" };
    let message = format!("{seconds} s {way} the server's");
    Check::warn(name, message, "set it: expiries and resets are reckoned by this clock")
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    #[test]
    fn a_clock_may_be_off_by_a_minute() {
        let here = Timestamp::UNIX_EPOCH;
        let at = |seconds| here.checked_add(SignedDuration::from_secs(seconds)).ok();
        for (server, status, words) in [
            (at(0), Status::Ok, "within 1 s of the server's"),
            (at(-60), Status::Ok, "within 60 s of the server's"),
            (at(61), Status::Warn, "61 s behind the server's"),
            (at(-7200), Status::Warn, "7200 s ahead of the server's"),
            (None, Status::Ok, "the server does not tell the time"),
        ] {
            let check = clock(server, here);
            assert_eq!((check.status, check.message.as_str()), (status, words));
        }
    }
}
