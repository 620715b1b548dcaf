//! A model's name → the target that answers: the innermost layer.
//!
//! The table of targets is immutable and swapped whole, so a call sees the old
//! configuration or the new one, never half of each, and a call under way keeps the
//! target it began with.

mod name;
mod near;
mod targets;

use std::sync::Arc;

use arc_swap::ArcSwap;
use message::{Call, Failure, ModelCard, Reply, Service};

pub use name::NAME_MAX_BYTES;
pub use targets::{RouteError, Target, Targets};

/// Resolves a call's model and hands the call to it. Cheap to clone; clones share the table.
#[derive(Debug, Clone)]
pub struct Route(Arc<ArcSwap<Targets>>);

impl Route {
    /// A route over `targets`.
    pub fn new(targets: Targets) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(targets)))
    }

    /// Replaces the whole table. Calls under way finish on the old one.
    pub fn replace(&self, targets: Targets) {
        self.0.store(Arc::new(targets));
    }

    /// What can be called here, aliases last, for model lists.
    pub fn cards(&self) -> Arc<[ModelCard]> {
        self.0.load().cards()
    }

    /// The target a client means by `name`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](message::ErrorKind::NotFound), naming what comes near.
    pub fn resolve(&self, name: &str) -> Result<Arc<Target>, Failure> {
        let targets = self.0.load();
        targets.find(name).ok_or_else(|| near::not_found(name, &targets))
    }
}

impl Service for Route {
    async fn call(&self, call: Call) -> Result<Reply, Failure> {
        // The guard on the table is gone before the call waits.
        let target = self.resolve(&call.head.model)?;
        target.service.call(call).await
    }
}

#[cfg(test)]
mod tests;
