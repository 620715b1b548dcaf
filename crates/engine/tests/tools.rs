//! Tool calls and JSON on the real model: forced ones are always valid.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic here is the report")]

mod support;

use message::{
    Block, BlockKind, Chat, ErrorKind, FinishReason, Message, OutputFormat, Role, Tool, ToolChoice, ToolKind,
};
use serde_json::{Value, json};
use support::{chat, complete, engine, text};

fn tool(name: &str, schema: Value) -> Tool {
    Tool {
        name: name.to_owned(),
        description: Some(format!("Does {name}.")),
        kind: ToolKind::Function { schema: Some(schema) },
        strict: None,
        cache: None,
        extra: message::Extra::new(),
    }
}

fn object(properties: Value) -> Value {
    let required: Vec<&String> = properties.as_object().unwrap().keys().collect();
    json!({ "type": "object", "properties": properties, "required": required })
}

/// Whether arguments are what a schema asks for.
type Check = fn(&Value) -> bool;

/// Schemas such as clients send, and a check of what came.
fn schemas() -> Vec<(Value, Check)> {
    vec![
        (object(json!({ "city": { "type": "string" } })), |v| v["city"].is_string()),
        (object(json!({ "n": { "type": "integer" } })), |v| {
            v["n"].is_i64() || v["n"].is_u64() || v["n"].is_f64()
        }),
        (object(json!({ "x": { "type": "number", "minimum": 0, "maximum": 1 } })), |v| {
            v["x"].as_f64().is_some_and(|x| (0.0..=1.0).contains(&x))
        }),
        (object(json!({ "ok": { "type": "boolean" } })), |v| v["ok"].is_boolean()),
        (object(json!({ "unit": { "enum": ["celsius", "fahrenheit"] } })), |v| {
            ["celsius", "fahrenheit"].contains(&v["unit"].as_str().unwrap())
        }),
        (object(json!({ "nothing": { "type": "null" } })), |v| v["nothing"].is_null()),
        (object(json!({ "kind": { "const": "fixed" } })), |v| v["kind"] == "fixed"),
        (
            object(
                json!({ "tags": { "type": "array", "items": { "type": "string", "maxLength": 8 }, "maxItems": 3 } }),
            ),
            |v| v["tags"].as_array().is_some_and(|tags| tags.len() <= 3 && tags.iter().all(Value::is_string)),
        ),
        (
            object(
                json!({ "a": { "type": "string", "maxLength": 10 }, "b": { "type": "integer", "maximum": 99, "minimum": 0 } }),
            ),
            |v| v["a"].is_string() && v["b"].as_i64().is_some_and(|b| (0..=99).contains(&b)),
        ),
        (
            object(
                json!({ "place": object(json!({ "lat": { "type": "number", "minimum": -90, "maximum": 90 } })) }),
            ),
            |v| v["place"]["lat"].is_number(),
        ),
        (json!({ "type": "object", "properties": {} }), Value::is_object),
        (object(json!({ "date": { "type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$" } })), |v| {
            v["date"].as_str().is_some_and(|date| date.len() == 10)
        }),
        (object(json!({ "x": { "anyOf": [{ "type": "boolean" }, { "type": "null" }] } })), |v| {
            v["x"].is_boolean() || v["x"].is_null()
        }),
        (
            json!({ "type": "object", "properties": { "x": { "$ref": "#/$defs/level" } }, "required": ["x"],
                 "$defs": { "level": { "enum": [1, 2, 3] } } }),
            |v| v["x"].as_i64().is_some_and(|x| x < 4),
        ),
        (json!({ "type": "object", "properties": { "maybe": { "type": "boolean" } } }), |v| {
            v.get("maybe").is_none_or(Value::is_boolean)
        }),
        (
            object(
                json!({ "list": { "type": "array", "items": { "type": "boolean" }, "minItems": 2, "maxItems": 2 } }),
            ),
            |v| v["list"].as_array().is_some_and(|list| list.len() == 2),
        ),
        (object(json!({ "text": { "type": "string", "minLength": 5, "maxLength": 20 } })), |v| {
            v["text"].as_str().is_some_and(|text| (5..=20).contains(&text.chars().count()))
        }),
        (object(json!({ "id": { "type": "string", "format": "uuid" } })), |v| {
            v["id"].as_str().is_some_and(|id| id.len() == 36)
        }),
        (object(json!({ "größe": { "enum": ["groß", "klein"] } })), |v| v["größe"].is_string()),
        (
            json!({ "type": "object", "properties": { "a": { "type": "boolean" } }, "required": ["a"],
                 "additionalProperties": false }),
            |v| v["a"].is_boolean(),
        ),
    ]
}

