//! Why the store could not do what was asked.

use std::io;
use std::path::PathBuf;

/// A failure of the store, in words for the person who runs the server.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file or folder of the data directory could not be made, read or locked.
    #[error("cannot use {path}: {source}; check that it exists, is yours and has room")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The database was written by a newer version.
    #[error(
        "{path} has schema version {found}, written by a newer Outcrop; this one knows up to {known}. \
         Run the newer version, or point OUTCROP_HOME at another directory"
    )]
    NewerSchema {
        /// The database file.
        path: PathBuf,
        /// The newest migration applied to it.
        found: i64,
        /// The newest migration this binary knows.
        known: i64,
    },
    /// The schema could not be brought up to this version; it is as it was before.
    #[error("cannot upgrade the schema of {path}: {source}; nothing was changed")]
    Migrate {
        /// The database file.
        path: PathBuf,
        /// Why.
        source: sqlx::migrate::MigrateError,
    },
    /// The master key is gone while secrets sealed under it remain.
    #[error(
        "{path} is missing, but the database holds secrets sealed under it. Restore it from your backup; \
         or, to start anew and lose all keys, move outcrop.db away"
    )]
    MasterKeyLost {
        /// Where it should be.
        path: PathBuf,
    },
    /// The master key file holds something else.
    #[error("{path} is not a master key (64 hex digits); restore it from your backup")]
    MasterKeyMalformed {
        /// The file.
        path: PathBuf,
    },
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes: {0}")]
    Random(getrandom::Error),
    /// The database said no.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
}
