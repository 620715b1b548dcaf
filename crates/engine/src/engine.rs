//! The handle to a model: calls in, events out. The model itself is behind a socket
//! ([`worker`](crate::worker)); here is what must outlive it.

use std::fmt;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use message::{Call, ErrorKind, EventStream, Failure, Form, Operation, Reply, Retry, Service};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::adapter::AdapterId;
use crate::choices::{self, Choices};
use crate::protocol::{Order, VERSION};
use crate::reply::Events;
use crate::supervisor::{Desk, Question, STOP_GRACE, Source, Supervisor, Terms};
use crate::worker::COUNTS;
use crate::{Adapter, Config, Footprint, LoadError, ModelInfo, Residence, Room, dropped, embed, outlet};

/// Times that a call is given to a worker: one that kills its second worker, too, is
/// probably what they died of.
const ATTEMPTS: usize = 2;

/// What is to be served, and how.
#[derive(Debug, Clone, Copy)]
pub struct ModelSpec<'a> {
    /// The model's file.
    pub path: &'a Path,
    /// The file of the second model, that looks at images for it (`mmproj-….gguf`).
    pub projector: Option<&'a Path>,
    /// The name it is served by.
    pub name: &'a str,
    /// How it is run.
    pub config: &'a Config,
    /// Fine-tuned variants of it, loaded with it.
    pub adapters: &'a [Adapter],
    /// When it is in memory.
    pub residence: Residence,
    /// What is known of its need for memory.
    pub footprint: Footprint,
}

/// A model that answers calls: in memory, or loaded when it is called. Cheap to clone;
/// when the last clone is dropped, calls still running are ended and the model is unloaded.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
    /// The variant that this handle asks, and its name.
    variant: Option<(AdapterId, Arc<str>)>,
}

struct Inner {
    name: Arc<str>,
    /// The names of its adapters.
    adapters: Vec<Arc<str>>,
    desk: Arc<Desk>,
    admission: Arc<Semaphore>,
    counting: Arc<Semaphore>,
    places: usize,
    supervisor: Mutex<Option<(JoinHandle<()>, Receiver<()>)>>,
}

/// What an engine is doing and has done since it was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// It can answer, though it may have to be loaded first.
    pub ready: bool,
    /// Calls that hold a slot.
    pub busy: u64,
    /// Calls accepted that hold no slot yet.
    pub queued: u64,
    /// Prompt tokens computed.
    pub prefilled_tokens: u64,
    /// Tokens generated.
    pub decoded_tokens: u64,
    /// Calls answered to their end.
    pub completed: u64,
    /// Calls whose client went away.
    pub cancelled: u64,
    /// Calls that failed after they were accepted.
    pub failed: u64,
    /// Times a call gave its place up to others.
    pub preempted: u64,
    /// Prompt tokens that were not computed, since they were in the prefix cache.
    pub reused_tokens: u64,
    /// Of these, tokens that had been evicted from the KV cache and were put back.
    pub restored_tokens: u64,
    /// Tokens that were guessed and computed before they were said.
    pub guessed_tokens: u64,
    /// Of these, tokens that were said.
    pub confirmed_tokens: u64,
    /// Cells of the KV cache in use, those kept for later calls included.
    pub cells: u64,
    /// Times it was loaded.
    pub loads: u64,
    /// Times its worker died.
    pub restarts: u64,
}

impl Engine {
    /// Loads the model file at `path` in this process, to be served as `name`: for tests
    /// and tools. Blocks until it can answer: call it from `spawn_blocking`.
    ///
    /// # Errors
    /// Why the model cannot be served; see [`LoadError`].
    pub fn load(path: &Path, name: &str, config: Config) -> Result<Self, LoadError> {
        Self::load_with(path, name, config, &[])
    }

