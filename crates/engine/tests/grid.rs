//! The grid's last column: every client dialect, answered by a model served here.
//!
//! The cases are those of the dialects' own grid (`crates/dialect/tests/grid/`), the model
//! is real. Whatever it says, a client must be able to read it; what it is not given of the
//! request must be declared or refused. The second part of `docs/fidelity.md` is generated
//! here, from what the engine does with each feature.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "tests")]

mod support;
#[allow(dead_code, reason = "shared with the dialects' grid, which uses all of it")]
#[path = "../../dialect/tests/grid/wire.rs"]
mod wire;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use futures_util::StreamExt;
use message::{Call, Dialect, Dropped, Event, Failure, Service};
use serde_json::Value;

macro_rules! fixture {
    ($path:literal) => {
        include_str!(concat!("../../dialect/tests/grid/", $path))
    };
}

const CLIENTS: [(Dialect, &str); 6] = [
    (Dialect::BedrockConverse, fixture!("features/bedrock-converse.json")),
    (Dialect::BedrockInvoke, fixture!("features/bedrock-invoke.json")),
    (Dialect::Anthropic, fixture!("features/anthropic.json")),
    (Dialect::OpenAiChat, fixture!("features/openai-chat.json")),
    (Dialect::OpenAiResponses, fixture!("features/openai-responses.json")),
    (Dialect::Gemini, fixture!("features/gemini.json")),
];

const CASES: [(&str, &str); 13] = [
    ("cache", fixture!("requests/cache.json")),
    ("image", fixture!("requests/image.json")),
    ("image_url", fixture!("requests/image_url.json")),
    ("pdf", fixture!("requests/pdf.json")),
    ("structured", fixture!("requests/structured.json")),
    ("system", fixture!("requests/system.json")),
    ("text", fixture!("requests/text.json")),
    ("thinking", fixture!("requests/thinking.json")),
    ("tool_choice_any", fixture!("requests/tool_choice_any.json")),
    ("tool_choice_named", fixture!("requests/tool_choice_named.json")),
    ("tool_result_image", fixture!("requests/tool_result_image.json")),
    ("tool_results", fixture!("requests/tool_results.json")),
    ("tools", fixture!("requests/tools.json")),
];

/// Tokens of an answer: enough to call a tool, few enough to be quick.
const ANSWER_TOKENS: u64 = 64;

/// What became of a call.
struct Answered {
    dropped: Vec<Dropped>,
    events: Vec<Event>,
}

async fn answer(call: Call) -> Result<Answered, Failure> {
    let mut reply = support::engine().call(call).await?;
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
        for (client, _) in CLIENTS {
            let body = bounded(client, bodies[client.name()].clone(), ANSWER_TOKENS);
            let mut said = Vec::new();
            for stream in [false, true] {
                let call = wire::call(client, &body, stream).expect("a good request");
                match answer(call.clone()).await {
                    Err(failure) => said.push(format!("refused: {failure}")),
                    Ok(Answered { dropped, events }) => {
                        let bytes = wire::encode(&call, events.clone());
                        // The client's own decoder reads it to its end: it is well formed.
                        let read = wire::decode(client, &call, &bytes).unwrap_or_else(|failure| {
                            panic!("{case} {client}: {failure}: {}", String::from_utf8_lossy(&bytes))
                        });
                        let (read, meant) = (wire::complete(read), wire::complete(events));
                        assert_eq!(read.usage.total_output(), meant.usage.total_output(), "{case} {client}");
                        assert_eq!(calls(&read), calls(&meant), "{case} {client}");
                        if case.starts_with("tool_choice") {
                            let calls = calls(&read);
                            assert!(!calls.is_empty(), "{case} {client}: a call was demanded");
                            if case == "tool_choice_named" {
                                assert!(calls.iter().all(|(name, _)| name == "weather"), "{calls:?}");
                            }
                        }
                        let lost: Vec<String> =
                            dropped.iter().map(|Dropped { path, why }| format!("{path} ({why})")).collect();
                        said.push(match lost.is_empty() {
                            true => "answered".to_owned(),
                            false => format!("answered without {}", lost.join(", ")),
                        });
                    }
                }
            }
            assert_eq!(said[0], said[1], "{case} {client}: streamed and whole");
            writeln!(table, "{case}: {client}: {}", said[0]).unwrap();
        }
    }
    insta::assert_snapshot!(table);
}

/// The calls of an answer; a call that ran into the limit may have lost its end.
fn calls(completion: &message::Completion) -> Vec<(String, String)> {
    let calls = completion.content.iter().filter_map(|block| match &block.kind {
        message::BlockKind::ToolUse { name, input, .. } => {
            let input: Option<Value> = serde_json::from_str(input).ok();
            Some((name.clone(), input.map(|input| input.to_string()).unwrap_or_default()))
        }
        _ => None,
    });
    calls.collect()
}

/// Begins the part of `docs/fidelity.md` that is generated here.
const HEAD: &str = "<!-- From here on generated by crates/engine/tests/grid.rs -->\n
## To a model served here

| feature | engine |
| --- | --- |
";

#[tokio::test]
async fn fidelity_of_the_engine_is_documented() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/fidelity.md");
    let mut mine = HEAD.to_owned();
    let plain: BTreeMap<String, Value> = serde_json::from_str(fixture!("requests/plain.json")).expect("JSON");
    let mut notes: Vec<String> = Vec::new();
    for (client, features) in CLIENTS {
        let features: Vec<(String, Value)> = serde_json::from_str(features).expect("JSON");
        for (feature, patch) in features {
            let mut body = bounded(client, plain[client.name()].clone(), 1);
            merge(&mut body, &patch);
            let call = wire::call(client, &body, false).expect("a good request");
            let (sign, reasons) = match answer(call).await {
                Err(failure) => ("✗", vec![failure.message]),
                Ok(Answered { dropped, .. }) if dropped.is_empty() => ("✓", Vec::new()),
                Ok(Answered { dropped, .. }) => {
                    let named = |Dropped { path, why }| format!("`{path}`: {why}");
                    ("−", dropped.into_iter().map(named).collect())
                }
            };
            let mut numbers = Vec::new();
            for reason in reasons {
                let number = notes.iter().position(|note| *note == reason).unwrap_or_else(|| {
                    notes.push(reason);
                    notes.len() - 1
                });
                numbers.push((number + 1).to_string());
            }
            let numbers = match numbers.is_empty() {
                true => String::new(),
                false => format!(" <sup>{}</sup>", numbers.join(", ")),
            };
            writeln!(mine, "| {client}: {feature} | {sign}{numbers} |").unwrap();
        }
    }
    mine.push('\n');
    for (number, note) in notes.iter().enumerate() {
        writeln!(mine, "{}. {note}", number + 1).unwrap();
    }
    let written = fs::read_to_string(&path).expect("docs/fidelity.md");
    let (theirs, written) = written.split_at(written.find("<!-- From here on").unwrap_or(written.len()));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, format!("{theirs}{mine}")).expect("docs/ can be written");
        return;
    }
    assert!(
        written == mine,
        "docs/fidelity.md does not say what the engine does; run: \
         UPDATE_DOCS=1 cargo nextest run --release --workspace -E 'test(fidelity_of_the_engine)'"
    );
}

/// RFC 7386, but that a list or a `null` replaces.
fn merge(body: &mut Value, patch: &Value) {
    match (body, patch) {
        (Value::Object(body), Value::Object(patch)) => {
            for (name, value) in patch {
                merge(body.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (body, patch) => *body = patch.clone(),
    }
}
