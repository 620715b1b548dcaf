//! The notations in which models were taught to call tools: data, one constant each.
//!
//! Sources: the chat templates that the models' makers publish with them, and
//! llama.cpp's list of formats (its docs/function-calling.md); OpenAI's harmony format
//! guide for gpt-oss. All read 2026-11-22.

/// How a model writes its tool calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Syntax {
    /// Stands before a call, or before several; empty if a call is the whole answer.
    pub(crate) open: &'static str,
    /// Stands after; empty if nothing does.
    pub(crate) close: &'static str,
    /// What stands in between.
    pub(crate) body: Body,
}

/// A call within its marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    /// A JSON object that holds name and arguments.
    Object {
        /// The key of the arguments.
        arguments: &'static str,
        /// The calls stand in one JSON array.
        list: bool,
    },
    /// The name, and then the arguments as a JSON object.
    Named(Named),
    /// `<function=NAME><parameter=KEY>value</parameter></function>`.
    Xml,
    /// A message of its own in OpenAI's harmony format; see [`super::harmony`].
    Harmony,
}

/// What stands around a name and its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Named {
    /// Before the name.
    pub(crate) before: &'static str,
    /// Between the name and the arguments.
    pub(crate) between: &'static str,
    /// After the arguments.
    pub(crate) after: &'static str,
    /// Several calls may stand within the marks.
    pub(crate) several: bool,
}

impl Syntax {
    /// `<tool_call>{"name": …, "arguments": …}</tool_call>`: Hermes, Qwen 2.5 and 3,
    /// SmolLM 2 and 3, Granite 4.
    pub(crate) const HERMES: Self = Self::object("<tool_call>", "</tool_call>", "arguments");
    /// `[TOOL_CALLS][{"name": …, "arguments": …}]`: Mistral until 2024.
    pub(crate) const MISTRAL: Self = Self::list("[TOOL_CALLS]", "");
    /// `[TOOL_CALLS]name[ARGS]{…}`: Mistral since tokenizer version 11.
    pub(crate) const MISTRAL_ARGS: Self = Self::named("[TOOL_CALLS]", "", "", "[ARGS]");
    /// `{"name": …, "parameters": …}` as the whole answer: Llama 3.
    pub(crate) const LLAMA3: Self = Self::object("", "", "parameters");
    /// `<|tool_call|>[{"name": …, "arguments": …}]`: Granite 3.
    pub(crate) const GRANITE: Self = Self::list("<|tool_call|>", "");
    /// The same with an end: Phi 4 mini.
    pub(crate) const PHI4: Self = Self::list("<|tool_call|>", "<|/tool_call|>");
    /// `<|tool_call>call:name{…}<tool_call|>`: Gemma 4. It was taught a JSON without
    /// quotes; the constraint makes it write JSON.
    pub(crate) const GEMMA4: Self = Self::named("<|tool_call>", "<tool_call|>", "call:", "");
    /// The same under older marks: FunctionGemma.
    pub(crate) const FUNCTION_GEMMA: Self =
        Self::named("<start_function_call>", "<end_function_call>", "call:", "");
    /// DeepSeek V3 and R1.
    pub(crate) const DEEPSEEK: Self = Self {
        open: "<｜tool▁calls▁begin｜>",
        close: "<｜tool▁calls▁end｜>",
        body: Body::Named(Named {
            before: "<｜tool▁call▁begin｜>function<｜tool▁sep｜>",
            between: "\n```json\n",
            after: "\n```<｜tool▁call▁end｜>",
            several: true,
        }),
    };
    /// DeepSeek V3.1: the same, shorter.
    pub(crate) const DEEPSEEK_V31: Self = Self {
        body: Body::Named(Named {
            before: "<｜tool▁call▁begin｜>",
            between: "<｜tool▁sep｜>",
            after: "<｜tool▁call▁end｜>",
            several: true,
        }),
        ..Self::DEEPSEEK
    };
    /// `<tool_call><function=name><parameter=key>…`: Qwen3 Coder.
    pub(crate) const QWEN3_CODER: Self = Self { open: "<tool_call>", close: "</tool_call>", body: Body::Xml };
    /// The same under its own marks: Seed-OSS.
    pub(crate) const SEED: Self =
        Self { open: "<seed:tool_call>", close: "</seed:tool_call>", body: Body::Xml };
    /// gpt-oss.
    pub(crate) const HARMONY: Self = Self { open: "to=functions.", close: "<|call|>", body: Body::Harmony };

