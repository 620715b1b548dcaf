//! Tools: how a model writes its calls, and reading them from its answer as they come.
//!
//! Models were taught different notations; which one a model uses is found by asking
//! its own template to write a call (`template/probe`). A model whose template knows no
//! tools is told about them in the system prompt (`describe`), in the notation of
//! NousResearch's Hermes function-calling standard, which most open models have seen.

mod describe;
mod parser;
mod scan;

pub(crate) use describe::describe;
pub(crate) use parser::{Parser, Part};

/// How a model writes a tool call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Syntax {
    /// Stands before a call; empty if a call is the whole answer.
    pub(crate) open: &'static str,
    /// Stands after a call; empty if nothing does.
    pub(crate) close: &'static str,
    /// The calls stand in one JSON array.
    pub(crate) list: bool,
    /// The key of the arguments.
    pub(crate) arguments: &'static str,
}

impl Syntax {
    /// `<tool_call>{"name": …, "arguments": …}</tool_call>`: Hermes, Qwen 2.5 and 3.
    pub(crate) const HERMES: Self =
        Self { open: "<tool_call>", close: "</tool_call>", list: false, arguments: "arguments" };
    /// `[TOOL_CALLS][{"name": …, "arguments": …}]`: Mistral.
    pub(crate) const MISTRAL: Self =
        Self { open: "[TOOL_CALLS]", close: "", list: true, arguments: "arguments" };
    /// `{"name": …, "parameters": …}` as the whole answer: Llama 3.
    pub(crate) const LLAMA3: Self = Self { open: "", close: "", list: false, arguments: "parameters" };
}

/// Marks of tool calls that some vocabularies keep as control tokens: these must show
/// in the text, where other control tokens do not.
pub(crate) const MARKS: [&str; 3] = ["<tool_call>", "</tool_call>", "[TOOL_CALLS]"];

/// A new id, by which a tool's result will name its call.
pub(crate) fn new_call_id() -> String {
    // Without randomness (no system has been seen to run out) ids would only repeat.
    let random = getrandom::u64().unwrap_or_default();
    format!("call_{random:016x}")
}
