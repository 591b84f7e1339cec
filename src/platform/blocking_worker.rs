//! One thread for calls that may block for ever, and a deadline for whoever asked.
//! Owns: the thread, and giving up on it. Must not know: what is called.
//!
//! A keychain waits for a person, a frozen display server answers nobody. Neither can be
//! interrupted, so the thread that asked is left behind and the next call starts a fresh one, with
//! fresh state. It is never joined: leaving the program does not wait for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

type Job<S> = Box<dyn FnOnce(&mut S) + Send>;

/// Makes calls on `S`, one after another, on a thread that starts with the first of them.
/// `S` is born on that thread and never leaves it.
pub(crate) struct BlockingWorker<S> {
    state: Mutex<WorkerState<S>>,
}

struct WorkerState<S> {
    sender: Option<Sender<Job<S>>>,
    /// Counts the threads, so that only the one a caller despaired of is replaced.
    generation: u64,
}

impl<S: Default + 'static> BlockingWorker<S> {
    /// No thread yet.
    pub(crate) fn new() -> Self {
        Self { state: Mutex::new(WorkerState { sender: None, generation: 0 }) }
    }

    /// Runs `job` on the thread and waits at most `patience`, time in the queue included.
    ///
    /// `None`: no answer in time. A job that had not begun by then never will; one that had may
    /// still come to its end, unseen.
    pub(crate) fn call<T: Send + 'static>(
        &self,
        patience: Duration,
        job: impl FnOnce(&mut S) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = mpsc::sync_channel(1);
        let abandoned = Arc::new(AtomicBool::new(false));
        let job: Job<S> = Box::new({
            let abandoned = Arc::clone(&abandoned);
            move |state| {
                if !abandoned.load(Ordering::Acquire) {
                    // The asker may be gone by now; then nobody wants the answer.
                    let _ = answer.send(job(state));
                }
            }
        });
        let generation = self.enqueue(job)?;
        match answered.recv_timeout(patience) {
            Ok(answer) => Some(answer),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                abandoned.store(true, Ordering::Release);
                self.discard_thread(generation);
                None
            }
        }
    }

    fn enqueue(&self, job: Job<S>) -> Option<u64> {
        let mut line = self.lock_state();
        let job = match line.sender.as_ref() {
            None => job,
            Some(jobs) => match jobs.send(job) {
                Ok(()) => return Some(line.generation),
                Err(mpsc::SendError(job)) => job, // the thread panicked
            },
        };
        let (jobs, queue) = mpsc::channel::<Job<S>>();
        thread::Builder::new()
            .name("keywright-worker".to_owned())
            .spawn(move || {
                let mut state = S::default();
                while let Ok(job) = queue.recv() {
                    job(&mut state);
                }
            })
            .ok()?;
        jobs.send(job).ok()?;
        line.sender = Some(jobs);
        line.generation += 1;
        Some(line.generation)
    }

    fn discard_thread(&self, generation: u64) {
        let mut line = self.lock_state();
        if line.generation == generation {
            line.sender = None; // the old thread ends once its queue is empty, if it ever gets there
        }
    }

    fn lock_state(&self) -> std::sync::MutexGuard<'_, WorkerState<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    const SOON: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_secs(10);

    #[test]
    fn state_lives_from_call_to_call() {
        let worker = BlockingWorker::<u32>::new();
        for expected in 1..=3 {
            let count = worker.call(LONG, |n| {
                *n += 1;
                *n
            });
            assert_eq!(count, Some(expected));
        }
    }

    #[test]
    fn a_call_that_blocks_is_given_up_and_the_next_one_starts_afresh() {
        let worker = BlockingWorker::<u32>::new();
        assert_eq!(worker.call(LONG, |n| *n = 7), Some(()));
        let asked = Instant::now();
        assert_eq!(worker.call(SOON, |_| thread::sleep(LONG)), None);
        assert!(asked.elapsed() < Duration::from_secs(2));
        assert_eq!(worker.call(LONG, |n| *n), Some(0));
    }

    #[test]
    fn a_job_still_waiting_when_its_asker_left_never_runs() {
        let worker = Arc::new(BlockingWorker::<u32>::new());
        let (release, held) = mpsc::channel::<()>();
        let (started, on_start) = mpsc::channel();
        let first = thread::spawn({
            let worker = Arc::clone(&worker);
            move || {
                worker.call(LONG, move |_| {
                    let _ = started.send(());
                    let _ = held.recv();
                    "first"
                })
            }
        });
        on_start.recv().unwrap();
        let (ran, traces) = mpsc::channel();
        assert_eq!(
            worker.call(SOON, move |_| ran.send(()).is_ok()),
            None,
            "it waits behind the first"
        );
        release.send(()).unwrap();
        assert_eq!(first.join().unwrap(), Some("first"));
        assert_eq!(
            traces.recv_timeout(LONG),
            Err(RecvTimeoutError::Disconnected),
            "dropped without having run"
        );
    }

    #[test]
    fn a_call_that_panics_is_no_answer_and_the_next_one_works() {
        let worker = BlockingWorker::<u32>::new();
        assert_eq!(worker.call(LONG, |_| panic!("as the test wants it")), None::<()>);
        assert_eq!(worker.call(LONG, |n| *n), Some(0));
    }
}
