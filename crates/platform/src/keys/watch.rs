//! Following changes that another process made to the store.

use std::convert::Infallible;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::{KeyError, Keys};

/// How often the store's generation is looked at: one single-row read, about 20 µs. A
/// key revoked by another process works at most this long, and the time of one read.
pub const WATCH_INTERVAL: Duration = Duration::from_millis(500);

impl Keys {
    /// Re-reads the keys whenever another process changed them. Never ends: spawn it,
    /// and drop the task to stop. While the store fails, the last keys stay in force.
    pub async fn watch(self) -> Infallible {
        let mut ticks = interval(WATCH_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut away = false;
        loop {
            ticks.tick().await;
            match self.refresh().await {
                Ok(()) if away => {
                    tracing::info!("the key store answers again");
                    away = false;
                }
                Err(error) if !away => {
                    tracing::warn!(%error, "the key store fails; keys known so far stay in force");
                    away = true;
                }
                Ok(()) | Err(_) => {}
            }
        }
    }

    pub(super) async fn refresh(&self) -> Result<(), KeyError> {
        let generation = self.store.keys().generation().await?;
        if generation == self.snapshot.load().generation { Ok(()) } else { self.reload().await }
    }
}
