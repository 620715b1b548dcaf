//! Where a call comes from, as far as its turn and its memory depend on it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Root;
use crate::Config;
use crate::config::Sharing;

/// Where a call comes from.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// Who asks.
    pub(crate) principal: Arc<str>,
    /// With whom it shares what has been computed.
    pub(crate) root: Root,
    /// It can wait: interactive calls go first.
    pub(crate) batch: bool,
    /// When nobody will wait for it any longer, if it has not begun.
    pub(crate) deadline: Option<Instant>,
}

/// What a model's configuration says of all calls.
#[derive(Debug, Clone)]
pub(crate) struct Origins {
    sharing: Sharing,
    queue_timeout: Duration,
}

impl Origins {
    pub(crate) fn new(config: &Config) -> Self {
        Self { sharing: config.sharing, queue_timeout: Duration::from_millis(config.queue_timeout_ms) }
    }

    /// Of a call that has just come in, with this key; `priority` above 0 can wait.
    pub(crate) fn of(&self, key: &str, priority: u8) -> Origin {
        let principal: Arc<str> = key.into();
        let domain = match self.sharing {
            Sharing::Everyone => "".into(),
            Sharing::Key | Sharing::Nobody => Arc::clone(&principal),
        };
        Origin {
            root: Root { domain, adapter: "".into() },
            principal,
            batch: priority > 0,
            deadline: Instant::now().checked_add(self.queue_timeout),
        }
    }
}
