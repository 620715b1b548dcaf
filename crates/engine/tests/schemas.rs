//! Random schemas on the real model: what it writes is whole and valid, also when it would
//! rather not stop, and what cannot be followed is refused by name.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic here is the report")]

#[path = "support/schemas.rs"]
#[allow(dead_code, unreachable_pub, reason = "the unit tests use more of it")]
mod schemas;
mod support;

use std::time::{Duration, Instant};

use message::{ErrorKind, FinishReason, Grammar, OutputFormat};
use serde_json::{Value, json};
use support::{chat, complete, engine, text};

/// Whether a text is of a language.
type Check = fn(&str) -> bool;

fn of(schema: &Value) -> OutputFormat {
    OutputFormat::JsonSchema { name: None, description: None, schema: schema.clone(), strict: None }
}

#[tokio::test]
async fn documents_of_random_schemas_are_whole_and_valid() {
    for number in 5000..5030 {
        let schema = schemas::schema(number);
        let mut asked = chat("Give me an example record as JSON.", 120);
        asked.sampling.temperature = Some(1.into());
        asked.sampling.seed = Some(number as i64);
        asked.output = of(&schema);
        let completion = match complete(&engine(), asked).await {
            Ok(completion) => completion,
            Err(failure) => {
                assert!(failure.message.contains("oneOf"), "{number}: {}", failure.message);
                continue;
            }
        };
        let text = text(&completion);
        assert_eq!(completion.finish, Some(FinishReason::EndTurn), "{number}: {text} of {schema}");
        let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
        let document = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{number}: {e}: {text}"));
        assert!(validator.is_valid(&document), "{number}: {text} is not of {schema}");
    }
}

#[tokio::test]
async fn a_string_without_end_is_closed_in_time() {
    let schema = json!({ "type": "object", "properties": { "essay": { "type": "string" }, "n": { "type": "integer" } },
        "required": ["essay", "n"] });
    let mut asked = chat("Write an essay about the sea, at least 500 words.", 24);
    asked.output = of(&schema);
    let completion = complete(&engine(), asked).await.unwrap();
    let document: Value = serde_json::from_str(&text(&completion)).unwrap();
    assert!(document["n"].is_i64() && document["essay"].as_str().unwrap().len() > 20, "{document}");
    assert!(completion.usage.output_tokens <= 24, "{:?}", completion.usage);
    // Where not even the shortest fits, the limit is told.
    let mut asked = chat("Write an essay about the sea.", 3);
    asked.output = of(&schema);
    assert_eq!(complete(&engine(), asked).await.unwrap().finish, Some(FinishReason::MaxTokens));
}

#[tokio::test]
async fn what_must_follow_a_list_is_made_room_for() {
    let small = json!({ "type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.1 });
    let pair = json!({ "type": "array", "prefixItems": [{ "type": "number", "minimum": -0.5 }, { "type": "boolean" }],
        "items": false, "minItems": 2 });
    let grid = json!({ "type": "array", "items": { "type": "array", "items": small, "minItems": 1 }, "minItems": 2 });
    let words = json!({ "type": "array", "items": { "type": "string", "minLength": 3 }, "minItems": 20 });
    for last in [small, pair, grid] {
        let schema = json!({ "type": "object", "properties": { "words": words, "last": last },
            "required": ["words", "last"], "additionalProperties": false });
        let mut asked = chat("List as many words as you can.", 160);
        asked.output = of(&schema);
        let completion = complete(&engine(), asked).await.unwrap();
        let text = text(&completion);
        assert_eq!(completion.finish, Some(FinishReason::EndTurn), "{text} of {schema}");
        let document = serde_json::from_str(&text).unwrap();
        assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&document), "{text} is not of {schema}");
    }
}

#[tokio::test]
async fn languages_are_kept_to() {
    let lark = "start: day \" \" day\nday: \"Monday\" | \"Sunday\"\n";
    let gbnf = "root ::= day (\" \" day)*\nday ::= \"Mon\" | \"Sun\" # short\n";
    let cases: [(Grammar, Check); 4] = [
        (Grammar::Regex("[A-Z]{3}-[0-9]{4}".into()), |text| text.len() == 8 && text.as_bytes()[3] == b'-'),
        (Grammar::Choice(vec!["left".into(), "right".into()]), |text| text == "left" || text == "right"),
        (Grammar::Lark(lark.into()), |text| text.split(' ').all(|day| ["Monday", "Sunday"].contains(&day))),
        (Grammar::Gbnf(gbnf.into()), |text| text.split(' ').all(|day| ["Mon", "Sun"].contains(&day))),
    ];
    for (grammar, holds) in cases {
        let mut asked = chat("Tell me a joke.", 40);
        asked.output = OutputFormat::Grammar(grammar.clone());
        let completion = complete(&engine(), asked).await.unwrap();
        let text = text(&completion);
        assert!(holds(&text), "{grammar:?}: {text}");
        assert_eq!(completion.finish, Some(FinishReason::EndTurn), "{grammar:?}: {text}");
    }
}

#[tokio::test]
async fn hostile_forms_are_refused_at_once() {
    let mut deep = json!({ "type": "string" });
    for _ in 0..100 {
        deep = json!({ "type": "object", "properties": { "a": deep }, "required": ["a"], "not": {} });
    }
    let chain: String = (0..4000).map(|n| format!("r{n}: r{}\n", n + 1)).collect();
    let hostile = [
        (of(&json!({ "enum": vec!["x".repeat(1024); 1024] })), "too large"),
        (of(&deep), "`not`"),
        (of(&json!({ "type": "array", "uniqueItems": true })), "`uniqueItems` at #"),
        (OutputFormat::Grammar(Grammar::Regex("((a{1,900}){1,900}){1,900}b".into())), ""),
        (OutputFormat::Grammar(Grammar::Regex("(".repeat(30_000))), ""),
        (OutputFormat::Grammar(Grammar::Regex("(?=a)b".into())), ""),
        (OutputFormat::Grammar(Grammar::Lark("(".repeat(30_000))), "nest"),
        (OutputFormat::Grammar(Grammar::Lark(format!("start: r0\n{chain}"))), "too large"),
        (OutputFormat::Grammar(Grammar::Lark("start: start start".into())), ""),
        (OutputFormat::Grammar(Grammar::Gbnf("root ::= (".into())), "line 1"),
        (OutputFormat::Grammar(Grammar::Gbnf(format!("root ::= \"a\"{{1,{}}}", 1u32 << 31))), ""),
    ];
    // The vocabulary's trie is built once.
    let mut warm = chat("Hi", 1);
    warm.output = OutputFormat::JsonObject;
    complete(&engine(), warm).await.unwrap();
    for (output, said) in hostile {
        let mut asked = chat("Hi", 8);
        asked.output = output.clone();
        let began = Instant::now();
        let failure = match complete(&engine(), asked).await {
            Ok(completion) => {
                assert!(said.is_empty(), "{output:?} was followed: {}", text(&completion));
                continue;
            }
            Err(failure) => failure,
        };
        assert_eq!(failure.kind, ErrorKind::InvalidRequest, "{}", failure.message);
        assert!(failure.message.contains(said), "{}", failure.message);
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}: {}", began.elapsed(), failure.message);
    }
}
