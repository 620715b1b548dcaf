//! A client's TCP socket with three manners of its own.
//!
//! * It can take back bytes that were read to find out the protocol.
//! * It notes since when the client has left what we write unread, so that a reader
//!   that stalls for ever can be told from one that waits.
//! * When an answer was sent without reading the whole request, it closes in the
//!   lingering way: first our half, then what still arrives is read and thrown away
//!   for a while. Closed at once, the kernel would answer the client's next byte
//!   with a reset, and the reset would destroy our answer before the client reads it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use crate::vitals::Vitals;

/// How long a refused body is still read and thrown away: long enough for an answer to
/// be read by a client that is busy sending.
const LINGER: Duration = Duration::from_secs(2);

/// Bytes of a refused body that are thrown away at most: 256 MiB, more than any client
/// of ours sends in [`LINGER`] over a network, and an end for one that never stops.
const LINGER_MAX_BYTES: u64 = 256 << 20;

/// The HTTP/2 connection preface (RFC 9113 §3.4).
const H2_PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The socket.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    vitals: Arc<Vitals>,
    /// Bytes read early, to be read again: `start..end` of `early`.
    early: [u8; H2_PREFACE.len()],
    early_start: usize,
    early_end: usize,
    linger: Option<Linger>,
}

#[derive(Debug)]
struct Linger {
    until: Pin<Box<Sleep>>,
    left_bytes: u64,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream, vitals: Arc<Vitals>) -> Self {
        Self { stream, vitals, early: [0; H2_PREFACE.len()], early_start: 0, early_end: 0, linger: None }
    }

    /// Reads as much as tells HTTP/2 (prior knowledge) from HTTP/1.1, to be read again.
    pub(crate) async fn speaks_h2(&mut self) -> io::Result<bool> {
        while self.early_end < H2_PREFACE.len() {
            let read = self.stream.read(&mut self.early[self.early_end..]).await?;
            self.early_end += read;
            if read == 0 || self.early[..self.early_end] != H2_PREFACE[..self.early_end] {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let linger = self.linger.get_or_insert_with(|| Linger {
            until: Box::pin(tokio::time::sleep(LINGER)),
            left_bytes: LINGER_MAX_BYTES,
        });
        let mut scratch = [0; 16 << 10];
        loop {
            if linger.until.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            let mut buffer = ReadBuf::new(&mut scratch);
            let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer));
            let bytes = buffer.filled().len() as u64;
            if read.is_err() || bytes == 0 || bytes > linger.left_bytes {
                return Poll::Ready(());
            }
            linger.left_bytes -= bytes;
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.early_start < self.early_end {
            let bytes = (self.early_end - self.early_start).min(buffer.remaining());
            buffer.put_slice(&self.early[self.early_start..self.early_start + bytes]);
            self.early_start += bytes;
            // And what is there already: hyper doubles its buffer for a head in two pieces.
            // A fault met here will be met again by the next read.
            let _ = Pin::new(&mut self.stream).poll_read(cx, buffer);
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.vitals.wrote(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.vitals.wrote(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        }
        if self.vitals.unread() {
            ready!(self.poll_linger(cx));
        }
        Poll::Ready(Ok(()))
    }
}
