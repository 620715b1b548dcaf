//! Same dialect on both sides: what a light scan reads of events that go through as they
//! came.
//!
//! Every event says its name twice, before its data and in it; the name before decides
//! whether the data is worth parsing, so a token costs the scan a comparison.

use bytes::Bytes;
use message::{Event, Failure, FinishReason, Frame, Seen};
use serde::Deserialize;

use super::answer::{failed, finish};
use super::wire::{Response, StreamEvent};
use crate::ReplyDecoder;
use crate::openai::chat::decode::whole::Body;
use crate::openai::error::{cut, nonsense};
use crate::openai::forward::Scan;

/// Reads events in passing.
#[derive(Default)]
pub(super) struct Items {
    /// The event's name came before its data.
    named: Option<Kind>,
    has_begun: bool,
    is_whole: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Announces an answer of which nothing has come.
    Prelude,
    /// Ends it, well or not.
    Last,
    /// Anything between.
    Other,
}

impl Kind {
    fn of(name: &[u8]) -> Self {
        match name {
            b"response.created" | b"response.in_progress" | b"response.queued" => Self::Prelude,
            b"response.completed"
            | b"response.incomplete"
            | b"response.failed"
            | b"error"
            | b"response.cancelled" => Self::Last,
            _ => Self::Other,
        }
    }
}

/// Which event it is, and nothing else of it.
#[derive(Deserialize)]
struct Named<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<std::borrow::Cow<'a, str>>,
}

impl Scan for Items {
    fn line(&mut self, line: &[u8], seen: &mut Seen) -> Result<(), Failure> {
        if let Some(name) = line.strip_prefix(b"event:") {
            self.named = Some(Kind::of(name.trim_ascii()));
            return Ok(());
        }
        let Some(data) = line.strip_prefix(b"data:").map(<[u8]>::trim_ascii) else { return Ok(()) };
        let kind = self.named.take().or_else(|| {
            let named: Named<'_> = serde_json::from_slice(data).ok()?;
            Some(Kind::of(named.kind?.as_bytes()))
        });
        match kind {
            Some(Kind::Prelude) => {}
            Some(Kind::Last) => self.last(data, seen)?,
            // What is no event of this dialect is the client's to judge.
            Some(Kind::Other) | None => self.has_begun = true,
        }
        Ok(())
    }

    fn is_whole(&self) -> bool {
        self.is_whole
    }

    fn has_begun(&self) -> bool {
        self.has_begun
    }
}

impl Items {
    fn last(&mut self, data: &[u8], seen: &mut Seen) -> Result<(), Failure> {
        let event: StreamEvent = serde_json::from_slice(data).map_err(nonsense)?;
        if let Some(failure) = failed(&event) {
            return Err(failure);
        }
        let found = seen_in(&event.response.unwrap_or_default());
        seen.usage = found.usage.or(seen.usage);
        seen.finish = found.finish.or(seen.finish.take());
        (self.has_begun, self.is_whole) = (true, true);
        Ok(())
    }
}

fn seen_in(response: &Response) -> Seen {
    // A response in the background has not ended.
    let ended = !matches!(response.status.as_deref(), Some("queued" | "in_progress"));
    Seen {
        usage: response.usage.as_ref().map(super::wire::Usage::buckets),
        finish: ended.then(|| {
            let calls = response
                .output
                .iter()
                .flatten()
                .any(|item| item.kind.ends_with("tool_call") || item.kind == "function_call");
            match finish(response) {
                FinishReason::EndTurn if calls => FinishReason::ToolUse,
                reason => reason,
            }
        }),
    }
}

/// Forwards a whole answer, once it is known to be one: until then the status can still
/// say that it is not.
#[derive(Default)]
pub(super) struct Whole {
    body: Body,
}

impl ReplyDecoder for Whole {
    fn feed(&mut self, piece: Bytes, _: &mut Vec<Event>) -> Result<(), Failure> {
        self.body.push(piece)
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Failure> {
        let bytes = self.body.take();
        if bytes.is_empty() {
            return Err(cut());
        }
        let response: Response = serde_json::from_slice(&bytes).map_err(nonsense)?;
        let seen = seen_in(&response);
        events.push(Event::Frame(Frame { bytes, seen: Some(Box::new(seen)) }));
        Ok(())
    }
}
