//! One log line per finished call: who asked what, what answered, how long it took.
//!
//! The outermost layer. The line is written when the reply's stream ends, fails, or is
//! dropped because the client went away; a call that fails before its first event is
//! logged, too. No prompt and no answer is in it. Names follow OpenTelemetry's GenAI
//! conventions (read 2026-11-22) where these have a word.

mod record;

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use message::{Call, Event, EventStream, Failure, Reply, Service};

use record::Record;

/// Logs what the service inside it does.
#[derive(Debug, Clone)]
pub struct Trace<S>(S);

impl<S: Service> Trace<S> {
    /// Wraps a service.
    pub fn new(inner: S) -> Self {
        Self(inner)
    }
}

impl<S: Service> Service for Trace<S> {
    async fn call(&self, call: Call) -> Result<Reply, Failure> {
        // From here on the record is logged however this ends: it does so on drop.
        let mut record = Record::new(&call);
        match self.0.call(call).await {
            Ok(reply) => {
                record.answers(&reply);
                let events: EventStream = Box::pin(Traced { events: reply.events, record: Some(record) });
                Ok(Reply { events, ..reply })
            }
            Err(failure) => {
                record.failed(&failure);
                Err(failure)
            }
        }
    }
}

/// A stream that is being watched.
struct Traced {
    events: EventStream,
    /// Gone once logged.
    record: Option<Record>,
}

impl Stream for Traced {
    type Item = Result<Event, Failure>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = self.events.as_mut().poll_next(context);
        if let Poll::Ready(item) = &item {
            match (item, &mut self.record) {
                (Some(Ok(event)), Some(record)) => record.saw(event),
                (Some(Err(failure)), Some(record)) => {
                    record.failed(failure);
                    self.record = None;
                }
                (None, Some(record)) => {
                    record.ended();
                    self.record = None;
                }
                (_, None) => {}
            }
        }
        item
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.events.size_hint()
    }
}

#[cfg(test)]
mod tests;
