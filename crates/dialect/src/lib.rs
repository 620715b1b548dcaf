//! Vendor wire formats to and from the [`message`] vocabulary: pure functions over bytes.
//!
//! One folder per vendor (`bedrock/`, `anthropic/`, `openai/`, `gemini/`), each with the same file
//! names, so that learning one is knowing all:
//!
//! * `operation.rs`: method + raw path → what is asked ([`Ask`]);
//! * `wire.rs`: the vendor's JSON shapes, with the spec they come from;
//! * `inbound.rs`: a client's body → [`Head`] and [`Chat`](message::Chat);
//! * `reply.rs`: [`Event`]s → the client's bytes, streamed or whole ([`ReplyEncoder`]);
//! * `outbound.rs`: a [`Call`] → a request to a server of that vendor ([`Outbound`]);
//! * `decode.rs`: that server's bytes → [`Event`]s ([`ReplyDecoder`]), and the light
//!   scanner used when both sides speak the same dialect;
//! * `error.rs`: a [`Failure`] → the vendor's error, whole and in-stream;
//! * `models.rs`: [`ModelCard`](message::ModelCard)s → the vendor's model lists (`/v1/models`,
//!   which Anthropic and OpenAI share, stands beside the folders).
//!
//! Beside them: `framing/` (SSE, AWS event stream), `json/` (the one-pass scanner and
//! the splice), `sigv4/` (parsing and verifying signatures), `credential.rs`.
//! No dialect imports another (but for `bedrock/invoke`, which exists to carry other
//! families' bodies); nothing here does IO or knows an async runtime.

pub mod anthropic;
pub mod bedrock;
mod claude;
pub mod cohere;
pub mod credential;
mod extensions;
pub mod framing;
pub mod gemini;
pub mod json;
pub mod models;
pub mod ollama;
pub mod openai;
mod operation;
mod quirks;
mod retry_after;
pub mod sigv4;
mod tier;
mod told;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use message::{
    Call, Completion, Decode, Dialect, Dropped, Event, Failure, Head, ModelCard, Operation, RequestId,
};

pub use operation::{Ask, Command, route};
pub use quirks::{Quirk, Quirks};
pub use told::told;

/// A client's request head as a dialect sees it: nothing decoded, nothing normalised.
#[derive(Debug, Clone, Copy)]
pub struct RequestHead<'a> {
    /// The method, upper case.
    pub method: &'a str,
    /// The raw path as received (prefix roots included), percent-encoding untouched.
    pub path: &'a str,
    /// The raw query, without `?`; empty if there is none.
    pub query: &'a str,
    /// All headers. Over HTTP/2 the authority is also here as `host`.
    pub headers: &'a HeaderMap,
}

/// A response with a whole body.
#[derive(Debug, Clone)]
pub struct Whole {
    /// HTTP status.
    pub status: StatusCode,
    /// The vendor's headers, content type included. Request ids are added by `server`
    /// through [`request_id_headers`].
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Bytes,
}

/// What `inbound` reads of a body in one pass.
pub struct Inbound {
    /// The shallow facts.
    pub head: Head,
    /// Decodes the whole body on demand.
    pub decode: Decode,
}

impl Inbound {
    /// What is asked: what the path said, unless only the body tells (InvokeModel carries
    /// conversations, inputs to embed and documents to rank at one address).
    pub const fn operation(&self, asked: Operation) -> Operation {
        match self.decode {
            Decode::Chat(_) => asked,
            Decode::Embed(_) => Operation::Embed,
            Decode::Rerank(_) => Operation::Rerank,
        }
    }
}

/// Turns a reply's events into the client's bytes. One per call.
///
/// Not used for [`Form::Home`](message::Form::Home) replies: their frames are written as they are.
pub trait ReplyEncoder: Send {
    /// Headers of a streamed reply, content type included.
    fn stream_headers(&self) -> Vec<(HeaderName, HeaderValue)>;

    /// Appends the frames of one event (often none or one) to `out`.
    fn event(&mut self, event: Event, out: &mut Vec<u8>);

    /// Nothing came for a while: appends what tells the client, and proxies on the way,
    /// that the answer is still under way. Only whole frames that every client of the
    /// dialect skips; nothing where it has none.
    fn keepalive(&mut self, _out: &mut Vec<u8>) {}

