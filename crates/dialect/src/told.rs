//! What a target leaves out or refuses, told in the client's own words.
//!
//! Encoders name things as the hub holds them (`messages.0.content.1`, `stop`), whoever
//! speaks: only here are the names those of the client's own body (`input.0`,
//! `generationConfig.stopSequences`). A name that is not the hub's is the client's already.

use http::{HeaderMap, StatusCode};
use message::{Call, Chat, Dialect, Dropped, ErrorKind, Failure, Operation, Reply};

use crate::{Outbound, Outgoing, ReplyDecoder, gemini, openai};

/// A target whose losses and refusals are told so.
pub(crate) struct Told(pub(crate) Box<dyn Outbound>);

impl Outbound for Told {
    fn dialect(&self) -> Dialect {
        self.0.dialect()
    }

    fn takes(&self, operation: Operation) -> bool {
        self.0.takes(operation)
    }

    fn encode(&self, call: &Call, model: &str) -> Result<Outgoing, Failure> {
        let mut outgoing = self.0.encode(call, model).map_err(|failure| refusal(call, failure))?;
        // At home the names are the client's.
        if !outgoing.home {
            rename(call, &mut outgoing.dropped);
        }
        Ok(outgoing)
    }

    fn decoder(&self, call: &Call, home: bool) -> Box<dyn ReplyDecoder> {
        self.0.decoder(call, home)
    }

    fn failure(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Failure {
        self.0.failure(status, headers, body)
    }

    fn forwarded_headers(&self) -> &'static [&'static str] {
        self.0.forwarded_headers()
    }
}

/// The answer of one that names things as the hub does (a model served here), told so.
///
/// # Errors
/// `answer`'s, told so.
pub fn told(call: &Call, answer: Result<Reply, Failure>) -> Result<Reply, Failure> {
    let mut reply = answer.map_err(|failure| refusal(call, failure))?;
    rename(call, &mut reply.dropped);
    Ok(reply)
}

fn rename(call: &Call, dropped: &mut [Dropped]) {
    // Without losses nothing is decoded for them.
    let Some(Ok(chat)) = (!dropped.is_empty()).then(|| call.chat()) else { return };
    for dropped in dropped {
        if let Some(path) = own(chat, &dropped.path) {
            dropped.path = path;
        }
    }
}

/// A refusal begins with the name of what is refused. (What is malformed was named by the
/// client's own decoder.)
fn refusal(call: &Call, mut failure: Failure) -> Failure {
    if failure.kind == ErrorKind::Unsupported
        && let Some(param) = &failure.param
        && let Ok(chat) = call.chat()
        && let Some(path) = own(chat, param)
    {
        if let Some(rest) = failure.message.strip_prefix(param.as_str()) {
            failure.message = format!("{path}{rest}");
        }
        failure.param = Some(path);
    }
    failure
}

/// The client's own name for what the hub calls `path`; `None` if it is the same, or not known.
fn own(chat: &Chat, path: &str) -> Option<String> {
    let in_turn = path.strip_prefix("messages.").or_else(|| path.strip_prefix("system"));
    match (chat.home, in_turn) {
        (Dialect::OpenAiResponses, Some(_)) => openai::responses::place(chat, path),
        (Dialect::Gemini, Some(_)) => gemini::place(chat, path),
        (Dialect::Gemini, None) if path.starts_with("tools.") => gemini::place(chat, path),
        (Dialect::BedrockConverse, None) if path.starts_with("tools.") => Some(format!("toolConfig.{path}")),
        (_, Some(_)) => None,
        (home, None) => {
            let settings = settings(home);
            settings.iter().find(|(name, _)| *name == path).map(|(_, own)| (*own).to_owned())
        }
    }
}

