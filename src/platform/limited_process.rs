//! Runs a program with limits on its time and output: it may hang, print without end, or leave processes
//! behind that keep its output open.

use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::child_process::remove_secret_variables;

/// How often a program whose output stays open is checked for its end.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// How long to wait for the output of a program that has ended.
const OUTPUT_GRACE: Duration = Duration::from_millis(500);

/// How much of the error output is read, in bytes.
const MAX_ERROR_OUTPUT: usize = 4_096;

/// Limits of a run.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest time.
    pub time: Duration,
    /// The longest output, in bytes.
    pub output: usize,
}

/// The result of a program that ran to its end.
#[derive(Debug)]
pub struct Finished {
    /// The exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// The whole output.
    pub stdout: Vec<u8>,
    /// The start of the error output.
    pub stderr: Vec<u8>,
    /// Whether it took the whole input.
    pub took_input: bool,
}

/// Why a program did not run to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be started.
    #[error("{0}")]
    NotStarted(io::Error),
    /// It did not end in time, and was killed.
    #[error("it did not end in time")]
    TimedOut,
    /// It printed more than the limit, and was killed.
    #[error("it printed too much")]
    TooMuchOutput,
    /// It ended, and a process that it started keeps its output open.
    #[error("its output stayed open")]
    OutputLeftOpen,
}

/// Runs `program` with one argument and writes `input` to its standard input. Its environment has no
/// secrets and no settings of Keywright. Blocks, for little more than the time limit.
pub fn run(
    program: &Path,
    argument: &str,
    input: &[u8],
    limits: Limits,
) -> Result<Finished, Error> {
    let deadline = Instant::now() + limits.time;
    let mut command = Command::new(program);
    remove_secret_variables(&mut command)
        .arg(argument)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    remove_own_variables(&mut command);
    // A group of its own: ctrl-c must not end a helper that is storing a key, and everything that
    // it started can be killed with it.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut child = command.spawn().map_err(Error::NotStarted)?;
    let streams = start_streams(&mut child, input, limits.output);
    let result = wait_for_end(&mut child, &streams, deadline);
    if result.is_err() {
        kill_group(&child);
        let _ = child.kill();
        // Collects the exit status, so that no zombie remains. The program has been killed, so this
        // does not block for long.
        let _ = thread::Builder::new().name("keywright-reaper".into()).spawn(move || child.wait());
    }
    result
}

fn remove_own_variables(command: &mut Command) {
    for (variable, _) in std::env::vars_os() {
        let is_own = variable
            .to_str()
            .is_some_and(|name| name.starts_with("KEYWRIGHT_") || name.starts_with("OPENROUTER_"));
        if is_own {
            command.env_remove(variable);
        }
    }
}

/// The three streams of a running program, each with a thread, which ends with its stream.
struct Streams {
    stdin: Receiver<bool>,
    stdout: Receiver<Result<Vec<u8>, Error>>,
    stderr: Receiver<Vec<u8>>,
}

fn start_streams(child: &mut Child, input: &[u8], max_output: usize) -> Streams {
    let (stdin_sender, stdin) = mpsc::channel();
    let (stdout_sender, stdout) = mpsc::channel();
    let (stderr_sender, stderr) = mpsc::channel();
    let spawn = |work: Box<dyn FnOnce() + Send>| {
        // Without a thread the receiver ends without a result.
        let _ = thread::Builder::new().name("keywright-pipe".into()).spawn(work);
    };
    if let Some(mut pipe) = child.stdin.take() {
        let input = input.to_vec();
        spawn(Box::new(move || {
            let _ = stdin_sender.send(pipe.write_all(&input).is_ok());
        }));
    }
    if let Some(pipe) = child.stdout.take() {
        spawn(Box::new(move || {
            let mut output = Vec::new();
            let limit = u64::try_from(max_output).unwrap_or(u64::MAX);
            let read = pipe.take(limit + 1).read_to_end(&mut output);
            let _ = stdout_sender.send(match read {
                Ok(length) if length > max_output => Err(Error::TooMuchOutput),
                Ok(_) | Err(_) => Ok(output),
            });
        }));
    }
    if let Some(mut pipe) = child.stderr.take() {
        spawn(Box::new(move || {
            let mut output = Vec::new();
            let _ = pipe.by_ref().take(MAX_ERROR_OUTPUT as u64).read_to_end(&mut output);
            let _ = stderr_sender.send(output);
            // A program that prints more must not wait for a reader.
            let _ = io::copy(&mut pipe, &mut io::sink());
        }));
    }
    Streams { stdin, stdout, stderr }
}

fn wait_for_end(
    child: &mut Child,
    streams: &Streams,
    deadline: Instant,
) -> Result<Finished, Error> {
    let mut stdout = None;
    let mut ended: Option<(Instant, Option<i32>)> = None;
    loop {
        if ended.is_none()
            && let Some(status) = child.try_wait().map_err(Error::NotStarted)?
        {
            ended = Some((Instant::now() + OUTPUT_GRACE, status.code()));
        }
        let now = Instant::now();
        match (ended, stdout.take()) {
            (Some((_, code)), Some(stdout)) => {
                let took_input = streams.stdin.recv_timeout(POLL_INTERVAL).unwrap_or(false);
                let stderr = streams.stderr.recv_timeout(POLL_INTERVAL).unwrap_or_default();
                return Ok(Finished { code, stdout, stderr, took_input });
            }
            (Some((grace, _)), None) if now >= grace => return Err(Error::OutputLeftOpen),
            (None, _) if now >= deadline => return Err(Error::TimedOut),
            (None, Some(output)) => {
                // The output is closed, so the program is ending.
                stdout = Some(output);
                thread::sleep(Duration::from_millis(1));
            }
            (_, None) => match streams.stdout.recv_timeout(POLL_INTERVAL) {
                Ok(output) => stdout = Some(output?),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(Error::OutputLeftOpen),
            },
        }
    }
}

#[cfg(unix)]
fn kill_group(child: &Child) {
    use rustix::process::{Pid, Signal, kill_process_group};
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let Some(group) = group {
        let _ = kill_process_group(group, Signal::KILL);
    }
}

#[cfg(not(unix))]
fn kill_group(_: &Child) {}