    /// The stream ended after `Finish`: appends the dialect's closing frames.
    fn end(&mut self, out: &mut Vec<u8>);

    /// The stream broke after the response head was sent: appends the dialect's own
    /// terminal error. Nothing may follow.
    fn failure(&mut self, failure: &Failure, out: &mut Vec<u8>);

    /// The whole answer of a call that did not ask for a stream, or a token count.
    fn whole(&mut self, completion: Completion) -> Whole;
}

/// A request to be sent to a model server: path, headers, and body in pieces, so that
/// a forwarded body is prefix, new model name, suffix, and never copied.
#[derive(Debug)]
pub struct Outgoing {
    /// Path below the target's base URL, starting with `/`.
    pub path: String,
    /// The dialect's own headers (content type, version, betas); authentication is added by `upstream`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body, in order.
    pub body: Vec<Bytes>,
    /// What could not be expressed.
    pub dropped: Vec<Dropped>,
    /// The reply is in the client's dialect: forward its bytes.
    pub home: bool,
}

/// A dialect as a target speaks it.
pub trait Outbound: Send + Sync {
    /// Which dialect.
    fn dialect(&self) -> Dialect;

    /// Whether it can be asked for this at all. Where a server speaks several dialects,
    /// the first that takes a call's operation is used (the client's own before all).
    fn takes(&self, operation: Operation) -> bool {
        operation::spoken_in(self.dialect(), operation)
    }

    /// Encodes a call for a target that names the model `model`.
    ///
    /// # Errors
    /// [`Unsupported`](message::ErrorKind::Unsupported) when leaving something out would
    /// change what the call means; decode failures of the call itself.
    fn encode(&self, call: &Call, model: &str) -> Result<Outgoing, Failure>;

    /// A decoder for one successful reply to `call`. `home` as in [`Outgoing::home`].
    fn decoder(&self, call: &Call, home: bool) -> Box<dyn ReplyDecoder>;

    /// An unsuccessful reply, understood.
    fn failure(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Failure;

    /// The reply headers a same-dialect client may see.
    fn forwarded_headers(&self) -> &'static [&'static str];
}

/// Turns a reply's bytes, cut anywhere, into events.
pub trait ReplyDecoder: Send {
    /// The reply's head, before its first piece: `from` are the server's headers, `shown`
    /// those a same-dialect client will see. For dialects that count tokens in headers,
    /// and replies that are forwarded in another framing than they came in.
    fn head(&mut self, from: &HeaderMap, shown: &mut HeaderMap) {
        let _ = (from, shown);
    }

    /// Takes in one piece and appends what it completes to `events`.
    ///
    /// # Errors
    /// The upstream's own in-stream error, or nonsense on the wire.
    fn feed(&mut self, piece: Bytes, events: &mut Vec<Event>) -> Result<(), Failure>;

    /// The body ended.
    ///
    /// # Errors
    /// [`Upstream`](message::ErrorKind::Upstream) if the answer was not whole.
    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Failure>;
}

/// Reads the shallow facts of a call's body. `model` and `stream` are what the path
/// said, where it says so.
///
/// # Errors
/// [`InvalidRequest`](message::ErrorKind::InvalidRequest) for what is not JSON, has no model, or names one twice.
pub fn inbound(
    dialect: Dialect,
    operation: Operation,
    model: Option<&str>,
    stream: bool,
    body: &[u8],
) -> Result<Inbound, Failure> {
    match dialect {
        Dialect::BedrockConverse | Dialect::BedrockInvoke => {
            bedrock::inbound::read(dialect, operation, model.unwrap_or_default(), stream, body)
        }
        Dialect::Anthropic => anthropic::inbound::read(operation, body),
        Dialect::OpenAiChat if operation == Operation::Embed => openai::embeddings::inbound::read(body),
        Dialect::OpenAiChat => openai::chat::inbound::read(operation, body),
        Dialect::OpenAiResponses => openai::responses::inbound::read(operation, body),
        Dialect::OpenAiCompletions => openai::completions::inbound::read(body),
        Dialect::Gemini => gemini::inbound::read(operation, model.unwrap_or_default(), stream, body),
        Dialect::Cohere => cohere::inbound::read(operation, body),
        Dialect::Ollama => ollama::inbound::read(operation, body),
    }
}

