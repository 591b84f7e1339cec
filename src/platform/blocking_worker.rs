//! A thread for calls that may block forever, with a timeout for the caller.
//!
//! A keychain can wait for a user, and a frozen display server does not answer. Such a call cannot
//! be interrupted. After a timeout the thread is abandoned, and the next call starts a new thread
//! with new state. Threads are never joined, so the program can exit while one is blocked.

use std::any::Any;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::blocking_call::wipe_stack;

type Job = Box<dyn FnOnce(&mut dyn Any) + Send>;

/// Runs jobs on a value of type `S`, one after another, on a thread that starts with the first
/// job. The value is created on that thread and never leaves it.
pub(crate) struct BlockingWorker<S> {
    thread: WorkerThread,
    state: PhantomData<fn() -> S>,
}

/// The thread of a [`BlockingWorker`]. Not generic, because each type of state would add a copy of the code.
struct WorkerThread {
    current: Mutex<CurrentThread>,
    new_state: fn() -> Box<dyn Any>,
}

struct CurrentThread {
    sender: Option<Sender<Job>>,
    /// Number of threads started so far. A timeout discards only the thread it happened on.
    generation: u64,
}

impl<S: Default + 'static> BlockingWorker<S> {
    /// Creates a worker without starting a thread.
    pub(crate) fn new() -> Self {
        let current = Mutex::new(CurrentThread { sender: None, generation: 0 });
        let new_state = || -> Box<dyn Any> { Box::new(S::default()) };
        Self { thread: WorkerThread { current, new_state }, state: PhantomData }
    }

    /// Runs `job` on the thread and waits for its result for at most `timeout`, including the time
    /// in the queue.
    ///
    /// Returns `None` after the timeout, if the job panics, or if no thread can be started. A job that has not started by then never runs; a job that
    /// has started may still complete, and its result is dropped.
    pub(crate) fn call<T: Send + 'static>(
        &self,
        timeout: Duration,
        job: impl FnOnce(&mut S) -> T + Send + 'static,
    ) -> Option<T> {
        let result = Arc::new(Mutex::new(None));
        let shared = Arc::clone(&result);
        self.thread.run_job(
            timeout,
            Box::new(move |state| {
                let value = state.downcast_mut().map(job);
                *shared.lock().unwrap_or_else(PoisonError::into_inner) = value;
            }),
        )?;
        result.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl WorkerThread {
    /// Waits for a job to end. Returns `None` as [`BlockingWorker::call`] does.
    fn run_job(&self, timeout: Duration, job: Job) -> Option<()> {
        let (done_sender, done) = mpsc::sync_channel(1);
        let abandoned = Arc::new(AtomicBool::new(false));
        let is_abandoned = Arc::clone(&abandoned);
        let generation = self.enqueue(Box::new(move |state| {
            if !is_abandoned.load(Ordering::Acquire) {
                job(state);
                // Fails if the caller timed out meanwhile.
                let _ = done_sender.send(());
            }
        }))?;
        match done.recv_timeout(timeout) {
            Ok(()) => Some(()),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                abandoned.store(true, Ordering::Release);
                self.discard_thread(generation);
                None
            }
        }
    }

    fn enqueue(&self, job: Job) -> Option<u64> {
        let mut current = self.lock_current();
        let job = match current.sender.as_ref() {
            None => job,
            Some(jobs) => match jobs.send(job) {
                Ok(()) => return Some(current.generation),
                Err(mpsc::SendError(job)) => job, // the thread has panicked
            },
        };
        let new_state = self.new_state;
        let (jobs, queue) = mpsc::channel::<Job>();
        thread::Builder::new()
            .name("keywright-worker".to_owned())
            .spawn(move || {
                let mut state = new_state();
                while let Ok(job) = queue.recv() {
                    job(&mut *state);
                    wipe_stack();
                }
            })
            .ok()?;
        jobs.send(job).ok()?;
        current.sender = Some(jobs);
        current.generation += 1;
        Some(current.generation)
    }

    fn discard_thread(&self, generation: u64) {
        let mut current = self.lock_current();
        if current.generation == generation {
            current.sender = None; // the old thread ends when its queue is empty
        }
    }

    fn lock_current(&self) -> std::sync::MutexGuard<'_, CurrentThread> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    const SOON: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_secs(10);

    #[test]
    fn state_persists_between_calls() {
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
    fn a_blocked_call_times_out_and_the_next_call_gets_new_state() {
        let worker = BlockingWorker::<u32>::new();
        assert_eq!(worker.call(LONG, |n| *n = 7), Some(()));
        let started = Instant::now();
        assert_eq!(worker.call(SOON, |_| thread::sleep(LONG)), None);
        assert!(started.elapsed() < Duration::from_secs(2));
        assert_eq!(worker.call(LONG, |n| *n), Some(0));
    }

    #[test]
    fn a_queued_job_never_runs_after_its_caller_timed_out() {
        let worker = Arc::new(BlockingWorker::<u32>::new());
        let (release, released) = mpsc::channel::<()>();
        let (started, on_start) = mpsc::channel();
        let first = thread::spawn({
            let worker = Arc::clone(&worker);
            move || {
                worker.call(LONG, move |_| {
                    let _ = started.send(());
                    let _ = released.recv();
                    "first"
                })
            }
        });
        on_start.recv().unwrap();
        let (ran, on_run) = mpsc::channel();
        assert_eq!(
            worker.call(SOON, move |_| ran.send(()).is_ok()),
            None,
            "it is queued behind the first job"
        );
        release.send(()).unwrap();
        assert_eq!(first.join().unwrap(), Some("first"));
        assert_eq!(
            on_run.recv_timeout(LONG),
            Err(RecvTimeoutError::Disconnected),
            "it is dropped without running"
        );
    }

    #[test]
    fn a_panicking_call_returns_none_and_the_next_call_works() {
        let worker = BlockingWorker::<u32>::new();
        assert_eq!(worker.call(LONG, |_| panic!("part of the test")), None::<()>);
        assert_eq!(worker.call(LONG, |n| *n), Some(0));
    }
}
