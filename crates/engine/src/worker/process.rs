//! What a worker process does to itself before it works: whom it outlives, when the
//! kernel should prefer to end it, and how much it takes.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use crate::Config;

/// How much likelier the kernel is to end a worker than others when memory runs out, of
/// 1,000: its gateway, and whatever else runs here, should live.
#[cfg(target_os = "linux")]
const OOM_SCORE: &str = "500";
/// Open files; a GPU's driver uses some hundreds.
const MAX_FILES: u64 = 1024;

/// The socket that the gateway made our standard input.
pub(super) fn inherited_socket() -> io::Result<UnixStream> {
    let stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    stream.peer_addr()?;
    Ok(stream)
}

/// Lets signals pass that mean the whole group (Ctrl-C in a terminal, a service's stop):
/// the gateway drains first, and the socket says when to end.
pub(super) fn outlive_signals() {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: SIG_IGN is a valid disposition of these signals and runs no code.
        unsafe {
            libc::signal(signal, libc::SIG_IGN);
        }
    }
}

/// Takes a worker's place in the system. Best effort: a container may forbid any of it,
/// and the worker works without.
pub(super) fn settle(config: &Config) {
    use rustix::process::{Resource, Rlimit, nice, setrlimit};
    let limit = |most| Rlimit { current: Some(most), maximum: Some(most) };
    let tried = |what: &str, outcome: io::Result<()>| match outcome {
        Ok(()) => tracing::debug!("worker: {what}"),
        Err(error) => tracing::debug!(%error, "worker: not {what}"),
    };
    // A dump would hold prompts.
    tried("without core dumps", setrlimit(Resource::Core, limit(0)).map_err(Into::into));
    tried("with few files", setrlimit(Resource::Nofile, limit(MAX_FILES)).map_err(Into::into));
    if config.niceness > 0 {
        tried("nice", nice(i32::from(config.niceness)).map(drop).map_err(Into::into));
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Signal, set_parent_process_death_signal};
        let dies = set_parent_process_death_signal(Some(Signal::KILL));
        tried("ending with its gateway", dies.map_err(Into::into));
        tried("ended first for memory", std::fs::write("/proc/self/oom_score_adj", OOM_SCORE));
        tried("named", rustix::thread::set_name(c"outcrop-worker").map_err(Into::into));
    }
}

/// Ends this process at once, whatever its threads compute.
pub(super) fn end_now() {
    use rustix::process::{Signal, getpid, kill_process};
    // Unlike an exit, it does not tear down what those threads use. One's own process can
    // always be killed.
    let _ = kill_process(getpid(), Signal::KILL);
}
