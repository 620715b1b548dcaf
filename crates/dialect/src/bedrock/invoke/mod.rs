//! InvokeModel: a model family's own body inside AWS framing.
//!
//! [`Form`] tells whose body it is; one file for each family reads it and answers in its
//! words; `chunk` has what is the same for all: frames, metrics, headers. The only part of
//! this dialect that knows others: Anthropic's and OpenAI's bodies are theirs.
//!
//! Source: "Inference request parameters and response fields for foundation models" of the
//! Amazon Bedrock user guide, read 2026-11-22; each file names its own.

mod anthropic;
mod chunk;
pub(super) mod claude;
mod cohere;
mod completion;
mod embed;
mod form;
mod llama;
mod mistral;
mod nova;
mod openai;
mod rerank;
mod text;
mod titan;
pub(super) mod vectors;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use message::{Call, Chat, Decode, Dialect, Failure, Operation, RequestId};
use serde_json::Value;

use self::chunk::{Encoder, Writer};
use self::form::Form;
use super::wire::At;
use crate::{ReplyEncoder, json, tier};

/// The header that asks for a guardrail.
const GUARDRAIL: &str = "x-amzn-bedrock-guardrailidentifier";

/// The header that says in which service tier.
const TIER: &str = "x-amzn-bedrock-service-tier";

/// Begins the message of every fault of a body, as the service does; clients look for it.
const MALFORMED: &str = "Malformed input request:";

/// Reads the cap on output tokens, and how to read the rest.
pub(super) fn head(model: &str, body: &[u8]) -> Result<(Option<u64>, Decode), Failure> {
    let form = Form::of(model, body)?;
    let [plain, completion, gen_len, titan, nova] = json::members(
        body,
        ["max_tokens", "max_completion_tokens", "max_gen_len", "textGenerationConfig", "inferenceConfig"],
    )
    .map_err(malformed)?;
    // What is no number is reported, with its path, on decoding.
    let number = |span: Option<std::ops::Range<usize>>| {
        span.and_then(|span| body.get(span)).and_then(|text| serde_json::from_slice::<u64>(text).ok())
    };
    let inner = |span: Option<std::ops::Range<usize>>, names: [&str; 2]| {
        let config = serde_json::from_slice::<Value>(body.get(span?)?).ok()?;
        names.iter().find_map(|name| config.get(*name)?.as_u64())
    };
    let max_tokens = match form {
        Form::Anthropic if plain.is_none() => {
            return Err(malformed(Failure::invalid_field("max_tokens", "required, but missing")));
        }
        Form::Llama => number(gen_len),
        Form::TitanText => inner(titan, ["maxTokenCount", "max_tokens"]),
        Form::Nova => inner(nova, ["maxTokens", "max_new_tokens"]),
        Form::TitanEmbed | Form::CohereEmbed | Form::NovaEmbed | Form::Rerank => None,
        _ => number(completion).or(number(plain)),
    };
    Ok((max_tokens, decode(form)))
}

/// How bodies of a form are read.
fn decode(form: Form) -> Decode {
    match form {
        Form::Anthropic => Decode::Chat(|call| chat(call, Form::Anthropic)),
        Form::Nova => Decode::Chat(|call| chat(call, Form::Nova)),
        Form::TitanText => Decode::Chat(|call| chat(call, Form::TitanText)),
        Form::Llama => Decode::Chat(|call| chat(call, Form::Llama)),
        Form::MistralText => Decode::Chat(|call| chat(call, Form::MistralText)),
        Form::MistralChat | Form::OpenAiChat => Decode::Chat(|call| chat(call, Form::OpenAiChat)),
        Form::CohereText => Decode::Chat(|call| chat(call, Form::CohereText)),
        Form::CohereChat => Decode::Chat(|call| chat(call, Form::CohereChat)),
        Form::OpenAiText => Decode::Chat(|call| chat(call, Form::OpenAiText)),
        Form::TitanEmbed => Decode::Embed(|call| embed::titan(&call.body).map_err(malformed)),
        Form::CohereEmbed => Decode::Embed(|call| embed::cohere(&call.body).map_err(malformed)),
        Form::NovaEmbed => Decode::Embed(|call| embed::nova(&call.body).map_err(malformed)),
        Form::Rerank => Decode::Rerank(|call| rerank::read(&call.body).map_err(malformed)),
    }
}

