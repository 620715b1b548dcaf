//! Tool calls of an answer: pieces keyed by the server's `index` → blocks.
//!
//! Servers agree on little: some omit the index, some always say 0, some repeat id and
//! name in every piece, some send the name after the id. A piece belongs to the call of
//! its index unless it brings a new id *and* a name. Pieces of parallel calls may
//! alternate, so a call stays open until its arguments are whole JSON and another begins,
//! or until the end.

use std::collections::HashMap;

use message::{BlockHead, Delta, Event, Failure};
use serde_json::Value;

use crate::openai::chat::wire;
use crate::openai::error::nonsense;

/// Most tool calls in one answer. Far beyond what any model means; bounds what a server
/// gone wrong can make us hold.
const TOOL_CALLS_MAX: usize = 512;

/// Most bytes of arguments held back while a call has no name yet.
const EARLY_INPUT_BYTES_MAX: usize = 1 << 20;

/// The calls so far, in order.
#[derive(Default)]
pub(super) struct ToolCalls {
    calls: Vec<Call>,
    /// Sent name → the client's name, where they differ.
    renamed: HashMap<String, String>,
}

struct Call {
    /// The server's index.
    index: Option<u64>,
    id: Option<String>,
    /// The block, once the name is known.
    block: Option<u32>,
    /// Arguments that came before the name.
    early: String,
    has_input: bool,
    arguments: Arguments,
    closed: bool,
}

/// How far the arguments of a call have come, as far as closing it needs to know.
#[derive(Default)]
struct Arguments {
    depth: usize,
    in_string: bool,
    escaped: bool,
    whole: bool,
}

impl Arguments {
    fn feed(&mut self, text: &str) {
        for byte in text.bytes() {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_string => self.escaped = true,
                b'"' => self.in_string = !self.in_string,
                _ if self.in_string => {}
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    self.whole = self.depth == 0;
                }
                _ => {}
            }
        }
    }
}

impl ToolCalls {
    pub(super) fn new(renamed: HashMap<String, String>) -> Self {
        Self { calls: Vec::new(), renamed }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Takes in a piece; `blocks` counts the blocks of the answer.
    pub(super) fn take(
        &mut self,
        piece: wire::ToolCall,
        blocks: &mut u32,
        events: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        let function = piece.function.unwrap_or_default();
        let name = function.name.filter(|name| !name.is_empty());
        let id = piece.id.filter(|id| !id.is_empty());
        let at = match self.find(piece.index, id.as_deref(), name.is_some()) {
            Some(at) => at,
            None if self.calls.len() == TOOL_CALLS_MAX => {
                return Err(nonsense(format!("more than {TOOL_CALLS_MAX} tool calls in one answer")));
            }
            None => {
                let (index, early) = (piece.index, String::new());
                self.calls.push(Call {
                    index,
                    id: None,
                    block: None,
                    early,
                    has_input: false,
                    arguments: Arguments::default(),
                    closed: false,
                });
                self.calls.len() - 1
            }
        };
        let call = &mut self.calls[at];
        if call.id.is_none() {
            call.id = id;
        }
        let input = match function.arguments {
            Some(Value::String(text)) => text,
            None | Some(Value::Null) => String::new(),
            Some(object) => object.to_string(),
        };
        match (call.block, name) {
            (Some(index), _) => call.grow(index, input, events),
            (None, Some(name)) => {
                self.close_whole(events);
                let call = &mut self.calls[at];
                let name = self.renamed.get(&name).cloned().unwrap_or(name);
                let index = *blocks;
                *blocks += 1;
                call.block = Some(index);
                // A server without ids (or of the older interface) numbers its calls here.
                let id = call.id.get_or_insert_with(|| format!("call_{at}")).clone();
                events.push(Event::BlockStart { index, block: BlockHead::ToolUse { id, name } });
                let early = std::mem::take(&mut call.early);
                call.grow(index, early, events);
                call.grow(index, input, events);
            }
            (None, None) if call.early.len() + input.len() > EARLY_INPUT_BYTES_MAX => {
                return Err(nonsense("a tool call without a name"));
            }
            (None, None) => call.early.push_str(&input),
        }
        Ok(())
    }

    /// Closes every call. One without arguments gets an empty object: JSON for all.
    pub(super) fn close(&mut self, events: &mut Vec<Event>) -> Result<(), Failure> {
        for call in &mut self.calls {
            let Some(index) = call.block else { return Err(nonsense("a tool call without a name")) };
            if !call.has_input {
                call.grow(index, "{}".to_owned(), events);
            }
            if !call.closed {
                events.push(Event::BlockStop { index });
            }
        }
        Ok(())
    }

    /// Closes the calls that have all their arguments: clients who take one block after
    /// the other need not wait for the last.
    fn close_whole(&mut self, events: &mut Vec<Event>) {
        for call in &mut self.calls {
            if let (Some(index), true, false) = (call.block, call.arguments.whole, call.closed) {
                call.closed = true;
                events.push(Event::BlockStop { index });
            }
        }
    }

    /// The call a piece belongs to; `None` if it begins another.
    fn find(&self, index: Option<u64>, id: Option<&str>, has_name: bool) -> Option<usize> {
        let with_id = |id: &str| self.calls.iter().rposition(|call| call.id.as_deref() == Some(id));
        let at = match (index, id) {
            (Some(_), _) => self.calls.iter().rposition(|call| call.index == index)?,
            (None, Some(id)) => return with_id(id),
            (None, None) if has_name => return None,
            (None, None) => return self.calls.len().checked_sub(1),
        };
        match (id, self.calls[at].id.as_deref()) {
            (Some(new), Some(old)) if new != old && has_name => with_id(new),
            _ => Some(at),
        }
    }
}

impl Call {
    fn grow(&mut self, index: u32, input: String, events: &mut Vec<Event>) {
        if !input.is_empty() && !self.closed {
            self.has_input = true;
            self.arguments.feed(&input);
            events.push(Event::Delta { index, delta: Delta::ToolInput(input) });
        }
    }
}
