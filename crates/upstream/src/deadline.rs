//! The clock of one exchange with a provider.
//!
//! One timer per exchange, touched as rarely as can be: progress only notes the time,
//! and the timer is moved when it fires too early or when the wait gets shorter.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use message::{ErrorKind, Failure};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::Timeouts;

/// Which wait is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    FirstByte,
    Between,
}

/// Fails the exchange when the provider is silent for too long.
pub(crate) struct Deadline {
    timer: Pin<Box<Sleep>>,
    started: Instant,
    progress: Instant,
    wait: Wait,
    timeouts: Timeouts,
}

impl Deadline {
    /// Starts waiting for the response head.
    pub(crate) fn start(timeouts: Timeouts) -> Self {
        let now = Instant::now();
        let first = timeouts.first_byte().min(timeouts.total());
        Self {
            timer: Box::pin(sleep_until(later(now, first))),
            started: now,
            progress: now,
            wait: Wait::FirstByte,
            timeouts,
        }
    }

    /// The response head is here: from now on pieces of the body are waited for.
    pub(crate) fn head_arrived(&mut self) {
        self.wait = Wait::Between;
        self.progress();
    }

    /// Something came.
    pub(crate) fn progress(&mut self) {
        self.progress = Instant::now();
    }

    /// Ready when the wait is over, with the failure to report. Call it only when there
    /// is nothing to read.
    pub(crate) fn poll(&mut self, provider: &str, cx: &mut Context<'_>) -> Poll<Failure> {
        let due = self.due();
        if due < self.timer.deadline() {
            self.timer.as_mut().reset(due);
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            let due = self.due();
            if due <= Instant::now() {
                return Poll::Ready(self.failure(provider));
            }
            self.timer.as_mut().reset(due);
        }
        Poll::Pending
    }

    /// Waits for `future`, but no longer than allowed.
    pub(crate) async fn guard<T>(
        &mut self,
        provider: &str,
        future: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        let mut future = std::pin::pin!(future);
        std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending => self.poll(provider, cx).map(Err),
        })
        .await
    }

    fn due(&self) -> Instant {
        let wait = match self.wait {
            Wait::FirstByte => self.timeouts.first_byte(),
            Wait::Between => self.timeouts.between(),
        };
        later(self.progress, wait).min(later(self.started, self.timeouts.total()))
    }

    fn failure(&self, provider: &str) -> Failure {
        let total = self.started.elapsed() >= self.timeouts.total();
        let message = match self.wait {
            _ if total => format!(
                "provider `{provider}` did not finish within {} ms (timeouts.total_ms)",
                self.timeouts.total_ms
            ),
            Wait::FirstByte => format!(
                "provider `{provider}` did not begin to answer within {} ms (timeouts.first_byte_ms)",
                self.timeouts.first_byte_ms
            ),
            Wait::Between => format!(
                "provider `{provider}` went silent mid-answer for {} ms (timeouts.between_ms)",
                self.timeouts.between_ms
            ),
        };
        Failure::new(ErrorKind::Timeout, message)
    }
}

/// A configured duration may be absurdly long; never overflow on it.
fn later(from: Instant, wait: Duration) -> Instant {
    const FOREVER: Duration = Duration::from_secs(30 * 86_400);
    from + wait.min(FOREVER)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeouts() -> Timeouts {
        Timeouts { first_byte_ms: 1_000, between_ms: 300, total_ms: 5_000, ..Timeouts::default() }
    }

    async fn expire(deadline: &mut Deadline) -> (Duration, Failure) {
        let begun = Instant::now();
        let failure = deadline.guard("p", std::future::pending::<()>()).await.unwrap_err();
        (begun.elapsed(), failure)
    }

    #[tokio::test(start_paused = true)]
    async fn the_head_is_waited_for() {
        let (waited, failure) = expire(&mut Deadline::start(timeouts())).await;
        assert_eq!(waited.as_millis(), 1_000);
        assert_eq!(failure.kind, ErrorKind::Timeout);
        assert!(failure.message.contains("first_byte_ms"), "{failure}");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_counted_from_the_last_piece() {
        let mut deadline = Deadline::start(timeouts());
        deadline.head_arrived();
        let piece = tokio::time::sleep(Duration::from_millis(200));
        deadline.guard("p", piece).await.unwrap();
        deadline.progress();
        let (waited, failure) = expire(&mut deadline).await;
        assert_eq!(waited.as_millis(), 300);
        assert!(failure.message.contains("between_ms"), "{failure}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_trickle_ends_at_the_total() {
        let mut deadline = Deadline::start(timeouts());
        deadline.head_arrived();
        let begun = Instant::now();
        let failure = loop {
            match deadline.guard("p", tokio::time::sleep(Duration::from_millis(250))).await {
                Ok(()) => deadline.progress(),
                Err(failure) => break failure,
            }
        };
        assert_eq!(begun.elapsed().as_millis(), 5_000);
        assert!(failure.message.contains("total_ms"), "{failure}");
    }

    #[tokio::test(start_paused = true)]
    async fn absurd_timeouts_do_not_overflow() {
        let forever =
            Timeouts { first_byte_ms: u64::MAX, between_ms: u64::MAX, total_ms: u64::MAX, ..timeouts() };
        let mut deadline = Deadline::start(forever);
        deadline.guard("p", tokio::time::sleep(Duration::from_secs(1))).await.unwrap();
    }
}
