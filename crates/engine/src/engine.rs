//! The handle to a loaded model: calls in, events out.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use message::{
    Call, ErrorKind, Event, EventStream, Failure, FinishReason, Form, Operation, Reply, Retry, Service, Usage,
};
use tokio::sync::{Semaphore, oneshot};

use crate::backend::LoadedModel;
use crate::config::Sharing;
use crate::embed::{self, Inputs, Job};
use crate::grammar::Grammars;
use crate::reply::{Events, stopped};
use crate::request::Requests;
use crate::scheduler::{NewSequence, Origin, Root};
use crate::template::ChatTemplate;
use crate::thread::{self, Shared};
use crate::{Config, LoadError, ModelInfo};

/// When to come back to a full queue: about the time of a short answer.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// A loaded model that answers calls. Cheap to clone; when the last clone is dropped,
/// calls still running are ended and the model is unloaded.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    info: ModelInfo,
    name: Arc<str>,
    work: Work,
    sharing: Sharing,
    queue_timeout: Duration,
    admission: Arc<Semaphore>,
    places: usize,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What a model can do, what it takes to read calls for it, and where they go.
enum Work {
    Chat { requests: Arc<Requests>, inbox: Inbox<NewSequence> },
    Embed { inputs: Arc<Inputs>, inbox: Inbox<Job> },
}

/// The way to a model's thread; gone after shutdown.
type Inbox<T> = Mutex<Option<SyncSender<T>>>;

/// What an engine is doing and has done since it was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// It can answer.
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
    /// Cells of the KV cache in use, those kept for later calls included.
    pub cells: u64,
}

impl Engine {
    /// Loads the model file at `path`, to be served as `name`. Blocks until it can
    /// answer: call it from `spawn_blocking`.
    ///
    /// # Errors
    /// Why the model cannot be served; see [`LoadError`].
    pub fn load(path: &Path, name: &str, config: Config) -> Result<Self, LoadError> {
        check(&config)?;
        let model = Arc::new(LoadedModel::open(path, &config)?);
        if model.ranks() {
            let reason = "it scores texts against a query (a reranker), which is not served here".to_owned();
            return Err(LoadError::Model { path: path.to_owned(), reason });
        }
        if model.embeds() { Self::embedder(model, name, config) } else { Self::chatter(model, name, config) }
    }

    fn chatter(model: Arc<LoadedModel>, name: &str, config: Config) -> Result<Self, LoadError> {
        let vocabulary = model.vocabulary();
        let (default, with_tools) = (model.chat_template(None), model.chat_template(Some("tool_use")));
        let template = ChatTemplate::new(default.as_deref(), with_tools.as_deref(), vocabulary)?;
        let info = ModelInfo {
            has_template: default.is_some(),
            native_tools: template.traits().tools.is_some(),
            ..describe(&model, name, &config)
        };
        let requests = Arc::new(Requests {
            longest_piece: vocabulary.longest_piece(),
            max_call_tokens: info.max_call_tokens as usize,
            event_buffer: config.event_buffer,
            grammars: Grammars::new(Arc::clone(vocabulary)),
            defaults: config.sampling.clone(),
            model: Arc::clone(&model),
            template,
        });
        let (sender, inbox) = sync_channel(places(&config));
        let work = Work::Chat { requests, inbox: Mutex::new(Some(sender)) };
        Self::start(info, &config.clone(), work, move |shared, loaded| {
            thread::run(&model, &config, &inbox, shared, loaded)
        })
    }

    fn embedder(model: Arc<LoadedModel>, name: &str, config: Config) -> Result<Self, LoadError> {
        let info =
            ModelInfo { embedding_length: Some(model.embedding_length()), ..describe(&model, name, &config) };
        let max_tokens = info.max_call_tokens;
        let inputs = Arc::new(Inputs {
            longest_piece: model.vocabulary().longest_piece(),
            max_tokens: max_tokens as usize,
            defaults: config.embedding.clone(),
            model: Arc::clone(&model),
        });
        let (sender, inbox) = sync_channel(places(&config));
        let work = Work::Embed { inputs, inbox: Mutex::new(Some(sender)) };
        Self::start(info, &config.clone(), work, move |shared, loaded| {
            embed::run(&model, &config, max_tokens, &inbox, shared, loaded);
        })
    }

    /// Starts the model's thread and waits until its context is made.
    fn start(
        info: ModelInfo,
        config: &Config,
        work: Work,
        run: impl FnOnce(&Shared, &SyncSender<Result<(), LoadError>>) + Send + 'static,
    ) -> Result<Self, LoadError> {
        let (loaded, outcome) = sync_channel(1);
        let places = places(config);
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name(format!("engine {}", info.name))
            .spawn(move || run(&of_thread, &loaded))
            .map_err(LoadError::Thread)?;
        let gone = || LoadError::Thread(std::io::Error::other("it ended while the context was made"));
        outcome.recv().unwrap_or_else(|_| Err(gone()))?;
        Ok(Self(Arc::new(Inner {
            name: info.name.as_str().into(),
            info,
            work,
            sharing: config.sharing,
            queue_timeout: Duration::from_millis(config.queue_timeout_ms),
            admission: Arc::new(Semaphore::new(places)),
            places,
            shared,
            thread: Mutex::new(Some(thread)),
        })))
    }

