//! The state of a streamed response: which block is which item, and what has been said.
//!
//! The order of events is the service's: an item is added, its part, the pieces; then all
//! of it again, whole, from the inside out. Blocks may grow side by side; each is an item
//! of its own, so nothing has to wait.

use message::{BlockHead, Citation, Delta, Event, Failure, FinishReason, TokenLogprob, Usage};
use serde_json::Value;

use super::Ending;
use super::event::{Events, Piece};
use super::item;
use super::object::{Settings, State};
use crate::json;
use crate::openai::annotation::CITATIONS_MAX;
use crate::openai::custom::Unwrapper;

/// A streamed response under way.
pub(super) struct Stream {
    settings: Settings,
    events: Events,
    created: bool,
    /// By block index; `None` for what has no place here.
    blocks: Vec<Option<Block>>,
    /// Whole items, by place.
    output: Vec<Value>,
    refusal_shown: bool,
    usage: Usage,
    ending: Option<Ending>,
    ended: bool,
}

struct Block {
    /// The item's place in the output.
    place: usize,
    id: String,
    kind: Kind,
    /// Everything said.
    text: String,
    logprobs: Vec<TokenLogprob>,
    /// What it rests on: told when it is whole.
    citations: Vec<Citation>,
    /// The event that carries a piece, laid out up to the piece.
    piece: Piece,
    closed: bool,
}

enum Kind {
    Text,
    Refusal,
    /// `begun`: its part was added; the seal, if one came.
    Thinking {
        begun: bool,
        seal: Option<String>,
    },
    Redacted(String),
    Function {
        id: String,
        name: String,
    },
    Custom {
        id: String,
        name: String,
        unwrapper: Unwrapper,
    },
}

