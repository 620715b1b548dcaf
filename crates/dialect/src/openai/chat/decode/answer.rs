//! Builds the blocks of an answer from chunks: one state for streamed and whole replies,
//! so that both give the same events.

use std::collections::HashMap;

use message::{BlockHead, Delta, Event, Failure, FinishReason, TokenLogprob, TopLogprob};
use serde_json::Value;

use super::tool_calls::ToolCalls;
use crate::openai::annotation;
use crate::openai::chat::wire;
use crate::openai::error::{cut, from_event};

/// The answer so far.
#[derive(Default)]
pub(super) struct Answer {
    started: bool,
    /// The text-like block that grows; tool calls stay open beside it.
    open: Option<(Kind, u32)>,
    blocks: u32,
    /// Text blocks begun: places in the content are places in the first.
    texts: u32,
    calls: ToolCalls,
    refused: bool,
    finish: Option<(FinishReason, Option<String>)>,
    ended: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
    Refusal,
}

impl Answer {
    /// An answer to a call whose tools were sent under these names.
    pub(super) fn new(renamed: HashMap<String, String>) -> Self {
        Self { calls: ToolCalls::new(renamed), ..Self::default() }
    }

    /// Takes in a chunk, or a whole completion.
    ///
    /// # Errors
    /// The server's own error object; more tool calls than anybody can mean.
    pub(super) fn take(&mut self, chunk: wire::Completion, events: &mut Vec<Event>) -> Result<(), Failure> {
        if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
            return Err(from_event(&error));
        }
        if !self.started {
            self.started = true;
            events.push(Event::Start { id: chunk.id.filter(|id| !id.is_empty()) });
        }
        // One answer was asked for; others are not ours.
        for choice in chunk.choices.into_iter().flatten().filter(|choice| choice.index.unwrap_or(0) == 0) {
            self.choice(choice, events)?;
        }
        if let Some(usage) = chunk.usage {
            events.push(Event::Usage(usage.buckets()));
        }
        Ok(())
    }

    /// Whether the server said why it ended.
    pub(super) const fn is_finished(&self) -> bool {
        self.finish.is_some()
    }

    /// Closes every block and says why the answer ended.
    ///
    /// # Errors
    /// [`Upstream`](message::ErrorKind::Upstream) if nothing was answered.
    pub(super) fn end(&mut self, events: &mut Vec<Event>) -> Result<(), Failure> {
        if !self.started {
            return Err(cut());
        }
        if std::mem::replace(&mut self.ended, true) {
            return Ok(());
        }
        self.close(events);
        self.calls.close(events)?;
        let (reason, stop_sequence) = self.finish.take().unwrap_or((FinishReason::EndTurn, None));
        let reason = match reason {
            // Several servers say `stop` after tool calls.
            FinishReason::EndTurn if !self.calls.is_empty() => FinishReason::ToolUse,
            FinishReason::EndTurn if self.refused => FinishReason::Refusal,
            reason => reason,
        };
        events.push(Event::Finish { reason, stop_sequence });
        Ok(())
    }

    fn choice(&mut self, choice: wire::Choice, events: &mut Vec<Event>) -> Result<(), Failure> {
        let logprobs = choice.logprobs.and_then(|logprobs| logprobs.content).unwrap_or_default();
        for message in choice.delta.into_iter().chain(choice.message.map(|message| *message)) {
            self.message(message, &logprobs, events)?;
        }
        if let Some(word) = choice.finish_reason {
            self.finish = Some(finish(word, choice.stop_reason.map(|stop| *stop)));
        }
        Ok(())
    }

    fn message(
        &mut self,
        message: wire::Message,
        logprobs: &[wire::TokenLogprob],
        events: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        let reasoning =
            message.reasoning_content.or(message.reasoning.and_then(|reasoning| text_of(*reasoning)));
        if let Some(text) = reasoning.filter(|text| !text.is_empty()) {
            let index = self.block(Kind::Thinking, events);
            events.push(Event::Delta { index, delta: Delta::Thinking(text) });
        }
        let text = message.content.and_then(text_of).unwrap_or_default();
        // A token may end inside a character and show no text of its own yet.
        if !text.is_empty() || !logprobs.is_empty() {
            let index = self.block(Kind::Text, events);
            let logprobs = logprobs.iter().map(token_logprob).collect();
            events.push(Event::Delta { index, delta: Delta::Text { text, logprobs } });
        }
        self.cited(message.annotations.as_deref(), events);
        if let Some(text) = message.refusal.filter(|text| !text.is_empty()) {
            self.refused = true;
            let index = self.block(Kind::Refusal, events);
            events.push(Event::Delta { index, delta: Delta::text(text) });
        }
        let legacy = message.function_call.map(|function| wire::ToolCall {
            index: Some(0),
            id: None,
            function: Some(*function),
        });
        for call in message.tool_calls.into_iter().flatten().chain(legacy) {
            self.close(events);
            self.calls.take(call, &mut self.blocks, events)?;
        }
        Ok(())
    }

    /// What the text rests on; without a text it says nothing.
    fn cited(&self, annotations: Option<&Value>, events: &mut Vec<Event>) {
        let (Some(Value::Array(annotations)), Some((Kind::Text, index))) = (annotations, self.open) else {
            return;
        };
        for mut citation in annotations.iter().filter_map(annotation::read) {
            citation.claim = citation.claim.filter(|_| self.texts == 1);
            events.push(Event::Delta { index, delta: Delta::Citation(Box::new(citation)) });
        }
    }

    /// The index of the open block of this kind; opens one if need be.
    fn block(&mut self, kind: Kind, events: &mut Vec<Event>) -> u32 {
        if let Some((open, index)) = self.open
            && open == kind
        {
            return index;
        }
        self.close(events);
        let index = self.blocks;
        self.blocks += 1;
        self.open = Some((kind, index));
        let block = match kind {
            Kind::Text => {
                self.texts += 1;
                BlockHead::Text
            }
            Kind::Thinking => BlockHead::Thinking,
            Kind::Refusal => BlockHead::Refusal,
        };
        events.push(Event::BlockStart { index, block });
        index
    }

    fn close(&mut self, events: &mut Vec<Event>) {
        if let Some((_, index)) = self.open.take() {
            events.push(Event::BlockStop { index });
        }
    }
}

