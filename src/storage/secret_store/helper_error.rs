//! What can go wrong with the program of `exec:PROGRAM`, what it means and what to do about it.

use std::borrow::Cow;

/// An error of a credential helper.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HelperError {
    /// The program as the user wrote it.
    pub(super) program: String,
    /// What it was to do.
    pub(super) verb: Verb,
    /// What happened.
    pub(super) fault: Fault,
}

/// What a credential helper can do: its only argument.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verb {
    Store,
    Get,
    Erase,
    List,
}

impl Verb {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Get => "get",
            Self::Erase => "erase",
            Self::List => "list",
        }
    }
}

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    NotOnPath,
    NoFile,
    NoHome,
    NotExecutable,
    /// Windows would start it through its shell.
    CommandScript,
    /// The reason of the system.
    NotStarted(String),
    /// After this many seconds.
    TimedOut(u64),
    /// The limit in KiB.
    TooMuchOutput(usize),
    OutputLeftOpen,
    InputNotRead,
    NotJson,
    OtherServer,
    OtherUser,
    /// It accepted the key, and has no entry afterwards.
    NotKept,
    /// It removed the entry, and still returns it.
    NotErased,
    /// Its exit code and its message, without keys and control characters.
    Refused(Option<i32>, String),
}

impl std::error::Error for HelperError {}

impl std::fmt::Display for HelperError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (program, verb) = (&self.program, self.verb.as_str());
        let what = match &self.fault {
            Fault::NoFile => return write!(f, "there is no credential helper at {program}"),
            Fault::NoHome => {
                return write!(f, "there is no home directory for the credential helper {program}");
            }
            Fault::NotOnPath => "is not on PATH".into(),
            Fault::NotExecutable => "is not executable".into(),
            Fault::CommandScript => {
                "is a batch file, which Windows starts through its shell".into()
            }
            Fault::NotStarted(reason) => format!("cannot be started: {reason}"),
            Fault::TimedOut(seconds) => {
                format!("did not answer `{verb}` within {seconds} s and was ended")
            }
            Fault::TooMuchOutput(kib) => {
                format!("printed more than {kib} KiB for `{verb}` and was ended")
            }
            Fault::OutputLeftOpen => {
                "ended, but a process that it started keeps its output open".into()
            }
            Fault::InputNotRead => format!("closed its input before it had read what to {verb}"),
            Fault::NotJson => format!("did not answer `{verb}` with the JSON of the protocol"),
            Fault::OtherServer => "answered for another server URL than it was asked for".into(),
            Fault::OtherUser => "answered with another user name than the label".into(),
            Fault::NotKept => "reported that it stored the key, but does not return it".into(),
            Fault::NotErased => "reported that it erased the entry, but still returns it".into(),
            Fault::Refused(code, text) => match (text.is_empty(), code) {
                (false, _) => format!("refused `{verb}`: {text}"),
                (true, Some(code)) => {
                    format!("refused `{verb}` with exit code {code} and no message")
                }
                (true, None) => format!("refused `{verb}`: a signal ended it"),
            },
        };
        write!(f, "the credential helper {program} {what}")
    }
}

impl HelperError {
    pub(super) fn meaning(&self) -> &'static str {
        match (&self.fault, self.verb) {
            (
                Fault::NotOnPath
                | Fault::NoFile
                | Fault::NoHome
                | Fault::NotExecutable
                | Fault::CommandScript
                | Fault::NotStarted(_),
                _,
            ) => "no key was passed to it, and the stored keys were not changed",
            (Fault::NotErased, _) => "the key is still in that store",
            (_, Verb::Get | Verb::List) => "nothing was changed",
            (_, Verb::Store) => {
                "the helper may have saved the key, but Keywright does not count it as stored"
            }
            (_, Verb::Erase) => "the key may still be in that store",
        }
    }

    pub(super) fn advice(&self) -> Cow<'static, str> {
        let program = &self.program;
        let list = format_helper_command(program);
        Cow::Owned(match &self.fault {
            Fault::NotOnPath => {
                format!("install it, or give its path: --store exec:/path/to/{program}")
            }
            Fault::NoFile => {
                "install it there, or name another program with `--store exec:PROGRAM`".into()
            }
            Fault::NoHome => "set HOME, or give the whole path of the program".into(),
            Fault::NotExecutable => format!("run `{}`", chmod_command(program)),
            Fault::CommandScript => "give an .exe file; a script needs one that starts it".into(),
            Fault::NotStarted(_) => {
                "check the file: a script needs a first line such as #!/bin/sh, and a program must be one for this system".into()
            }
            Fault::TimedOut(_) => format!(
                "it may wait for a passphrase or the network: run `{list}` in a terminal, unlock what it asks for, then try again"
            ),
            Fault::OutputLeftOpen => {
                "correct the helper: it must start background processes with `</dev/null >/dev/null 2>&1`".into()
            }
            Fault::Refused(..) => format!("run `{list}` in a terminal to see whether it works, then try again"),
            Fault::TooMuchOutput(_)
            | Fault::InputNotRead
            | Fault::NotJson
            | Fault::OtherServer
            | Fault::OtherUser
            | Fault::NotKept
            | Fault::NotErased => format!(
                "check that it speaks the protocol of Docker's credential helpers: `{list}` must print one JSON object; or choose another store with `--store`"
            ),
        })
    }
}

fn format_helper_command(program: &str) -> String {
    shell_command(&[program, "list"])
}

fn chmod_command(program: &str) -> String {
    shell_command(&["chmod", "+x", program])
}

/// Returns a command for a shell. A `~/` at the start of a word stays unquoted, as the shell expands it.
fn shell_command(words: &[&str]) -> String {
    let quote = |word: &&str| match word.strip_prefix("~/") {
        Some(rest) => format!("~/{}", crate::domain::quote_shell_word(rest)),
        None => crate::domain::quote_shell_word(word),
    };
    words.iter().map(quote).collect::<Vec<_>>().join(" ")
}
