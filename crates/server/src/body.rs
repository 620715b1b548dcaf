//! A response's body: whole, or a stream of events encoded as the client takes them.
//!
//! No task of its own stands behind a stream: hyper asks for a frame when the client
//! can take one, that asks the model's stream, and dropping the body (the client went
//! away) drops the stream and so the work. Whatever is ready at once goes out as one
//! frame.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use dialect::ReplyEncoder;
use http_body::{Body, Frame, SizeHint};
use message::{ErrorKind, Event, EventStream, Failure, RequestId, Retry};

use crate::phase::Watch;
use crate::refuse;
use crate::serve::InFlight;
use crate::silence::Silence;

/// Bytes gathered into one frame before it is sent though more is ready: a TLS record.
const FRAME_BYTES: usize = 16 << 10;

/// The body of every response.
pub(crate) struct ResponseBody {
    content: Content,
    /// Counts the request as in flight until its answer is sent or given up.
    _in_flight: Option<InFlight>,
}

enum Content {
    Whole(Bytes),
    Streamed(Box<Streamed>),
}

impl ResponseBody {
    /// A body that is all there.
    pub(crate) const fn whole(bytes: Bytes) -> Self {
        Self { content: Content::Whole(bytes), _in_flight: None }
    }

    /// A body that comes as the model speaks.
    pub(crate) fn streamed(streamed: Streamed) -> Self {
        Self { content: Content::Streamed(Box::new(streamed)), _in_flight: None }
    }

    /// Keeps the request counted while the body lives.
    pub(crate) fn hold(&mut self, in_flight: InFlight) {
        self._in_flight = Some(in_flight);
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = match &mut self.content {
            Content::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Content::Whole(bytes) => Poll::Ready(Some(std::mem::take(bytes))),
            Content::Streamed(streamed) => streamed.poll_bytes(cx),
        };
        bytes.map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole(bytes) => bytes.is_empty(),
            Content::Streamed(streamed) => streamed.events.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Streamed(_) => SizeHint::default(),
        }
    }
}

/// A model's answer on its way to a client that asked for a stream.
pub(crate) struct Streamed {
    /// Awaited before the response head went out.
    first: Option<Event>,
    /// `None` once the last frame was made.
    events: Option<EventStream>,
    encoder: Box<dyn ReplyEncoder>,
    /// Frames are the client's dialect already; the decoder behind them vouches that
    /// an end without failure is a whole end.
    home: bool,
    finished: bool,
    id: RequestId,
    cut: Watch,
    silence: Silence,
}

/// What a [`Streamed`] body is made of.
pub(crate) struct NewStream {
    pub(crate) opening: Opening,
    pub(crate) events: EventStream,
    pub(crate) encoder: Box<dyn ReplyEncoder>,
    pub(crate) home: bool,
    pub(crate) id: RequestId,
}

/// How a stream begins, and what it watches beside the model.
pub(crate) struct Opening {
    /// Awaited before the response head went out.
    pub(crate) first: Event,
    /// Wakes when the server's time is over.
    pub(crate) cut: Watch,
    /// Silence after which the client is told that the answer is still under way.
    pub(crate) keepalive: Duration,
}

impl Streamed {
    pub(crate) fn new(new: NewStream) -> Self {
        let NewStream { opening: Opening { first, cut, keepalive }, events, encoder, home, id } = new;
        Self {
            first: Some(first),
            events: Some(events),
            encoder,
            home,
            finished: false,
            id,
            cut,
            silence: Silence::new(keepalive),
        }
    }

    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let mut batch = Batch::default();
        while batch.len() < FRAME_BYTES {
            match self.poll_event(cx) {
                Poll::Ready(Some(Ok(event))) => self.encode(event, &mut batch),
                Poll::Ready(Some(Err(failure))) => self.fail(&failure, &mut batch),
                Poll::Ready(None) if self.events.is_none() => break,
                Poll::Ready(None) => self.end(&mut batch),
                Poll::Pending if batch.len() > 0 => break,
                Poll::Pending => {
                    if self.cut.poll(cx).is_ready() {
                        self.fail(&shutting_down(), &mut batch);
                    } else if self.home || self.silence.poll(cx).is_pending() {
                        return Poll::Pending;
                    } else {
                        self.encoder.keepalive(batch.buffer());
                        if batch.len() > 0 {
                            break;
                        }
                    }
                }
            }
        }
        self.silence.broken();
        Poll::Ready(batch.into_bytes())
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Event, Failure>>> {
        if let Some(event) = self.first.take() {
            return Poll::Ready(Some(Ok(event)));
        }
        match &mut self.events {
            Some(events) => events.as_mut().poll_next(cx),
            None => Poll::Ready(None),
        }
    }

    fn encode(&mut self, event: Event, batch: &mut Batch) {
        match event {
            Event::Frame(frame) => batch.push(frame.bytes),
            event => {
                self.finished |= matches!(event, Event::Finish { .. });
                self.encoder.event(event, batch.buffer());
            }
        }
    }

    fn end(&mut self, batch: &mut Batch) {
        if self.home {
            self.events = None;
        } else if self.finished {
            self.events = None;
            self.encoder.end(batch.buffer());
        } else {
            self.fail(&cut_short(), batch);
        }
    }

    /// The dialect's own terminal error; the stream behind is let go at once.
    fn fail(&mut self, failure: &Failure, batch: &mut Batch) {
        self.events = None;
        refuse::log(failure, &self.id);
        self.encoder.failure(failure, batch.buffer());
    }
}

/// The model's stream ended without saying that it was done.
pub(crate) fn cut_short() -> Failure {
    Failure::new(ErrorKind::Upstream, "the model's answer ended before it was whole")
}

/// The drain's time is up.
pub(crate) fn shutting_down() -> Failure {
    Failure::new(ErrorKind::Unavailable, "this server is shutting down; send the request again")
        .with_retry(Retry::After(RETRY_AFTER))
}

/// How soon a client that met a shutdown should try again: a restart takes about this long.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Bytes on their way into one frame. A forwarded frame that stays alone is not copied.
#[derive(Default)]
struct Batch {
    alone: Option<Bytes>,
    buffer: Vec<u8>,
}

impl Batch {
    fn len(&self) -> usize {
        self.buffer.len() + self.alone.as_ref().map_or(0, Bytes::len)
    }

    fn push(&mut self, bytes: Bytes) {
        if self.len() == 0 {
            self.alone = Some(bytes);
        } else {
            self.buffer().extend_from_slice(&bytes);
        }
    }

    fn buffer(&mut self) -> &mut Vec<u8> {
        if let Some(alone) = self.alone.take() {
            self.buffer.extend_from_slice(&alone);
        }
        &mut self.buffer
    }

    fn into_bytes(self) -> Option<Bytes> {
        match self.alone {
            Some(alone) => Some(alone),
            None if self.buffer.is_empty() => None,
            None => Some(Bytes::from(self.buffer)),
        }
    }
}
