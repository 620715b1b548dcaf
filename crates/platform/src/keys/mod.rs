//! Who may call: keys, made once, checked on every request.
//!
//! A key is a bearer secret and an AWS access-key pair for the same principal. `server`
//! asks [`Keys::find_bearer`] or [`Keys::find_access_key`] before it reads a body; both
//! answer from one immutable snapshot in memory. [`Keys::watch`] re-reads the snapshot
//! when another process changed the store, so `outcrop keys revoke` beside a running
//! server takes effect within [`WATCH_INTERVAL`] and the time of one read.

mod issue;
mod lookup;
mod snapshot;
mod watch;

use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use message::Secret;
use serde::Serialize;
use store::{Store, StoreError};
use time::OffsetDateTime;

use snapshot::Snapshot;
pub use watch::WATCH_INTERVAL;

/// Longest key name, in characters: it stands in logs and tables.
pub const NAME_MAX_CHARS: usize = 64;

/// The keys of one store. Cheap to clone; clones share the snapshot.
#[derive(Debug, Clone)]
pub struct Keys {
    store: Store,
    snapshot: Arc<ArcSwap<Snapshot>>,
}

/// What to make a key for.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// Its human name: 1 to [`NAME_MAX_CHARS`] characters, no control characters.
    pub name: String,
    /// When it stops working; `None` never.
    pub expires: Option<SystemTime>,
}

/// A new key with its secrets: the only time they are seen.
#[derive(Debug, Clone)]
pub struct CreatedKey {
    /// What [`Keys::list`] will say of it.
    pub info: KeyInfo,
    /// For `Authorization: Bearer` and `x-api-key`.
    pub bearer: Secret,
    /// The AWS secret access key that goes with [`KeyInfo::access_key_id`].
    pub secret_access_key: Secret,
}

/// What may be told of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyInfo {
    /// `key_…`: names the key in commands and logs.
    pub id: String,
    /// The human name.
    pub name: String,
    /// The bearer secret's last four characters, for recognition.
    pub bearer_tail: String,
    /// The AWS access key id.
    pub access_key_id: String,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub created: OffsetDateTime,
    /// When it stops working; `None` never.
    #[serde(with = "time::serde::rfc3339::option")]
    pub expires: Option<OffsetDateTime>,
    /// When it was revoked.
    #[serde(with = "time::serde::rfc3339::option")]
    pub revoked: Option<OffsetDateTime>,
    /// What it is now.
    pub state: KeyState,
}

/// Whether a key works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// It works.
    Active,
    /// Its time is over.
    Expired,
    /// It was revoked.
    Revoked,
}

/// Why keys could not be made, listed or revoked.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The name is empty, too long, or holds control characters.
    #[error("a key's name is 1 to {NAME_MAX_CHARS} printable characters")]
    Name,
    /// The time of expiry is past, or beyond what a calendar holds.
    #[error("a key must expire in the future, before the year 9999")]
    Expiry,
    /// No key goes by the id.
    #[error("no key {id}; `outcrop keys list` shows them")]
    NotFound {
        /// As given.
        id: String,
    },
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes: {0}")]
    Random(getrandom::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Keys {
    /// Reads all keys of the store.
    ///
    /// # Errors
    /// [`KeyError::Store`].
    pub async fn load(store: Store) -> Result<Self, KeyError> {
        let snapshot = Snapshot::read(&store).await?;
        Ok(Self { store, snapshot: Arc::new(ArcSwap::from_pointee(snapshot)) })
    }

    /// Makes the first key if there never was one; `None` on every later start.
    ///
    /// # Errors
    /// As [`Keys::create`].
    pub async fn ensure_root(&self) -> Result<Option<CreatedKey>, KeyError> {
        if !self.snapshot.load().is_empty() {
            return Ok(None);
        }
        let root = NewKey { name: "root".into(), expires: None };
        let (row, created) = issue::issue(&root, self.store.sealer(), SystemTime::now())?;
        let added = self.store.keys().insert_first(&row).await?;
        self.reload().await?;
        Ok(added.then_some(created))
    }

    /// Makes a key.
    ///
    /// # Errors
    /// [`KeyError::Name`], [`KeyError::Expiry`], or the store's.
    pub async fn create(&self, new: NewKey) -> Result<CreatedKey, KeyError> {
        let (row, created) = issue::issue(&new, self.store.sealer(), SystemTime::now())?;
        self.store.keys().insert(&row).await?;
        self.reload().await?;
        Ok(created)
    }

    /// All keys, oldest first, revoked ones too.
    ///
    /// # Errors
    /// [`KeyError::Store`].
    pub async fn list(&self) -> Result<Vec<KeyInfo>, KeyError> {
        let (_, rows) = self.store.keys().all().await?;
        let now_s = issue::unix_seconds(SystemTime::now());
        Ok(rows.iter().map(|row| issue::info(row, now_s)).collect())
    }

    /// Ends a key at once. Revoking a revoked key is fine.
    ///
    /// # Errors
    /// [`KeyError::NotFound`], or the store's.
    pub async fn revoke(&self, id: &str) -> Result<(), KeyError> {
        let now_s = issue::unix_seconds(SystemTime::now());
        if !self.store.keys().revoke(id, now_s).await? {
            return Err(KeyError::NotFound { id: id.to_owned() });
        }
        self.reload().await
    }

    async fn reload(&self) -> Result<(), KeyError> {
        self.snapshot.store(Arc::new(Snapshot::read(&self.store).await?));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