/// Decodes the body of a call for a conversation.
fn chat(call: &Call, form: Form) -> Result<Chat, Failure> {
    if call.headers.contains_key(GUARDRAIL) {
        // An answer that should have been guarded and was not is worse than none. Said
        // here, for a body may be at home with a target that is not Bedrock.
        return Err(Failure::unsupported(format!(
            "{GUARDRAIL}: this model cannot do that: it cannot apply a Bedrock guardrail"
        ))
        .with_param(GUARDRAIL));
    }
    let mut chat = read(form, &call.body)?;
    let tier = call.headers.get(TIER).and_then(|tier| tier.to_str().ok());
    chat.priority = tier.and_then(tier::priority).or(chat.priority);
    Ok(chat)
}

fn read(form: Form, body: &[u8]) -> Result<Chat, Failure> {
    match form {
        Form::Anthropic => crate::anthropic::inbound::decode_body(body),
        Form::Nova => nova::read(body),
        Form::TitanText => titan::read(body),
        Form::Llama => llama::read(body),
        Form::MistralText => mistral::read(body),
        Form::MistralChat | Form::OpenAiChat => crate::openai::chat::inbound::decode_body(body),
        Form::CohereText => cohere::read_text(body),
        Form::CohereChat => cohere::read_chat(body),
        Form::OpenAiText => completion::read(body),
        Form::TitanEmbed | Form::CohereEmbed | Form::NovaEmbed | Form::Rerank => {
            Err(Failure::unsupported("only the tokens of a conversation can be counted"))
        }
    }
    .map_err(malformed)
}

/// Decodes an InvokeModel body that came as base64 (to have its tokens counted).
pub(super) fn decode_base64(model: &str, encoded: &str, at: At<'_>) -> Result<Chat, Failure> {
    let body = BASE64.decode(encoded).map_err(|error| at.wrong(format_args!("not base64: {error}")))?;
    read(Form::of(model, &body)?, &body)
}

/// The encoder of a call's reply.
pub(super) fn encoder(call: &Call) -> Box<dyn ReplyEncoder> {
    // Of a forwarded reply only a failure is ever encoded, the same for every family.
    let form = Form::of(&call.head.model, &call.body).unwrap_or(Form::Anthropic);
    let (id, model) = (identity(&call.id), call.head.model.clone());
    match (call.operation, form) {
        (Operation::Embed, Form::TitanEmbed) => boxed(call, embed::Titan::new(call)),
        (Operation::Embed, Form::NovaEmbed) => boxed(call, embed::Nova),
        (Operation::Embed, _) => boxed(call, embed::Cohere::new(call, id)),
        (Operation::Rerank, _) => boxed(call, rerank::Ranking),
        (_, Form::Nova) => boxed(call, nova::Writer::new(call)),
        (_, Form::TitanText) => boxed(call, text::Text::new(titan::Titan, id, model)),
        (_, Form::Llama) => boxed(call, text::Text::new(llama::Llama, id, model)),
        (_, Form::MistralText) => boxed(call, text::Text::new(mistral::Mistral, id, model)),
        (_, Form::CohereText) => boxed(call, text::Text::new(cohere::Command::new(call), id, model)),
        (_, Form::OpenAiText) => boxed(call, text::Text::new(completion::Completions, id, model)),
        (_, Form::CohereChat) => boxed(call, cohere::Writer::new(id)),
        (_, Form::OpenAiChat) => boxed(call, openai::Writer::new(call, false)),
        (_, Form::MistralChat) => boxed(call, openai::Writer::new(call, true)),
        (_, Form::Anthropic | Form::TitanEmbed | Form::CohereEmbed | Form::NovaEmbed | Form::Rerank) => {
            boxed(call, anthropic::Writer::new(call))
        }
    }
}

fn boxed(call: &Call, writer: impl Writer + 'static) -> Box<dyn ReplyEncoder> {
    Box::new(Encoder::new(call, writer))
}

/// The request's id as the families write one.
fn identity(id: &RequestId) -> String {
    id.as_str().to_owned()
}

/// Whether a client of this dialect is answered with what `family` answers.
pub(super) fn is_home(call: &Call, family: super::family::Family) -> bool {
    call.dialect == Dialect::BedrockInvoke
        && Form::of(&call.head.model, &call.body).is_ok_and(|form| form.fits(family))
}

fn malformed(failure: impl Into<Failure>) -> Failure {
    let mut failure = failure.into();
    if !failure.message.starts_with(MALFORMED) {
        failure.message = format!("{MALFORMED} {}", failure.message);
    }
    failure
}
