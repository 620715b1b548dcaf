//! A request's body, read up to a limit.
//!
//! A body that came in one piece (most do) is not copied. A longer one is gathered in
//! one buffer that grows with what really arrives, not with what the client announced.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body;
use hyper::body::Incoming;
use message::{ErrorKind, Failure};
use tokio::time::Sleep;

/// Bytes set aside at first for a body whose length was announced: enough for most
/// prompts, little enough to give to a liar.
const FIRST_BUFFER_MAX_BYTES: u64 = 256 << 10;

/// How much of a body to take and how long to wait for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowance {
    pub(crate) max_bytes: u64,
    pub(crate) idle: Duration,
}

/// Refuses at once what announces itself as too large.
pub(crate) fn check_announced(body: &Incoming, allowance: Allowance) -> Result<(), Failure> {
    if body.size_hint().lower() > allowance.max_bytes { Err(too_large(allowance)) } else { Ok(()) }
}

/// Reads the whole body.
///
/// # Errors
/// [`TooLarge`](ErrorKind::TooLarge) past the limit, [`Timeout`](ErrorKind::Timeout)
/// when the client pauses for too long, [`InvalidRequest`](ErrorKind::InvalidRequest)
/// when it breaks off.
pub(crate) async fn receive(mut body: Incoming, allowance: Allowance) -> Result<Bytes, Failure> {
    check_announced(&body, allowance)?;
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let announced = body.size_hint().exact().unwrap_or(0).min(FIRST_BUFFER_MAX_BYTES);
    let mut pieces = Patient { body: &mut body, allowance, timer: None };
    let Some(first) = pieces.next().await? else { return Ok(Bytes::new()) };
    check_size(first.len(), allowance)?;
    let Some(second) = pieces.next().await? else { return Ok(first) };

    let announced = usize::try_from(announced).unwrap_or(0);
    let mut gathered = BytesMut::with_capacity(announced.max(first.len() + second.len()));
    gathered.extend_from_slice(&first);
    drop(first);
    let mut piece = second;
    loop {
        check_size(gathered.len() + piece.len(), allowance)?;
        gathered.extend_from_slice(&piece);
        match pieces.next().await? {
            Some(next) => piece = next,
            None => return Ok(gathered.freeze()),
        }
    }
}

fn check_size(bytes: usize, allowance: Allowance) -> Result<(), Failure> {
    if bytes as u64 > allowance.max_bytes { Err(too_large(allowance)) } else { Ok(()) }
}

fn too_large(allowance: Allowance) -> Failure {
    let message =
        format!("the request body is larger than {} bytes, this server's limit", allowance.max_bytes);
    Failure::new(ErrorKind::TooLarge, message)
}

/// The body's pieces, with a limit on silence. A timer exists only while the client is
/// slower than we are.
struct Patient<'a> {
    body: &'a mut Incoming,
    allowance: Allowance,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Patient<'_> {
    async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        self.timer = None;
        if self.body.is_end_stream() {
            return Ok(None);
        }
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Failure>> {
        loop {
            return match Pin::new(&mut *self.body).poll_frame(cx) {
                Poll::Ready(None) => Poll::Ready(Ok(None)),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) if data.is_empty() => continue,
                    Ok(data) => Poll::Ready(Ok(Some(data))),
                    Err(_trailers) => continue,
                },
                Poll::Ready(Some(Err(error))) => {
                    let failure = Failure::invalid("the request body broke off before its end");
                    Poll::Ready(Err(failure.with_cause(error)))
                }
                Poll::Pending => {
                    let idle = self.allowance.idle;
                    let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(idle)));
                    ready!(timer.as_mut().poll(cx));
                    let message = format!(
                        "the request body paused for more than {} ms before its end",
                        idle.as_millis()
                    );
                    Poll::Ready(Err(Failure::new(ErrorKind::Timeout, message)))
                }
            };
        }
    }
}