    /// What is known of the model.
    pub fn model(&self) -> &ModelInfo {
        &self.0.info
    }

    /// What it is doing.
    pub fn stats(&self) -> Stats {
        let counters = &self.0.shared.counters;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let inside = (self.0.places - self.0.admission.available_permits()) as u64;
        let busy = read(&counters.busy);
        Stats {
            ready: self.is_alive(),
            busy,
            queued: inside.saturating_sub(busy),
            prefilled_tokens: read(&counters.prefilled),
            decoded_tokens: read(&counters.decoded),
            completed: read(&counters.completed),
            cancelled: read(&counters.cancelled),
            failed: read(&counters.failed),
            preempted: read(&counters.preempted),
            reused_tokens: read(&counters.reused),
            restored_tokens: read(&counters.restored),
            cells: read(&counters.cells),
        }
    }

    /// Continues bare text greedily by at most `max_tokens` tokens, without the chat
    /// template: what other programs on the same weights can be compared with.
    ///
    /// # Errors
    /// As of any call: overload, overflow of the context, shutdown.
    pub async fn continue_greedily(&self, text: &str, max_tokens: usize) -> Result<EventStream, Failure> {
        let (requests, inbox) = self.0.chat()?;
        let permit = Arc::clone(&self.0.admission).try_acquire_owned().map_err(|_| overloaded())?;
        let (requests, text) = (Arc::clone(requests), text.to_owned());
        let origin = self.0.origin("", Instant::now());
        let continued = move || requests.continuation(&text, max_tokens, origin, permit);
        let (sequence, items) = blocking(continued).await?;
        submit(inbox, sequence)?;
        Ok(Box::pin(Events::begin(items).await?))
    }

    /// Whether it can answer: its thread runs and has not failed.
    pub fn is_alive(&self) -> bool {
        self.0.shared.ready.load(Ordering::Acquire)
    }

    /// Ends all calls after the current step (they hear `Unavailable`), and waits for
    /// the model's thread. Later calls are refused. Blocks for at most about one step.
    pub fn shutdown(&self) {
        self.0.shutdown();
    }

    async fn chat(&self, call: &Call) -> Result<EventStream, Failure> {
        let (requests, inbox) = self.0.chat()?;
        let permit = Arc::clone(&self.0.admission).try_acquire_owned().map_err(|_| overloaded())?;
        let (requests, call) = (Arc::clone(requests), call.clone());
        let origin = self.0.origin(&call.principal.key_id, call.received);
        let prepared = blocking(move || requests.prepare(call.chat()?, origin, permit)).await?;
        let (sequence, items) = prepared;
        submit(inbox, sequence)?;
        Ok(Box::pin(Events::begin(items).await?))
    }

    async fn count_tokens(&self, call: &Call) -> Result<EventStream, Failure> {
        let (requests, call) = (Arc::clone(self.0.chat()?.0), call.clone());
        let input_tokens = blocking(move || requests.count(call.chat()?)).await?;
        let events = [
            Event::Start { id: None },
            Event::Usage(Usage { input_tokens, ..Usage::default() }),
            Event::Finish { reason: FinishReason::EndTurn, stop_sequence: None },
        ];
        Ok(Box::pin(Ready(events.into_iter())))
    }

    async fn embed(&self, call: &Call) -> Result<EventStream, Failure> {
        let Work::Embed { inputs, inbox } = &self.0.work else {
            return Err(Failure::unsupported(format!(
                "the model {} answers conversations and makes no embeddings; ask an embedding model",
                self.0.name
            )));
        };
        let permit = Arc::clone(&self.0.admission).try_acquire_owned().map_err(|_| overloaded())?;
        let (reader, asked) = (Arc::clone(inputs), call.clone());
        let tokens = blocking(move || reader.read(asked.embed()?)).await?;
        let input_tokens = tokens.iter().map(|input| input.len() as u64).sum();
        let (reply, vectors) = oneshot::channel();
        submit(inbox, Job { inputs: tokens, reply, permit })?;
        let vectors = vectors.await.map_err(|_| stopped())??;
        let embed = call.embed()?;
        let dimensions = inputs.dimensions(embed)?;
        let normalize = embed.normalize.unwrap_or(true);
        let vectors = vectors.into_iter().map(|vector| embed::shape(vector, dimensions, normalize)).collect();
        Ok(Box::pin(Ready(embed::events(vectors, input_tokens))))
    }
}

