//! From what was asked to work for the model's thread: templates, tokens and grammars
//! take milliseconds, so a few threads of their own do them, and everything that can be
//! refused is refused there. Images take up to seconds: one more thread prepares the calls
//! that have any, one after the other, so that no call of text waits for them.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use message::{Chat, Embed, Event, Failure, FinishReason, Rerank, Usage};

use super::load::Reads;
use super::{COUNTS, FULL, Link, read_json};
use crate::adapter::AdapterId;
use crate::embed;
use crate::engine::overloaded;
use crate::outlet::Outlet;
use crate::protocol::Ask;
use crate::reply::stopped;
use crate::scheduler::NewSequence;

/// Threads that prepare calls: one may be held up by a hostile schema, and cores are few.
const PREPARERS: usize = 4;

/// A call that came in.
pub(super) struct Job {
    pub(super) number: u64,
    pub(super) key: String,
    pub(super) priority: u8,
    pub(super) adapter: AdapterId,
    pub(super) ask: Ask,
    pub(super) outlet: Outlet,
}

/// The way to a model's thread; gone after the end.
type Inbox<T> = Mutex<Option<SyncSender<T>>>;

/// The ways to both kinds of models' threads, of which a worker has one.
pub(super) struct Inboxes {
    chats: Inbox<NewSequence>,
    inputs: Inbox<embed::Job>,
}

/// Their ends at the model's thread.
pub(super) struct Work {
    pub(super) chats: Receiver<NewSequence>,
    pub(super) inputs: Receiver<embed::Job>,
}

impl Inboxes {
    /// Each holds as many calls as have a place in the engine.
    pub(super) fn new(places: usize) -> (Self, Work) {
        let ((chats, new), (inputs, jobs)) = (sync_channel(places), sync_channel(places));
        let inboxes = Self { chats: Mutex::new(Some(chats)), inputs: Mutex::new(Some(inputs)) };
        (inboxes, Work { chats: new, inputs: jobs })
    }

    /// Lets nothing in any more, and wakes a thread that waits.
    pub(super) fn close(&self) {
        drop((lock(&self.chats).take(), lock(&self.inputs).take()));
    }
}

/// Prepares calls for one model.
pub(super) struct Preparer {
    pub(super) reads: Reads,
    pub(super) link: Arc<Link>,
    pub(super) inboxes: Arc<Inboxes>,
    /// Calls that may be in the engine at once.
    pub(super) places: usize,
}

/// Starts the threads, which take jobs from `waiting` until nobody can send any.
pub(super) fn start(preparer: Preparer, waiting: Receiver<Job>) -> io::Result<()> {
    let preparer = Arc::new(preparer);
    // As many as wait for all threads: never full.
    let (show, shown) = sync_channel(preparer.places + COUNTS);
    let looker = Arc::clone(&preparer);
    std::thread::Builder::new().name("look".to_owned()).spawn(move || {
        shown.iter().for_each(|job| looker.take(job));
    })?;
    let waiting = Arc::new(Mutex::new(waiting));
    for _ in 0..PREPARERS {
        let (preparer, waiting, show) = (Arc::clone(&preparer), Arc::clone(&waiting), show.clone());
        std::thread::Builder::new().name("prepare".to_owned()).spawn(move || {
            let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
            while let Ok(job) = next() {
                match preparer.sees() && shows(&job.ask) {
                    false => preparer.take(job),
                    true => {
                        if let Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) =
                            show.try_send(job)
                        {
                            job.outlet.send(Err(overloaded(FULL)));
                        }
                    }
                }
            }
        })?;
    }
    Ok(())
}

/// Whether a conversation may have images: it is read by whoever prepares it.
fn shows(ask: &Ask) -> bool {
    // As a block is written; within words its quotes would be escaped.
    const IMAGE: &str = "{\"Image\":";
    matches!(ask, Ask::Chat(chat) | Ask::Count(chat) if chat.contains(IMAGE))
}

impl Preparer {
    /// Whether the model sees images.
    fn sees(&self) -> bool {
        matches!(&self.reads, Reads::Chats(requests) if requests.sight.is_some())
    }

