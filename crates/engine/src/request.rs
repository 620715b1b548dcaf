//! From a call to a sequence that can be scheduled: everything that can be refused is
//! refused here, before the model does any work.

use std::sync::Arc;

use message::{Chat, Dropped, ErrorKind, Failure, FinishReason, OutputFormat, ToolChoice, ToolKind, said};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::SamplingDefaults;
use crate::backend::LoadedModel;
use crate::grammar::{CallSchema, Constraint, Grammars, Shape};
use crate::output::Writer;
use crate::sampler::{Sampler, SamplingParams};
use crate::scheduler::{Item, NewSequence};
use crate::template::{ChatTemplate, Prompt};
use crate::tools::Parser;
use crate::vocabulary::Vocabulary;

/// Most stop strings, and bytes in each: OpenAI allows 4, Converse 4, Anthropic more.
const MAX_STOPS: usize = 64;
const MAX_STOP_BYTES: usize = 1024;
/// Most dropped fields told to the caller: they travel in a header.
const MAX_DROPPED: usize = 32;
/// Most alternatives reported per token (OpenAI's limit).
const MAX_TOP_LOGPROBS: u8 = 20;

/// What it takes to read requests for one model.
pub(crate) struct Requests {
    pub(crate) model: Arc<LoadedModel>,
    pub(crate) template: ChatTemplate,
    pub(crate) grammars: Grammars,
    pub(crate) defaults: SamplingDefaults,
    /// Tokens of prompt and answer that one call may use.
    pub(crate) max_call_tokens: usize,
    /// Bytes of the longest token: no text has fewer tokens than its bytes over this.
    pub(crate) longest_piece: usize,
    /// Steps whose events may wait for the reader.
    pub(crate) event_buffer: usize,
}

impl Requests {
    /// How many tokens a conversation has.
    pub(crate) fn count(&self, chat: &Chat) -> Result<u64, Failure> {
        let text = self.template.render(chat)?;
        self.check_bytes(&text, chat)?;
        Ok(self.prompt(&text).tokens.len() as u64)
    }

    /// Makes a sequence of a conversation.
    pub(crate) fn prepare(
        &self,
        chat: &Chat,
        permit: OwnedSemaphorePermit,
    ) -> Result<(NewSequence, mpsc::Receiver<Item>), Failure> {
        check(chat)?;
        let params = SamplingParams::read(&chat.sampling, &self.defaults)?;
        let text = self.template.render(chat)?;
        self.check_bytes(&text, chat)?;
        let Prompt { tokens, turn_stops } = self.prompt(&text);
        let (max_tokens, at_max) = self.budget(tokens.len(), chat.sampling.max_tokens)?;
        let calls = !chat.tools.is_empty() && chat.tool_choice != Some(ToolChoice::None);
        let parser = calls.then(|| Parser::new(self.template.syntax()));
        let stops = chat.sampling.stop.iter().chain(&turn_stops).cloned().collect();
        // One more than the buffer: an item is sent only while two have room.
        let (sender, receiver) = mpsc::channel(self.event_buffer.max(2) + 1);
        let sequence = NewSequence {
            sampler: Sampler::new(params, &tokens),
            tokens,
            max_tokens,
            at_max,
            logprobs: chat.sampling.logprobs.map(usize::from),
            turn_stops,
            one_tool_call: chat.parallel_tool_calls == Some(false),
            constraint: self.constraint(chat)?,
            writer: Writer::new(stops, parser),
            events: sender,
            permit: Some(permit),
        };
        Ok((sequence, receiver))
    }

    /// A sequence that greedily continues bare text, without template or stop.
    pub(crate) fn continuation(
        &self,
        text: &str,
        max_tokens: usize,
        permit: OwnedSemaphorePermit,
    ) -> Result<(NewSequence, mpsc::Receiver<Item>), Failure> {
        let Prompt { tokens, .. } = self.prompt(text);
        let (max_tokens, at_max) = self.budget(tokens.len(), Some(max_tokens as u64))?;
        let (events, receiver) = mpsc::channel(self.event_buffer.max(2) + 1);
        let sequence = NewSequence {
            sampler: Sampler::new(SamplingParams::default(), &tokens),
            tokens,
            max_tokens,
            at_max,
            logprobs: None,
            turn_stops: Vec::new(),
            one_tool_call: false,
            constraint: None,
            writer: Writer::new(Vec::new(), None),
            events,
            permit: Some(permit),
        };
        Ok((sequence, receiver))
    }

