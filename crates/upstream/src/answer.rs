//! A provider's reply under way: bytes in, events out, until the decoder says it is
//! whole. Dropping it drops the body, which aborts the exchange.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use dialect::ReplyDecoder;
use futures_core::Stream;
use http_body::Body;
use hyper::body::Incoming;
use message::{ErrorKind, Event, Failure};

use crate::deadline::Deadline;

/// The events of one reply.
pub(crate) struct Answer {
    provider: Arc<str>,
    /// `None` once it ended, well or not.
    body: Option<Incoming>,
    decoder: Box<dyn ReplyDecoder>,
    deadline: Deadline,
    left_bytes: u64,
    /// Decoded and not yet taken, last first.
    ready: Vec<Event>,
    /// Told after `ready` is empty.
    failure: Option<Failure>,
}

impl Answer {
    /// `max_bytes` bounds the whole body.
    pub(crate) fn new(
        provider: Arc<str>,
        body: Incoming,
        decoder: Box<dyn ReplyDecoder>,
        deadline: Deadline,
        max_bytes: u64,
    ) -> Self {
        Self {
            provider,
            body: Some(body),
            decoder,
            deadline,
            left_bytes: max_bytes,
            ready: Vec::new(),
            failure: None,
        }
    }

    /// The next piece of the body; `None` when it ended.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Failure>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        loop {
            let frame = match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Ready(frame) => frame,
                Poll::Pending => {
                    return self.deadline.poll(&self.provider, cx).map(|failure| Some(Err(failure)));
                }
            };
            self.deadline.progress();
            return Poll::Ready(match frame {
                None => None,
                Some(Err(error)) => Some(Err(self.broken(error))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(piece) => Some(self.take(piece)),
                    Err(_trailers) => continue,
                },
            });
        }
    }

    fn take(&mut self, piece: Bytes) -> Result<Bytes, Failure> {
        self.left_bytes = self.left_bytes.checked_sub(piece.len() as u64).ok_or_else(|| {
            let message =
                format!("provider `{}` sent a longer answer than limits.answer_max_bytes", self.provider);
            Failure::new(ErrorKind::Upstream, message)
        })?;
        Ok(piece)
    }

    fn broken(&self, error: hyper::Error) -> Failure {
        let message = format!("provider `{}` broke off in the middle of its answer", self.provider);
        Failure::new(ErrorKind::Upstream, message).with_cause(error)
    }

    /// Decodes one piece (or the end); whatever was decoded before a fault still counts.
    fn decode(&mut self, piece: Option<Result<Bytes, Failure>>) {
        let over = !matches!(piece, Some(Ok(_)));
        let result = match piece {
            Some(Ok(piece)) => self.decoder.feed(piece, &mut self.ready),
            Some(Err(failure)) => Err(failure),
            None => self.decoder.finish(&mut self.ready),
        };
        self.failure = result.err();
        if over || self.failure.is_some() {
            self.body = None;
        }
        self.ready.reverse();
    }
}

impl Stream for Answer {
    type Item = Result<Event, Failure>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(event) = self.ready.pop() {
                return Poll::Ready(Some(Ok(event)));
            }
            if let Some(failure) = self.failure.take() {
                return Poll::Ready(Some(Err(failure)));
            }
            if self.body.is_none() {
                return Poll::Ready(None);
            }
            let piece = ready!(self.poll_piece(cx));
            self.decode(piece);
        }
    }
}
