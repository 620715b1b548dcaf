//! Builds the blocks of an answer from events, or from the items of a whole response.
//!
//! Nothing is said before there is something of the answer: a server that announces a
//! response and then fails has failed before the first event, and another can be asked.

use std::collections::HashMap;

use message::{BlockHead, Delta, Event, Failure, FinishReason, Sealer};
use serde_json::{Value, json};

use super::wire::{Item, Part, Response, StreamEvent};
use crate::openai::annotation;
use crate::openai::chat::decode::answer::token_logprob;
use crate::openai::chat::wire::TokenLogprob;
use crate::openai::error::{from_event, nonsense};

/// Most items and parts of one answer. Far beyond what any model means; bounds what a
/// server gone wrong can make us hold.
const PARTS_MAX: usize = 4_096;

/// Stands between parts of a summary, which are one text here.
const SUMMARY_JOIN: &str = "\n\n";

/// The answer so far.
#[derive(Default)]
pub(super) struct Answer {
    id: Option<String>,
    started: bool,
    blocks: u32,
    /// Blocks by where the server has them.
    open: Vec<(Place, Open)>,
    any_call: bool,
    refused: bool,
    /// Sent name → the client's name, where they differ.
    renamed: HashMap<String, String>,
}

/// Where the server has a piece: an item, and a part of it where it has several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    item: u64,
    part: Option<u64>,
}

struct Open {
    index: u32,
    kind: Kind,
    /// Something has been said in it.
    grown: bool,
    /// What it rests on has been told, some of it.
    cited: bool,
    /// The last part of a summary that was heard.
    summary: u64,
    closed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Refusal,
    Thinking,
    Function,
    Custom,
}

impl Answer {
    /// An answer to a call whose tools were sent under these names.
    pub(super) fn new(renamed: HashMap<String, String>) -> Self {
        Self { renamed, ..Self::default() }
    }

