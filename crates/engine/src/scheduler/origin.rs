//! Where a call comes from, as far as its turn and its memory depend on it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Root;
use crate::Config;
use crate::adapter::AdapterId;
use crate::config::Sharing;

/// Where a call comes from.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// Who asks.
    pub(crate) principal: Arc<str>,
    /// With whom it shares what has been computed.
    pub(crate) root: Root,
    /// What it is computed with.
    pub(crate) adapter: AdapterId,
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
    /// Fingerprints of the model's adapters.
    adapters: Vec<Arc<str>>,
}

impl Origins {
    /// With the fingerprints of the model's adapters, in order.
    pub(crate) fn new(config: &Config, adapters: Vec<Arc<str>>) -> Self {
        let queue_timeout = Duration::from_millis(config.queue_timeout_ms);
        Self { sharing: config.sharing, queue_timeout, adapters }
    }

    /// Of a call that has just come in, with this key; `priority` above 0 can wait.
    pub(crate) fn of(&self, key: &str, priority: u8, adapter: AdapterId) -> Origin {
        let principal: Arc<str> = key.into();
        let domain = match self.sharing {
            Sharing::Everyone => "".into(),
            Sharing::Key | Sharing::Nobody => Arc::clone(&principal),
        };
        Origin {
            root: Root { domain, adapter: self.fingerprint(adapter) },
            adapter,
            principal,
            batch: priority > 0,
            deadline: Instant::now().checked_add(self.queue_timeout),
        }
    }
    /// What texts computed by an adapter are kept apart by; empty for none. The gateway
    /// names no other than those it had the worker load.
    fn fingerprint(&self, adapter: AdapterId) -> Arc<str> {
        let known = (adapter as usize).checked_sub(1).and_then(|at| self.adapters.get(at));
        known.map_or_else(|| "".into(), Arc::clone)
    }
}
