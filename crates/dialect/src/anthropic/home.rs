//! The light scanner of forwarded replies: client and server both speak this dialect.
//!
//! The bytes go on as they came, but for the model: the reply names the one that the client
//! asked for (Claude Code sends no thinking back to a model of another name). A stream is cut only between events: the beginning of an
//! event is worth nothing to a client, and held back until it is whole it leaves room for
//! a clean `error` event if the server dies. Of each event only the name is looked at,
//! but for the few that count tokens, end the answer or report an error.

use std::mem;

use bytes::Bytes;
use memchr::{memchr2, memmem};
use message::{Event, Failure, Frame, Seen, Usage};

use super::decode::{REPLY_BYTES_MAX, cut, nonsense};
use super::error;
use super::wire::{WireEvent, WireUsage, finish_reason};
use crate::framing::sse::{EVENT_BYTES_MAX, Parser};
use crate::json::splice;
use crate::{ReplyDecoder, json};

/// Forwards a stream.
pub(super) struct HomeStream {
    /// The model as the client named it; `None` once the reply has said it.
    model: Option<String>,
    ends: EventEnds,
    /// The beginning of an event whose end has not come.
    held: Vec<Bytes>,
    held_bytes: usize,
    usage: Usage,
    stopped: bool,
}

impl ReplyDecoder for HomeStream {
    fn feed(&mut self, piece: Bytes, events: &mut Vec<Event>) -> Result<(), Failure> {
        let mut seen = None;
        // Where the first event not sent begins, and the one looked at.
        let (mut unsent, mut start) = (0, 0);
        while let Some(length) = self.ends.next(&piece[start..]) {
            let end = start + length;
            let inspected = if self.held.is_empty() {
                self.inspect(&piece[start..end], &mut seen)
            } else {
                let mut event = self.held.concat();
                event.extend_from_slice(&piece[start..end]);
                self.inspect(&event, &mut seen)
            };
            match inspected {
                Ok(None) => events.extend(self.held.drain(..).map(|bytes| frame(bytes, None))),
                Ok(Some(renamed)) => {
                    if start > unsent {
                        events.push(frame(piece.slice(unsent..start), None));
                    }
                    self.held.clear();
                    events.push(frame(renamed, seen.take()));
                    unsent = end;
                }
                Err(failure) => {
                    // All before it goes out; the error itself is written by whoever encodes.
                    if start > unsent {
                        events.push(frame(piece.slice(unsent..start), seen));
                    }
                    self.held.clear();
                    return Err(failure);
                }
            }
            self.held_bytes = 0;
            start = end;
        }
        if start > unsent {
            events.push(frame(piece.slice(unsent..start), seen));
        }
        self.hold(piece.slice(start..))
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Failure> {
        let tail = Bytes::from(mem::take(&mut self.held).concat());
        let mut seen = None;
        if !self.stopped {
            // The last event may lack its blank line.
            self.inspect(&tail, &mut seen)?;
        }
        if !self.stopped {
            return Err(cut());
        }
        if !tail.is_empty() {
            events.push(frame(tail, seen));
        }
        Ok(())
    }
}

impl HomeStream {
    /// For a client that asked for `model`.
    pub(super) fn new(model: &str) -> Self {
        Self {
            model: Some(model.to_owned()),
            ends: EventEnds::default(),
            held: Vec::new(),
            held_bytes: 0,
            usage: Usage::default(),
            stopped: false,
        }
    }

    fn hold(&mut self, tail: Bytes) -> Result<(), Failure> {
        if tail.is_empty() {
            return Ok(());
        }
        self.held_bytes += tail.len();
        if self.held_bytes > EVENT_BYTES_MAX {
            return Err(nonsense(format_args!("an event is larger than {EVENT_BYTES_MAX} bytes")));
        }
        self.held.push(tail);
        Ok(())
    }

