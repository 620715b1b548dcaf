//! The worker's way to its gateway: reports out, and what is known of each call's reader.

use std::collections::HashMap;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use message::Failure;

use crate::outlet::{Note, Outlet, Reader, Tray};
use crate::protocol::{Failed, Figures, FrameError, Report, Said, Told, encode};
use crate::scheduler::Counters;

/// The way to the gateway, shared by all threads of a worker.
#[derive(Debug)]
pub(crate) struct Link {
    out: Mutex<Out>,
    tray: Arc<Tray>,
    readers: Mutex<HashMap<u64, Arc<Reader>>>,
    counters: Arc<Counters>,
}

#[derive(Debug)]
struct Out {
    stream: UnixStream,
    frame: Vec<u8>,
    /// The figures last told.
    told: Figures,
}

impl Link {
    pub(super) fn new(stream: UnixStream, counters: Arc<Counters>) -> Self {
        let out = Out { stream, frame: Vec::new(), told: Figures::default() };
        Self { out: Mutex::new(out), tray: Arc::default(), readers: Mutex::default(), counters }
    }

    /// Sends a report of its own.
    pub(super) fn tell(&self, report: &Report) -> io::Result<()> {
        self.out().write(report).map_err(to_io)
    }

    /// Sends what the calls' outlets took in since the last time, with what was done since:
    /// one write for a whole step. Nothing, if nothing happened.
    pub(crate) fn flush(&self) -> io::Result<()> {
        // Held from taking to writing, so that items leave in their order.
        let mut out = self.out();
        let notes = self.tray.take();
        let figures = figures(&self.counters);
        if notes.is_empty() && figures == out.told {
            return Ok(());
        }
        self.forget(notes.iter().filter(|(_, note)| note.is_last()).map(|(number, _)| *number));
        let numbers: Vec<u64> = notes.iter().map(|(number, _)| *number).collect();
        let told = notes.into_iter().map(|(number, note)| (number, tell(note))).collect();
        out.told = figures;
        match out.write(&Report::Items { told, figures }) {
            Err(error @ FrameError::TooLong { .. }) => {
                let failed = Failed::from(Failure::internal(error));
                let told = numbers.iter().map(|number| (*number, Told::Failed(failed.clone()))).collect();
                self.forget(numbers.into_iter());
                out.write(&Report::Items { told, figures }).map_err(to_io)
            }
            outcome => outcome.map_err(to_io),
        }
    }

    /// The way out for a new call.
    pub(super) fn open(&self, number: u64, window: usize) -> Outlet {
        let reader = Reader::new(number, window);
        self.readers().insert(number, Arc::clone(&reader));
        Outlet::new(reader, Arc::clone(&self.tray))
    }

    pub(super) fn read(&self, number: u64, items: usize) {
        if let Some(reader) = self.readers().get(&number) {
            reader.has_read(items);
        }
    }

    pub(super) fn cancel(&self, number: u64) {
        if let Some(reader) = self.readers().get(&number) {
            reader.leave();
        }
    }

    fn forget(&self, ended: impl Iterator<Item = u64>) {
        let mut readers = self.readers();
        for number in ended {
            // A call too long to tell may still compute: nobody hears it.
            if let Some(reader) = readers.remove(&number) {
                reader.leave();
            }
        }
    }

    fn out(&self) -> MutexGuard<'_, Out> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn readers(&self) -> MutexGuard<'_, HashMap<u64, Arc<Reader>>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Out {
    fn write(&mut self, report: &Report) -> Result<(), FrameError> {
        self.frame.clear();
        encode(report, &mut self.frame)?;
        Ok(self.stream.write_all(&self.frame)?)
    }
}

fn tell(note: Note) -> Told {
    match note {
        Note::Gone => Told::Gone,
        Note::Item(Err(failure)) => Told::Failed(failure.into()),
        Note::Item(Ok(events)) => match Said::all(events) {
            Ok(said) => Told::Said(said),
            Err(failure) => Told::Failed(failure.into()),
        },
    }
}

fn figures(counters: &Counters) -> Figures {
    use std::sync::atomic::{AtomicU64, Ordering};
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    Figures {
        busy: read(&counters.busy),
        prefilled: read(&counters.prefilled),
        decoded: read(&counters.decoded),
        completed: read(&counters.completed),
        cancelled: read(&counters.cancelled),
        failed: read(&counters.failed),
        preempted: read(&counters.preempted),
        reused: read(&counters.reused),
        restored: read(&counters.restored),
        guessed: read(&counters.guessed),
        confirmed: read(&counters.confirmed),
        cells: read(&counters.cells),
    }
}

fn to_io(error: FrameError) -> io::Error {
    match error {
        FrameError::Socket(error) => error,
        other => io::Error::other(other),
    }
}