    /// The same with adapters of the model.
    ///
    /// # Errors
    /// Why the model or an adapter cannot be served; see [`LoadError`].
    pub fn load_with(
        path: &Path,
        name: &str,
        config: Config,
        adapters: &[Adapter],
    ) -> Result<Self, LoadError> {
        Self::load_all(path, None, name, config, adapters)
    }

    /// The same with a projector, by which the model sees images.
    ///
    /// # Errors
    /// Why the model cannot be served; see [`LoadError`].
    pub fn load_seeing(
        path: &Path,
        projector: Option<&Path>,
        name: &str,
        config: Config,
    ) -> Result<Self, LoadError> {
        Self::load_all(path, projector, name, config, &[])
    }

    fn load_all(
        path: &Path,
        projector: Option<&Path>,
        name: &str,
        config: Config,
        adapters: &[Adapter],
    ) -> Result<Self, LoadError> {
        let (residence, footprint) = (Residence::default(), Footprint::default());
        let spec = ModelSpec { path, projector, name, config: &config, adapters, residence, footprint };
        let engine = Self::start(Source::Threads, spec, &Room::default())?;
        engine.wake()?;
        Ok(engine)
    }

    /// Serves a model in a process of its own, in a `room` that it shares with others. It
    /// is asleep until it is called, or [woken](Self::wake).
    /// `command` starts a program that calls [`run_worker`](crate::run_worker); it is
    /// started again whenever it dies.
    ///
    /// # Errors
    /// A setting is out of range, or there is no thread for it; see [`LoadError`].
    pub fn spawn(command: Command, spec: ModelSpec<'_>, room: &Room) -> Result<Self, LoadError> {
        Self::start(Source::Process(command), spec, room)
    }

    pub(crate) fn start(source: Source, spec: ModelSpec<'_>, room: &Room) -> Result<Self, LoadError> {
        let ModelSpec { path, projector, name, config, adapters, residence, footprint } = spec;
        config.check()?;
        let settings = serde_json::to_string(config).map_err(|error| LoadError::Worker(error.to_string()))?;
        // Where the worker runs need not be where this does.
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let open = Order::Open {
            version: VERSION,
            path: absolute(path),
            projector: projector.map(absolute),
            name: name.to_owned(),
            config: settings,
            adapters: adapters.iter().map(Adapter::absolute).collect(),
        };
        let terms = Terms {
            name: name.into(),
            window: outlet::window(config.event_buffer),
            queue_timeout: Duration::from_millis(config.queue_timeout_ms),
            keep_alive: residence.keep_alive(),
            silence: Duration::from_millis(config.silent_worker_ms),
        };
        let desk = Arc::new(Desk::new(terms, room.clone()));
        let supervisor = Supervisor {
            source,
            open,
            config: config.clone(),
            residence,
            footprint,
            room: room.clone(),
            desk: Arc::clone(&desk),
        };
        let (ended, end) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name(format!("engine {name}"))
            .spawn(move || {
                supervisor.run();
                drop(ended);
            })
            .map_err(LoadError::Thread)?;
        let places = config.slots as usize + config.queue;
        let inner = Inner {
            name: name.into(),
            adapters: adapters.iter().map(|adapter| adapter.name.as_str().into()).collect(),
            desk,
            admission: Arc::new(Semaphore::new(places)),
            counting: Arc::new(Semaphore::new(COUNTS)),
            places,
            supervisor: Mutex::new(Some((thread, end))),
        };
        Ok(Self { inner: Arc::new(inner), variant: None })
    }

    /// A handle to the variant of the model that the adapter of this name makes; `None`: it
    /// has none.
    #[must_use]
    pub fn variant(&self, name: &str) -> Option<Self> {
        let at = self.inner.adapters.iter().position(|adapter| **adapter == *name)?;
        let variant = Some((AdapterId::try_from(at + 1).ok()?, Arc::clone(&self.inner.adapters[at])));
        Some(Self { inner: Arc::clone(&self.inner), variant })
    }