impl Stream {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            events: Events::default(),
            created: false,
            blocks: Vec::new(),
            output: Vec::new(),
            refusal_shown: false,
            usage: Usage::default(),
            ending: None,
            ended: false,
        }
    }

    pub(super) fn event(&mut self, event: Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { .. } => self.create(out),
            Event::BlockStart { block, .. } => self.begin(block, out),
            Event::Delta { index, delta } => self.grow(index as usize, delta, out),
            Event::BlockStop { index } => self.close(index as usize, out),
            Event::Usage(usage) => self.usage = usage,
            Event::Finish { reason, .. } => self.finish(&reason, out),
            Event::Embedding(_) | Event::Ranking(_) | Event::Choice { .. } => {}
            Event::Frame(frame) => out.extend_from_slice(&frame.bytes),
        }
    }

    /// The last event: the whole response.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        self.create(out);
        let ending = self.ending.unwrap_or(Ending::Completed);
        let name = match ending {
            Ending::Completed => "response.completed",
            Ending::Incomplete(_) => "response.incomplete",
        };
        let (output, usage) = (std::mem::take(&mut self.output), self.usage);
        self.tell(name, &State::ended(ending, &output, &usage), out);
    }

    /// The last event of a response that broke.
    pub(super) fn failure(&mut self, failure: &Failure, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let mut output = std::mem::take(&mut self.output);
        output.retain(|item| !item.is_null());
        self.tell("response.failed", &State::failed(failure, &output), out);
    }

    /// An event with the whole response in it.
    fn tell(&mut self, name: &str, state: &State<'_>, out: &mut Vec<u8>) {
        let mut piece = Piece::new(name);
        piece.member("response");
        self.events.finish(out, &piece, |out| self.settings.write(state, out));
    }

    fn create(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.created, true) {
            let begun = State::begun("in_progress");
            self.tell("response.created", &begun, out);
            self.tell("response.in_progress", &begun, out);
        }
    }

    fn finish(&mut self, reason: &FinishReason, out: &mut Vec<u8>) {
        self.create(out);
        for index in 0..self.blocks.len() {
            self.close(index, out);
        }
        self.ending = Some(Ending::of(reason, self.refusal_shown));
    }

    fn begin(&mut self, head: BlockHead, out: &mut Vec<u8>) {
        self.create(out);
        let place = self.output.len();
        let identity = &self.settings.identity;
        let (kind, item) = match head {
            BlockHead::Text => (Kind::Text, item::message(identity, place, None)),
            BlockHead::Refusal => {
                self.refusal_shown = true;
                (Kind::Refusal, item::message(identity, place, None))
            }
            BlockHead::Thinking => {
                (Kind::Thinking { begun: false, seal: None }, item::reasoning(identity, place, "", None))
            }
            BlockHead::RedactedThinking(data) => {
                (Kind::Redacted(data), item::reasoning(identity, place, "", None))
            }
            BlockHead::ToolUse { id, name } => {
                let item = item::call(identity, place, &id, &name, None);
                let kind = if identity.is_custom(&name) {
                    Kind::Custom { id, name, unwrapper: Unwrapper::default() }
                } else {
                    Kind::Function { id, name }
                };
                (kind, item)
            }
            BlockHead::Opaque { .. } => return self.blocks.push(None),
        };
        let id = item["id"].as_str().unwrap_or_default().to_owned();
        self.output.push(Value::Null);
        self.events.write(
            out,
            "response.output_item.added",
            &[("output_index", place.into()), ("item", item)],
        );
        if let Some(part) = part(&kind, "", &[], Vec::new()) {
            self.part(out, "response.content_part.added", &id, place, part);
        }
        let piece = piece(&kind, &id, place);
        let (text, logprobs, citations, closed) = (String::new(), Vec::new(), Vec::new(), false);
        self.blocks.push(Some(Block { place, id, kind, text, logprobs, citations, piece, closed }));
    }

    /// An event about the one part of a message.
    fn part(&mut self, out: &mut Vec<u8>, name: &str, id: &str, place: usize, part: Value) {
        let at = [("item_id", id.into()), ("output_index", place.into()), ("content_index", 0.into())];
        let [item, output, content] = at;
        self.events.write(out, name, &[item, output, content, ("part", part)]);
    }

    fn grow(&mut self, index: usize, delta: Delta, out: &mut Vec<u8>) {
        let Some(Some(block)) = self.blocks.get_mut(index) else { return };
        if block.closed {
            return;
        }
        match (&mut block.kind, delta) {
            (Kind::Text, Delta::Text { text, logprobs }) => {
                let shown = if self.settings.logprobs { &logprobs[..] } else { &[] };
                self.events.finish(out, &block.piece, |out| {
                    json::write(out, &text);
                    out.extend_from_slice(b",\"logprobs\":");
                    if shown.is_empty() {
                        out.extend_from_slice(b"[]");
                    } else {
                        json::write(out, &item::logprobs(shown));
                    }
                });
                block.text.push_str(&text);
                if self.settings.logprobs {
                    block.logprobs.extend(logprobs);
                }
            }
            (Kind::Text, Delta::Citation(citation)) if block.citations.len() < CITATIONS_MAX => {
                block.citations.push(*citation);
            }
            (Kind::Refusal, Delta::Text { text, .. }) => block.say(&mut self.events, &text, out),
            (Kind::Thinking { begun, .. }, Delta::Thinking(text)) => {
                if !std::mem::replace(begun, true) {
                    let part = ("part", item::summary_part(""));
                    let at = [("item_id", block.id.as_str().into()), ("output_index", block.place.into())];
                    let [item, output] = at;
                    let members = [item, output, ("summary_index", 0.into()), part];
                    self.events.write(out, "response.reasoning_summary_part.added", &members);
                }
                block.say(&mut self.events, &text, out);
            }
            (Kind::Thinking { seal, .. }, Delta::Signature(more)) => {
                seal.get_or_insert_default().push_str(&more);
            }
            (Kind::Function { .. }, Delta::ToolInput(text)) if !text.is_empty() => {
                block.say(&mut self.events, &text, out);
            }
            (Kind::Custom { unwrapper, .. }, Delta::ToolInput(text)) => {
                let text = unwrapper.feed(&text);
                if !text.is_empty() {
                    block.say(&mut self.events, &text, out);
                }
            }
            // Vendors' own deltas have no place here.
            _ => {}
        }
    }

    fn close(&mut self, index: usize, out: &mut Vec<u8>) {
        let Some(Some(block)) = self.blocks.get_mut(index) else { return };
        if std::mem::replace(&mut block.closed, true) {
            return;
        }
        // A call without arguments is an empty object to this dialect's clients.
        let unsaid = match &mut block.kind {
            Kind::Function { .. } if block.text.is_empty() => "{}".to_owned(),
            Kind::Custom { unwrapper, .. } => unwrapper.finish(),
            _ => String::new(),
        };
        if !unsaid.is_empty() {
            block.say(&mut self.events, &unsaid, out);
        }
        let Block { place, ref id, ref kind, ref text, ref logprobs, ref citations, .. } = *block;
        let place_of = || [("item_id", Value::from(id.as_str())), ("output_index", place.into())];
        let [item_id, output_index] = place_of();
        let content = ("content_index", Value::from(0));
        let summary = ("summary_index", Value::from(0));
        let identity = &self.settings.identity;
        let item = match kind {
            Kind::Text => {
                let annotations = item::annotations(text, citations);
                for (index, annotation) in annotations.iter().enumerate() {
                    let [item_id, output_index] = place_of();
                    let which = ("annotation_index", index.into());
                    let said = ("annotation", annotation.clone());
                    let members = [item_id, output_index, content.clone(), which, said];
                    self.events.write(out, "response.output_text.annotation.added", &members);
                }
                let logprobs_member = ("logprobs", item::logprobs(logprobs));
                let members =
                    [item_id, output_index, content, ("text", text.as_str().into()), logprobs_member];
                self.events.write(out, "response.output_text.done", &members);
                item::message(identity, place, part(kind, text, logprobs, annotations))
            }
            Kind::Refusal => {
                let members = [item_id, output_index, content, ("refusal", text.as_str().into())];
                self.events.write(out, "response.refusal.done", &members);
                item::message(identity, place, part(kind, text, &[], Vec::new()))
            }
            Kind::Thinking { begun, seal } => {
                if *begun {
                    let members = [item_id, output_index, summary.clone(), ("text", text.as_str().into())];
                    self.events.write(out, "response.reasoning_summary_text.done", &members);
                    let [item_id, output_index] = place_of();
                    let members = [item_id, output_index, summary, ("part", item::summary_part(text))];
                    self.events.write(out, "response.reasoning_summary_part.done", &members);
                }
                item::reasoning(identity, place, text, seal.as_deref().map(item::sealed))
            }
            Kind::Redacted(data) => {
                let sealed = format!("{}{data}", crate::openai::responses::REDACTED);
                item::reasoning(identity, place, "", Some(sealed))
            }
            Kind::Function { id, name } => {
                let members = [item_id, output_index, ("arguments", text.as_str().into())];
                self.events.write(out, "response.function_call_arguments.done", &members);
                item::call(identity, place, id, name, Some(text))
            }
            Kind::Custom { id, name, .. } => {
                let members = [item_id, output_index, ("input", text.as_str().into())];
                self.events.write(out, "response.custom_tool_call_input.done", &members);
                let mut item = item::call(identity, place, id, name, Some(""));
                item["input"] = text.as_str().into();
                item
            }
        };
        if let Some(part) = item.pointer("/content/0").cloned() {
            let id = id.clone();
            self.part(out, "response.content_part.done", &id, place, part);
        }
        let members = [("output_index", place.into()), ("item", item.clone())];
        self.events.write(out, "response.output_item.done", &members);
        if let Some(kept) = self.output.get_mut(place) {
            *kept = item;
        }
    }
}

