//! The gateway's side of one model: keeps a worker running, brings calls to it and items
//! back, and is the only one that hears of its death.
//!
//! One thread per model starts the worker, reads what it says and starts the next one when
//! it dies; beside it one thread writes. Neither ever waits for a call's reader: a call
//! has a window of items, and a worker that sends more is broken.

mod backoff;
mod desk;
mod question;
mod source;
mod turnover;

use std::io::{BufReader, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Instant;

use serde::de::DeserializeOwned;

pub(crate) use desk::{Desk, Ticket};
pub(crate) use question::Question;
pub(crate) use source::Source;

use crate::LoadError;
use crate::protocol::{FrameError, Frames, Order, Ready, Report, VERSION, encode};
use backoff::Backoff;
use desk::Losses;
use source::Running;

/// Room kept between orders.
const KEPT_BYTES: usize = 1 << 20;
/// How often the log hears how far loading is; most models are loaded before.
const LOADING_TOLD: std::time::Duration = std::time::Duration::from_secs(5);

/// Keeps a model's worker running.
pub(crate) struct Supervisor<P> {
    pub(crate) source: Source,
    /// The [`Order::Open`] of every worker.
    pub(crate) open: Order,
    pub(crate) name: String,
    pub(crate) desk: Arc<Desk>,
    /// Hears how much of the model is loaded, 0 to 1.
    pub(crate) progress: P,
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

impl<P: Fn(f32) + Sync> Supervisor<P> {
    /// The supervisor's whole life; `loaded` hears what became of the first worker.
    pub(crate) fn run(mut self, loaded: &SyncSender<Result<Ready, LoadError>>) {
        let mut backoff = Backoff::default();
        let mut first = Some(loaded);
        loop {
            let (end, death) = self.live(&mut first);
            let losses = self.desk.disconnect();
            if let Some(loaded) = first {
                let error = match end {
                    End::Unloaded(error) => error,
                    End::Died { .. } => LoadError::Worker(death),
                };
                let _ = loaded.send(Err(error));
                break;
            }
            if self.desk.stopping() {
                break;
            }
            let lived = match &end {
                End::Unloaded(_) => std::time::Duration::ZERO,
                End::Died { since, .. } => since.elapsed(),
            };
            let wait = backoff.after(lived);
            let cause = match end {
                End::Unloaded(error) => error.to_string(),
                End::Died { fault: Some(fault), .. } => {
                    format!("it said what cannot be read ({fault}); {death}")
                }
                End::Died { fault: None, .. } => death,
            };
            let Losses { again, ended } = losses;
            tracing::error!(
                model = self.name,
                cause,
                lived_s = lived.as_secs(),
                calls_sent_again = again,
                calls_ended = ended,
                restart_ms = wait.as_millis() as u64,
                "the model's worker died"
            );
            self.desk.down(&cause, wait);
            if !self.desk.pause(wait) {
                break;
            }
        }
        self.desk.stopped();
    }

    /// One worker, from its start to its end, and how it ended in words.
    fn live(&mut self, first: &mut Option<&SyncSender<Result<Ready, LoadError>>>) -> (End, String) {
        let began = Instant::now();
        let Running { stream, life } = match self.source.start() {
            Ok(running) => running,
            Err(error) => return (End::Unloaded(LoadError::Spawn(error)), String::new()),
        };
        let end = self.serve(&stream, began, first);
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

    fn serve(
        &self,
        stream: &UnixStream,
        began: Instant,
        first: &mut Option<&SyncSender<Result<Ready, LoadError>>>,
    ) -> End {
        let mut reports = Frames::new(BufReader::new(stream));
        let ready = match self.greet(stream, &mut reports) {
            Ok(ready) => ready,
            Err(error) => return End::Unloaded(error),
        };
        if !self.desk.connect(stream, began.elapsed()) {
            return End::Died { fault: None, since: Instant::now() };
        }
        match first.take() {
            Some(loaded) => drop(loaded.send(Ok(ready))),
            None => tracing::info!(model = self.name, "the model's worker is back"),
        }
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
                    (self.progress)(done);
                    if logged.elapsed() >= LOADING_TOLD {
                        logged = Instant::now();
                        tracing::info!(model = self.name, percent = (done * 100.0) as u8, "loading");
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
    }
}

fn next<R: std::io::Read, T: DeserializeOwned>(frames: &mut Frames<R>) -> Result<T, FrameError> {
    frames.next()?.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into())
}

#[cfg(test)]
mod tests;
