//! One request to a model, as it travels down from the front door.
//!
//! A call keeps the client's own bytes and a shallow [`Head`]; the body is decoded
//! (into a [`Chat`], an [`Embed`] or a [`Rerank`]) only when somebody asks: a target that
//! speaks the client's dialect never does, and gets the bytes as they came.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;
use serde::{Deserialize, Serialize};

use crate::{Chat, Dropped, Embed, Failure, Priority, Rerank};

/// A vendor's API format, by the shape of its request and reply bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Dialect {
    /// Amazon Bedrock Converse and ConverseStream.
    BedrockConverse,
    /// Amazon Bedrock InvokeModel: a model family's own body inside AWS framing.
    BedrockInvoke,
    /// Anthropic Messages.
    Anthropic,
    /// OpenAI Chat Completions, and Embeddings beside it.
    OpenAiChat,
    /// OpenAI Responses.
    OpenAiResponses,
    /// OpenAI's legacy Completions: a bare prompt, continued.
    OpenAiCompletions,
    /// Google Gemini: generateContent and its siblings.
    Gemini,
    /// Cohere v2: chat, embed, rerank.
    Cohere,
    /// Ollama's own interface.
    Ollama,
}

impl Dialect {
    /// The name used in configuration, logs and headers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BedrockConverse => "bedrock-converse",
            Self::BedrockInvoke => "bedrock-invoke",
            Self::Anthropic => "anthropic",
            Self::OpenAiChat => "openai-chat",
            Self::OpenAiResponses => "openai-responses",
            Self::OpenAiCompletions => "openai-completions",
            Self::Gemini => "gemini",
            Self::Cohere => "cohere",
            Self::Ollama => "ollama",
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a call asks of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// Generate the next turn of a conversation.
    Chat,
    /// Count the input tokens of a conversation without generating.
    CountTokens,
    /// Turn inputs into vectors.
    Embed,
    /// Order documents by how well they answer a query.
    Rerank,
}

impl Operation {
    /// The name used in logs and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::CountTokens => "count_tokens",
            Self::Embed => "embeddings",
            Self::Rerank => "rerank",
        }
    }
}

/// A request's identity, given at the door and shown to the client in its vendor's
/// own header; also the name to look for in logs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// Wraps an id made by the caller (a UUID; unique per request).
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        Self(id.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who a credential stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Id of the key (`key_…`), or `dev` under `serve --dev`.
    pub key_id: Arc<str>,
    /// The key's human name.
    pub name: Arc<str>,
}

/// What one pass over the body tells without decoding it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Head {
    /// The model as the client named it (percent-decoded when it came in a path).
    pub model: String,
    /// Byte range of the top-level `model` value in the body, quotes included; `None`
    /// where the dialect carries the model in its path.
    pub model_span: Option<Range<usize>>,
    /// Whether the client wants a stream.
    pub stream: bool,
    /// The client's cap on output tokens, if it set one.
    pub max_tokens: Option<u64>,
}

/// Turns a call's body into what it means; each dialect hands its own to [`Call::new`].
#[derive(Debug, Clone, Copy)]
pub enum Decode {
    /// A conversation.
    Chat(fn(&Call) -> Result<Chat, Failure>),
    /// Inputs to embed.
    Embed(fn(&Call) -> Result<Embed, Failure>),
    /// Documents to order.
    Rerank(fn(&Call) -> Result<Rerank, Failure>),
}

/// A decoded body.
#[derive(Debug, Clone, PartialEq)]
enum Input {
    Chat(Box<Chat>),
    Embed(Box<Embed>),
    Rerank(Box<Rerank>),
}

/// One request to a model. Cheap to clone: a retry sends the same call again.
#[derive(Clone)]
pub struct Call {
    /// The request's identity.
    pub id: RequestId,
    /// What is asked.
    pub operation: Operation,
    /// The dialect of `body`: the caller's home.
    pub dialect: Dialect,
    /// The shallow facts of `body`.
    pub head: Head,
    /// The body exactly as received.
    pub body: Bytes,
    /// The request's headers, credentials removed. A same-dialect target forwards an
    /// allowlist of them; decoders read those that change meaning.
    pub headers: Arc<HeaderMap>,
    /// Who asks.
    pub principal: Principal,
    /// When the request line was read.
    pub received: Instant,
    /// The caller wants a refusal rather than an answer to less than it said
    /// (`x-outcrop-strict: 1`); see [`Call::accept`].
    pub strict: bool,
    /// At which priority it is answered; whoever writes the reply sets it, for dialects
    /// that tell.
    pub given: Priority,
    decode: Decode,
    input: Arc<OnceLock<Result<Input, Failure>>>,
}