/// The server's word → the hub's. `home` counts with the same function.
pub(in crate::openai) fn finish(word: String, stop_reason: Option<Value>) -> (FinishReason, Option<String>) {
    let reason = match word.as_str() {
        "stop" => match stop_reason {
            Some(Value::String(stop)) => return (FinishReason::StopSequence, Some(stop)),
            _ => FinishReason::EndTurn,
        },
        "length" => FinishReason::MaxTokens,
        "tool_calls" | "function_call" => FinishReason::ToolUse,
        "content_filter" => FinishReason::ContentFilter,
        _ => FinishReason::Other(word),
    };
    (reason, None)
}

/// Text, or the text parts of a list (Mistral's reasoning models).
fn text_of(content: Value) -> Option<String> {
    match content {
        Value::String(text) => Some(text),
        Value::Array(parts) => {
            Some(parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str)).collect())
        }
        _ => None,
    }
}

pub(in crate::openai) fn token_logprob(wire: &wire::TokenLogprob) -> TokenLogprob {
    let top = wire.top_logprobs.iter().flatten();
    let top =
        top.map(|one| TopLogprob { token: bytes_of(one), logprob: one.logprob.unwrap_or(f32::NEG_INFINITY) });
    TokenLogprob {
        token: bytes_of(wire),
        logprob: wire.logprob.unwrap_or(f32::NEG_INFINITY),
        top: top.collect(),
    }
}

fn bytes_of(wire: &wire::TokenLogprob) -> Vec<u8> {
    wire.bytes.clone().unwrap_or_else(|| wire.token.clone().into_bytes())
}
