//! A call's answer as a stream. Dropping it closes the channel, which the scheduler sees
//! before its next step.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use message::{ErrorKind, Event, Failure};
use tokio::sync::mpsc;

use crate::scheduler::Item;

/// The events of one call.
#[derive(Debug)]
pub(crate) struct Events {
    ready: VecDeque<Event>,
    items: mpsc::Receiver<Item>,
    over: bool,
}

impl Events {
    /// Waits for the first events, so that what fails before them fails the call.
    pub(crate) async fn begin(mut items: mpsc::Receiver<Item>) -> Result<Self, Failure> {
        let first = items.recv().await.ok_or_else(stopped)??;
        Ok(Self { ready: first.into(), items, over: false })
    }
}

impl Stream for Events {
    type Item = Result<Event, Failure>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.over |= matches!(event, Event::Finish { .. });
                return Poll::Ready(Some(Ok(event)));
            }
            if self.over {
                return Poll::Ready(None);
            }
            match ready!(self.items.poll_recv(context)) {
                Some(Ok(events)) => self.ready = events.into(),
                Some(Err(failure)) => {
                    self.over = true;
                    return Poll::Ready(Some(Err(failure)));
                }
                None => {
                    self.over = true;
                    return Poll::Ready(Some(Err(stopped())));
                }
            }
        }
    }
}

/// The model's thread ended without a word.
pub(crate) fn stopped() -> Failure {
    Failure::new(ErrorKind::Unavailable, "the model has stopped; try again when it is back")
}
