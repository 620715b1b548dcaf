//! A call's answer as a stream. Dropping it gives its ticket back, and the worker frees
//! its slot before its next step.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use message::{ErrorKind, Event, Failure};
use tokio::sync::mpsc;

use crate::outlet::Item;
use crate::supervisor::Ticket;

/// The events of one call.
#[derive(Debug)]
pub(crate) struct Events {
    ready: VecDeque<Event>,
    items: mpsc::Receiver<Item>,
    ticket: Ticket,
    /// Items taken that the worker was not told of.
    taken: usize,
    over: bool,
}

impl Events {
    /// Waits for the first events, so that what fails before them fails the call. `None`:
    /// the worker died before there were any.
    pub(crate) async fn begin(
        ticket: Ticket,
        mut items: mpsc::Receiver<Item>,
    ) -> Result<Option<Self>, Failure> {
        match items.recv().await {
            Some(first) => Ok(Some(Self { ready: first?.into(), items, ticket, taken: 1, over: false })),
            None => Ok(None),
        }
    }

    /// An item was taken; every half window the worker is told, so that it goes on.
    fn took_one(&mut self) {
        self.taken += 1;
        if self.taken >= self.ticket.window() / 2 {
            self.ticket.read(std::mem::take(&mut self.taken));
        }
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
                Some(Ok(events)) => {
                    self.ready = events.into();
                    self.took_one();
                }
                Some(Err(failure)) => {
                    self.over = true;
                    return Poll::Ready(Some(Err(failure)));
                }
                None => {
                    self.over = true;
                    return Poll::Ready(Some(Err(self.ticket.cut())));
                }
            }
        }
    }
}

/// The model is gone for good.
pub(crate) fn stopped() -> Failure {
    Failure::new(ErrorKind::Unavailable, "the model has stopped; try again when it is back")
}
