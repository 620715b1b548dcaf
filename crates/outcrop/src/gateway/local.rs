//! A server inside this process, for one conversation: loopback, any free port, no key.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use server::{Auth, Listeners, Phase, Trigger};
use tokio::task::JoinHandle;

use crate::config::{Config, Home};
use crate::exit::Exit;
use crate::gateway::Parts;

/// A server running beside whatever started it.
pub(crate) struct Local {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    trigger: Trigger,
    task: JoinHandle<Result<(), server::ServeError>>,
}

impl Local {
    /// Loads the configuration's models, then serves them.
    pub(crate) async fn start(mut config: Config, home: &Home) -> Result<Self, Exit> {
        config.server.listen = (Ipv4Addr::LOCALHOST, 0).into();
        config.server.tls = false;
        let parts = Arc::new(Parts::new(&config, home)?);
        let (loading, settings, folder) = (Arc::clone(&parts), config.clone(), home.clone());
        tokio::task::spawn_blocking(move || loading.load(&settings, &folder))
            .await
            .map_err(Exit::failed)??;
        let listeners = Listeners::bind(&config.server, None).await.map_err(Exit::failed)?;
        let address = listeners.address();
        let (trigger, shutdown) = Trigger::new();
        let task =
            tokio::spawn(server::serve(config.server, listeners, parts.gateway(Auth::Dev, None), shutdown));
        Ok(Self { address, trigger, task })
    }

    /// Ends it.
    pub(crate) async fn stop(self) {
        self.trigger.advance(Phase::Closing);
        // It ended because it was told to: there is nothing left to learn from how.
        let _ = self.task.await;
    }
}