    /// What the answer must be, if it is not free.
    fn constraint(&self, chat: &Chat) -> Result<Option<Constraint>, Failure> {
        let any_object = json!({ "type": "object" });
        let json = match &chat.output {
            OutputFormat::Text => None,
            OutputFormat::JsonObject => Some(&any_object),
            OutputFormat::JsonSchema { schema, .. } => Some(schema),
        };
        let tools = callable(chat)?;
        let syntax = self.template.syntax();
        let shape = match (&chat.tool_choice, json) {
            (Some(ToolChoice::Any | ToolChoice::Named(_)), _) => Shape::Call(syntax, &tools),
            (None | Some(ToolChoice::Auto), Some(json)) if !tools.is_empty() => {
                Shape::JsonOrCall(json, syntax, &tools)
            }
            (_, Some(json)) => Shape::Json(json),
            (_, None) => return Ok(None),
        };
        self.grammars.compile(shape).map(Some)
    }

    fn prompt(&self, text: &str) -> Prompt {
        self.template.tokenize(text, &*self.model, self.vocabulary())
    }

    fn vocabulary(&self) -> &Vocabulary {
        self.model.vocabulary()
    }

    /// Refuses text so long that it must overflow, before it is cut into tokens:
    /// a hostile 100 MB would take many seconds.
    fn check_bytes(&self, text: &str, chat: &Chat) -> Result<(), Failure> {
        let at_least = text.len() / self.longest_piece;
        if at_least <= self.max_call_tokens {
            return Ok(());
        }
        Err(self.overflow(&format!("at least {at_least}"), chat.sampling.max_tokens))
    }

    /// How many tokens may be generated, and what reaching that means.
    fn budget(&self, prompt: usize, asked: Option<u64>) -> Result<(usize, FinishReason), Failure> {
        let room = self.max_call_tokens.saturating_sub(prompt);
        match asked {
            Some(0) => Err(Failure::invalid_field("max_tokens", "must be at least 1")),
            Some(asked) if asked <= room as u64 => Ok((asked as usize, FinishReason::MaxTokens)),
            None if room > 0 => Ok((room, FinishReason::ContextWindow)),
            _ => Err(self.overflow(&prompt.to_string(), asked)),
        }
    }

    fn overflow(&self, prompt: &str, max_tokens: Option<u64>) -> Failure {
        let answer = max_tokens.map_or(String::new(), |max| format!(" and max_tokens {max}"));
        Failure::new(
            ErrorKind::ContextOverflow,
            format!(
                "the prompt's {prompt} tokens{answer} exceed the context of {} tokens; \
                 shorten the conversation or lower max_tokens",
                self.max_call_tokens
            ),
        )
    }
}

/// The tools the answer may call.
fn callable(chat: &Chat) -> Result<Vec<CallSchema<'_>>, Failure> {
    let named = match &chat.tool_choice {
        Some(ToolChoice::Named(name)) => Some(name),
        _ => None,
    };
    let tools = chat.tools.iter().filter(|tool| named.is_none_or(|name| *name == tool.name));
    let tools: Vec<CallSchema<'_>> = tools
        .filter_map(|tool| match &tool.kind {
            ToolKind::Function { schema } => Some(CallSchema { name: &tool.name, schema: schema.as_ref() }),
            ToolKind::Opaque(_) => None,
        })
        .collect();
    match &chat.tool_choice {
        Some(ToolChoice::Named(name)) if tools.is_empty() => {
            Err(Failure::invalid_field("tool_choice", format_args!("there is no tool named '{name}'")))
        }
        Some(ToolChoice::Any) if tools.is_empty() => {
            Err(Failure::invalid_field("tool_choice", "a tool must be called, but no tools are given"))
        }
        _ => Ok(tools),
    }
}

/// What of a call has no meaning here, for the caller to know.
pub(crate) fn dropped(chat: &Chat) -> Vec<Dropped> {
    const UNKNOWN: &str = "unknown to models served here";
    let top = said(&chat.extra).map(str::to_owned);
    let reasoning = chat.reasoning.iter().map(|_| "reasoning".to_owned());
    let messages = chat.messages.iter().enumerate();
    let messages = messages
        .flat_map(|(at, message)| said(&message.extra).map(move |name| format!("messages.{at}.{name}")));
    let tools = chat.tools.iter().enumerate();
    let tools = tools.flat_map(|(at, tool)| said(&tool.extra).map(move |name| format!("tools.{at}.{name}")));
    let paths = top.chain(reasoning).chain(messages).chain(tools).take(MAX_DROPPED);
    paths.map(|path| Dropped { path, why: UNKNOWN }).collect()
}

/// Refuses what this engine cannot do.
fn check(chat: &Chat) -> Result<(), Failure> {
    chat.leave_home()?;
    let stops = &chat.sampling.stop;
    if stops.len() > MAX_STOPS || stops.iter().any(|stop| stop.len() > MAX_STOP_BYTES) {
        return Err(Failure::invalid_field(
            "stop",
            format_args!("at most {MAX_STOPS} stop strings of {MAX_STOP_BYTES} bytes each"),
        ));
    }
    if chat.sampling.logprobs.is_some_and(|count| count > MAX_TOP_LOGPROBS) {
        return Err(Failure::invalid_field("top_logprobs", format_args!("at most {MAX_TOP_LOGPROBS}")));
    }
    Ok(())
}
