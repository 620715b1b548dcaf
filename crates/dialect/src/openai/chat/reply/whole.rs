//! A whole `chat.completion`.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use message::{BlockKind, Completion, FinishReason};
use serde_json::{Map, Value, json};

use super::{Identity, SYSTEM_FINGERPRINT, finish_word, logprobs, url_citation, usage};
use crate::Whole;
use crate::openai::annotation::chars;
use crate::openai::chat::inbound::ReplyOptions;
use crate::openai::custom;

/// The response of a call that did not ask for a stream.
pub(super) fn whole(completion: Completion, identity: &Identity<'_>, options: ReplyOptions) -> Whole {
    let logprobs = match options.logprobs {
        true => logprobs(&completion.logprobs),
        false => Value::Null,
    };
    let reason = completion.finish.clone().unwrap_or(FinishReason::EndTurn);
    let usage = usage(&completion.usage);
    let message = message(completion, identity, options);
    let finish = finish_word(&reason, message.get("refusal").is_some_and(Value::is_string), options);
    let body = json!({
        "id": identity.id,
        "object": "chat.completion",
        "created": identity.created_s,
        "model": identity.model,
        "choices": [{"index": 0, "message": message, "logprobs": logprobs, "finish_reason": finish}],
        "usage": usage,
        "system_fingerprint": SYSTEM_FINGERPRINT,
    });
    let headers = vec![(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    Whole { status: StatusCode::OK, headers, body: Bytes::from(body.to_string()) }
}

fn message(completion: Completion, identity: &Identity<'_>, options: ReplyOptions) -> Map<String, Value> {
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
    let mut message = Map::new();
    message.insert("role".to_owned(), "assistant".into());
    message.insert("content".to_owned(), content.into());
    message.insert("refusal".to_owned(), refusal.into());
    if let Some(reasoning) = reasoning {
        message.insert("reasoning_content".to_owned(), reasoning.into());
    }
    message.insert("annotations".to_owned(), annotations.into());
    if !calls.is_empty() {
        message.insert("tool_calls".to_owned(), calls.into());
    }
    if let Some(call) = function_call {
        message.insert("function_call".to_owned(), call);
    }
    message
}