    fn take(&self, job: Job) {
        let outlet = job.outlet.clone();
        if !outlet.abandoned() {
            tracing::debug!(number = job.number, key = job.key, priority = job.priority, "a call begins");
            let outcome = catch_unwind(AssertUnwindSafe(|| self.prepare(job)));
            let panicked = |_| Err(Failure::internal("a call could not be prepared: its thread panicked"));
            if let Err(failure) = outcome.unwrap_or_else(panicked) {
                outlet.send(Err(failure));
            }
        }
        drop(outlet);
        // A gateway that is gone is noticed by who reads the socket.
        let _ = self.link.flush();
    }

    fn prepare(&self, job: Job) -> Result<(), Failure> {
        match (&self.reads, job.ask) {
            (Reads::Chats(requests), Ask::Chat(chat)) => {
                let origin = requests.origins.of(&job.key, job.priority, job.adapter);
                let sequence = requests.prepare(&read_json::<Chat>(&chat)?, origin, job.outlet)?;
                submit(&self.inboxes.chats, sequence)
            }
            (Reads::Chats(requests), Ask::Continue { text, max_tokens }) => {
                let origin = requests.origins.of(&job.key, job.priority, job.adapter);
                let sequence = requests.continuation(&text, max_tokens, origin, job.outlet)?;
                submit(&self.inboxes.chats, sequence)
            }
            (Reads::Chats(requests), Ask::Count(chat)) => {
                let input_tokens = requests.count(&read_json::<Chat>(&chat)?)?;
                job.outlet.send(Ok(vec![
                    Event::Start { id: None },
                    Event::Usage(Usage { input_tokens, ..Usage::default() }),
                    Event::Finish { reason: FinishReason::EndTurn, stop_sequence: None },
                ]));
                Ok(())
            }
            (Reads::Inputs(inputs), Ask::Embed(embed)) => {
                let job = inputs.prepare(&read_json::<Embed>(&embed)?, job.outlet)?;
                submit(&self.inboxes.inputs, job)
            }
            (Reads::Pairs(pairs), Ask::Rerank(rerank)) => {
                let job = pairs.prepare(&read_json::<Rerank>(&rerank)?, job.outlet)?;
                submit(&self.inboxes.inputs, job)
            }
            // The gateway knows what its model does, and does not ask for anything else.
            (Reads::Chats(_) | Reads::Inputs(_) | Reads::Pairs(_), _) => {
                Err(Failure::internal("a worker was asked for what its model does not do"))
            }
        }
    }
}

fn submit<T>(inbox: &Inbox<T>, work: T) -> Result<(), Failure> {
    let inbox = lock(inbox);
    let inbox = inbox.as_ref().ok_or_else(stopped)?;
    inbox.try_send(work).map_err(|error| match error {
        // The gateway's admission keeps the inbox from filling up.
        TrySendError::Full(_) => overloaded(FULL),
        TrySendError::Disconnected(_) => stopped(),
    })
}

fn lock<T>(inbox: &Inbox<T>) -> MutexGuard<'_, Option<SyncSender<T>>> {
    inbox.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use message::{Block, BlockKind, Dialect, Media, MediaSource, Message, Role};

    use super::*;

    #[test]
    fn calls_with_images_are_told_by_their_text() {
        let ask = |kind: BlockKind| {
            let mut chat = Chat::new(Dialect::OpenAiChat);
            let mut message = Message::text(Role::User, "look");
            message.content.push(Block::new(kind));
            chat.messages.push(message);
            Ask::Chat(serde_json::to_string(&chat).unwrap())
        };
        let source = MediaSource::Base64("aGk=".into());
        let media = Media { media_type: Some("image/png".into()), name: None, source };
        assert!(shows(&ask(BlockKind::Image(media.clone()))));
        let content = vec![Block::new(BlockKind::Image(media))];
        let result = BlockKind::ToolResult { id: "1".into(), content, plain: false, is_error: None };
        assert!(shows(&ask(result)));
        assert!(!shows(&ask(BlockKind::Text("{\"Image\":1}".into()))), "only words");
    }
}