#[tokio::test]
async fn a_forced_call_is_valid_for_twenty_schemas() {
    let engine = engine();
    let schemas = schemas();
    assert_eq!(schemas.len(), 20);
    let calls = schemas.into_iter().enumerate().map(|(index, (schema, valid))| {
        let engine = engine.clone();
        async move {
            let mut asked = chat("Call the tool for Paris, please.", 200);
            asked.tools = vec![tool("look_up", schema.clone())];
            asked.tool_choice = Some(ToolChoice::Named("look_up".into()));
            let answer = complete(&engine, asked).await.unwrap();
            assert_eq!(answer.finish, Some(FinishReason::ToolUse), "{index}: {answer:?}");
            let [Block { kind: BlockKind::ToolUse { name, input, .. }, .. }] = &answer.content[..] else {
                panic!("one call expected: {answer:?}");
            };
            assert_eq!(name, "look_up");
            let value: Value = serde_json::from_str(input).unwrap();
            assert!(valid(&value), "{index}: {input} for {schema}");
        }
    });
    futures_util::future::join_all(calls).await;
}

#[tokio::test]
async fn any_tool_may_be_forced_and_its_result_answered() {
    let engine = engine();
    let mut asked = chat("What is the weather in Paris?", 120);
    let schema = object(json!({ "city": { "type": "string", "maxLength": 30 } }));
    asked.tools = vec![tool("weather", schema.clone()), tool("time", schema)];
    asked.tool_choice = Some(ToolChoice::Any);
    let answer = complete(&engine, asked.clone()).await.unwrap();
    let BlockKind::ToolUse { id, name, .. } = &answer.content[0].kind else {
        panic!("a call expected: {answer:?}");
    };
    assert!(["weather", "time"].contains(&name.as_str()));
    let result = BlockKind::ToolResult {
        id: id.clone(),
        content: vec![Block::text("Sunny, 21 degrees.")],
        plain: true,
        is_error: None,
    };
    let turn = |role, content| Message { role, content, plain: false, extra: message::Extra::new() };
    asked.messages.push(turn(Role::Assistant, answer.content.clone()));
    asked.messages.push(turn(Role::Tool, vec![Block::new(result)]));
    asked.tool_choice = Some(ToolChoice::None);
    let answer = complete(&engine, asked).await.unwrap();
    assert!(!text(&answer).is_empty(), "{answer:?}");
}

#[tokio::test]
async fn a_json_schema_is_followed() {
    let engine = engine();
    let mut asked = chat("Give the name and the age of a person.", 100);
    asked.output = OutputFormat::JsonSchema {
        name: Some("person".into()),
        description: None,
        schema: object(json!({
            "name": { "type": "string", "maxLength": 20 },
            "age": { "type": "integer", "minimum": 0, "maximum": 120 },
        })),
        strict: Some(true),
    };
    let answer = complete(&engine, asked).await.unwrap();
    assert_eq!(answer.finish, Some(FinishReason::EndTurn), "{answer:?}");
    let value: Value = serde_json::from_str(&text(&answer)).unwrap();
    assert!(value["name"].is_string() && value["age"].as_i64().is_some_and(|age| age <= 120), "{value}");
}

#[tokio::test]
async fn a_schema_that_cannot_be_followed_is_refused_clearly() {
    let mut asked = chat("Hi", 10);
    asked.output = OutputFormat::JsonSchema {
        name: None,
        description: None,
        schema: json!({ "type": "object", "not": {} }),
        strict: None,
    };
    let failure = complete(&engine(), asked).await.unwrap_err();
    assert_eq!(failure.kind, ErrorKind::InvalidRequest);
    assert!(failure.message.contains("schema"), "{}", failure.message);
}

#[tokio::test]
async fn a_forced_tool_that_is_not_there_is_refused() {
    let mut asked: Chat = chat("Hi", 10);
    asked.tools = vec![tool("a", json!({ "type": "object" }))];
    asked.tool_choice = Some(ToolChoice::Named("b".into()));
    let failure = complete(&engine(), asked).await.unwrap_err();
    assert_eq!(failure.param.as_deref(), Some("tool_choice"));
}

#[tokio::test]
async fn pictures_are_refused_by_name() {
    let mut asked = chat("What is this?", 10);
    let media = message::Media {
        media_type: Some("image/png".into()),
        name: None,
        source: message::MediaSource::Url("https://example.com/x.png".into()),
    };
    asked.messages[0].content.push(Block::new(BlockKind::Image(media)));
    let failure = complete(&engine(), asked).await.unwrap_err();
    assert_eq!(failure.kind, ErrorKind::Unsupported);
    assert_eq!(failure.param.as_deref(), Some("messages.0.content.1"));
}

#[tokio::test]
async fn logprobs_come_with_the_text() {
    let mut asked = chat("What is the capital of France?", 8);
    asked.sampling.logprobs = Some(5);
    let answer = complete(&engine(), asked).await.unwrap();
    let words: Vec<u8> = answer.logprobs.iter().flat_map(|token| token.token.clone()).collect();
    assert_eq!(String::from_utf8(words).unwrap(), text(&answer));
    for token in &answer.logprobs {
        assert_eq!(token.top.len(), 5);
        assert_eq!(token.top[0].logprob, token.logprob, "greedy takes the likeliest");
        let sum: f32 = token.top.iter().map(|top| top.logprob.exp()).sum();
        assert!(sum > 0.0 && sum <= 1.001, "{sum}");
    }
}