    /// Loads the model, if it is not loaded and there is room for it beside those that are;
    /// `false`: there is none, and it is loaded when it is called. Blocks until it can
    /// answer: call it from `spawn_blocking`.
    ///
    /// # Errors
    /// Why the model cannot be served; see [`LoadError`].
    pub fn wake(&self) -> Result<bool, LoadError> {
        self.inner.desk.load()
    }

    /// What is known of the model; `None`: it was never loaded.
    pub fn model(&self) -> Option<ModelInfo> {
        self.inner.desk.known().map(|ready| ready.info.clone())
    }

    /// What became of it, in words: "asleep", "loading (43 %)", "ready" …
    pub fn state(&self) -> String {
        self.inner.desk.phase()
    }

    /// What it is doing.
    pub fn stats(&self) -> Stats {
        let figures = self.inner.desk.figures();
        let inside = (self.inner.places - self.inner.admission.available_permits()) as u64;
        Stats {
            ready: self.is_alive(),
            busy: figures.busy,
            queued: inside.saturating_sub(figures.busy),
            prefilled_tokens: figures.prefilled,
            decoded_tokens: figures.decoded,
            completed: figures.completed,
            cancelled: figures.cancelled,
            failed: figures.failed,
            preempted: figures.preempted,
            reused_tokens: figures.reused,
            restored_tokens: figures.restored,
            guessed_tokens: figures.guessed,
            confirmed_tokens: figures.confirmed,
            cells: figures.cells,
            loads: self.inner.desk.loads(),
            restarts: self.inner.desk.restarts(),
        }
    }

    /// Continues bare text greedily by at most `max_tokens` tokens, without the chat
    /// template: what other programs on the same weights can be compared with.
    ///
    /// # Errors
    /// As of any call: overload, overflow of the context, shutdown.
    pub async fn continue_greedily(&self, text: &str, max_tokens: usize) -> Result<EventStream, Failure> {
        let permit = self.inner.admit()?;
        self.inner.desk.ready().await?.info.task.must(Operation::Chat, &self.inner.name)?;
        let question =
            Question::Continue { text: text.into(), max_tokens: max_tokens as u64, adapter: self.adapter() };
        answer(&self.inner.desk, &question, permit).await
    }

    fn adapter(&self) -> AdapterId {
        self.variant.as_ref().map_or(0, |(adapter, _)| *adapter)
    }

    /// Whether it can answer now, though it may have to be loaded first.
    pub fn is_alive(&self) -> bool {
        self.not_ready().is_none()
    }

    /// Why it cannot answer now, as in "is restarting after …"; `None`: it can.
    pub fn not_ready(&self) -> Option<String> {
        self.inner.desk.not_ready()
    }

    /// Its desk, for tests that cut its worker off.
    #[cfg(test)]
    pub(crate) fn desk(&self) -> &Desk {
        &self.inner.desk
    }

    /// Ends all calls after the current step (they hear `Unavailable`), and waits for
    /// the worker to be gone. Later calls are refused. Blocks for at most about one step.
    pub fn shutdown(&self) {
        self.inner.shutdown();
    }
}

impl Service for Engine {
    async fn call(&self, call: Call) -> Result<Reply, Failure> {
        let inner = &*self.inner;
        // Places first: those that wait for the model to be loaded are bounded, too.
        let permits = inner.places(&call).await?;
        let ready = inner.desk.ready().await?;
        ready.info.task.must(call.operation, &inner.name)?;
        let dropped = match call.operation {
            Operation::Embed => embed::dropped(&call.embed()?.extra),
            Operation::Rerank => embed::dropped(&call.rerank()?.extra),
            Operation::Chat | Operation::CountTokens => dropped::read(call.chat()?, ready.thinks),
        };
        call.accept(&dropped)?;
        let priority = call.priority()?;
        match call.operation {
            Operation::Embed => call.embed()?.leave_home()?,
            Operation::Rerank => call.rerank()?.leave_home()?,
            Operation::Chat | Operation::CountTokens => call.chat()?.leave_home_with_choices()?,
        }
        let events = inner.answer(&call, self.adapter(), permits).await?;
        Ok(Reply {
            priority,
            form: Form::Events,
            model: self
                .variant
                .as_ref()
                .map_or_else(|| Arc::clone(&inner.name), |(_, name)| Arc::clone(name)),
            dropped,
            provider_request_id: None,
            events,
        })
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("model", &self.inner.name).field("stats", &self.stats()).finish()
    }
}

