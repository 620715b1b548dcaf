//! Which door to Bedrock a call takes, and what InvokeModel is sent and answers there.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::HeaderValue;
use message::{
    Embed, EmbedInput, EmbedPurpose, ErrorKind, Event, FinishReason, Frame, Ranked, Rerank, RerankDocument,
    Usage,
};
use proptest::prelude::*;
use serde_json::json;

use super::outbound::{CLAUDE, outgoing};
use super::*;
use crate::bedrock::family::Family;
use crate::bedrock::invoke::vectors;
use crate::framing::eventstream::{write_event, write_exception};
use crate::{Outgoing, ReplyDecoder};

fn asked(dialect: Dialect, body: impl Into<Bytes>, headers: &[(&'static str, &'static str)]) -> Call {
    let headers =
        headers.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)));
    call_with(dialect, Operation::Chat, body, headers.collect()).unwrap()
}

fn sent(outgoing: &Outgoing) -> Value {
    let dropped: Vec<String> =
        outgoing.dropped.iter().map(|loss| format!("{}: {}", loss.path, loss.why)).collect();
    json!({
        "path": outgoing.path,
        "home": outgoing.home,
        "body": serde_json::from_slice::<Value>(&outgoing.body.concat()).unwrap(),
        "dropped": dropped,
    })
}

#[test]
fn an_invoke_body_is_forwarded_to_its_own_family_and_translated_for_another() {
    let body = Bytes::from(
        r#"{ "anthropic_version":"x", "max_tokens": 9,"messages":[{"role":"user","content":"hi"}] }"#,
    );
    let call =
        asked(Dialect::BedrockInvoke, body.clone(), &[("x-amzn-bedrock-trace", "ENABLED"), ("x-other", "1")]);
    let home = outgoing(&call, CLAUDE).unwrap();
    assert!(home.home);
    assert_eq!(home.body[0].as_ptr(), body.as_ptr());
    assert_eq!(home.path, "/model/us.anthropic.claude-sonnet-4-6-v1%3A0/invoke-with-response-stream");
    assert!(home.headers.iter().any(|(name, value)| name == "x-amzn-bedrock-trace" && value == "ENABLED"));
    assert!(home.headers.iter().all(|(name, _)| name != "x-other"));
    insta::assert_json_snapshot!(
        "anthropic_body_to_llama",
        sent(&outgoing(&call, "meta.llama3-70b-instruct-v1:0").unwrap())
    );
    let prompt = asked(Dialect::BedrockInvoke, r#"{"prompt":"hi","max_gen_len":9}"#, &[]);
    insta::assert_json_snapshot!("llama_body_to_claude", sent(&outgoing(&prompt, CLAUDE).unwrap()));
    let unknown = "arn:aws:bedrock:us-east-1:1:imported-model/abcdefghijkl";
    assert!(outgoing(&prompt, unknown).unwrap().home);
}

const PLAIN: &str = r#"{ "model" : "m", "max_tokens":9, "messages":[{"role":"user","content":"say \"system\""}], "stream": true }"#;

#[test]
fn an_anthropic_clients_body_is_spliced_for_claude() {
    let body = Bytes::from(PLAIN);
    let call = asked(Dialect::Anthropic, body.clone(), &[]);
    let outgoing = outgoing(&call, CLAUDE).unwrap();
    assert!(outgoing.home && outgoing.dropped.is_empty());
    assert_eq!(
        String::from_utf8(outgoing.body.concat()).unwrap(),
        r#"{ "anthropic_version":"bedrock-2023-05-31", "max_tokens":9, "messages":[{"role":"user","content":"say \"system\""}] }"#
    );
    assert!(
        outgoing
            .body
            .iter()
            .any(|piece| piece.as_ptr() == body[body.len() - 80..].as_ptr() || piece.len() > 60)
    );
}

#[test]
fn e4_c4_what_bedrock_refuses_of_an_anthropic_body_is_taken_out_and_told() {
    let body = json!({
        "model": "m", "max_tokens": 9, "stream": false, "service_tier": "standard_only", "container": "c",
        "cache_control": {"type": "ephemeral"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015"}]},
        "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral", "scope": "global", "ttl": "1h"}}],
        "messages": [
            {"role": "user", "content": "hi"},
            {"role": "system", "content": "the date"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {"cache_control": {"scope": 1}}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "x"}]},
        ],
        "tools": [{"name": "f", "input_schema": {"type": "object"}}],
    });
    let betas = "claude-code-20250219, interleaved-thinking-2025-05-14,advanced-tool-use-2025-11-20,tool-search-tool-2025-10-19";
    let call = asked(Dialect::Anthropic, body.to_string(), &[("anthropic-beta", betas)]);
    insta::assert_json_snapshot!("claude_code_to_claude", sent(&outgoing(&call, CLAUDE).unwrap()));
    // With its beta, context management stays; system turns do where the model takes them.
    let call =
        asked(Dialect::Anthropic, body.to_string(), &[("anthropic-beta", "context-management-2025-06-27")]);
    let kept = sent(&outgoing(&call, "anthropic.claude-opus-5").unwrap())["body"].clone();
    assert_eq!(kept["anthropic_beta"], json!(["context-management-2025-06-27"]));
    assert_eq!(
        (kept["messages"][1]["role"].as_str(), kept.get("context_management").is_some()),
        (Some("system"), true)
    );
}

