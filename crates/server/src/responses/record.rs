//! Records a response while its client reads it.
//!
//! A layer around one call: events go through as they come, and when the last has come the
//! response is kept, before the client can read its end and ask for it. An answer whose
//! client went away, or that broke, is not kept.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use dialect::framing::sse;
use futures_util::Stream;
use message::{BoxService, Call, Completion, Event, EventStream, Failure, Form, Reply, Service};
use serde_json::Value;

use super::Keep;

/// Keeps what the service inside answers to one call.
pub(super) struct Recording {
    inner: BoxService,
    keep: Keep,
}

impl Recording {
    pub(super) fn service(inner: BoxService, keep: Keep) -> BoxService {
        BoxService::new(Self { inner, keep })
    }
}

impl Service for Recording {
    async fn call(&self, call: Call) -> Result<Reply, Failure> {
        let asked = call.clone();
        let reply = self.inner.call(call).await?;
        let record = match reply.form {
            Form::Home { .. } if asked.head.stream => Record::Frames(Frames::default()),
            Form::Home { .. } => Record::Whole(BytesMut::new()),
            Form::Events => Record::Events(Box::default()),
        };
        let recorded =
            Recorded { events: reply.events, record: Some(record), asked, keep: self.keep.clone() };
        Ok(Reply { events: Box::pin(recorded), ..reply })
    }
}

/// What has come of an answer.
enum Record {
    Events(Box<Completion>),
    Frames(Frames),
    Whole(BytesMut),
}

impl Record {
    fn saw(&mut self, event: &Event) {
        match (self, event) {
            (Self::Events(completion), event) => completion.push(event.clone()),
            (Self::Frames(frames), Event::Frame(frame)) => frames.push(frame.bytes.clone()),
            (Self::Whole(body), Event::Frame(frame)) => body.extend_from_slice(&frame.bytes),
            _ => {}
        }
    }

    /// The response, if it came to its end.
    fn response(self, asked: &Call) -> Option<Value> {
        match self {
            Self::Events(completion) => {
                completion.finish.as_ref()?;
                let whole = dialect::reply_encoder(asked).whole(*completion);
                serde_json::from_slice(&whole.body).ok()
            }
            Self::Frames(frames) => frames.response(),
            Self::Whole(body) => serde_json::from_slice(&body).ok(),
        }
    }
}

/// Looks for the event that holds the whole response.
#[derive(Default)]
pub(super) struct Frames {
    parser: sse::Parser,
    last: Option<Bytes>,
}

impl Frames {
    pub(super) fn push(&mut self, bytes: Bytes) {
        self.parser.push(bytes);
        while let Ok(Some(event)) = self.parser.next() {
            if is_last(&event) {
                self.last = Some(event.data);
            }
        }
    }

    pub(super) fn response(self) -> Option<Value> {
        let mut event: Value = serde_json::from_slice(&self.last?).ok()?;
        Some(event.get_mut("response")?.take())
    }
}

/// Whether an event is the last of its response.
pub(super) fn is_last(event: &sse::Event) -> bool {
    ["response.completed", "response.incomplete", "response.failed"].into_iter().any(|name| event.is(name))
}

/// An answer that is being recorded.
struct Recorded {
    events: EventStream,
    /// Gone once kept, or broken.
    record: Option<Record>,
    asked: Call,
    keep: Keep,
}

impl Stream for Recorded {
    type Item = Result<Event, Failure>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = self.events.as_mut().poll_next(cx);
        match &item {
            Poll::Ready(Some(Ok(event))) => {
                if let Some(record) = &mut self.record {
                    record.saw(event);
                }
            }
            Poll::Ready(Some(Err(_))) => self.record = None,
            Poll::Ready(None) => {
                let record = self.record.take();
                if let Some(response) = record.and_then(|record| record.response(&self.asked)) {
                    self.keep.response(&self.asked, &response);
                }
            }
            Poll::Pending => {}
        }
        item
    }
}