impl Service for Engine {
    async fn call(&self, call: Call) -> Result<Reply, Failure> {
        let dropped = match (&self.0.work, call.operation) {
            (Work::Embed { .. }, Operation::Embed) => Inputs::dropped(call.embed()?),
            (Work::Chat { requests, .. }, Operation::Chat | Operation::CountTokens) => {
                requests.dropped(call.chat()?)
            }
            _ => Vec::new(),
        };
        call.accept(&dropped)?;
        let events = match call.operation {
            Operation::Chat => self.chat(&call).await?,
            Operation::CountTokens => self.count_tokens(&call).await?,
            Operation::Embed => self.embed(&call).await?,
            Operation::Rerank => {
                return Err(Failure::unsupported(format!(
                    "the model {} does not order documents; ask a rerank model at a provider",
                    self.0.name
                )));
            }
        };
        Ok(Reply {
            form: Form::Events,
            model: Arc::clone(&self.0.name),
            dropped,
            provider_request_id: None,
            events,
        })
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("model", &self.0.info.name).field("stats", &self.stats()).finish()
    }
}

impl Inner {
    /// Where conversations go, if the model has any.
    fn chat(&self) -> Result<(&Arc<Requests>, &Inbox<NewSequence>), Failure> {
        match &self.work {
            Work::Chat { requests, inbox } => Ok((requests, inbox)),
            Work::Embed { .. } => Err(Failure::unsupported(format!(
                "the model {} makes embeddings and cannot answer; ask a chat model",
                self.name
            ))),
        }
    }

    /// Where a call comes from, and with whom it shares.
    fn origin(&self, principal: &str, received: Instant) -> Origin {
        let principal: Arc<str> = principal.into();
        let domain = match self.sharing {
            Sharing::Everyone => "".into(),
            Sharing::Key | Sharing::Nobody => Arc::clone(&principal),
        };
        Origin {
            root: Root { domain, adapter: "".into() },
            principal,
            batch: false,
            deadline: received.checked_add(self.queue_timeout),
        }
    }

    fn shutdown(&self) {
        self.shared.stop.store(true, Ordering::Release);
        // Wakes an idle thread.
        match &self.work {
            Work::Chat { inbox, .. } => drop(lock(inbox).take()),
            Work::Embed { inbox, .. } => drop(lock(inbox).take()),
        }
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // Its panics are caught and reported within.
            let _ = thread.join();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shutdown();
    }
}

fn lock<T>(inbox: &Inbox<T>) -> MutexGuard<'_, Option<SyncSender<T>>> {
    inbox.lock().unwrap_or_else(PoisonError::into_inner)
}

fn submit<T>(inbox: &Inbox<T>, work: T) -> Result<(), Failure> {
    let inbox = lock(inbox);
    let inbox = inbox.as_ref().ok_or_else(stopped)?;
    inbox.try_send(work).map_err(|error| match error {
        // The admission semaphore keeps the inbox from filling up.
        TrySendError::Full(_) => overloaded(),
        TrySendError::Disconnected(_) => stopped(),
    })
}

/// Templates and tokens take milliseconds for long prompts: too long for an async thread.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(panic) => Err(Failure::internal(panic)),
    }
}

fn overloaded() -> Failure {
    Failure::new(ErrorKind::Overloaded, "the model's queue is full; try again in a moment")
        .with_retry(Retry::After(RETRY_AFTER))
}

fn describe(model: &LoadedModel, name: &str, config: &Config) -> ModelInfo {
    let context_length = model.context_length();
    ModelInfo {
        name: name.to_owned(),
        architecture: model.metadata("general.architecture").unwrap_or_default(),
        title: model.metadata("general.name"),
        license: model.metadata("general.license"),
        context_length,
        max_call_tokens: context_length.min(config.context_tokens),
        vocab_size: u32::try_from(model.vocabulary().len()).unwrap_or(u32::MAX),
        size_bytes: model.size_bytes(),
        parameters: model.parameters(),
        has_template: false,
        native_tools: false,
        embedding_length: None,
    }
}

/// Most calls inside at once: those that run and those that wait.
fn places(config: &Config) -> usize {
    config.slots as usize + config.queue
}

fn check(config: &Config) -> Result<(), LoadError> {
    let wrong = |name, reason: &str| Err(LoadError::Config { name, reason: reason.to_owned() });
    match config {
        Config { slots: 0 | 257.., .. } => wrong("slots", "must be between 1 and 256"),
        Config { context_tokens: 0, .. } => wrong("context_tokens", "must be above 0"),
        Config { prefill_tokens: 0 | 8193.., .. } => wrong("prefill_tokens", "must be between 1 and 8192"),
        Config { step_ms: 0, .. } => wrong("step_ms", "must be above 0"),
        Config { threads: Some(0), .. } => wrong("threads", "must be above 0"),
        Config { event_buffer: 0, .. } => wrong("event_buffer", "must be above 0"),
        Config { queue: 100_001.., .. } => wrong("queue", "must be at most 100000"),
        _ => Ok(()),
    }
}

/// Events that are all known.
struct Ready<I>(I);

impl<I: Iterator<Item = Event> + Unpin> futures_core::Stream for Ready<I> {
    type Item = Result<Event, Failure>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Ready(self.0.next().map(Ok))
    }
}