/// Everything [`Call::new`] needs; see the fields of [`Call`].
#[allow(missing_docs)]
pub struct NewCall {
    pub id: RequestId,
    pub operation: Operation,
    pub dialect: Dialect,
    pub head: Head,
    pub body: Bytes,
    pub headers: Arc<HeaderMap>,
    pub principal: Principal,
    pub received: Instant,
    pub strict: bool,
    pub decode: Decode,
}

impl Call {
    /// Makes a call whose body has not been decoded.
    pub fn new(new: NewCall) -> Self {
        let NewCall { id, operation, dialect, head, body, headers, principal, received, strict, decode } =
            new;
        let (given, input) = Default::default();
        Self {
            id,
            operation,
            dialect,
            head,
            body,
            headers,
            principal,
            received,
            strict,
            given,
            decode,
            input,
        }
    }

    /// The decoded conversation; decoded on first use, then shared by all clones.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`](crate::ErrorKind::InvalidRequest) naming the field
    /// path, when the body is not what its dialect says.
    pub fn chat(&self) -> Result<&Chat, Failure> {
        match self.input()? {
            Input::Chat(chat) => Ok(chat),
            _ => Err(self.not("a conversation")),
        }
    }

    /// The decoded inputs of a call for embeddings; decoded once, as in [`Call::chat`].
    ///
    /// # Errors
    /// As [`Call::chat`].
    pub fn embed(&self) -> Result<&Embed, Failure> {
        match self.input()? {
            Input::Embed(embed) => Ok(embed),
            _ => Err(self.not("a request for embeddings")),
        }
    }

    /// The decoded documents of a call to rerank; decoded once, as in [`Call::chat`].
    ///
    /// # Errors
    /// As [`Call::chat`].
    pub fn rerank(&self) -> Result<&Rerank, Failure> {
        match self.input()? {
            Input::Rerank(rerank) => Ok(rerank),
            _ => Err(self.not("a request to rerank")),
        }
    }

    /// How soon its answer is wanted: as the header [`Priority::HEADER`] says, else the
    /// body's service tier, else as if somebody waits.
    ///
    /// # Errors
    /// [`InvalidRequest`](crate::ErrorKind::InvalidRequest) for another word in the header;
    /// as [`Call::chat`].
    pub fn priority(&self) -> Result<Priority, Failure> {
        if let Some(value) = self.headers.get(Priority::HEADER) {
            let word = value.to_str().ok().and_then(Priority::from_word);
            let wrong = || Failure::invalid_field(Priority::HEADER, "expected `interactive` or `batch`");
            return word.ok_or_else(wrong);
        }
        Ok(match self.input()? {
            Input::Chat(chat) => chat.priority.unwrap_or_default(),
            Input::Embed(_) | Input::Rerank(_) => Priority::Interactive,
        })
    }

    /// Asked by every target once it knows what it cannot express, before anything is sent.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported), naming the first loss, when the
    /// caller is [strict](Call::strict) and there is one.
    pub fn accept(&self, dropped: &[Dropped]) -> Result<(), Failure> {
        match dropped.first() {
            Some(Dropped { path, why }) if self.strict => {
                let more = match dropped.len() - 1 {
                    0 => String::new(),
                    more => format!(" (and {more} more)"),
                };
                Err(Failure::unsupported(format!(
                    "{path}: {why}{more}; leave it out, choose a model that takes it, or do not ask for strictness"
                ))
                .with_param(path))
            }
            _ => Ok(()),
        }
    }

    fn input(&self) -> Result<&Input, Failure> {
        let decode = || match self.decode {
            Decode::Chat(decode) => decode(self).map(|chat| Input::Chat(Box::new(chat))),
            Decode::Embed(decode) => decode(self).map(|embed| Input::Embed(Box::new(embed))),
            Decode::Rerank(decode) => decode(self).map(|rerank| Input::Rerank(Box::new(rerank))),
        };
        self.input.get_or_init(decode).as_ref().map_err(Failure::clone)
    }

    fn not(&self, wanted: &str) -> Failure {
        Failure::unsupported(format!("this operation ({}) is not {wanted}", self.operation.name()))
    }
}

impl fmt::Debug for Call {
    /// Without the body and headers: prompts do not belong in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("id", &self.id)
            .field("operation", &self.operation)
            .field("dialect", &self.dialect)
            .field("head", &self.head)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}
