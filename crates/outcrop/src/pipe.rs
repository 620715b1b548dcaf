//! What happens when whoever reads our output goes away (`outcrop models | head -1`).
//!
//! Rust programs ignore SIGPIPE; printing then fails, and `println!` panics. Commands
//! that only print take the signal's usual effect back and end quietly, as `ls` does.
//! Commands with connections must not: a peer that hangs up would end them.

/// Lets a closed pipe end this process. To be called before anything else runs.
pub(crate) fn end_quietly() {
    // SAFETY: SIG_DFL is a valid disposition of SIGPIPE, no handler is installed that
    // could run, and no other thread exists yet.
    #[cfg(unix)]
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
    }
}
