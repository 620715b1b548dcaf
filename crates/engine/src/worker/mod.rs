//! The side of a model where it is loaded and computed: a process of its own under
//! `outcrop serve`, threads of this one for tests and tools. Everything native or
//! expensive happens here; a fault of native code ends this and nothing else.
//!
//! The thread that began reads the socket and does nothing slow; `prepare` turns what is
//! asked into work; one thread owns the model ([`thread`](crate::thread)), and after each
//! step has the items of all calls leave in one frame (`link`). When the socket closes,
//! the worker ends.

mod keep;
mod link;
mod load;
mod owner;
mod prepare;
mod process;
mod sandbox;

use std::io::{self, BufReader};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use message::Failure;
use serde::de::DeserializeOwned;

pub(crate) use link::Link;

use crate::protocol::{FrameError, Frames, Order, Report, VERSION};
use crate::thread::{Ended, Shared};
use crate::{Config, LoadError, backend, embed, thread};
use owner::Owner;
use prepare::{Inboxes, Job};

/// Calls that may wait to be prepared beside those with a place in the engine: counts of
/// tokens need none.
pub(crate) const COUNTS: usize = 64;

/// When to come back to a worker that is full although the gateway counts the places: soon.
pub(crate) const FULL: Duration = Duration::from_secs(1);

/// Why a worker ended without being told to.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// It was not started by a gateway.
    #[error("standard input is no socket ({0}): `outcrop serve` starts workers, they are not for people")]
    NoSocket(io::Error),
    /// The gateway went away, or cannot be understood.
    #[error("the gateway is gone: {0}")]
    Gateway(String),
    /// The model's thread failed; the log says why.
    #[error("the model's thread failed")]
    Model,
}

impl From<FrameError> for WorkerError {
    fn from(error: FrameError) -> Self {
        Self::Gateway(error.to_string())
    }
}

impl From<io::Error> for WorkerError {
    fn from(error: io::Error) -> Self {
        Self::Gateway(error.to_string())
    }
}

/// Where a worker lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In a process of its own, which it may shut in.
    Process,
    /// In threads of the gateway's process.
    Threads,
}

/// The whole life of a worker process, whose standard input is a socket to its gateway.
///
/// # Errors
/// Why it ended without being told to.
pub fn run() -> Result<(), WorkerError> {
    let stream = process::inherited_socket().map_err(WorkerError::NoSocket)?;
    process::outlive_signals();
    let outcome = serve(stream, Place::Process);
    if matches!(outcome, Err(WorkerError::Gateway(_))) {
        // Nobody is left to compute for, and a step may take seconds.
        process::end_now();
    }
    outcome
}

/// Loads what the gateway says and answers its calls until told to stop.
pub(crate) fn serve(stream: UnixStream, place: Place) -> Result<(), WorkerError> {
    let mut orders = Frames::new(BufReader::new(stream.try_clone()?));
    let shared = Arc::new(Shared::default());
    let link = Arc::new(Link::new(stream.try_clone()?, Arc::clone(&shared.counters)));
    link.tell(&Report::Hello { version: VERSION })?;
    let Some(Order::Open { version, path, projector, name, config, adapters }) = orders.next()? else {
        return Err(WorkerError::Gateway("it did not say which model to load".to_owned()));
    };
    if version != VERSION {
        let reason = format!("it speaks version {VERSION} of their protocol, the gateway {version}");
        link.tell(&Report::Failed(LoadError::Worker(reason)))?;
        return Ok(());
    }
    let config: Config =
        read_json(&config).map_err(|failure| WorkerError::Gateway(failure.message.clone()))?;
    if place == Place::Process {
        process::settle(&config);
    }
    // Kernels and drivers are files, too, and our own: the model's is not read yet.
    if let Err(error) = backend::start(&config) {
        link.tell(&Report::Failed(error))?;
        return Ok(());
    }
    let (disk, folder) = keep::open(&path, &config).unzip();
    let beside = projector.iter().chain(adapters.iter().map(|adapter| &adapter.path));
    let sandbox = sandbox::Sandbox::around(&path, beside, folder);
    let sandbox = (place == Place::Process && config.sandbox).then_some(sandbox);
    // What a file makes of its parser stays inside; a GPU's driver opens devices, sockets
    // and helpers when a model is loaded, so for it the door is shut after that.
    let sandbox = match sandbox {
        Some(sandbox) if !backend::gpus(&config) => {
            sandbox.enter(&name);
            None
        }
        later => later,
    };

    let (places, window) = (config.slots as usize + config.queue, crate::outlet::window(config.event_buffer));
    let (inboxes, work) = Inboxes::new(places);
    let inboxes = Arc::new(inboxes);
    let (jobs, waiting) = sync_channel::<Job>(places + COUNTS);
    let owner = Owner {
        path,
        projector,
        name,
        config,
        adapters,
        disk,
        sandbox,
        link: Arc::clone(&link),
        shared: Arc::clone(&shared),
        inboxes: Arc::clone(&inboxes),
        waiting,
        work,
    };
    let report = Arc::clone(&link);
    let owner = std::thread::Builder::new().name("model".to_owned()).spawn(move || {
        match owner.run() {
            Ok(()) => return true,
            // The gateway hangs up when it has read this.
            Err(Ended::Load(error)) => return report.tell(&Report::Failed(error)).is_ok(),
            Err(Ended::Panic) => {}
        }
        // Wakes the thread that reads, and tells the gateway.
        let _ = stream.shutdown(Shutdown::Both);
        false
    })?;
    let obeyed = obey(&mut orders, &jobs, &link, window);
    shared.stop();
    inboxes.close();
    drop(jobs);
    if place == Place::Process && obeyed.is_err() && !owner.is_finished() {
        return obeyed;
    }
    match owner.join() {
        // Its work is over, whoever is gone.
        Ok(true) => Ok(()),
        Ok(false) | Err(_) => Err(WorkerError::Model),
    }
}

/// Takes orders until the last one.
fn obey<R: io::Read>(
    orders: &mut Frames<R>,
    jobs: &SyncSender<Job>,
    link: &Link,
    window: usize,
) -> Result<(), WorkerError> {
    while let Some(order) = orders.next()? {
        match order {
            Order::Call { number, key, priority, adapter, ask } => {
                let outlet = link.open(number, window);
                let refused = match jobs.try_send(Job { number, key, priority, adapter, ask, outlet }) {
                    Ok(()) => continue,
                    // The gateway's admission keeps this from filling up.
                    Err(TrySendError::Full(job)) => (job, crate::engine::overloaded(FULL)),
                    Err(TrySendError::Disconnected(job)) => (job, crate::reply::stopped()),
                };
                let (job, failure) = refused;
                job.outlet.send(Err(failure));
                drop(job);
                link.flush()?;
            }
            Order::Read { number, items } => link.read(number, items as usize),
            Order::Cancel { number } => link.cancel(number),
            Order::Stop => return Ok(()),
            Order::Open { .. } => return Err(WorkerError::Gateway("it named a second model".to_owned())),
        }
    }
    Err(WorkerError::Gateway("it closed the socket".to_owned()))
}

/// Reads what the gateway wrote. The door has bounded how deep it nests.
pub(crate) fn read_json<T: DeserializeOwned>(text: &str) -> Result<T, Failure> {
    let mut reader = serde_json::Deserializer::from_str(text);
    reader.disable_recursion_limit();
    T::deserialize(&mut reader).map_err(Failure::internal)
}

/// Whether a model of this name lies in several files, of which it names one.
fn is_split(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().contains("-of-"))
}