#[test]
fn files_that_bedrock_cannot_read_are_refused_to_an_anthropic_client() {
    for source in [json!({"type": "url", "url": "https://x/a.png"}), json!({"type": "file", "file_id": "f"})]
    {
        let image = json!({"type": "image", "source": source});
        let result = json!({"type": "tool_result", "tool_use_id": "t", "content": [image]});
        for (content, place) in
            [(&image, "messages.0.content.0.source"), (&result, "messages.0.content.0.content.0.source")]
        {
            let body =
                json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": [content]}]});
            let failure = outgoing(&asked(Dialect::Anthropic, body.to_string(), &[]), CLAUDE).unwrap_err();
            assert_eq!((failure.kind, failure.param.as_deref()), (ErrorKind::Unsupported, Some(place)));
        }
    }
}

#[test]
fn an_anthropic_client_reaches_other_models_by_converse() {
    let call = asked(Dialect::Anthropic, PLAIN, &[]);
    let outgoing = outgoing(&call, "amazon.nova-pro-v1:0").unwrap();
    assert_eq!(
        (outgoing.path.as_str(), outgoing.home),
        ("/model/amazon.nova-pro-v1%3A0/converse-stream", false)
    );
}

proptest! {
    #[test]
    fn splicing_changes_nothing_else(
        order in Just(vec!["model", "stream", "max_tokens", "messages", "temperature"]).prop_shuffle(),
        stream in any::<Option<bool>>(),
        space in "[ \n\t]{0,2}",
        text in ".{0,20}",
    ) {
        let text = Value::from(text);
        let members: Vec<String> = order.iter().filter_map(|name| {
            let value = match *name {
                "model" => "\"m\"".to_owned(),
                "stream" => stream?.to_string(),
                "max_tokens" => "9".to_owned(),
                "messages" => format!("[{{\"role\":\"user\",\"content\":{text}}}]"),
                _ => "1.0".to_owned(),
            };
            Some(format!("\"{name}\"{space}:{space}{value}{space}"))
        }).collect();
        let body = format!("{{{space}{}}}", members.join(&format!(",{space}")));
        let call = asked(Dialect::Anthropic, body.clone(), &[("anthropic-beta", "effort-2025-11-24")]);
        let outgoing = outgoing(&call, CLAUDE).unwrap();
        let sent: Value = serde_json::from_slice(&outgoing.body.concat()).unwrap();
        let mut expected: Value = serde_json::from_str(&body).unwrap();
        let members = expected.as_object_mut().unwrap();
        members.remove("model");
        members.remove("stream");
        members.insert("anthropic_version".to_owned(), json!("bedrock-2023-05-31"));
        members.insert("anthropic_beta".to_owned(), json!(["effort-2025-11-24"]));
        prop_assert_eq!(sent, expected);
    }
}

fn decoder(call: &Call, home: bool) -> Box<dyn ReplyDecoder> {
    crate::outbound(Dialect::BedrockConverse, &crate::Quirks::default()).unwrap().decoder(call, home)
}

fn chunks(events: &[Value]) -> Vec<u8> {
    let mut out = Vec::new();
    for event in events {
        let payload = json!({"bytes": BASE64.encode(event.to_string()), "p": "abc"});
        write_event(&mut out, "chunk", payload.to_string().as_bytes());
    }
    out
}