impl Block {
    /// A piece of text, and nothing else.
    fn say(&mut self, events: &mut Events, text: &str, out: &mut Vec<u8>) {
        events.finish(out, &self.piece, |out| json::write(out, text));
        self.text.push_str(text);
    }
}

/// The one part of a message.
fn part(kind: &Kind, text: &str, logprobs: &[TokenLogprob], annotations: Vec<Value>) -> Option<Value> {
    match kind {
        Kind::Text => Some(item::text_part(text, logprobs, annotations)),
        Kind::Refusal => Some(item::refusal_part(text)),
        _ => None,
    }
}

/// The event that carries a piece of a block, laid out up to the piece itself.
fn piece(kind: &Kind, id: &str, place: usize) -> Piece {
    let (name, index) = match kind {
        Kind::Text => ("response.output_text.delta", Some("content_index")),
        Kind::Refusal => ("response.refusal.delta", Some("content_index")),
        Kind::Thinking { .. } | Kind::Redacted(_) => {
            ("response.reasoning_summary_text.delta", Some("summary_index"))
        }
        Kind::Function { .. } => ("response.function_call_arguments.delta", None),
        Kind::Custom { .. } => ("response.custom_tool_call_input.delta", None),
    };
    let mut piece = Piece::at(name, id, place);
    if let Some(index) = index {
        piece.with(index, &0);
    }
    piece.member("delta");
    piece
}
