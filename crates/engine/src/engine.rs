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

use crate::choices::{self, Choices};
use crate::protocol::{Order, Ready, VERSION};
use crate::reply::Events;
use crate::supervisor::{Desk, Question, Source, Supervisor};
use crate::worker::COUNTS;
use crate::{Config, LoadError, ModelInfo, dropped, embed, outlet};

/// How long a worker may take to end when it is told to: about one step, which on a slow
/// machine takes seconds. Then it is cut off.
const STOP_GRACE: Duration = Duration::from_secs(20);

/// Times that a call is given to a worker: one that kills its second worker, too, is
/// probably what they died of.
const ATTEMPTS: usize = 2;

/// A model that answers calls. Cheap to clone; when the last clone is dropped, calls still
/// running are ended and the model is unloaded.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    ready: Ready,
    name: Arc<str>,
    desk: Arc<Desk>,
    admission: Arc<Semaphore>,
    counting: Arc<Semaphore>,
    places: usize,
    supervisor: Mutex<Option<(JoinHandle<()>, Receiver<()>)>>,
}

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
        Self::start(Source::Threads, path, name, &config, |_| ())
    }

    /// Loads the model file at `path` in a process of its own, to be served as `name`.
    /// `command` starts a program that calls [`run_worker`](crate::run_worker); it is
    /// started again whenever it dies. `progress` hears how much of the model is loaded,
    /// 0 to 1. Blocks until the model can answer: call it from `spawn_blocking`.
    ///
    /// # Errors
    /// Why the model cannot be served; see [`LoadError`].
    pub fn spawn(
        command: Command,
        path: &Path,
        name: &str,
        config: &Config,
        progress: impl Fn(f32) + Send + Sync + 'static,
    ) -> Result<Self, LoadError> {
        Self::start(Source::Process(command), path, name, config, progress)
    }

    fn start(
        source: Source,
        path: &Path,
        name: &str,
        config: &Config,
        progress: impl Fn(f32) + Send + Sync + 'static,
    ) -> Result<Self, LoadError> {
        config.check()?;
        let settings = serde_json::to_string(config).map_err(|error| LoadError::Worker(error.to_string()))?;
        // Where the worker runs need not be where this does.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let open = Order::Open { version: VERSION, path, name: name.to_owned(), config: settings };
        let desk = Arc::new(Desk::new(outlet::window(config.event_buffer)));
        let supervisor =
            Supervisor { source, open, name: name.to_owned(), desk: Arc::clone(&desk), progress };
        let ((loaded, outcome), (ended, end)) = (sync_channel(1), sync_channel(1));
        let thread = std::thread::Builder::new()
            .name(format!("engine {name}"))
            .spawn(move || {
                supervisor.run(&loaded);
                drop(ended);
            })
            .map_err(LoadError::Thread)?;
        let gone = || LoadError::Worker("its supervisor ended".to_owned());
        let ready: Ready = outcome.recv().unwrap_or_else(|_| Err(gone()))?;
        let places = config.slots as usize + config.queue;
        Ok(Self(Arc::new(Inner {
            name: name.into(),
            ready,
            desk,
            admission: Arc::new(Semaphore::new(places)),
            counting: Arc::new(Semaphore::new(COUNTS)),
            places,
            supervisor: Mutex::new(Some((thread, end))),
        })))
    }

    /// What is known of the model.
    pub fn model(&self) -> &ModelInfo {
        &self.0.ready.info
    }

    /// What it is doing.
    pub fn stats(&self) -> Stats {
        let figures = self.0.desk.figures();
        let inside = (self.0.places - self.0.admission.available_permits()) as u64;
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
            cells: figures.cells,
            restarts: self.0.desk.restarts(),
        }
    }

    /// Continues bare text greedily by at most `max_tokens` tokens, without the chat
    /// template: what other programs on the same weights can be compared with.
    ///
    /// # Errors
    /// As of any call: overload, overflow of the context, shutdown.
    pub async fn continue_greedily(&self, text: &str, max_tokens: usize) -> Result<EventStream, Failure> {
        self.0.must_chat()?;
        let question = Question::Continue { text: text.into(), max_tokens: max_tokens as u64 };
        answer(&self.0.desk, &question, self.0.admit()?).await
    }

    /// Whether it can answer now.
    pub fn is_alive(&self) -> bool {
        self.not_ready().is_none()
    }

    /// Why it cannot answer now, as in "is restarting after …"; `None`: it can.
    pub fn not_ready(&self) -> Option<String> {
        self.0.desk.not_ready()
    }

    /// Its desk, for tests that cut its worker off.
    #[cfg(test)]
    pub(crate) fn desk(&self) -> &Desk {
        &self.0.desk
    }

    /// Ends all calls after the current step (they hear `Unavailable`), and waits for
    /// the worker to be gone. Later calls are refused. Blocks for at most about one step.
    pub fn shutdown(&self) {
        self.0.shutdown();
    }
}