fn claude_stream() -> Vec<u8> {
    chunks(&[
        json!({"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant", "model": "claude-x", "content": [], "usage": {"input_tokens": 3, "output_tokens": 1}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hé\nllo"}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7}}),
        json!({"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 3, "outputTokenCount": 7}}),
    ])
}

fn read(
    mut decoder: Box<dyn ReplyDecoder>,
    pieces: &[&[u8]],
) -> (Vec<u8>, Option<Usage>, Option<FinishReason>, Result<(), Failure>) {
    let (mut events, mut ending) = (Vec::new(), Ok(()));
    for piece in pieces {
        ending = ending.and_then(|()| decoder.feed(Bytes::copy_from_slice(piece), &mut events));
    }
    let ending = ending.and_then(|()| decoder.finish(&mut events));
    let (mut bytes, mut usage, mut finish) = (Vec::new(), None, None);
    for event in events {
        let Event::Frame(Frame { bytes: piece, seen }) = event else { panic!("{event:?}") };
        bytes.extend_from_slice(&piece);
        if let Some(seen) = seen {
            usage = seen.usage.or(usage);
            finish = seen.finish.or(finish);
        }
    }
    (bytes, usage, finish, ending)
}

#[test]
fn claudes_stream_reaches_an_anthropic_client_as_its_own() {
    let call = asked(Dialect::Anthropic, PLAIN, &[]);
    let wire = claude_stream();
    let whole = read(decoder(&call, true), &[&wire]);
    assert_eq!(whole.3, Ok(()));
    insta::assert_snapshot!("claude_stream", String::from_utf8(whole.0.clone()).unwrap());
    assert_eq!((whole.1.unwrap().output_tokens, whole.2.clone()), (7, Some(FinishReason::EndTurn)));
    for at in 0..wire.len() {
        let (first, second) = wire.split_at(at);
        assert_eq!(read(decoder(&call, true), &[first, second]), whole);
    }
    let mut shown = HeaderMap::from_iter([(
        http::header::CONTENT_TYPE,
        HeaderValue::from_static("application/vnd.amazon.eventstream"),
    )]);
    decoder(&call, true).head(&HeaderMap::new(), &mut shown);
    assert_eq!(shown["content-type"], "text/event-stream; charset=utf-8");
}

#[test]
fn s14_s18_claudes_broken_stream_is_a_failure() {
    let call = asked(Dialect::Anthropic, PLAIN, &[]);
    let wire = claude_stream();
    let (_, _, _, ending) = read(decoder(&call, true), &[&wire[..wire.len() - 40]]);
    assert_eq!(ending.unwrap_err().kind, ErrorKind::Upstream);
    let mut wire = chunks(&[json!({"type": "ping"})]);
    write_exception(&mut wire, "throttlingException", br#"{"message":"slow down"}"#);
    let failure = read(decoder(&call, true), &[&wire]).3.unwrap_err();
    assert_eq!((failure.kind, failure.message.as_str()), (ErrorKind::RateLimited, "slow down"));
    for garbage in [&b"{\"bytes\":\"%\"}"[..], b"{}", b"{\"bytes\":\"W10=\"}"] {
        let mut wire = Vec::new();
        write_event(&mut wire, "chunk", garbage);
        assert_eq!(read(decoder(&call, true), &[&wire]).3.unwrap_err().kind, ErrorKind::Upstream);
    }
}

#[test]
fn u6_invoke_streams_go_on_as_they_came_and_are_counted() {
    let call =
        asked(Dialect::BedrockInvoke, r#"{"anthropic_version":"x","max_tokens":9,"messages":[]}"#, &[]);
    let wire = claude_stream();
    for at in 0..wire.len() {
        let (first, second) = wire.split_at(at);
        let (bytes, usage, _, ending) = read(decoder(&call, true), &[first, second]);
        assert_eq!((ending, bytes), (Ok(()), wire.clone()));
        assert_eq!(usage.map(|usage| (usage.input_tokens, usage.output_tokens)), Some((3, 7)));
    }
}

#[test]
fn a_whole_invoke_answer_is_counted_by_its_head() {
    let mut call = asked(Dialect::BedrockInvoke, r#"{"prompt":"hi","max_gen_len":9}"#, &[]);
    call.head.stream = false;
    let mut decoder = decoder(&call, true);
    let head = [("x-amzn-bedrock-input-token-count", "3"), ("x-amzn-bedrock-output-token-count", "2")];
    let head = HeaderMap::from_iter(
        head.map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))),
    );
    decoder.head(&head, &mut HeaderMap::new());
    let (bytes, usage, _, ending) = read(decoder, &[br#"{"generation":"hi"}"#]);
    assert_eq!((bytes.as_slice(), ending), (&br#"{"generation":"hi"}"#[..], Ok(())));
    assert_eq!(usage, Some(Usage { input_tokens: 3, output_tokens: 2, ..Usage::default() }));
}

#[test]
fn embeddings_and_rankings_are_asked_for_in_each_familys_words() {
    let text = |text: &str| EmbedInput::Text(text.to_owned());
    let one = Embed {
        dimensions: Some(256),
        normalize: Some(true),
        ..Embed::new(Dialect::OpenAiChat, vec![text("a")])
    };
    let two = Embed {
        purpose: Some(EmbedPurpose::Query),
        ..Embed::new(Dialect::OpenAiChat, vec![text("a"), text("b")])
    };
    let body = |embed: &Embed, model: &str| {
        vectors::embed(embed, Family::of(model), model).map(|(body, dropped)| format!("{body} {dropped:?}"))
    };
    let rerank = Rerank {
        home: Dialect::Cohere,
        query: "q".to_owned(),
        documents: vec![RerankDocument::Text("a".to_owned()), RerankDocument::Json(json!({"text": "b"}))],
        top_n: Some(1),
        essential: Vec::new(),
        extra: serde_json::from_value(json!({"max_tokens_per_doc": 5})).unwrap(),
    };
    let ranked = |model: &str| format!("{:?}", vectors::rerank(&rerank, Family::of(model)).unwrap());
    insta::assert_snapshot!(
        "vectors",
        [
            body(&one, "amazon.titan-embed-text-v2:0").unwrap(),
            body(&two, "cohere.embed-english-v3").unwrap(),
            body(&one, "cohere.embed-v4:0").unwrap(),
            body(&one, "amazon.nova-2-multimodal-embeddings-v1:0").unwrap(),
            ranked("cohere.rerank-v3-5:0"),
            ranked("amazon.rerank-v1:0"),
        ]
        .join("\n")
    );
    for (embed, model, place) in [
        (&two, "amazon.titan-embed-text-v2:0", "input"),
        (&one, "amazon.titan-embed-text-v1", "dimensions"),
        (&one, "cohere.embed-english-v3", "dimensions"),
        (&one, CLAUDE, "model"),
    ] {
        assert_eq!(body(embed, model).unwrap_err().param.as_deref(), Some(place));
    }
    assert!(vectors::rerank(&rerank, Family::of(CLAUDE)).is_err());
}

#[test]
fn vectors_of_every_family_are_read() {
    let read = |operation, body: &str| {
        let mut decoder = vectors::Vectors::new(operation);
        let mut events = Vec::new();
        decoder.feed(Bytes::copy_from_slice(body.as_bytes()), &mut events)?;
        decoder.finish(&mut events).map(|()| events)
    };
    for body in [
        r#"{"embedding":[0.5,1],"inputTextTokenCount":3}"#,
        r#"{"embeddingsByType":{"float":[0.5,1]},"inputTextTokenCount":3}"#,
        r#"{"embeddings":[[0.5,1]],"response_type":"embeddings_floats"}"#,
        r#"{"embeddings":{"float":[[0.5,1]]}}"#,
        r#"{"embeddings":[{"embeddingType":"TEXT","embedding":[0.5,1]}]}"#,
    ] {
        let events = read(Operation::Embed, body).unwrap();
        assert_eq!(events[1], Event::Embedding(vec![0.5, 1.0]), "{body}");
        assert!(matches!(events.last(), Some(Event::Finish { .. })));
    }
    let events = read(Operation::Rerank, r#"{"results":[{"index":1,"relevance_score":0.5}]}"#).unwrap();
    assert_eq!(events[1], Event::Ranking(vec![Ranked { index: 1, score: 0.5 }]));
    for (operation, body) in [
        (Operation::Embed, "{}"),
        (Operation::Rerank, "{}"),
        (Operation::Embed, "[1"),
        (Operation::Rerank, r#"{"results":[{"index":-1}]}"#),
    ] {
        assert_eq!(read(operation, body).unwrap_err().kind, ErrorKind::Upstream);
    }
}
