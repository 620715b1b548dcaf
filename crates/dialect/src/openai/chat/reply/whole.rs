//! A whole `chat.completion`.

use http::{HeaderValue, StatusCode, header};
use message::{BlockKind, Completion, FinishReason};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Identity, SYSTEM_FINGERPRINT, finish_word, logprobs, url_citation};
use crate::openai::annotation::chars;
use crate::openai::chat::inbound::ReplyOptions;
use crate::openai::counted::Counted;
use crate::openai::custom;
use crate::{Whole, json};

/// The response of a call that did not ask for a stream.
pub(super) fn whole(mut completion: Completion, identity: &Identity<'_>, options: ReplyOptions) -> Whole {
    let usage = Counted::of(&completion.usage);
    let others = std::mem::take(&mut completion.others);
    let answers = std::iter::once(completion).chain(others);
    let body = Body {
        id: &identity.id,
        object: "chat.completion",
        created: identity.created_s,
        model: identity.model,
        choices: (0..).zip(answers).map(|(index, answer)| choice(index, answer, identity, options)).collect(),
        usage,
        service_tier: identity.tier,
        system_fingerprint: SYSTEM_FINGERPRINT,
    };
    let headers = vec![(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    Whole { status: StatusCode::OK, headers, body: json::bytes(&body) }
}

fn choice(index: u32, completion: Completion, identity: &Identity<'_>, options: ReplyOptions) -> Choice {
    let logprobs = options.logprobs.then(|| logprobs(&completion.logprobs));
    let reason = completion.finish.clone().unwrap_or(FinishReason::EndTurn);
    let message = message(completion, identity, options);
    let finish_reason = finish_word(&reason, message.refusal.is_some(), options);
    Choice { index, message, logprobs, finish_reason }
}

#[derive(Serialize)]
struct Body<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: Vec<Choice>,
    usage: Counted,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'static str>,
    system_fingerprint: &'static str,
}

#[derive(Serialize)]
struct Choice {
    index: u32,
    message: Message,
    logprobs: Option<Value>,
    finish_reason: &'static str,
}

#[derive(Serialize)]
struct Message {
    role: &'static str,
    content: Option<String>,
    refusal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
    annotations: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_call: Option<Value>,
}

fn message(completion: Completion, identity: &Identity<'_>, options: ReplyOptions) -> Message {
    let (mut content, mut refusal, mut reasoning) = (None::<String>, None::<String>, None::<String>);
    let (mut calls, mut annotations, mut said_chars) = (Vec::new(), Vec::new(), 0);
    let mut function_call = None;
    for block in completion.content {
        match block.kind {
            BlockKind::Text(text) => {
                let place = said_chars..said_chars + chars(&text);
                said_chars = place.end;
                let pages = block.citations.iter().filter_map(|page| url_citation(page, place.clone()));
                annotations.extend(pages);
                content.get_or_insert_default().push_str(&text);
            }
            BlockKind::Refusal(text) => refusal.get_or_insert_default().push_str(&text),
            BlockKind::Thinking { text, .. } => reasoning.get_or_insert_default().push_str(&text),
            BlockKind::ToolUse { id, name, input, .. } if identity.custom.contains(&name.as_str()) => {
                let custom = json!({"name": name, "input": custom::unwrap(&input)});
                calls.push(json!({"id": id, "type": "custom", "custom": custom}));
            }
            BlockKind::ToolUse { id, name, input, .. } => {
                let arguments = if input.is_empty() { "{}" } else { &input };
                let function = json!({"name": name, "arguments": arguments});
                if options.legacy_functions {
                    // The older interface has room for one call.
                    function_call.get_or_insert(function);
                } else {
                    calls.push(json!({"id": id, "type": "function", "function": function}));
                }
            }
            _ => {}
        }
    }
    if content.is_none() && refusal.is_none() && calls.is_empty() && function_call.is_none() {
        content = Some(String::new());
    }
    Message {
        role: "assistant",
        content,
        refusal,
        reasoning_content: reasoning,
        annotations,
        tool_calls: calls,
        function_call,
    }
}
