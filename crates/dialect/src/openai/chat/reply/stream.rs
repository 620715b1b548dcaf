//! The state of one streamed answer: which block is what, and what has been sent of it.

use message::{BlockHead, Citation, Delta, Event, FinishReason, TokenLogprob, Usage};
use serde_json::{Value, json};

use super::chunk::Chunks;
use super::{Identity, finish_word, url_citation};
use crate::json;
use crate::openai::annotation::{CITATIONS_MAX, chars};
use crate::openai::chat::inbound::ReplyOptions;
use crate::openai::custom::Unwrapper;

/// A streamed answer under way: the only one, or one of those that were asked for.
pub(super) struct Stream {
    chunks: Chunks,
    options: ReplyOptions,
    role_sent: bool,
    refusal_shown: bool,
    /// By block index.
    blocks: Vec<Block>,
    tool_calls: u32,
    /// Characters of content sent.
    said_chars: u64,
    usage: Option<Usage>,
    /// Tools whose input is free text.
    custom: Vec<String>,
}

enum Block {
    /// Where in the content it begins, and what it rests on: told when it is whole.
    Text {
        start: u64,
        citations: Vec<Citation>,
    },
    Thinking,
    Refusal,
    /// `index` counts tool calls only, as the dialect does.
    ToolCall {
        index: u32,
        has_input: bool,
    },
    /// A call with free text.
    CustomCall {
        index: u32,
        unwrapper: Unwrapper,
    },
    /// Nothing this dialect can show.
    Hidden,
}

