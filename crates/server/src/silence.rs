//! How long a stream has been silent: wakes it when its client should hear a keepalive.
//!
//! A token costs one look at the clock; a timer exists only once a stream had to wait, and
//! is moved only when it fires.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// Measures silence.
pub(crate) struct Silence {
    bound: Duration,
    since: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Silence {
    /// Silence begins now and is noticed after `bound`.
    pub(crate) fn new(bound: Duration) -> Self {
        Self { bound, since: Instant::now(), timer: None }
    }

    /// Something was said.
    pub(crate) fn broken(&mut self) {
        self.since = Instant::now();
    }

    /// Ready once for every `bound` of silence.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let due = self.since + self.bound;
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let now = Instant::now();
            if now >= due {
                self.since = now;
                timer.as_mut().reset(now + self.bound);
                return Poll::Ready(());
            }
            // It was set before the last word.
            timer.as_mut().reset(due);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn silence_is_counted_from_the_last_word() {
        let second = Duration::from_secs(1);
        let mut silence = Silence::new(second * 15);
        let start = Instant::now();
        poll_fn(|cx| silence.poll(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 15);
        poll_fn(|cx| silence.poll(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 30);
        tokio::time::advance(second * 10).await;
        silence.broken();
        poll_fn(|cx| silence.poll(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 55);
    }
}
