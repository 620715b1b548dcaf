//! Why an answer ended, in every server's word and every client's.

use std::fmt::Write as _;

use message::Dialect;
use serde_json::{Value, json};

use crate::wire::{call, complete, decode, encode};
use crate::{CLIENTS, DIALECTS};

/// Every server's words, from the vendors' SDKs.
const WORDS: [(Dialect, &[&str]); 6] = [
    (
        Dialect::BedrockConverse,
        &[
            "end_turn",
            "tool_use",
            "max_tokens",
            "stop_sequence",
            "guardrail_intervened",
            "content_filtered",
            "malformed_model_output",
            "malformed_tool_use",
            "model_context_window_exceeded",
            "of_the_future",
        ],
    ),
    (Dialect::BedrockInvoke, ANTHROPIC),
    (Dialect::Anthropic, ANTHROPIC),
    (
        Dialect::OpenAiChat,
        &["stop", "length", "tool_calls", "content_filter", "function_call", "of_the_future"],
    ),
    (
        Dialect::OpenAiResponses,
        &[
            "completed",
            "incomplete:max_output_tokens",
            "incomplete:content_filter",
            "incomplete:of_the_future",
        ],
    ),
    (
        Dialect::Gemini,
        &[
            "STOP",
            "MAX_TOKENS",
            "SAFETY",
            "RECITATION",
            "LANGUAGE",
            "BLOCKLIST",
            "PROHIBITED_CONTENT",
            "SPII",
            "MALFORMED_FUNCTION_CALL",
            "OTHER",
            "OF_THE_FUTURE",
        ],
    ),
];

const ANTHROPIC: &[&str] = &[
    "end_turn",
    "max_tokens",
    "stop_sequence",
    "tool_use",
    "pause_turn",
    "refusal",
    "model_context_window_exceeded",
    "of_the_future",
];

fn reply(server: Dialect, word: &str) -> Value {
    let text: Value = serde_json::from_str(include_str!("replies/text.json")).expect("JSON");
    let mut whole = text[server.name()]["whole"].clone();
    match server {
        Dialect::BedrockConverse => whole["stopReason"] = word.into(),
        Dialect::BedrockInvoke | Dialect::Anthropic => {
            whole["stop_reason"] = word.into();
            if word == "stop_sequence" {
                whole["stop_sequence"] = "END".into();
            }
        }
        Dialect::OpenAiChat => whole["choices"][0]["finish_reason"] = word.into(),
        Dialect::OpenAiResponses => {
            let (status, reason) = word.split_once(':').unwrap_or((word, ""));
            whole["status"] = status.into();
            if !reason.is_empty() {
                whole["incomplete_details"] = json!({"reason": reason});
            }
        }
        _ => whole["candidates"][0]["finishReason"] = word.into(),
    }
    whole
}

fn word(client: Dialect, reply: &Value) -> String {
    let word = match client {
        Dialect::BedrockConverse => &reply["stopReason"],
        Dialect::BedrockInvoke | Dialect::Anthropic => &reply["stop_reason"],
        Dialect::OpenAiChat => &reply["choices"][0]["finish_reason"],
        Dialect::OpenAiResponses => {
            let reason = reply["incomplete_details"]["reason"].as_str();
            let status = reply["status"].as_str().expect("a status");
            return reason.map_or_else(|| status.to_owned(), |reason| format!("{status}:{reason}"));
        }
        _ => &reply["candidates"][0]["finishReason"],
    };
    word.as_str().expect("a word").to_owned()
}

#[test]
fn u1_u2_every_reason_has_its_word_in_every_dialect() {
    let requests: Value = serde_json::from_str(include_str!("requests/text.json")).expect("JSON");
    let mut table = String::new();
    for (server, words) in WORDS {
        if !DIALECTS.contains(&server) {
            continue;
        }
        for said in words {
            let mut row = Vec::new();
            for client in CLIENTS {
                let asked = call(client, &requests[client.name()], false).expect("a good request");
                let events = decode(server, &asked, reply(server, said).to_string().as_bytes())
                    .unwrap_or_else(|failure| panic!("{server} {said}: {failure}"));
                if row.is_empty() {
                    row.push(format!("{:?}", complete(events.clone()).finish.expect("an end")));
                }
                let got: Value = serde_json::from_slice(&encode(&asked, events)).expect("JSON");
                row.push(word(client, &got));
            }
            writeln!(table, "{} {said} = {} → {}", server.name(), row[0], row[1..].join(" | ")).unwrap();
        }
    }
    insta::assert_snapshot!(table);
}
