//! Runs asynchronous work to its end.

use std::pin::{Pin, pin};

use crate::domain::UserError;

/// Runs `work` to its end on this thread. Does not wait for a keychain call that hangs.
pub(super) fn run_async<T>(work: impl Future<Output = T>) -> Result<T, UserError> {
    let mut result = None;
    run_on_runtime(pin!(async { result = Some(work.await) }))?;
    result.ok_or_else(|| runtime_error("the task did not finish"))
}

/// Takes a trait object, because each type of future would add a copy of the runtime's code.
fn run_on_runtime(work: Pin<&mut dyn Future<Output = ()>>) -> Result<(), UserError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| runtime_error(&error.kind().to_string()))?;
    runtime.block_on(work);
    runtime.shutdown_background();
    Ok(())
}

fn runtime_error(reason: &str) -> UserError {
    UserError::failed(format!("the asynchronous runtime failed: {reason}"), "run the command again")
        .with_meaning("nothing was sent and nothing was changed")
}