    /// Looks at one whole event; gives it back if it had to be changed.
    fn inspect(&mut self, event: &[u8], seen: &mut Option<Box<Seen>>) -> Result<Option<Bytes>, Failure> {
        match name(event) {
            b"message_start" | b"message_delta" => {
                let Ok(read) = serde_json::from_slice::<WireEvent>(&data(event)?) else { return Ok(None) };
                let message = read.message.unwrap_or_default();
                let reason = read.delta.and_then(|delta| delta.stop_reason);
                let usage = read.usage.or(message.usage);
                note(seen, &mut self.usage, usage.as_ref(), reason.as_deref());
                return Ok(self.model.take().and_then(|model| renamed(event, &model)));
            }
            b"message_stop" => self.stopped = true,
            b"error" => return Err(error::in_stream(&data(event)?)),
            _ => {}
        }
        Ok(None)
    }
}

/// Forwards a whole reply, or a token count, when it is complete. The pieces are kept by
/// reference until then, never copied unless there are several.
pub(super) struct HomeWhole {
    /// The model as the client named it.
    model: String,
    pieces: Vec<Bytes>,
    bytes: usize,
}

impl ReplyDecoder for HomeWhole {
    fn feed(&mut self, piece: Bytes, _: &mut Vec<Event>) -> Result<(), Failure> {
        self.bytes += piece.len();
        if self.bytes > REPLY_BYTES_MAX {
            return Err(nonsense(format_args!("it is larger than {REPLY_BYTES_MAX} bytes")));
        }
        self.pieces.push(piece);
        Ok(())
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Failure> {
        let body = match mem::take(&mut self.pieces) {
            mut pieces if pieces.len() == 1 => pieces.remove(0),
            pieces => Bytes::from(pieces.concat()),
        };
        let wanted = ["usage", "stop_reason", "input_tokens", "model"];
        let [usage, reason, count, model] =
            json::members(&body, wanted).map_err(|error| cut().with_cause(error))?;
        let read = |failure: Failure| nonsense("its usage cannot be read").with_cause(failure);
        let mut usage: Option<WireUsage> = json::member(&body, usage, "usage").map_err(read)?;
        if let Some(count) = json::member(&body, count, "input_tokens").map_err(read)? {
            usage.get_or_insert_default().input_tokens = Some(count);
        }
        let reason: Option<String> = json::member(&body, reason, "stop_reason").map_err(read)?;
        let mut seen = None;
        note(&mut seen, &mut Usage::default(), usage.as_ref(), reason.as_deref());
        match model.filter(|model| is_another_name(&body[model.clone()], &self.model)) {
            Some(model) => events.extend(splice(&body, model, &self.model).map(|bytes| frame(bytes, None))),
            None => events.push(frame(body, None)),
        }
        events.push(frame(Bytes::new(), seen));
        Ok(())
    }
}

impl HomeWhole {
    /// For a client that asked for `model`.
    pub(super) fn new(model: &str) -> Self {
        Self { model: model.to_owned(), pieces: Vec::new(), bytes: 0 }
    }
}

/// The event that begins a message, with the model's name replaced; `None` if it bears that
/// name already, or none.
fn renamed(event: &[u8], model: &str) -> Option<Bytes> {
    // JSON has no raw line ends: its line is all of it.
    let start = memmem::find(event, b"data:")? + b"data:".len();
    let end = start + memchr2(b'\n', b'\r', &event[start..])?;
    let line = &event[start..end];
    let [message] = json::members(line, ["message"]).ok()?;
    let message = message?;
    let [name] = json::members(&line[message.clone()], ["model"]).ok()?;
    let name = name?;
    let at = start + message.start + name.start;
    let name = at..at + name.len();
    is_another_name(&event[name.clone()], model)
        .then(|| splice(&Bytes::copy_from_slice(event), name, model).concat().into())
}

/// Whether a JSON value is a string that says something else.
fn is_another_name(value: &[u8], name: &str) -> bool {
    serde_json::from_slice::<String>(value).is_ok_and(|value| value != name)
}

fn frame(bytes: Bytes, seen: Option<Box<Seen>>) -> Event {
    Event::Frame(Frame { bytes, seen })
}

/// Adds to what was seen.
fn note(seen: &mut Option<Box<Seen>>, total: &mut Usage, usage: Option<&WireUsage>, reason: Option<&str>) {
    if let Some(usage) = usage {
        usage.update(total);
        seen.get_or_insert_default().usage = Some(*total);
    }
    if let Some(reason) = reason {
        seen.get_or_insert_default().finish = Some(finish_reason(reason));
    }
}

/// The name of an event: usually its first line.
fn name(event: &[u8]) -> &[u8] {
    let event = event.strip_prefix(b"\xef\xbb\xbf").unwrap_or(event);
    let mut lines = event.split(|byte| matches!(byte, b'\r' | b'\n'));
    let name = lines.find_map(|line| line.strip_prefix(b"event:")).unwrap_or_default();
    name.strip_prefix(b" ").unwrap_or(name)
}

/// The data of one whole event.
fn data(event: &[u8]) -> Result<Bytes, Failure> {
    let mut parser = Parser::new();
    parser.push(Bytes::from([event, b"\n\n"].concat()));
    Ok(parser.next()?.map(|event| event.data).unwrap_or_default())
}

/// Finds where events end (behind a blank line; lines end in `\n`, `\r\n` or `\r`), across pieces.
struct EventEnds {
    at_line_start: bool,
    after_return: bool,
    /// The line that the return ended was blank: its event has gone out already.
    after_blank: bool,
}

impl Default for EventEnds {
    fn default() -> Self {
        Self { at_line_start: true, after_return: false, after_blank: false }
    }
}

impl EventEnds {
    /// The bytes of `piece` up to and with the next blank line; `None`: it is not in there.
    fn next(&mut self, piece: &[u8]) -> Option<usize> {
        let mut at = 0;
        // The second half of a line end.
        if mem::take(&mut self.after_return) {
            match piece.first() {
                // It goes the way of the first.
                Some(b'\n') if self.after_blank => return Some(1),
                Some(b'\n') => at = 1,
                Some(_) => {}
                None => self.after_return = true,
            }
        }
        loop {
            let Some(offset) = memchr2(b'\n', b'\r', &piece[at..]) else {
                self.at_line_start &= at == piece.len();
                return None;
            };
            let blank = offset == 0 && self.at_line_start;
            self.at_line_start = true;
            at += offset + 1;
            if piece[at - 1] == b'\r' {
                match piece.get(at) {
                    Some(b'\n') => at += 1,
                    Some(_) => {}
                    None => (self.after_return, self.after_blank) = (true, blank),
                }
            }
            if blank {
                return Some(at);
            }
        }
    }
}
