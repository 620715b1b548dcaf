//! The grid's last column: every client dialect, answered by a model served here.
//!
//! The cases are those of the dialects' own grid (`crates/dialect/tests/grid/`), the model
//! is real. Whatever it says, a client must be able to read it; what it is not given of the
//! request must be declared or refused. The last part of `docs/fidelity.md` is generated
//! here, from what the engine does with each feature.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "tests")]

#[path = "../../dialect/tests/grid/features.rs"]
mod features;
mod support;
#[allow(dead_code, reason = "shared with the dialects' grid, which uses all of it")]
#[path = "../../dialect/tests/grid/wire.rs"]
mod wire;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use features::{CLIENTS, Notes, Part, features, hold};
use futures_util::StreamExt;
use futures_util::future::join_all;
use message::{
    BlockKind, Call, Completion, Dialect, Dropped, Event, Failure, FinishReason, Operation, Reply, Service,
};
use serde_json::Value;

macro_rules! cases {
    ($($name:literal),+ $(,)?) => {
        [$(($name, include_str!(concat!("../../dialect/tests/grid/requests/", $name, ".json")))),+]
    };
}

const CASES: [(&str, &str); 13] = cases![
    "cache",
    "image",
    "image_url",
    "pdf",
    "structured",
    "system",
    "text",
    "thinking",
    "tool_choice_any",
    "tool_choice_named",
    "tool_result_image",
    "tool_results",
    "tools",
];

/// Tokens of an answer, and of one that must be a call: few enough to be quick.
const ANSWER_TOKENS: u64 = 4;
const CALL_TOKENS: u64 = 32;

/// What became of a call.
struct Answered {
    dropped: Vec<Dropped>,
    events: Vec<Event>,
}

/// Asks as the gateway does: what is lost is told in the client's own words.
async fn ask(call: &Call) -> Result<Reply, Failure> {
    dialect::told(call, support::engine().call(call.clone()).await)
}

async fn answer(call: Call) -> Result<Answered, Failure> {
    let mut reply = ask(&call).await?;
    let mut events = Vec::new();
    while let Some(event) = reply.events.next().await {
        events.push(event?);
    }
    Ok(Answered { dropped: reply.dropped, events })
}

/// The body with a short limit and no chance in it.
fn bounded(client: Dialect, mut body: Value, tokens: u64) -> Value {
    let (limit, temperature) = match client {
        Dialect::BedrockConverse => ("/inferenceConfig/maxTokens", "/inferenceConfig"),
        Dialect::Gemini => ("/generationConfig/maxOutputTokens", "/generationConfig"),
        Dialect::OpenAiChat => ("/max_completion_tokens", ""),
        Dialect::OpenAiResponses => ("/max_output_tokens", ""),
        _ => ("/max_tokens", ""),
    };
    *body.pointer_mut(limit).expect("every case has a limit") = tokens.into();
    let settings = body.pointer_mut(temperature).expect("is there");
    if settings.get("temperature").is_none() {
        settings["temperature"] = 0.into();
    }
    body
}

#[tokio::test]
async fn every_client_is_answered_by_a_model_served_here() {
    let mut table = String::new();
    for (case, text) in CASES {
        let bodies: BTreeMap<String, Value> = serde_json::from_str(text).expect("JSON");
        let tokens = if case.starts_with("tool_choice") { CALL_TOKENS } else { ANSWER_TOKENS };
        let cells =
            CLIENTS.map(|client| cell(case, client, bounded(client, bodies[client.name()].clone(), tokens)));
        for (client, said) in CLIENTS.iter().zip(join_all(cells).await) {
            writeln!(table, "{case}: {client}: {said}").unwrap();
        }
    }
    insta::assert_snapshot!(table);
}

/// What a client is told, in few words; that it can read its answer is checked, in both
/// forms it can ask for.
async fn cell(case: &str, client: Dialect, body: Value) -> String {
    let [whole, stream] =
        [false, true].map(|stream| wire::call(client, &body, stream).expect("a good request"));
    let Answered { dropped, events } = match answer(stream.clone()).await {
        Err(failure) => return format!("refused: {failure}"),
        Ok(answered) => answered,
    };
    let meant = wire::complete(events.clone());
    for call in [whole, stream] {
        let bytes = wire::encode(&call, events.clone());
        // The client's own decoder reads it to its end: it is well formed.
        let read = wire::decode(client, &call, &bytes).unwrap_or_else(|failure| {
            panic!("{case} {client}: {failure}: {}", String::from_utf8_lossy(&bytes))
        });
        let read = wire::complete(read);
        assert_eq!(read.usage.total_output(), meant.usage.total_output(), "{case} {client}");
        assert_eq!(calls(&read), calls(&meant), "{case} {client}");
    }
    let calls = calls(&meant);
    if case.starts_with("tool_choice") {
        assert!(!calls.is_empty(), "{case} {client}: a call was demanded");
    }
    if case == "tool_choice_named" {
        assert!(calls.iter().all(|(name, _)| name == "weather"), "{client}: {calls:?}");
    }
    let lost: Vec<String> = dropped.iter().map(|Dropped { path, why }| format!("{path} ({why})")).collect();
    match lost.is_empty() {
        true => "answered".to_owned(),
        false => format!("answered without {}", lost.join(", ")),
    }
}

/// The calls of an answer, but for the arguments of one that ran into the limit: each
/// dialect has its own way to tell of such.
fn calls(completion: &Completion) -> Vec<(String, Option<Value>)> {
    let blocks = completion.content.iter().filter_map(|block| match &block.kind {
        BlockKind::ToolUse { name, input, .. } => Some((name.clone(), serde_json::from_str(input).ok())),
        _ => None,
    });
    let mut calls: Vec<_> = blocks.collect();
    if completion.finish == Some(FinishReason::MaxTokens)
        && let Some((_, input)) = calls.last_mut()
    {
        *input = None;
    }
    calls
}

const HEAD: &str = "
## To a model served here

What the engine does with each feature, tried on SmolLM2-135M-Instruct: a model of text that was not taught to think.

| client | feature | |
| --- | --- | --- |
";

#[tokio::test]
async fn fidelity_of_models_served_here_is_documented() {
    let mut out = HEAD.to_owned();
    let mut notes = Notes::default();
    for (client, features) in features() {
        for (feature, body) in features {
            // What is lost or refused is known before the model's work: counting shows it.
            let mut call = wire::call(client, &body, false).expect("a good request");
            call.operation = Operation::CountTokens;
            let became = ask(&call).await.map(|reply| reply.dropped);
            writeln!(out, "| {client} | {feature} | {} |", notes.cell(became)).unwrap();
        }
    }
    notes.write(&mut out);
    hold(Part::Local, &out);
}
