//! The gateway's side of one model: keeps a worker running while the model is wanted,
//! brings calls to it and items back, and is the only one that hears of its death.
//!
//! One thread per model sleeps until a call wakes it, waits for memory (`room`), starts the
//! worker, reads what it says and starts the next one when it dies; beside it one thread
//! writes. Neither ever waits for a call's reader: a call has a window of items, and a
//! worker that sends more is broken. A worker that nobody needs is told to end, by its
//! keep-alive or because another model needs the memory: never while it has calls.

mod backoff;
mod desk;
mod evict;
mod question;
mod room;
mod source;
mod turnover;

use std::io::{BufReader, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use message::Retry;
use serde::de::DeserializeOwned;

pub(crate) use desk::{Desk, Terms, Ticket};
pub(crate) use question::Question;
pub use room::Room;
pub(crate) use source::Source;

use crate::protocol::{FrameError, Frames, Order, Ready, Report, VERSION, encode};
use crate::residence::{Footprint, Residence, resident};
use crate::{Config, LoadError};
use backoff::Backoff;
use desk::Departure;
use room::{Lease, Wish, mib};
use source::Running;

/// Room kept between orders.
const KEPT_BYTES: usize = 1 << 20;
/// How often the log hears how far loading is; most models are loaded before.
const LOADING_TOLD: Duration = Duration::from_secs(5);
/// How long a worker may take to end when it is told to: it computes nothing any more, or
/// is at most in the middle of a step, which on a slow machine takes seconds.
pub(crate) const STOP_GRACE: Duration = Duration::from_secs(20);

/// Keeps a model's worker running.
pub(crate) struct Supervisor {
    pub(crate) source: Source,
    /// The [`Order::Open`] of every worker.
    pub(crate) open: Order,
    pub(crate) config: Config,
    pub(crate) residence: Residence,
    pub(crate) footprint: Footprint,
    pub(crate) room: Room,
    pub(crate) desk: Arc<Desk>,
}

/// How a worker's life ended.
enum End {
    /// It never could answer.
    Unloaded(LoadError),
    /// It answered for a while.
    Died {
        /// What it did that it must not, if that was it.
        fault: Option<FrameError>,
        since: Instant,
    },
}

impl Supervisor {
    /// The supervisor's whole life.
    pub(crate) fn run(mut self) {
        let mut backoff = Backoff::default();
        let mut rest = Duration::ZERO;
        let wish = Wish { bytes: self.footprint.estimate(&self.config), pinned: self.residence.pinned };
        while self.desk.sleep() {
            if !self.desk.pause(std::mem::take(&mut rest)) {
                break;
            }
            match self.room.admit(&self.desk, wish) {
                Ok(Some(lease)) => rest = self.keep(&lease, &mut backoff),
                Ok(None) => self.desk.put_off(),
                // It would be the same the next time.
                Err(error) => self.give_up(error, Retry::No),
            }
        }
        self.desk.stopped();
    }

    /// Keeps a worker running until it is not needed any more, or cannot be had. How long
    /// to wait before the next try.
    fn keep(&mut self, lease: &Lease, backoff: &mut Backoff) -> Duration {
        let mut was_up = false;
        loop {
            let (end, death) = self.live(lease);
            let Departure { again, ended, left } = self.desk.disconnect();
            if self.desk.stopping() {
                return Duration::ZERO;
            }
            if let Some(why) = left {
                tracing::info!(model = self.desk.name(), why, end = death, "unloaded");
                *backoff = Backoff::default();
                self.desk.asleep();
                return Duration::ZERO;
            }
            let lived = match &end {
                End::Unloaded(_) => Duration::ZERO,
                End::Died { since, .. } => since.elapsed(),
            };
            let wait = backoff.after(lived);
            let cause = match end {
                End::Unloaded(error) if !was_up => {
                    // Nobody had it yet: who waits hears why, and nobody else is waited for.
                    self.give_up(error, Retry::After(wait + Duration::from_secs(1)));
                    return wait;
                }
                End::Unloaded(error) => error.to_string(),
                End::Died { fault: Some(fault), .. } => {
                    format!("it said what cannot be read ({fault}); {death}")
                }
                End::Died { fault: None, .. } => death,
            };
            was_up = true;
            tracing::error!(
                model = self.desk.name(),
                cause,
                lived_s = lived.as_secs(),
                calls_sent_again = again,
                calls_ended = ended,
                restart_ms = wait.as_millis() as u64,
                "the model's worker died"
            );
            self.desk.down(&cause, wait);
            if !self.desk.pause(wait) {
                self.desk.asleep();
                return Duration::ZERO;
            }
        }
    }

    /// The model cannot be loaded. Clients hear why, but not where files lie.
    fn give_up(&self, error: LoadError, retry: Retry) {
        tracing::error!(model = self.desk.name(), %error, "the model could not be loaded");
        let mut in_public = error.to_string();
        if let Order::Open { path, .. } = &self.open
            && let Some(name) = path.file_name()
        {
            in_public = in_public.replace(&*path.to_string_lossy(), &name.to_string_lossy());
        }
        self.desk.failed(error, &in_public, retry);
    }

    /// One worker, from its start to its end, and how it ended in words.
    fn live(&mut self, lease: &Lease) -> (End, String) {
        let began = Instant::now();
        self.desk.progress(0.0);
        let Running { stream, life } = match self.source.start() {
            Ok(running) => running,
            Err(error) => return (End::Unloaded(LoadError::Spawn(error)), String::new()),
        };
        let end = self.serve(&stream, began, lease, life.process());
        // A worker that lives on has nobody to talk to.
        let _ = stream.shutdown(std::net::Shutdown::Both);
        drop(stream);
        let death = life.end();
        match end {
            End::Unloaded(LoadError::Worker(why)) => {
                (End::Unloaded(LoadError::Worker(format!("{death} ({why})"))), death)
            }
            end => (end, death),
        }
    }

    fn serve(&self, stream: &UnixStream, began: Instant, lease: &Lease, process: Option<u32>) -> End {
        let mut reports = Frames::new(BufReader::new(stream));
        let ready = match self.greet(stream, &mut reports) {
            Ok(ready) => ready,
            Err(error) => return End::Unloaded(error),
        };
        if let Some(resident) = process.and_then(resident) {
            lease.resize(self.footprint.measured(&self.config, resident));
        }
        if !self.desk.connect(stream, Arc::new(ready), began.elapsed()) {
            return End::Died { fault: None, since: Instant::now() };
        }
        let (used, limit) = self.room.usage();
        tracing::info!(
            model = self.desk.name(),
            load_ms = began.elapsed().as_millis() as u64,
            all_models_mib = mib(used),
            memory_mib = limit.map(mib),
            "loaded"
        );
        let since = Instant::now();
        let fault = std::thread::scope(|scope| {
            let writer = std::thread::Builder::new().name("orders".to_owned());
            if let Err(error) = writer.spawn_scoped(scope, || self.write(stream)) {
                return Some(FrameError::Socket(error));
            }
            let fault = self.read(&mut reports);
            self.desk.hang_up();
            fault
        });
        End::Died { fault, since }
    }

    /// Says which model to load and waits until it is.
    fn greet(
        &self,
        mut stream: &UnixStream,
        reports: &mut Frames<BufReader<&UnixStream>>,
    ) -> Result<Ready, LoadError> {
        let mut frame = Vec::new();
        let worker = |error: FrameError| LoadError::Worker(error.to_string());
        encode(&self.open, &mut frame).map_err(worker)?;
        stream.write_all(&frame).map_err(LoadError::Spawn)?;
        self.desk.loading(stream);
        let mut logged = Instant::now();
        loop {
            match next(reports).map_err(worker)? {
                Report::Hello { version: VERSION } => {}
                Report::Loading(done) => {
                    self.desk.progress(done);
                    if logged.elapsed() >= LOADING_TOLD {
                        logged = Instant::now();
                        tracing::info!(model = self.desk.name(), percent = (done * 100.0) as u8, "loading");
                    }
                }
                Report::Ready(ready) => return Ok(ready),
                Report::Failed(error) => return Err(error),
                Report::Hello { version } => {
                    return Err(LoadError::Worker(format!("it speaks version {version} of the protocol")));
                }
                Report::Items { .. } => return Err(LoadError::Worker("it answered unasked".to_owned())),
            }
        }
    }

    /// Brings items to their calls until the worker ends; how it broke the rules, if it did.
    fn read(&self, reports: &mut Frames<BufReader<&UnixStream>>) -> Option<FrameError> {
        loop {
            match reports.next() {
                Ok(Some(Report::Items { told, figures })) => {
                    if let Err(why) = self.desk.deliver(told, figures) {
                        return Some(FrameError::Socket(std::io::Error::other(why)));
                    }
                }
                Ok(Some(_)) => {
                    return Some(FrameError::Socket(std::io::Error::other("it began anew")));
                }
                // It was cut: its death says why.
                Ok(None) | Err(FrameError::Socket(_)) => return None,
                Err(fault) => return Some(fault),
            }
        }
    }

    fn write(&self, mut stream: &UnixStream) {
        let mut frames = Vec::new();
        while self.desk.orders(&mut frames) {
            if stream.write_all(&frames).is_err() {
                // The reading thread hears the same, and says so.
                return;
            }
            frames.clear();
            frames.shrink_to(KEPT_BYTES);
        }
        if !self.desk.farewell(STOP_GRACE) {
            tracing::warn!(model = self.desk.name(), "the model's worker does not end; it is cut off");
        }
    }
}

fn next<R: std::io::Read, T: DeserializeOwned>(frames: &mut Frames<R>) -> Result<T, FrameError> {
    frames.next()?.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into())
}

#[cfg(test)]
mod tests;
