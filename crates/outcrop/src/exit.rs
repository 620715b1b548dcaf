//! How a command ends: one error type, one table of exit codes that scripts can use.

use std::fmt;
use std::process::ExitCode;

/// Exit codes, by what a script would do next. (Ctrl-C ends a command by its signal, which
/// shells count as 130.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// It failed; the message says why.
    Failed = 1,
    /// The command line or the configuration is wrong. (clap uses 2 as well.)
    Usage = 2,
    /// The named model or key does not exist.
    NotFound = 3,
    /// A download source or a server could not be reached or refused.
    Network = 4,
}

/// Why a command ended early.
#[derive(Debug)]
pub(crate) struct Exit {
    code: Code,
    message: String,
}

impl Exit {
    pub(crate) fn new(code: Code, message: impl fmt::Display) -> Self {
        Self { code, message: message.to_string() }
    }

    pub(crate) fn failed(message: impl fmt::Display) -> Self {
        Self::new(Code::Failed, message)
    }

    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self::new(Code::Usage, message)
    }

    /// Prints the message and gives the process its code.
    pub(crate) fn report(&self) -> ExitCode {
        if !self.message.is_empty() {
            eprintln!("outcrop: {}", self.message);
        }
        ExitCode::from(self.code as u8)
    }
}

/// The result of a command.
pub(crate) type Outcome = Result<(), Exit>;