/// The hub's names of settings, and a dialect's own where they differ.
const fn settings(home: Dialect) -> &'static [(&'static str, &'static str)] {
    match home {
        Dialect::Anthropic => &[
            ("stop", "stop_sequences"),
            ("reasoning", "thinking"),
            ("reasoning.effort", "output_config.effort"),
            ("response_format", "output_config.format"),
            ("user", "metadata.user_id"),
            ("parallel_tool_calls", "tool_choice.disable_parallel_tool_use"),
        ],
        Dialect::OpenAiChat => &[
            ("reasoning", "reasoning_effort"),
            ("reasoning.effort", "reasoning_effort"),
            ("thinking", "reasoning_effort"),
            ("response_format.description", "response_format.json_schema.description"),
        ],
        Dialect::OpenAiResponses => &[
            ("max_tokens", "max_output_tokens"),
            ("logprobs", "top_logprobs"),
            ("response_format", "text.format"),
            ("response_format.description", "text.format.description"),
            ("thinking", "reasoning"),
            ("thinking.display", "reasoning.summary"),
        ],
        Dialect::Gemini => &[
            ("n", "generationConfig.candidateCount"),
            ("max_tokens", "generationConfig.maxOutputTokens"),
            ("temperature", "generationConfig.temperature"),
            ("top_p", "generationConfig.topP"),
            ("top_k", "generationConfig.topK"),
            ("presence_penalty", "generationConfig.presencePenalty"),
            ("frequency_penalty", "generationConfig.frequencyPenalty"),
            ("seed", "generationConfig.seed"),
            ("stop", "generationConfig.stopSequences"),
            ("logprobs", "generationConfig.responseLogprobs"),
            ("top_logprobs", "generationConfig.logprobs"),
            ("response_format", "generationConfig.responseMimeType"),
            ("reasoning", "generationConfig.thinkingConfig"),
            ("reasoning.effort", "generationConfig.thinkingConfig.thinkingLevel"),
            ("thinking", "generationConfig.thinkingConfig"),
            ("thinking.budget_tokens", "generationConfig.thinkingConfig.thinkingBudget"),
            ("thinking.display", "generationConfig.thinkingConfig.includeThoughts"),
            ("tool_choice", "toolConfig.functionCallingConfig"),
        ],
        Dialect::BedrockConverse => &[
            ("max_tokens", "inferenceConfig.maxTokens"),
            ("temperature", "inferenceConfig.temperature"),
            ("top_p", "inferenceConfig.topP"),
            ("stop", "inferenceConfig.stopSequences"),
            ("top_k", "additionalModelRequestFields.top_k"),
            ("min_p", "additionalModelRequestFields.min_p"),
            ("presence_penalty", "additionalModelRequestFields.presence_penalty"),
            ("frequency_penalty", "additionalModelRequestFields.frequency_penalty"),
            ("repetition_penalty", "additionalModelRequestFields.repetition_penalty"),
            ("seed", "additionalModelRequestFields.seed"),
            ("parallel_tool_calls", "additionalModelRequestFields.parallel_tool_calls"),
            ("response_format", "outputConfig.textFormat"),
            ("reasoning.effort", "outputConfig.effort"),
            ("thinking", "additionalModelRequestFields.thinking"),
            ("thinking.budget_tokens", "additionalModelRequestFields.thinking.budget_tokens"),
            ("thinking.display", "additionalModelRequestFields.thinking.display"),
            ("tool_choice", "toolConfig.toolChoice"),
        ],
        Dialect::Cohere => &[
            ("top_p", "p"),
            ("top_k", "k"),
            ("stop", "stop_sequences"),
            ("reasoning", "thinking"),
            ("thinking.budget_tokens", "thinking.token_budget"),
        ],
        Dialect::Ollama => &[
            ("max_tokens", "options.num_predict"),
            ("temperature", "options.temperature"),
            ("top_p", "options.top_p"),
            ("top_k", "options.top_k"),
            ("min_p", "options.min_p"),
            ("presence_penalty", "options.presence_penalty"),
            ("frequency_penalty", "options.frequency_penalty"),
            ("repetition_penalty", "options.repeat_penalty"),
            ("seed", "options.seed"),
            ("stop", "options.stop"),
            ("response_format", "format"),
            ("reasoning", "think"),
            ("reasoning.effort", "think"),
            ("thinking", "think"),
        ],
        Dialect::BedrockInvoke | Dialect::OpenAiCompletions => &[],
    }
}

/// A place in a turn, as the hub writes it: `messages.TURN.content.BLOCK.REST`, or `system.BLOCK.REST`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place<'a> {
    /// Which turn; `None` in the instructions.
    pub(crate) turn: Option<usize>,
    /// Which block of it.
    pub(crate) block: Option<usize>,
    /// What of it, beginning with a dot if it is anything.
    pub(crate) rest: &'a str,
}

impl<'a> Place<'a> {
    /// Reads a path; `None` if it does not lead into a turn.
    pub(crate) fn of(path: &'a str) -> Option<Self> {
        if let Some(rest) = path.strip_prefix("system") {
            let (block, rest) = number(rest);
            return Some(Self { turn: None, block, rest });
        }
        let (turn, rest) = number(path.strip_prefix("messages")?);
        let (block, rest) = match rest.strip_prefix(".content").map(number) {
            Some((Some(block), rest)) => (Some(block), rest),
            _ => (None, rest),
        };
        Some(Self { turn: Some(turn?), block, rest })
    }
}

/// The number that follows a dot, and what follows it.
fn number(path: &str) -> (Option<usize>, &str) {
    let digits = path.strip_prefix('.').unwrap_or_default();
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    match digits.split_at(end) {
        (number, rest) if rest.is_empty() || rest.starts_with('.') => match number.parse() {
            Ok(number) => (Some(number), rest),
            Err(_) => (None, path),
        },
        _ => (None, path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read() {
        let place = |turn, block, rest| Some(Place { turn, block, rest });
        assert_eq!(
            Place::of("messages.2.content.10.cache_control"),
            place(Some(2), Some(10), ".cache_control")
        );
        assert_eq!(Place::of("messages.2.role"), place(Some(2), None, ".role"));
        assert_eq!(Place::of("messages.2.content"), place(Some(2), None, ".content"));
        assert_eq!(Place::of("system.1.x"), place(None, Some(1), ".x"));
        assert_eq!(Place::of("system"), place(None, None, ""));
        for other in ["messages", "messages.x", "messages.1x", "tools.0", "messages.99999999999999999999"] {
            assert_eq!(Place::of(other), None, "{other}");
        }
    }
}
