//! Responses that clients asked to be kept: found again by id, gone on from, forgotten.
//!
//! Asked by `server`, which knows their form; here they are text under an id and a
//! principal. A response counts as kept before its client reads the last of it: it stands
//! in memory until one writing task has put it on disk, so no stream ever waits for the
//! store. [`running`] are those answered in the background.

pub mod running;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use message::{ErrorKind, Failure};
use serde::Deserialize;
use store::{ResponseRow, Store, StoreError};
use tokio::sync::{mpsc, oneshot};

use self::running::Running;

/// How long responses are kept, in days: as the service documents it.
pub const RETENTION_DAYS: u32 = 30;

/// Bytes of responses on disk before the oldest make room: 1 GiB holds some hundred
/// thousand turns.
pub const BYTES_MAX: u64 = 1 << 30;

/// Largest response that is kept, with its input, in bytes. A request's body is bounded by
/// the server; what is larger than this is a file in disguise, and is not kept.
pub const RESPONSE_BYTES_MAX: usize = 32 << 20;

/// Most turns of a conversation that are followed back: an agent's longest day, and an end
/// for a chain that was tampered with.
pub const TURNS_MAX: usize = 1_000;

/// Most bytes of a conversation that is gone on from: what one request may hold.
pub const HISTORY_BYTES_MAX: usize = 64 << 20;

/// Responses waiting to be written. Beyond it the disk is in trouble and none are added.
const WAITING_MAX: usize = 256;

/// Writes between two looks for what can be forgotten.
const WRITES_PER_PRUNE: u32 = 128;

/// How long and how much to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Days until a response is forgotten.
    pub retention_days: u32,
    /// Bytes on disk before the oldest make room.
    pub bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { retention_days: RETENTION_DAYS, bytes_max: BYTES_MAX }
    }
}

/// A kept response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Whose it is.
    pub principal: Arc<str>,
    /// Its id.
    pub id: String,
    /// The response it goes on from.
    pub previous: Option<String>,
    /// The object, as JSON.
    pub response: String,
    /// The request's own items, as a JSON array.
    pub input: String,
}

/// What the writing task is told.
enum Write {
    Keep(Arc<Kept>),
    /// Tell me when all before me is on disk.
    Flush(oneshot::Sender<()>),
}

/// What is kept and not yet on disk, by whose it is and its id; `None`: forgotten since.
type Waiting = HashMap<(Arc<str>, String), Option<Arc<Kept>>>;

/// The kept responses of one store. Cheap to clone.
#[derive(Clone)]
pub struct Responses {
    store: Store,
    waiting: Arc<Mutex<Waiting>>,
    writes: mpsc::Sender<Write>,
    running: Running,
}

impl std::fmt::Debug for Responses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Responses")
    }
}

impl Responses {
    /// Opens them, and starts the task that writes. It ends with the last clone.
    pub fn open(store: Store, limits: Limits) -> Self {
        let (writes, writer) = mpsc::channel(WAITING_MAX);
        let waiting = Arc::new(Mutex::new(Waiting::default()));
        tokio::spawn(write(store.clone(), writer, Arc::clone(&waiting), limits));
        Self { store, waiting, writes, running: Running::default() }
    }

    /// Those answered in the background.
    pub fn running(&self) -> &Running {
        &self.running
    }

    /// Keeps a response: from now on it is found. Never waits; what cannot be kept (too
    /// large, a disk in trouble) is told in the log.
    pub fn keep(&self, kept: Kept) {
        let bytes = kept.response.len() + kept.input.len();
        if bytes > RESPONSE_BYTES_MAX {
            tracing::warn!(id = kept.id, bytes, "a response is too large to be kept");
            return;
        }
        let Ok(place) = self.writes.try_reserve() else {
            tracing::warn!(id = kept.id, "a response could not be kept: too many wait to be written");
            return;
        };
        let kept = Arc::new(kept);
        self.waiting().insert((Arc::clone(&kept.principal), kept.id.clone()), Some(Arc::clone(&kept)));
        place.send(Write::Keep(kept));
    }

    /// A principal's response.
    ///
    /// # Errors
    /// [`Internal`](ErrorKind::Internal) when the store fails.
    pub async fn get(&self, principal: &Arc<str>, id: &str) -> Result<Option<Arc<Kept>>, Failure> {
        if let Some(waiting) = self.waiting().get(&(Arc::clone(principal), id.to_owned())) {
            return Ok(waiting.clone());
        }
        let row = self.store.responses().get(principal, id, now_s()).await.map_err(Failure::internal)?;
        Ok(row.map(|row| {
            let ResponseRow { id, previous_id: previous, response, input, .. } = row;
            Arc::new(Kept { principal: Arc::clone(principal), id, previous, response, input })
        }))
    }

