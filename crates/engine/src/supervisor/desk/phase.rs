//! Where a model is between its file and an answer.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// Whether calls can be answered, and if not, what is awaited.
///
/// ```text
/// Asleep ─ a call ─▶ Crowded ─ room ─▶ Loading ─▶ Up ─ idle, or others need room ─▶ Leaving ─▶ Asleep
///    ▲                                  │  ▲      │
///    └────────── it cannot be ──────────┘  └ Down ◀ its death
/// ```
#[derive(Debug, Clone)]
pub(super) enum Phase {
    /// It is not loaded; the next call wakes it. `fault`: why it was not the last time.
    Asleep { fault: Option<Arc<str>> },
    /// It is to be loaded, and others have the memory.
    Crowded { by: Arc<str> },
    /// It is being loaded; so many hundredths are.
    Loading { percent: u8 },
    /// A worker is there.
    Up,
    /// A worker is there and takes no more calls; it ends with the last it has.
    Leaving,
    /// None is, since then; the next is expected at `back`.
    Down { since: Instant, back: Instant, why: Arc<str> },
    /// None will be.
    Stopped,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asleep { fault: None } => f.write_str("asleep"),
            Self::Asleep { fault: Some(fault) } => write!(f, "asleep, since it could not be loaded: {fault}"),
            Self::Crowded { by } => write!(f, "waiting for memory: {by}"),
            Self::Loading { percent } => write!(f, "loading ({percent} %)"),
            Self::Up => f.write_str("ready"),
            Self::Leaving => f.write_str("unloading"),
            Self::Down { why, .. } => write!(f, "restarting after {why}"),
            Self::Stopped => f.write_str("stopped"),
        }
    }
}
