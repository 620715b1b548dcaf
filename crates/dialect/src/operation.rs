//! Method + raw path → what is asked. The first step of every request; pure.
//!
//! Both bare roots (`/model/…`, `/v1/…`) and prefixed ones (`/bedrock`, `/anthropic`,
//! `/openai`, `/gemini` …) are understood. Paths are split on `/` before percent-decoding, never
//! normalised: Bedrock ARNs hold `%2F`, and a trailing slash is significant.

use message::{Dialect, Failure, Operation};

use crate::{RequestHead, anthropic, bedrock, cohere, gemini, models, ollama, openai};

/// What a request asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// A model's answer: read the body, then [`inbound`](crate::inbound).
    Call {
        /// The shape of the body.
        dialect: Dialect,
        /// What is asked of the model.
        operation: Operation,
        /// The model, percent-decoded, if the path names it.
        model: Option<String>,
        /// The path asks for a stream.
        stream: bool,
    },
    /// Something about models, answered from what is known here.
    Command {
        /// Whose error shape to use.
        dialect: Dialect,
        /// What.
        command: Command,
    },
    /// A vendor's operation that is known but not built.
    Unbuilt {
        /// Whose error shape to use.
        dialect: Dialect,
        /// The vendor's name for it.
        operation: &'static str,
    },
    /// No operation of any vendor. `dialect` is the likeliest by path and headers.
    Unknown {
        /// Whose error shape to use.
        dialect: Dialect,
        /// The path exists, with other methods.
        wrong_method: bool,
    },
}

/// A request about models, or about what they answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Bedrock's control plane.
    Bedrock(bedrock::models::Command),
    /// `/v1/models`, shared by Anthropic and OpenAI: one answer satisfies both SDKs.
    Models(models::Command),
    /// OpenAI's stored responses.
    Responses(openai::responses::resource::Command),
    /// Gemini's model list.
    Gemini(gemini::models::Command),
    /// Ollama's model list and details.
    Ollama(ollama::models::Command),
}

impl Command {
    /// The command with what its body says, where it has one.
    ///
    /// # Errors
    /// [`InvalidRequest`](message::ErrorKind::InvalidRequest) naming the field.
    pub fn with_body(self, body: &[u8]) -> Result<Self, Failure> {
        match self {
            Self::Ollama(command) => command.with_body(body).map(Self::Ollama),
            other => Ok(other),
        }
    }
}

/// Whether servers of a dialect can be asked for an operation.
pub(crate) const fn spoken_in(dialect: Dialect, operation: Operation) -> bool {
    match dialect {
        Dialect::BedrockConverse | Dialect::BedrockInvoke => true,
        Dialect::Anthropic => matches!(operation, Operation::Chat | Operation::CountTokens),
        Dialect::OpenAiChat => matches!(operation, Operation::Chat | Operation::Embed),
        Dialect::OpenAiResponses => matches!(operation, Operation::Chat | Operation::CountTokens),
        Dialect::OpenAiCompletions => matches!(operation, Operation::Chat),
        Dialect::Gemini => matches!(operation, Operation::Chat | Operation::CountTokens | Operation::Embed),
        Dialect::Cohere => matches!(operation, Operation::Chat | Operation::Embed | Operation::Rerank),
        Dialect::Ollama => matches!(operation, Operation::Chat | Operation::Embed),
    }
}

/// Finds what a request asks for.
pub fn route(request: &RequestHead<'_>) -> Ask {
    let path = request.path;
    if let Some(rest) = strip_root(path, "/anthropic") {
        return anthropic::operation::route(request, rest)
            .or_else(|| models::route(request, rest, Some(Dialect::Anthropic)))
            .unwrap_or(unknown(Dialect::Anthropic));
    }
    if let Some(rest) = strip_root(path, "/openai") {
        return openai::operation::route(request, rest)
            .or_else(|| models::route(request, rest, Some(Dialect::OpenAiChat)))
            .unwrap_or(unknown(Dialect::OpenAiChat));
    }
    if let Some(rest) = strip_root(path, "/bedrock") {
        return bedrock::operation::route(request, rest).unwrap_or(unknown(Dialect::BedrockConverse));
    }
    if let Some(rest) = strip_root(path, "/gemini") {
        return gemini::operation::route(request, rest, true).unwrap_or(unknown(Dialect::Gemini));
    }
    if let Some(rest) = strip_root(path, "/cohere") {
        return cohere::operation::route(request, rest, true).unwrap_or(unknown(Dialect::Cohere));
    }
    if let Some(rest) = strip_root(path, "/ollama") {
        return ollama::operation::route(request, rest).unwrap_or(unknown(Dialect::Ollama));
    }
    gemini::operation::route(request, path, false)
        .or_else(|| anthropic::operation::route(request, path))
        .or_else(|| models::route(request, path, None))
        .or_else(|| openai::operation::route(request, path))
        .or_else(|| cohere::operation::route(request, path, false))
        .or_else(|| ollama::operation::route(request, path))
        .or_else(|| bedrock::operation::route(request, path))
        .unwrap_or_else(|| unknown(likeliest(request)))
}

fn strip_root<'a>(path: &'a str, root: &str) -> Option<&'a str> {
    path.strip_prefix(root).filter(|rest| rest.starts_with('/'))
}

const fn unknown(dialect: Dialect) -> Ask {
    Ask::Unknown { dialect, wrong_method: false }
}

/// Whose error shape a stranger's client most likely reads.
fn likeliest(request: &RequestHead<'_>) -> Dialect {
    let header = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok());
    if header("x-goog-api-key").is_some() || request.path.starts_with("/v1beta") {
        Dialect::Gemini
    } else if header("anthropic-version").is_some() || header("x-api-key").is_some() {
        Dialect::Anthropic
    } else if header("authorization").is_some_and(|value| value.starts_with("AWS4-")) {
        Dialect::BedrockConverse
    } else {
        Dialect::OpenAiChat
    }
}