impl Inner {
    /// The places a call takes: one for each of the answers it asks for, all or none, since
    /// a few of them alone would be no answer. A count of tokens takes none of the model's:
    /// it only waits for its turn.
    async fn places(&self, call: &Call) -> Result<Vec<OwnedSemaphorePermit>, Failure> {
        let wanted = match call.operation {
            Operation::Chat => call.chat()?.choices.max(1),
            Operation::Embed | Operation::Rerank => 1,
            Operation::CountTokens => {
                let permit = Arc::clone(&self.counting).acquire_owned().await;
                return Ok(vec![permit.map_err(Failure::internal)?]);
            }
        };
        choices::check(wanted, self.places)?;
        (0..wanted).map(|_| self.admit()).collect()
    }

    /// As many answers as the call has places, in one stream.
    async fn answer(
        &self,
        call: &Call,
        adapter: AdapterId,
        mut permits: Vec<OwnedSemaphorePermit>,
    ) -> Result<EventStream, Failure> {
        let question = |choice| match call.operation {
            Operation::Embed => Question::Embed(call.clone()),
            Operation::Rerank => Question::Rerank(call.clone()),
            Operation::CountTokens => Question::Count(call.clone()),
            Operation::Chat => Question::Chat { call: call.clone(), choice, adapter },
        };
        if permits.len() == 1
            && let Some(permit) = permits.pop()
        {
            return answer(&self.desk, &question(0), permit).await;
        }
        let answers = (0..).zip(permits).map(|(choice, permit)| {
            let (desk, question) = (Arc::clone(&self.desk), question(choice));
            async move { answer(&desk, &question, permit).await }
        });
        Ok(Box::pin(Choices::begin(answers).await?))
    }

    fn admit(&self) -> Result<OwnedSemaphorePermit, Failure> {
        Arc::clone(&self.admission).try_acquire_owned().map_err(|_| overloaded(self.desk.refuse()))
    }

    fn shutdown(&self) {
        self.desk.stop();
        let supervisor = self.supervisor.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((thread, end)) = supervisor {
            // It says nothing, and hangs up when it ends.
            if end.recv_timeout(STOP_GRACE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                tracing::warn!(model = &*self.name, "the model's worker does not end; it is cut off");
                self.desk.cut_off();
            }
            // It does not panic.
            let _ = thread.join();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shutdown();
    }
}

/// Gives a call to the worker, and to the next one if that dies before it said a word.
async fn answer(
    desk: &Arc<Desk>,
    question: &Question,
    permit: OwnedSemaphorePermit,
) -> Result<EventStream, Failure> {
    let permit = Arc::new(permit);
    for attempt in 0..ATTEMPTS {
        let (ticket, items) = desk.submit(question, &permit, attempt > 0).await?;
        if let Some(events) = Events::begin(ticket, items).await.map_err(|failure| desk.advise(failure))? {
            return Ok(Box::pin(events));
        }
    }
    let cause = "the worker died twice before the first token of this call, which may be why";
    Err(Failure::internal(cause))
}

/// There is no place left; one is likely free after `wait`, a number of whole seconds.
pub(crate) fn overloaded(wait: Duration) -> Failure {
    let message = format!("the model's queue is full; try again in {} s", wait.as_secs());
    Failure::new(ErrorKind::Overloaded, message).with_retry(Retry::After(wait))
}