    /// Takes in one event; true after the last.
    ///
    /// # Errors
    /// The server's own; more parts than anybody can mean.
    pub(super) fn event(&mut self, mut event: StreamEvent, events: &mut Vec<Event>) -> Result<bool, Failure> {
        if let Some(failure) = failed(&event) {
            return Err(failure);
        }
        let item = event.output_index;
        let part = Place { item, part: Some(event.content_index) };
        let whole = Place { item, part: None };
        let piece = || match &event.delta {
            Some(Value::String(text)) => text.clone(),
            _ => String::new(),
        };
        match event.kind.as_str() {
            "response.created" | "response.in_progress" | "response.queued" => {
                self.id = event.response.and_then(|response| response.id);
            }
            "response.output_item.added" => {
                if let Some(begun) = event.item {
                    self.begin(whole, &begun, events)?;
                }
            }
            "response.output_text.delta" => {
                let logprobs = event.logprobs.take().unwrap_or_default();
                self.text(part, Kind::Text, piece(), &logprobs, events)?;
            }
            "response.output_text.annotation.added" => {
                self.cited(part, event.annotation.as_slice(), events);
            }
            "response.refusal.delta" => self.text(part, Kind::Refusal, piece(), &[], events)?,
            "response.output_text.done" => {
                self.unsaid(part, Kind::Text, event.text.unwrap_or_default(), events)?;
            }
            "response.refusal.done" => {
                self.unsaid(part, Kind::Refusal, event.refusal.unwrap_or_default(), events)?;
            }
            "response.reasoning_summary_text.delta" => {
                self.thinking(whole, event.summary_index, piece(), events)?;
            }
            "response.reasoning_text.delta" => self.thinking(whole, event.content_index, piece(), events)?,
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                self.input(whole, &piece(), events);
            }
            "response.function_call_arguments.done" => {
                self.unsaid_input(whole, event.arguments.as_deref(), events);
            }
            "response.output_item.done" => {
                if let Some(done) = event.item {
                    self.done(item, done, events)?;
                }
            }
            "response.completed" | "response.incomplete" => {
                self.end(event.response.unwrap_or_default(), events)?;
                return Ok(true);
            }
            _ => {}
        }
        Ok(false)
    }

    /// Takes in a whole response.
    ///
    /// # Errors
    /// The server's own; a response that has not ended.
    pub(super) fn whole(&mut self, response: Response, events: &mut Vec<Event>) -> Result<(), Failure> {
        match response.status.as_deref() {
            Some("failed" | "cancelled") => return Err(broken(response.error.as_ref())),
            Some("queued" | "in_progress") => return Err(nonsense("a response that has not ended")),
            _ if response.output.is_none() => {
                return Err(response.error.as_ref().map_or_else(|| nonsense("no output"), from_event));
            }
            _ => {}
        }
        self.id.clone_from(&response.id);
        self.end(response, events)
    }

    /// The response is whole: what no event told of is in its items.
    fn end(&mut self, mut response: Response, events: &mut Vec<Event>) -> Result<(), Failure> {
        if self.id.is_none() {
            self.id = response.id.take();
        }
        if self.open.is_empty() {
            for (index, item) in (0..).zip(response.output.take().into_iter().flatten()) {
                self.done(index, item, events)?;
            }
        }
        self.start(events);
        for place in 0..self.open.len() {
            self.close(place, events);
        }
        if let Some(usage) = &response.usage {
            events.push(Event::Usage(usage.buckets()));
        }
        let reason = match finish(&response) {
            FinishReason::EndTurn if self.any_call => FinishReason::ToolUse,
            FinishReason::EndTurn if self.refused => FinishReason::Refusal,
            reason => reason,
        };
        events.push(Event::Finish { reason, stop_sequence: None });
        Ok(())
    }

    /// The first thing to tell, once there is more.
    fn start(&mut self, events: &mut Vec<Event>) {
        if !std::mem::replace(&mut self.started, true) {
            events.push(Event::Start { id: self.id.take().filter(|id| !id.is_empty()) });
        }
    }

    /// A call can be told of as soon as its name is known; other items when they say something.
    fn begin(&mut self, place: Place, item: &Item, events: &mut Vec<Event>) -> Result<(), Failure> {
        let kind = match item.kind.as_str() {
            "function_call" => Kind::Function,
            "custom_tool_call" => Kind::Custom,
            _ => return Ok(()),
        };
        let Some(name) = item.name.as_ref().filter(|name| !name.is_empty()) else { return Ok(()) };
        if self.find(place).is_some() {
            return Ok(());
        }
        let name = self.renamed.get(name).unwrap_or(name).clone();
        let id = item.call_id.clone().or_else(|| item.id.clone()).filter(|id| !id.is_empty());
        let id = id.unwrap_or_else(|| format!("call_{}", place.item));
        self.any_call = true;
        self.open(place, kind, BlockHead::ToolUse { id, name }, events)?;
        Ok(())
    }

    fn open(
        &mut self,
        place: Place,
        kind: Kind,
        block: BlockHead,
        events: &mut Vec<Event>,
    ) -> Result<usize, Failure> {
        if self.open.len() == PARTS_MAX {
            return Err(nonsense(format!("more than {PARTS_MAX} parts in one answer")));
        }
        self.start(events);
        let index = self.blocks;
        self.blocks += 1;
        events.push(Event::BlockStart { index, block });
        self.open.push((place, Open { index, kind, grown: false, cited: false, summary: 0, closed: false }));
        Ok(self.open.len() - 1)
    }

    /// The newest are asked for most.
    fn find(&self, place: Place) -> Option<usize> {
        self.open.iter().rposition(|(known, _)| *known == place)
    }

    fn text(
        &mut self,
        place: Place,
        kind: Kind,
        text: String,
        logprobs: &[TokenLogprob],
        events: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        if text.is_empty() && logprobs.is_empty() {
            return Ok(());
        }
        let at = match self.find(place) {
            Some(at) => at,
            None => {
                self.refused |= kind == Kind::Refusal;
                let head = if kind == Kind::Refusal { BlockHead::Refusal } else { BlockHead::Text };
                self.open(place, kind, head, events)?
            }
        };
        let (_, open) = &mut self.open[at];
        if open.closed || !matches!(open.kind, Kind::Text | Kind::Refusal) {
            return Ok(());
        }
        open.grown = true;
        let logprobs = logprobs.iter().map(token_logprob).collect();
        events.push(Event::Delta { index: open.index, delta: Delta::Text { text, logprobs } });
        Ok(())
    }

    fn cited(&mut self, place: Place, annotations: &[Value], events: &mut Vec<Event>) {
        let Some(at) = self.find(place) else { return };
        let (_, open) = &mut self.open[at];
        if open.closed || open.kind != Kind::Text {
            return;
        }
        for citation in annotations.iter().filter_map(annotation::read) {
            open.cited = true;
            events.push(Event::Delta { index: open.index, delta: Delta::Citation(Box::new(citation)) });
        }
    }

    /// A part's whole text, in case no piece of it came.
    fn unsaid(
        &mut self,
        place: Place,
        kind: Kind,
        text: String,
        events: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        if self.find(place).is_some() { Ok(()) } else { self.text(place, kind, text, &[], events) }
    }

    fn thinking(
        &mut self,
        place: Place,
        part: u64,
        text: String,
        events: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        if text.is_empty() {
            return Ok(());
        }
        let at = match self.find(place) {
            Some(at) => at,
            None => self.open(place, Kind::Thinking, BlockHead::Thinking, events)?,
        };
        let (_, open) = &mut self.open[at];
        if open.closed || open.kind != Kind::Thinking {
            return Ok(());
        }
        let index = open.index;
        if std::mem::replace(&mut open.summary, part) != part && open.grown {
            events.push(Event::Delta { index, delta: Delta::Thinking(SUMMARY_JOIN.to_owned()) });
        }
        open.grown = true;
        events.push(Event::Delta { index, delta: Delta::Thinking(text) });
        Ok(())
    }

    fn input(&mut self, place: Place, piece: &str, events: &mut Vec<Event>) {
        let Some(at) = self.find(place) else { return };
        let (_, open) = &mut self.open[at];
        if piece.is_empty() || open.closed {
            return;
        }
        let text = match open.kind {
            Kind::Function => piece.to_owned(),
            // Free text travels as the one string of a function's arguments.
            Kind::Custom => {
                let opening = if open.grown { "" } else { "{\"input\":\"" };
                format!("{opening}{}", escaped(piece))
            }
            _ => return,
        };
        open.grown = true;
        events.push(Event::Delta { index: open.index, delta: Delta::ToolInput(text) });
    }

    fn unsaid_input(&mut self, place: Place, arguments: Option<&str>, events: &mut Vec<Event>) {
        let grown = self.find(place).is_none_or(|at| self.open[at].1.grown);
        if let (false, Some(arguments)) = (grown, arguments) {
            self.input(place, arguments, events);
        }
    }

    /// An item is whole: says what was not said, and closes its blocks.
    fn done(&mut self, index: u64, item: Item, events: &mut Vec<Event>) -> Result<(), Failure> {
        let whole = Place { item: index, part: None };
        match item.kind.as_str() {
            "message" => {
                for (part, content) in (0..).zip(item.content.into_iter().flatten()) {
                    let place = Place { item: index, part: Some(part) };
                    self.part(place, content, events)?;
                }
            }
            "function_call" | "custom_tool_call" => {
                self.begin(whole, &item, events)?;
                self.unsaid_input(whole, item.arguments.or(item.input).as_deref(), events);
            }
            "reasoning" => self.reasoning(whole, item, events)?,
            _ => {}
        }
        for place in 0..self.open.len() {
            if self.open[place].0.item == index {
                self.close(place, events);
            }
        }
        Ok(())
    }

    fn part(&mut self, place: Place, part: Part, events: &mut Vec<Event>) -> Result<(), Failure> {
        let known = self.find(place);
        match part.kind.as_str() {
            "output_text" if known.is_none() => {
                let logprobs = part.logprobs.unwrap_or_default();
                self.text(place, Kind::Text, part.text.unwrap_or_default(), &logprobs, events)?;
            }
            "refusal" if known.is_none() => {
                self.text(place, Kind::Refusal, part.refusal.unwrap_or_default(), &[], events)?;
            }
            _ => {}
        }
        let told = known.is_some_and(|at| self.open[at].1.cited);
        if let (false, Some(Value::Array(annotations))) = (told, &part.annotations) {
            self.cited(place, annotations, events);
        }
        Ok(())
    }

    fn reasoning(&mut self, place: Place, item: Item, events: &mut Vec<Event>) -> Result<(), Failure> {
        if self.find(place).is_none() {
            let summary = item.summary.filter(|summary| !summary.is_empty());
            let parts = summary.or(item.content).into_iter().flatten();
            for (index, part) in (0..).zip(parts) {
                self.thinking(place, index, part.text.unwrap_or_default(), events)?;
            }
        }
        let Some(seal) = item.encrypted_content.filter(|seal| !seal.is_empty()) else { return Ok(()) };
        let at = match self.find(place) {
            Some(at) => at,
            None => self.open(place, Kind::Thinking, BlockHead::Thinking, events)?,
        };
        let (_, open) = &self.open[at];
        if !open.closed && open.kind == Kind::Thinking {
            let delta = Delta::Signature(Sealer::OpenAi.tag(&seal));
            events.push(Event::Delta { index: open.index, delta });
        }
        Ok(())
    }

    fn close(&mut self, at: usize, events: &mut Vec<Event>) {
        let (_, open) = &mut self.open[at];
        if std::mem::replace(&mut open.closed, true) {
            return;
        }
        let index = open.index;
        let last = match (open.kind, open.grown) {
            // A call without arguments gets an empty object: JSON for all.
            (Kind::Function, false) => "{}",
            (Kind::Custom, true) => "\"}",
            (Kind::Custom, false) => "{\"input\":\"\"}",
            _ => "",
        };
        if !last.is_empty() {
            events.push(Event::Delta { index, delta: Delta::ToolInput(last.to_owned()) });
        }
        events.push(Event::BlockStop { index });
    }
}

