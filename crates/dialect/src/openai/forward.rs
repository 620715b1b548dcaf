//! Same dialect on both sides: a stream goes through as it came, while a light scan reads
//! the tokens counted and why the answer ended.
//!
//! Frames end where an event ends (a partial event is held back, as slices), so that
//! whoever has to end a cut stream can write after any. Which lines are worth reading is
//! each interface's own [`Scan`].

use bytes::Bytes;
use memchr::memchr_iter;
use message::{Event, Failure, Frame, Seen};

use super::error::{cut, nonsense};
use crate::ReplyDecoder;
use crate::framing::sse::EVENT_BYTES_MAX;

/// What one interface's stream says, line by line.
pub(super) trait Scan: Send {
    /// Reads a whole line that is not blank.
    ///
    /// # Errors
    /// The server's own error: no frame but a failure, so that layers can see it; the
    /// client gets it through the encoder.
    fn line(&mut self, line: &[u8], seen: &mut Seen) -> Result<(), Failure>;

    /// Whether the answer has come to its end.
    fn is_whole(&self) -> bool;

    /// Whether the events so far may go to the client. Not while they only announce an
    /// answer: until there is some of it, another server may still give it.
    fn has_begun(&self) -> bool {
        true
    }
}

/// Forwards a stream.
#[derive(Default)]
pub(super) struct Forward<S> {
    scan: S,
    /// Pieces of an event whose end has not come.
    held: Vec<Bytes>,
    held_len: usize,
    /// The beginning of a line whose end has not come, for the scan.
    line: Vec<u8>,
    /// What was seen of the event whose end has not come.
    seen: Seen,
}

impl<S: Scan> ReplyDecoder for Forward<S> {
    fn feed(&mut self, piece: Bytes, events: &mut Vec<Event>) -> Result<(), Failure> {
        // Where the last whole event of this piece ends, and what was seen up to there: of an
        // event whose end never comes nothing is sent and nothing counts.
        let mut boundary = 0;
        let mut seen = Seen::default();
        let mut start = 0;
        let mut failure = None;
        for newline in memchr_iter(b'\n', &piece) {
            let is_blank = if self.line.is_empty() {
                self.line(&piece[start..newline])
            } else {
                self.line.extend_from_slice(&piece[start..newline]);
                let line = std::mem::take(&mut self.line);
                self.line(&line)
            };
            start = newline + 1;
            match is_blank {
                Ok(true) if self.scan.has_begun() => {
                    boundary = start;
                    let Seen { usage, finish } = std::mem::take(&mut self.seen);
                    seen = Seen { usage: usage.or(seen.usage), finish: finish.or(seen.finish) };
                }
                Ok(_) => {}
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        if boundary > 0 {
            self.release(events);
            events.push(Event::Frame(Frame { bytes: piece.slice(..boundary), seen: boxed(seen) }));
        }
        if let Some(failure) = failure {
            return Err(failure);
        }
        self.line.extend_from_slice(&piece[start..]);
        self.hold(piece.slice(boundary..))
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Failure> {
        // A last event without its blank line is still the client's to read.
        let line = std::mem::take(&mut self.line);
        self.line(&line)?;
        if !self.scan.is_whole() {
            return Err(cut());
        }
        self.release(events);
        if let Some(seen) = boxed(std::mem::take(&mut self.seen)) {
            events.push(Event::Frame(Frame { bytes: Bytes::new(), seen: Some(seen) }));
        }
        Ok(())
    }
}

impl<S: Scan> Forward<S> {
    fn hold(&mut self, piece: Bytes) -> Result<(), Failure> {
        self.held_len += piece.len();
        if self.held_len > EVENT_BYTES_MAX {
            return Err(nonsense(format!("an event larger than {EVENT_BYTES_MAX} bytes")));
        }
        if !piece.is_empty() {
            self.held.push(piece);
        }
        Ok(())
    }

    fn release(&mut self, events: &mut Vec<Event>) {
        self.held_len = 0;
        let held = self.held.drain(..);
        events.extend(held.map(|bytes| Event::Frame(Frame { bytes, seen: None })));
    }

    /// Reads a whole line. True if it is blank: the event before it is whole.
    fn line(&mut self, line: &[u8]) -> Result<bool, Failure> {
        if matches!(line, b"" | b"\r") {
            return Ok(true);
        }
        self.scan.line(line, &mut self.seen)?;
        Ok(false)
    }
}

fn boxed(seen: Seen) -> Option<Box<Seen>> {
    (seen != Seen::default()).then(|| Box::new(seen))
}