    /// A conversation up to and including a response, oldest turn first; `None` if it, or
    /// any turn before it, is not here (any more).
    ///
    /// # Errors
    /// [`InvalidRequest`](ErrorKind::InvalidRequest) for one that is too long to go on with;
    /// [`Internal`](ErrorKind::Internal) when the store fails.
    pub async fn history(&self, principal: &Arc<str>, id: &str) -> Result<Option<Vec<Arc<Kept>>>, Failure> {
        let mut turns = Vec::new();
        let mut bytes = 0;
        let mut next = Some(id.to_owned());
        while let Some(id) = next {
            let Some(kept) = self.get(principal, &id).await? else { return Ok(None) };
            bytes += kept.response.len() + kept.input.len();
            if turns.len() == TURNS_MAX || bytes > HISTORY_BYTES_MAX {
                let message = "the conversation is too long to go on from an earlier response: \
                               compact it, or send what matters of it as `input`";
                return Err(
                    Failure::new(ErrorKind::InvalidRequest, message).with_param("previous_response_id")
                );
            }
            next = kept.previous.clone();
            turns.push(kept);
        }
        turns.reverse();
        Ok(Some(turns))
    }

    /// Forgets a principal's response. `false`: there was none.
    ///
    /// # Errors
    /// [`Internal`](ErrorKind::Internal) when the store fails.
    pub async fn forget(&self, principal: &Arc<str>, id: &str) -> Result<bool, Failure> {
        // Until the writer has come by, it must not be found on disk either.
        let waited = match self.waiting().get_mut(&(Arc::clone(principal), id.to_owned())) {
            Some(waiting) if waiting.is_none() => return Ok(false),
            Some(waiting) => waiting.take().is_some(),
            None => false,
        };
        let stored = self.store.responses().delete(principal, id).await.map_err(Failure::internal)?;
        Ok(waited || stored)
    }

    /// Waits until everything kept so far is on disk: before the end of the process.
    pub async fn flush(&self) {
        let (tell, told) = oneshot::channel();
        if self.writes.send(Write::Flush(tell)).await.is_ok() {
            // The writer ended: nothing is left to wait for.
            let _ = told.await;
        }
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        lock(&self.waiting)
    }
}

fn lock(waiting: &Mutex<Waiting>) -> std::sync::MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Puts what is kept on disk, one after the other.
async fn write(
    store: Store,
    mut writer: mpsc::Receiver<Write>,
    waiting: Arc<Mutex<Waiting>>,
    limits: Limits,
) {
    let mut writes = 0;
    while let Some(write) = writer.recv().await {
        let kept = match write {
            Write::Keep(kept) => kept,
            Write::Flush(told) => {
                // Nobody may be waiting any more.
                let _ = told.send(());
                continue;
            }
        };
        let key = (Arc::clone(&kept.principal), kept.id.clone());
        let current = Fate::of(&kept, &key, &lock(&waiting)) == Fate::Current;
        if current && let Err(error) = put(&store, &kept, limits).await {
            tracing::error!(id = kept.id, %error, "a response could not be kept");
        }
        settle(&store, &waiting, &key, &kept).await;
        if writes % WRITES_PER_PRUNE == 0 {
            let bytes_max = i64::try_from(limits.bytes_max).unwrap_or(i64::MAX);
            if let Err(error) = store.responses().prune(now_s(), bytes_max).await {
                tracing::error!(%error, "old responses could not be forgotten");
            }
        }
        writes += 1;
    }
}

/// What became of a response while its write waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is what shall be kept.
    Current,
    /// It was forgotten.
    Forgotten,
    /// Another write behind this one has its last word, or has had it.
    Newer,
}

impl Fate {
    fn of(kept: &Arc<Kept>, key: &(Arc<str>, String), waiting: &Waiting) -> Self {
        match waiting.get(key) {
            Some(Some(now)) if Arc::ptr_eq(now, kept) => Self::Current,
            Some(None) => Self::Forgotten,
            _ => Self::Newer,
        }
    }
}

/// Ends the wait for one write: what was forgotten meanwhile is taken from disk again.
async fn settle(store: &Store, waiting: &Mutex<Waiting>, key: &(Arc<str>, String), kept: &Arc<Kept>) {
    {
        let mut waiting = lock(waiting);
        match Fate::of(kept, key, &waiting) {
            Fate::Current => {
                waiting.remove(key);
                return;
            }
            Fate::Newer => return,
            Fate::Forgotten => {}
        }
    }
    if let Err(error) = store.responses().delete(&kept.principal, &kept.id).await {
        tracing::error!(id = kept.id, %error, "a response could not be forgotten");
    }
    // Unless it is kept anew: then that write is still to come.
    let mut waiting = lock(waiting);
    if Fate::of(kept, key, &waiting) == Fate::Forgotten {
        waiting.remove(key);
    }
}

async fn put(store: &Store, kept: &Kept, limits: Limits) -> Result<(), StoreError> {
    const DAY_S: i64 = 86_400;
    let created_s = now_s();
    let row = ResponseRow {
        principal: kept.principal.to_string(),
        id: kept.id.clone(),
        previous_id: kept.previous.clone(),
        response: kept.response.clone(),
        input: kept.input.clone(),
        created_s,
        expires_s: created_s + i64::from(limits.retention_days) * DAY_S,
    };
    store.responses().put(&row).await
}

fn now_s() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