impl Service for Engine {
    async fn call(&self, call: Call) -> Result<Reply, Failure> {
        let inner = &*self.0;
        let dropped = match (call.operation, inner.embeds()) {
            (Operation::Embed, true) => embed::dropped(call.embed()?),
            (Operation::Chat | Operation::CountTokens, false) => {
                dropped::read(call.chat()?, inner.ready.thinks)
            }
            _ => Vec::new(),
        };
        call.accept(&dropped)?;
        let priority = call.priority()?;
        let events = match call.operation {
            Operation::Chat => {
                inner.must_chat()?;
                call.chat()?.leave_home_with_choices()?;
                inner.chat(call).await?
            }
            Operation::CountTokens => {
                inner.must_chat()?;
                call.chat()?.leave_home_with_choices()?;
                // Counting takes no place of the model's: it only waits for its turn.
                let permit = Arc::clone(&inner.counting).acquire_owned().await;
                answer(&inner.desk, &Question::Count(call), permit.map_err(Failure::internal)?).await?
            }
            Operation::Embed => {
                if !inner.embeds() {
                    return Err(embeds_not(&inner.name));
                }
                call.embed()?.leave_home()?;
                answer(&inner.desk, &Question::Embed(call), inner.admit()?).await?
            }
            Operation::Rerank => {
                return Err(Failure::unsupported(format!(
                    "the model {} does not order documents; ask a rerank model at a provider",
                    inner.name
                )));
            }
        };
        Ok(Reply {
            priority,
            form: Form::Events,
            model: Arc::clone(&inner.name),
            dropped,
            provider_request_id: None,
            events,
        })
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("model", &self.0.name).field("stats", &self.stats()).finish()
    }
}

impl Inner {
    /// One answer to a conversation, or as many as it asks for.
    async fn chat(&self, call: Call) -> Result<EventStream, Failure> {
        let wanted = call.chat()?.choices;
        if wanted <= 1 {
            return answer(&self.desk, &Question::Chat { call, choice: 0 }, self.admit()?).await;
        }
        choices::check(wanted, self.places)?;
        // All or none: a few of them alone would be no answer.
        let permits = (0..wanted).map(|_| self.admit()).collect::<Result<Vec<_>, Failure>>()?;
        let answers = (0..).zip(permits).map(|(choice, permit)| {
            let (desk, question) = (Arc::clone(&self.desk), Question::Chat { call: call.clone(), choice });
            async move { answer(&desk, &question, permit).await }
        });
        Ok(Box::pin(Choices::begin(answers).await?))
    }

    fn admit(&self) -> Result<OwnedSemaphorePermit, Failure> {
        Arc::clone(&self.admission).try_acquire_owned().map_err(|_| overloaded(self.desk.refuse()))
    }

    fn embeds(&self) -> bool {
        self.ready.info.embedding_length.is_some()
    }

    fn must_chat(&self) -> Result<(), Failure> {
        if self.embeds() { Err(embeds_only(&self.name)) } else { Ok(()) }
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

/// A conversation was sent to an embedding model.
pub(crate) fn embeds_only(name: &str) -> Failure {
    Failure::unsupported(format!("the model {name} makes embeddings and cannot answer; ask a chat model"))
}

/// Embeddings were asked of a model that answers.
pub(crate) fn embeds_not(name: &str) -> Failure {
    Failure::unsupported(format!(
        "the model {name} answers conversations and makes no embeddings; ask an embedding model"
    ))
}
