//! Where workers come from, and how one ended.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::worker::{self, Place, WorkerError};

/// How long a worker that closed its socket has to be gone.
const END_GRACE: Duration = Duration::from_secs(5);
/// Between two looks whether it is.
const LOOK: Duration = Duration::from_millis(5);

/// Where workers come from.
#[derive(Debug)]
pub(crate) enum Source {
    /// Threads of this process.
    Threads,
    /// A program, which finds its socket as its standard input.
    Process(Command),
}

/// A worker that was started.
pub(super) struct Running {
    /// The gateway's end of its socket.
    pub(super) stream: UnixStream,
    pub(super) life: Life,
}

/// What must end for the worker to have ended.
pub(super) enum Life {
    Threads(JoinHandle<Result<(), WorkerError>>),
    Process(Child),
}

impl Source {
    /// Starts a worker.
    pub(super) fn start(&mut self) -> io::Result<Running> {
        let (stream, theirs) = UnixStream::pair()?;
        let life = match self {
            Self::Threads => {
                let run = move || worker::serve(theirs, Place::Threads);
                Life::Threads(std::thread::Builder::new().name("engine".to_owned()).spawn(run)?)
            }
            Self::Process(command) => {
                // Not standard output, which may be what was asked for.
                command.stdin(OwnedFd::from(theirs)).stdout(Stdio::null()).stderr(Stdio::inherit());
                let child = command.spawn();
                // The command keeps what it was given; a socket end kept here would
                // never be seen to close.
                command.stdin(Stdio::null());
                Life::Process(child?)
            }
        };
        Ok(Running { stream, life })
    }
}

impl Life {
    /// The process, if it has one of its own.
    pub(super) fn process(&self) -> Option<u32> {
        match self {
            Self::Threads(_) => None,
            Self::Process(child) => Some(child.id()),
        }
    }

    /// Waits for the worker to be gone, with force if need be, and tells how it ended.
    pub(super) fn end(self) -> String {
        match self {
            Self::Threads(thread) => match thread.join() {
                Ok(Ok(())) => "its threads ended".to_owned(),
                Ok(Err(error)) => error.to_string(),
                Err(_) => "its thread panicked".to_owned(),
            },
            Self::Process(child) => end(child).unwrap_or_else(|error| format!("lost sight of: {error}")),
        }
    }
}

fn end(mut child: Child) -> io::Result<String> {
    let pid = child.id();
    let deadline = Instant::now() + END_GRACE;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(format!("{} (process {pid})", in_words(status)));
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(format!("hung without its socket, and was killed (process {pid})"));
        }
        std::thread::sleep(LOOK);
    }
}

/// How a process ended.
fn in_words(status: ExitStatus) -> String {
    let Some(signal) = status.signal() else {
        return match status.code() {
            Some(code) => format!("exit code {code}"),
            None => status.to_string(),
        };
    };
    match signal {
        libc::SIGKILL => "SIGKILL: probably the kernel's out-of-memory killer (`dmesg` tells); lower \
             engine.context_tokens, serve a smaller model, or give it more memory"
            .to_owned(),
        libc::SIGABRT => "SIGABRT: native code found a fault in itself; its last line is above".to_owned(),
        libc::SIGSEGV => "SIGSEGV: native code touched memory that is not its own".to_owned(),
        libc::SIGBUS => "SIGBUS: was the model's file changed or cut while it was served?".to_owned(),
        libc::SIGILL => "SIGILL: built for a newer processor than this one".to_owned(),
        libc::SIGFPE => "SIGFPE".to_owned(),
        libc::SIGSYS => "SIGSYS".to_owned(),
        other => format!("signal {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(script: &str) -> String {
        let mut source = Source::Process(Command::new("sh"));
        if let Source::Process(command) = &mut source {
            command.args(["-c", script]);
        }
        let Running { stream, life } = source.start().unwrap();
        // Its end of the socket is closed when it is gone, and ours with it.
        let closed = io::Read::read(&mut &stream, &mut [0]).unwrap();
        assert_eq!(closed, 0);
        life.end()
    }

    #[test]
    fn ends_are_told_in_words() {
        assert!(ended("exit 3").starts_with("exit code 3"));
        assert!(ended("kill -9 $$").contains("out-of-memory"));
        assert!(ended("kill -ABRT $$").starts_with("SIGABRT"));
        assert!(ended("kill -USR1 $$").starts_with("signal "));
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        assert!(Source::Process(Command::new("/nowhere/outcrop")).start().is_err());
    }
}