impl Stream {
    pub(super) fn new(identity: &Identity<'_>, options: ReplyOptions, index: u32) -> Self {
        Self {
            chunks: Chunks::new(identity, options.include_usage, index),
            options,
            role_sent: false,
            refusal_shown: false,
            blocks: Vec::new(),
            tool_calls: 0,
            said_chars: 0,
            usage: None,
            custom: identity.custom.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    pub(super) fn keepalive(&self, out: &mut Vec<u8>) {
        self.chunks.write(out, |out| out.extend_from_slice(b"{}"), &[], None);
    }

    pub(super) fn event(&mut self, event: Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { .. } => self.role(out),
            Event::BlockStart { block, .. } => self.block_start(block, out),
            Event::Delta { index, delta } => self.delta(index, delta, out),
            Event::BlockStop { index } => self.block_stop(index, out),
            Event::Usage(usage) => self.usage = Some(usage),
            Event::Finish { reason, .. } => self.finish(&reason, out),
            Event::Embedding(_) | Event::Ranking(_) | Event::Choice { .. } => {}
            Event::Frame(frame) => out.extend_from_slice(&frame.bytes),
        }
    }

    /// The closing frames: the count if asked for, and the last word.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) {
        if self.options.include_usage {
            self.chunks.write_usage(out, &self.usage.unwrap_or_default());
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    /// The first chunk: who speaks.
    fn role(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.role_sent, true) {
            let delta = br#"{"role":"assistant","content":"","refusal":null}"#;
            self.chunks.write(out, |out| out.extend_from_slice(delta), &[], None);
        }
    }

    fn block_start(&mut self, head: BlockHead, out: &mut Vec<u8>) {
        self.role(out);
        let block = match head {
            BlockHead::Text => Block::Text { start: self.said_chars, citations: Vec::new() },
            BlockHead::Thinking => Block::Thinking,
            BlockHead::Refusal => {
                self.refusal_shown = true;
                Block::Refusal
            }
            BlockHead::ToolUse { id, name } => self.tool_call(&id, &name, out),
            BlockHead::RedactedThinking(_) | BlockHead::Opaque { .. } => Block::Hidden,
        };
        self.blocks.push(block);
    }

    fn tool_call(&mut self, id: &str, name: &str, out: &mut Vec<u8>) -> Block {
        let index = self.tool_calls;
        if self.custom.iter().any(|custom| custom == name) {
            let custom = json!({"name": name, "input": ""});
            let delta =
                json!({"tool_calls": [{"index": index, "id": id, "type": "custom", "custom": custom}]});
            self.tool_calls += 1;
            self.chunks.write(out, |out| json::write(out, &delta), &[], None);
            return Block::CustomCall { index, unwrapper: Unwrapper::default() };
        }
        let delta = if self.options.legacy_functions {
            // The older interface has room for one call.
            if index > 0 {
                return Block::Hidden;
            }
            json!({"function_call": {"name": name, "arguments": ""}})
        } else {
            let function = json!({"name": name, "arguments": ""});
            json!({"tool_calls": [{"index": index, "id": id, "type": "function", "function": function}]})
        };
        self.tool_calls += 1;
        self.chunks.write(out, |out| json::write(out, &delta), &[], None);
        Block::ToolCall { index, has_input: false }
    }

    fn delta(&mut self, index: u32, delta: Delta, out: &mut Vec<u8>) {
        let Some(block) = self.blocks.get_mut(index as usize) else { return };
        match (block, delta) {
            (Block::Text { .. }, Delta::Text { text, logprobs }) => {
                self.said_chars += chars(&text);
                self.text("content", &text, &logprobs, out);
            }
            (Block::Text { citations, .. }, Delta::Citation(citation)) if citations.len() < CITATIONS_MAX => {
                citations.push(*citation);
            }
            (Block::Refusal, Delta::Text { text, .. }) => self.text("refusal", &text, &[], out),
            (Block::Thinking, Delta::Thinking(text)) => self.text("reasoning_content", &text, &[], out),
            (Block::ToolCall { index, has_input }, Delta::ToolInput(input)) => {
                *has_input |= !input.is_empty();
                let index = *index;
                self.arguments(index, &input, out);
            }
            (Block::CustomCall { index, unwrapper }, Delta::ToolInput(input)) => {
                let (index, text) = (*index, unwrapper.feed(&input));
                self.free_text(index, &text, out);
            }
            // Seals and vendors' own deltas have no place here.
            _ => {}
        }
    }

    fn text(&self, member: &str, text: &str, tokens: &[TokenLogprob], out: &mut Vec<u8>) {
        let tokens = if self.options.logprobs { tokens } else { &[] };
        let delta = |out: &mut Vec<u8>| {
            out.extend_from_slice(b"{\"");
            out.extend_from_slice(member.as_bytes());
            out.extend_from_slice(b"\":");
            json::write(out, text);
            out.push(b'}');
        };
        self.chunks.write(out, delta, tokens, None);
    }

    fn arguments(&self, index: u32, input: &str, out: &mut Vec<u8>) {
        let delta = if self.options.legacy_functions {
            json!({"function_call": {"arguments": input}})
        } else {
            json!({"tool_calls": [{"index": index, "function": {"arguments": input}}]})
        };
        self.chunks.write(out, |out| json::write(out, &delta), &[], None);
    }

    fn free_text(&self, index: u32, text: &str, out: &mut Vec<u8>) {
        if !text.is_empty() {
            let delta = json!({"tool_calls": [{"index": index, "custom": {"input": text}}]});
            self.chunks.write(out, |out| json::write(out, &delta), &[], None);
        }
    }

    /// Writes what was left for the end. A call without arguments is an empty object to
    /// this dialect's clients.
    fn block_stop(&mut self, index: u32, out: &mut Vec<u8>) {
        match self.blocks.get_mut(index as usize) {
            Some(Block::Text { start, citations }) => {
                let place = *start..self.said_chars;
                let pages = std::mem::take(citations);
                let pages: Value =
                    pages.iter().filter_map(|page| url_citation(page, place.clone())).collect();
                if pages != json!([]) {
                    let delta = json!({ "annotations": pages });
                    self.chunks.write(out, |out| json::write(out, &delta), &[], None);
                }
            }
            Some(Block::ToolCall { index, has_input: false }) => {
                let index = *index;
                self.arguments(index, "{}", out);
            }
            Some(Block::CustomCall { index, unwrapper }) => {
                let (index, rest) = (*index, unwrapper.finish());
                self.free_text(index, &rest, out);
            }
            _ => {}
        }
    }

    fn finish(&mut self, reason: &FinishReason, out: &mut Vec<u8>) {
        self.role(out);
        let word = finish_word(reason, self.refusal_shown, self.options);
        self.chunks.write(out, |out| out.extend_from_slice(b"{}"), &[], Some(word));
    }
}