    const fn object(open: &'static str, close: &'static str, arguments: &'static str) -> Self {
        Self { open, close, body: Body::Object { arguments, list: false } }
    }

    const fn list(open: &'static str, close: &'static str) -> Self {
        Self { open, close, body: Body::Object { arguments: "arguments", list: true } }
    }

    const fn named(
        open: &'static str,
        close: &'static str,
        before: &'static str,
        between: &'static str,
    ) -> Self {
        Self { open, close, body: Body::Named(Named { before, between, after: "", several: false }) }
    }

    /// The notation of a text in which a template wrote a call, or told of how to write one.
    pub(crate) fn of(rendered: &str) -> Option<Self> {
        let has = |mark: &str| rendered.contains(mark);
        let either = |mark: &str, then: Self, other: Self| if has(mark) { then } else { other };
        Some(if has("<function=") && has(Self::SEED.open) {
            Self::SEED
        } else if has("<function=") && has(Self::QWEN3_CODER.open) {
            Self::QWEN3_CODER
        } else if has("<|tool_call>") {
            Self::GEMMA4
        } else if has(Self::FUNCTION_GEMMA.open) {
            Self::FUNCTION_GEMMA
        } else if has(Self::DEEPSEEK.open) {
            either("```json", Self::DEEPSEEK, Self::DEEPSEEK_V31)
        } else if has(Self::MISTRAL.open) {
            either("[ARGS]", Self::MISTRAL_ARGS, Self::MISTRAL)
        } else if has(Self::GRANITE.open) {
            either(Self::PHI4.close, Self::PHI4, Self::GRANITE)
        } else if has("<|channel|>") && has(Self::HARMONY.open) {
            Self::HARMONY
        } else if has(Self::HERMES.open) {
            Self::HERMES
        } else if rendered.contains("{\"name\": ") && has("\"parameters\": {") {
            Self::LLAMA3
        } else {
            return None;
        })
    }
}

/// How a model shows that it thinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Thought {
    /// Stands before its thinking.
    pub(crate) open: &'static str,
    /// Stands after it.
    pub(crate) close: &'static str,
}

impl Thought {
    /// Qwen 3, DeepSeek R1, SmolLM 3, Granite, and most others.
    pub(crate) const THINK: Self = Self { open: "<think>", close: "</think>" };
    /// Magistral.
    const MISTRAL: Self = Self { open: "[THINK]", close: "[/THINK]" };
    /// Gemma 4.
    const GEMMA4: Self = Self { open: "<|channel>thought", close: "<channel|>" };
    /// Seed-OSS.
    const SEED: Self = Self { open: "<seed:think>", close: "</seed:think>" };
    /// gpt-oss: a channel of its own.
    pub(crate) const HARMONY: Self =
        Self { open: "<|channel|>analysis<|message|>", close: "<|end|><|start|>assistant" };

    /// The marks that a template's source speaks of.
    pub(crate) fn of(template: &str) -> Option<Self> {
        if template.contains("<|channel|>analysis") {
            return Some(Self::HARMONY);
        }
        [Self::THINK, Self::MISTRAL, Self::GEMMA4, Self::SEED]
            .into_iter()
            .find(|thought| template.contains(thought.close))
    }
}

/// Marks that some vocabularies keep as control tokens: these must show in the text,
/// where other control tokens do not.
pub(crate) const MARKS: [&str; 34] = [
    "<seed:tool_call>",
    "</seed:tool_call>",
    "<tool_call>",
    "</tool_call>",
    "[TOOL_CALLS]",
    "[CALL_ID]",
    "[ARGS]",
    "<|tool_call|>",
    "<|/tool_call|>",
    "<|tool_call>",
    "<tool_call|>",
    "<|\"|>",
    "<start_function_call>",
    "<end_function_call>",
    "<|python_tag|>",
    "<｜tool▁calls▁begin｜>",
    "<｜tool▁calls▁end｜>",
    "<｜tool▁call▁begin｜>",
    "<｜tool▁call▁end｜>",
    "<｜tool▁sep｜>",
    "<think>",
    "</think>",
    "[THINK]",
    "[/THINK]",
    "<|channel>",
    "<channel|>",
    "<seed:think>",
    "</seed:think>",
    "<|start|>",
    "<|end|>",
    "<|message|>",
    "<|channel|>",
    "<|constrain|>",
    "<|call|>",
];