/// The encoder of a call's reply.
pub fn reply_encoder(call: &Call) -> Box<dyn ReplyEncoder> {
    match call.dialect {
        Dialect::BedrockConverse | Dialect::BedrockInvoke => bedrock::reply::encoder(call),
        Dialect::Anthropic => anthropic::reply::encoder(call),
        Dialect::OpenAiResponses => openai::responses::reply::encoder(call),
        Dialect::OpenAiCompletions => openai::completions::reply::encoder(call),
        Dialect::OpenAiChat if call.operation == Operation::Embed => openai::embeddings::reply::encoder(call),
        Dialect::Gemini => gemini::reply::encoder(call),
        Dialect::Cohere => cohere::reply::encoder(call),
        Dialect::Ollama => ollama::reply::encoder(call),
        Dialect::OpenAiChat => openai::chat::reply::encoder(call),
    }
}

/// A failure as a whole response in the client's dialect, retry advice included.
pub fn failure(dialect: Dialect, failure: &Failure, id: &RequestId) -> Whole {
    match dialect {
        Dialect::BedrockConverse | Dialect::BedrockInvoke => bedrock::error::whole(failure),
        Dialect::Anthropic => anthropic::error::whole(failure, id),
        Dialect::Gemini => gemini::error::whole(failure),
        Dialect::Cohere => cohere::error::whole(failure),
        Dialect::Ollama => ollama::error::whole(failure),
        Dialect::OpenAiChat | Dialect::OpenAiResponses | Dialect::OpenAiCompletions => {
            openai::error::whole(failure)
        }
    }
}

/// The header in which a vendor's clients look for the request id.
pub fn request_id_header(dialect: Dialect) -> HeaderName {
    match dialect {
        Dialect::BedrockConverse | Dialect::BedrockInvoke => HeaderName::from_static("x-amzn-requestid"),
        Dialect::Anthropic => HeaderName::from_static("request-id"),
        Dialect::OpenAiChat
        | Dialect::OpenAiResponses
        | Dialect::OpenAiCompletions
        | Dialect::Gemini
        | Dialect::Cohere
        | Dialect::Ollama => HeaderName::from_static("x-request-id"),
    }
}

/// Answers a request about models (lists, details). Stored responses are whoever's who
/// keeps them.
///
/// # Errors
/// [`Unsupported`](message::ErrorKind::Unsupported) for stored responses,
/// [`NotFound`](message::ErrorKind::NotFound) for a model that is not there.
pub fn command(command: &Command, models: &[ModelCard]) -> Result<Whole, Failure> {
    match command {
        Command::Bedrock(command) => bedrock::models::answer(command, models),
        Command::Models(command) => models::answer(command, models),
        Command::Responses(_) => Err(Failure::unsupported("this server keeps no responses")),
        Command::Gemini(command) => gemini::models::answer(command, models),
        Command::Ollama(command) => ollama::models::answer(command, models),
    }
}

/// A dialect as a target speaks it; `None` where only clients speak it.
pub fn outbound(dialect: Dialect, quirks: &Quirks) -> Option<Box<dyn Outbound>> {
    let outbound: Box<dyn Outbound> = match dialect {
        Dialect::BedrockConverse => Box::new(bedrock::outbound::Bedrock),
        Dialect::Anthropic => Box::new(anthropic::outbound::Anthropic(*quirks)),
        Dialect::OpenAiChat => Box::new(openai::chat::outbound::OpenAiChat(*quirks)),
        Dialect::OpenAiResponses => Box::new(openai::responses::outbound::OpenAiResponses),
        Dialect::OpenAiCompletions => Box::new(openai::completions::outbound::OpenAiCompletions(*quirks)),
        Dialect::Gemini => Box::new(gemini::outbound::Gemini(*quirks)),
        Dialect::Cohere => Box::new(cohere::outbound::Cohere),
        Dialect::BedrockInvoke | Dialect::Ollama => return None,
    };
    Some(Box::new(told::Told(outbound)))
}