/// The inside of a JSON string.
fn escaped(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// The server's own failure, if the event is one.
pub(super) fn failed(event: &StreamEvent) -> Option<Failure> {
    match event.kind.as_str() {
        "error" => Some(match &event.error {
            Some(error) if error.is_object() => from_event(error),
            _ => from_event(&json!({"code": event.code, "message": event.message, "param": event.param})),
        }),
        "response.failed" | "response.cancelled" => {
            Some(broken(event.response.as_ref().and_then(|response| response.error.as_ref())))
        }
        // Servers of the dialect's kin write a bare error object.
        "" => event.error.as_ref().map(from_event),
        _ => None,
    }
}

fn broken(error: Option<&Value>) -> Failure {
    from_event(error.unwrap_or(&Value::Null))
}

/// Why a response ended; whether a tool is called its items say.
pub(super) fn finish(response: &Response) -> FinishReason {
    let why = response.incomplete_details.as_ref().and_then(|details| details.reason.as_deref());
    match (response.status.as_deref(), why) {
        (_, Some("max_output_tokens" | "max_tokens")) => FinishReason::MaxTokens,
        (_, Some("content_filter")) => FinishReason::ContentFilter,
        (Some("incomplete"), Some(other)) => FinishReason::Other(other.to_owned()),
        (Some("incomplete"), None) => FinishReason::MaxTokens,
        _ => FinishReason::EndTurn,
    }
}
