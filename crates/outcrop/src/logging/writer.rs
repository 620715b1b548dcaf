//! Where finished lines of the log go: a buffer which one thread writes out.
//!
//! Every call leaves a line, and a write to standard error is a system call under a lock
//! of the whole process. So whoever logs only appends to memory, and lines that come close
//! to each other leave together. Nobody ever waits for a reader of the log: when none
//! takes it, lines are lost, counted and told.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// How long a line waits for others to leave with it; warnings and errors wait for none.
const GATHER: Duration = Duration::from_millis(5);

/// Lines kept while they cannot be written: some 10,000 calls' worth.
const WAITING_MAX_BYTES: usize = 4 << 20;

/// Room kept between bursts.
const KEPT_BYTES: usize = 64 << 10;

/// How long the end waits for the last lines to be taken.
const LAST_LINES: Duration = Duration::from_secs(1);

/// The handle that whoever logs holds. Cheap to clone.
#[derive(Clone)]
pub(super) struct Writer(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Told to the thread, and by it when it has ended.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    lines: Vec<u8>,
    /// Lines there was no room for.
    lost: usize,
    /// A line is there that must not wait.
    urgent: bool,
    /// No line comes any more: write the last ones and end.
    closed: bool,
    ended: bool,
}

impl Writer {
    /// Starts the thread which writes to `out`.
    pub(super) fn start(mut out: impl Write + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let writer = Self(Arc::clone(&shared));
        thread::Builder::new().name("log".to_owned()).spawn(move || shared.write_to(&mut out))?;
        Ok(writer)
    }

    /// Has the last lines written, as far as somebody takes them.
    pub(super) fn close(&self) {
        let mut state = self.0.state();
        state.closed = true;
        self.0.changed.notify_all();
        drop(self.0.changed.wait_timeout_while(state, LAST_LINES, |state| !state.ended));
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: &[u8], urgent: bool) {
        let mut state = self.state();
        if state.lines.len() + line.len() > WAITING_MAX_BYTES {
            state.lost += 1;
            return;
        }
        // Otherwise the thread knows already, and is writing or gathering.
        let wake = state.lines.is_empty() || urgent;
        state.urgent |= urgent;
        state.lines.extend_from_slice(line);
        drop(state);
        if wake {
            self.changed.notify_all();
        }
    }

    fn write_to(&self, out: &mut impl Write) {
        let mut batch = Vec::new();
        while let Some(lost) = self.take(&mut batch) {
            // A log that nobody reads any more is no reason to fail.
            let _ = out.write_all(&batch).and_then(|()| out.flush());
            batch.clear();
            batch.shrink_to(KEPT_BYTES);
            if lost > 0 {
                tracing::warn!(lines = lost, "log lines lost: standard error was not read for a while");
            }
        }
        self.state().ended = true;
        self.changed.notify_all();
    }

    /// Waits for lines and swaps them into `batch`, which is empty; how many were lost
    /// meanwhile. `None`: it was the end.
    fn take(&self, batch: &mut Vec<u8>) -> Option<usize> {
        let idle = |state: &mut State| state.lines.is_empty() && !state.closed;
        let state = self.changed.wait_while(self.state(), idle).unwrap_or_else(PoisonError::into_inner);
        let gathering = |state: &mut State| !state.urgent && !state.closed;
        let gathered = self.changed.wait_timeout_while(state, GATHER, gathering);
        let (mut state, _) = gathered.unwrap_or_else(PoisonError::into_inner);
        if state.lines.is_empty() {
            return None;
        }
        std::mem::swap(&mut state.lines, batch);
        state.urgent = false;
        Some(std::mem::take(&mut state.lost))
    }
}

impl<'a> MakeWriter<'a> for Writer {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { shared: &self.0, urgent: false }
    }

    fn make_writer_for(&'a self, event: &Metadata<'_>) -> Line<'a> {
        Line { shared: &self.0, urgent: *event.level() <= Level::WARN }
    }
}

/// Takes one line.
pub(super) struct Line<'a> {
    shared: &'a Shared,
    urgent: bool,
}

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.shared.push(line, self.urgent);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use super::*;

    /// Hands each write to the test, and waits until it was taken.
    struct Reader(SyncSender<Vec<u8>>);

    impl Write for Reader {
        fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
            self.0.send(lines.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
            Ok(lines.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn writer() -> (Writer, Receiver<Vec<u8>>) {
        let (sender, receiver) = sync_channel(0);
        (Writer::start(Reader(sender)).unwrap(), receiver)
    }

    #[test]
    fn lines_leave_in_order_and_together() {
        let (writer, written) = writer();
        writer.0.push(b"warning\n", true);
        // The thread now waits to be rid of the first: these gather meanwhile.
        while !writer.0.state().lines.is_empty() {
            thread::yield_now();
        }
        (0..1000).for_each(|n| writer.0.push(format!("{n}\n").as_bytes(), false));
        assert_eq!(written.recv().unwrap(), b"warning\n");
        let all: String = (0..1000).map(|n| format!("{n}\n")).collect();
        assert_eq!(written.recv().unwrap(), all.into_bytes());
    }

    #[test]
    fn the_end_waits_for_the_last_line() {
        let (writer, written) = writer();
        writer.0.push(b"last\n", false);
        let reader = thread::spawn(move || written.iter().collect::<Vec<_>>());
        writer.close();
        assert!(writer.0.state().ended);
        drop(writer);
        assert_eq!(reader.join().unwrap(), [b"last\n".to_vec()]);
    }

    #[test]
    fn a_log_nobody_reads_holds_up_nothing() {
        let (writer, written) = writer();
        let line = [b'x'; 1 << 10];
        (0..3 * (WAITING_MAX_BYTES >> 10)).for_each(|_| writer.0.push(&line, false));
        let state = writer.0.state();
        assert!(state.lines.len() <= WAITING_MAX_BYTES);
        assert!(state.lost >= WAITING_MAX_BYTES >> 10, "{}", state.lost);
        drop(state);
        // And one that is closed is written to without harm.
        drop(written);
        writer.close();
        assert!(writer.0.state().ended);
    }
}
