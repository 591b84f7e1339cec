//! Runs blocking calls on the runtime's pool of threads.

use std::hint::black_box;
use std::sync::{Arc, Mutex, PoisonError};

/// Runs a blocking call and returns its result, or `None` if the call panicked.
///
/// The call runs to its end even if the caller stops waiting.
pub(crate) async fn run_blocking<T: Send + 'static>(
    call: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let result = Arc::new(Mutex::new(None));
    let shared = Arc::clone(&result);
    spawn_blocking(move || {
        let value = call();
        *shared.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
    })
    .await
    .ok()?;
    result.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Starts a blocking call without a result. The call is boxed, because each type of closure would add
/// a copy of the runtime's code.
pub(crate) fn spawn_blocking(call: impl FnOnce() + Send + 'static) -> tokio::task::JoinHandle<()> {
    let call: Box<dyn FnOnce() + Send> = Box::new(call);
    tokio::task::spawn_blocking(move || {
        call();
        wipe_stack();
    })
}

/// Overwrites the stack below the caller: a thread that waits for its next call would keep what the last
/// one left there, which may be a key.
#[inline(never)]
#[expect(clippy::large_stack_arrays, reason = "the array is what is wiped")]
pub(super) fn wipe_stack() {
    black_box(&mut [0_u8; 64 * 1024]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_on_runtime<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
    }

    #[test]
    fn the_result_of_a_call_is_returned() {
        assert_eq!(run_on_runtime(run_blocking(|| 7)), Some(7));
    }

    #[test]
    fn a_call_that_panics_has_no_result() {
        assert_eq!(run_on_runtime(run_blocking(|| panic!("part of the test"))), None::<()>);
    }
}
