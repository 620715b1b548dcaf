//! Builds the blocks of an answer from chunks: one state for streamed and whole replies, so
//! that both give the same events.
//!
//! A function call comes whole, without pieces; its id is often missing and is then made of
//! the request's, so that it is unlike any other of the conversation. Seals become blocks of
//! their own, tagged as Gemini's.

use std::collections::HashMap;

use message::{BlockHead, Call, Delta, Dialect, Event, Failure, FinishReason, Sealer, TokenLogprob};
use serde_json::Value;

use super::{cut, in_stream, logprobs, nonsense};
use crate::gemini::names::renamed;
use crate::gemini::wire;

/// Most blocks of one answer. Far beyond what any model means; bounds what a server gone
/// wrong can make us and every layer hold.
const BLOCKS_MAX: u32 = 4_096;

/// The answer so far.
pub(super) struct Answer {
    /// Sent name → the client's name, where they differ.
    renamed: HashMap<String, String>,
    /// What made-up ids begin with.
    id_prefix: String,
    started: bool,
    /// The text or thinking that grows.
    open: Option<(Kind, u32)>,
    blocks: u32,
    calls: u32,
    finish: Option<FinishReason>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
}

impl Answer {
    pub(super) fn new(call: &Call) -> Self {
        // A call that was translated has been decoded, or it could not have been sent.
        let renamed = call.chat().map(renamed).unwrap_or_default();
        let id_prefix = format!("call_{}", call.id.as_str().replace('-', ""));
        Self { renamed, id_prefix, started: false, open: None, blocks: 0, calls: 0, finish: None }
    }

    /// Takes in a chunk, or a whole response.
    ///
    /// # Errors
    /// The server's own error object; more blocks than anybody can mean.
    pub(super) fn take(&mut self, chunk: wire::Response, events: &mut Vec<Event>) -> Result<(), Failure> {
        if let Some(error) = chunk.error.as_ref().filter(|error| !error.is_null()) {
            return Err(in_stream(error));
        }
        if !self.started {
            self.started = true;
            events.push(Event::Start { id: chunk.response_id.clone().filter(|id| !id.is_empty()) });
        }
        if let Some(reason) = chunk.finish() {
            self.finish = Some(reason);
        }
        // One answer was asked for; others are not ours.
        let candidate = chunk.candidates.into_iter().flatten().find(|one| one.index.unwrap_or(0) == 0);
        if let Some(candidate) = candidate {
            let mut tokens = candidate.logprobs_result.map(logprobs::read).unwrap_or_default();
            for part in candidate.content.and_then(|content| content.parts).into_iter().flatten() {
                self.part(part, &mut tokens, events)?;
            }
        }
        if let Some(usage) = chunk.usage_metadata {
            events.push(Event::Usage(usage.buckets()));
        }
        Ok(())
    }

    /// Closes every block and says why the answer ended.
    ///
    /// # Errors
    /// [`Upstream`](message::ErrorKind::Upstream) if the server never said why.
    pub(super) fn end(&mut self, events: &mut Vec<Event>) -> Result<(), Failure> {
        let reason = self.finish.take().ok_or_else(cut)?;
        self.close(events);
        let reason = match reason {
            FinishReason::EndTurn if self.calls > 0 => FinishReason::ToolUse,
            reason => reason,
        };
        events.push(Event::Finish { reason, stop_sequence: None });
        Ok(())
    }

    fn part(
        &mut self,
        mut part: Value,
        tokens: &mut Vec<TokenLogprob>,
        events: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        let Some(fields) = part.as_object_mut() else { return Err(nonsense("a part that is no object")) };
        let seal = match fields.get("thoughtSignature") {
            Some(Value::String(seal)) if !seal.is_empty() => Some(Sealer::Gemini.tag(seal)),
            _ => None,
        };
        let thought = fields.get("thought") == Some(&Value::Bool(true));
        match (fields.get_mut("text").map(Value::take), fields.get_mut("functionCall").map(Value::take)) {
            (Some(Value::String(text)), _) if thought => {
                if text.is_empty() && seal.is_none() {
                    return Ok(());
                }
                let index = self.block(Kind::Thinking, events)?;
                if !text.is_empty() {
                    events.push(Event::Delta { index, delta: Delta::Thinking(text) });
                }
                if let Some(seal) = seal {
                    events.push(Event::Delta { index, delta: Delta::Signature(seal) });
                    self.close(events);
                }
            }
            (Some(Value::String(text)), _) => {
                self.sealed(seal, events)?;
                if !text.is_empty() || !tokens.is_empty() {
                    let index = self.block(Kind::Text, events)?;
                    let logprobs = std::mem::take(tokens);
                    events.push(Event::Delta { index, delta: Delta::Text { text, logprobs } });
                }
            }
            (_, Some(Value::Object(call))) => {
                self.sealed(seal, events)?;
                self.call(call, events)?;
            }
            // Made by the vendor's own tools, or of a kind yet to be invented.
            _ => {
                let block = BlockHead::Opaque { dialect: Dialect::Gemini, value: part };
                let index = self.begin(block, events)?;
                events.push(Event::BlockStop { index });
            }
        }
        Ok(())
    }

    /// A seal on what follows: a thinking block without text.
    fn sealed(&mut self, seal: Option<String>, events: &mut Vec<Event>) -> Result<(), Failure> {
        let Some(seal) = seal else { return Ok(()) };
        let index = self.begin(BlockHead::Thinking, events)?;
        events.push(Event::Delta { index, delta: Delta::Signature(seal) });
        events.push(Event::BlockStop { index });
        Ok(())
    }

    fn call(
        &mut self,
        mut call: serde_json::Map<String, Value>,
        events: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        let Some(Value::String(name)) = call.remove("name") else {
            return Err(nonsense("a function call without a name"));
        };
        let id = match call.remove("id") {
            Some(Value::String(id)) if !id.is_empty() => id,
            _ => format!("{}_{}", self.id_prefix, self.calls),
        };
        self.calls += 1;
        let name = self.renamed.get(&name).cloned().unwrap_or(name);
        let index = self.begin(BlockHead::ToolUse { id, name }, events)?;
        let input = match call.remove("args") {
            None | Some(Value::Null) => "{}".to_owned(),
            Some(args) => args.to_string(),
        };
        events.push(Event::Delta { index, delta: Delta::ToolInput(input) });
        events.push(Event::BlockStop { index });
        Ok(())
    }

    /// The index of the open block of this kind; opens one if need be.
    fn block(&mut self, kind: Kind, events: &mut Vec<Event>) -> Result<u32, Failure> {
        if let Some((open, index)) = self.open
            && open == kind
        {
            return Ok(index);
        }
        let block = match kind {
            Kind::Text => BlockHead::Text,
            Kind::Thinking => BlockHead::Thinking,
        };
        let index = self.begin(block, events)?;
        self.open = Some((kind, index));
        Ok(index)
    }

    fn begin(&mut self, block: BlockHead, events: &mut Vec<Event>) -> Result<u32, Failure> {
        self.close(events);
        if self.blocks == BLOCKS_MAX {
            return Err(nonsense(format!("more than {BLOCKS_MAX} blocks in one answer")));
        }
        let index = self.blocks;
        self.blocks += 1;
        events.push(Event::BlockStart { index, block });
        Ok(index)
    }

    fn close(&mut self, events: &mut Vec<Event>) {
        if let Some((_, index)) = self.open.take() {
            events.push(Event::BlockStop { index });
        }
    }
}
