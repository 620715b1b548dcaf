//! What must survive a restart: rows in SQLite, secrets sealed.
//!
//! [`Store::open`] makes or opens the data directory's database, brings its schema up
//! to this version and loads the master key; [`Store::keys`] is the table of keys,
//! [`Store::responses`] that of kept responses. Only `platform` calls this crate, and never
//! while a request waits (but for one that asks for what is stored): what requests need
//! is read into memory beforehand.
//!
//! SQL is written once, with `$1` parameters, in the subset that SQLite and Postgres
//! share. Secrets that must be readable again (SigV4) are sealed by [`Sealer`].

mod database;
mod directory;
mod error;
mod keys;
mod responses;
mod sealer;

pub use database::Store;
pub use error::StoreError;
pub use keys::{KeyRow, KeyTable};
pub use responses::{ResponseRow, ResponseTable};
pub use sealer::{SealError, Sealer};
