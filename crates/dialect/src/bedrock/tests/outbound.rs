//! Calls → what Bedrock is sent.

use message::{
    Block, BlockKind, CacheMarker, Effort, ErrorKind, Media, MediaSource, Message, OutputFormat, Reasoning,
    Role, Sampling, Sealer, SearchResult, Tool, ToolChoice, ToolKind, ToolOrigin,
};
use serde_json::json;

use super::*;
use crate::Outgoing;
use crate::bedrock::adapt::adapt;
use crate::bedrock::encode;
use crate::bedrock::family::Family;

pub(super) const CLAUDE: &str = "us.anthropic.claude-sonnet-4-6-v1:0";
const NOVA: &str = "amazon.nova-pro-v1:0";
const LLAMA: &str = "us.meta.llama3-3-70b-instruct-v1:0";
const PROFILE: &str = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123";

pub(super) fn outgoing(call: &Call, model: &str) -> Result<Outgoing, Failure> {
    crate::outbound(Dialect::BedrockConverse, &crate::Quirks::default()).unwrap().encode(call, model)
}

fn block(kind: BlockKind) -> Block {
    Block::new(kind)
}

fn cached(ttl: Option<&str>, block: Block) -> Block {
    Block { cache: Some(CacheMarker { ttl: ttl.map(str::to_owned) }), ..block }
}

fn turn(role: Role, content: Vec<Block>) -> Message {
    Message { role, content, plain: false, extra: message::Extra::new() }
}

fn chat(messages: Vec<Message>) -> Chat {
    Chat { messages, ..Chat::new(Dialect::Anthropic) }
}

fn tool_use(id: &str, name: &str, input: &str) -> Block {
    let (id, name, input) = (id.to_owned(), name.to_owned(), input.to_owned());
    block(BlockKind::ToolUse { id, name, input, origin: ToolOrigin::Client })
}

fn result(id: &str, content: Vec<Block>, is_error: Option<bool>) -> Block {
    block(BlockKind::ToolResult { id: id.to_owned(), content, plain: false, is_error })
}

fn image(source: MediaSource) -> Block {
    block(BlockKind::Image(Media { media_type: Some("image/png".to_owned()), name: None, source }))
}

fn base64() -> MediaSource {
    MediaSource::Base64("iVBORw0KGgo=".to_owned())
}

fn function(name: &str) -> Tool {
    Tool {
        name: name.to_owned(),
        description: Some("does".to_owned()),
        kind: ToolKind::Function { schema: Some(json!({"type": "object"})) },
        strict: None,
        cache: None,
        extra: message::Extra::new(),
    }
}

/// What Bedrock is sent of a chat, and what is not said.
fn sent(chat: &Chat, model: &str) -> Value {
    let (adapted, dropped) = adapt(chat, Family::of(model), Operation::Chat).unwrap();
    let mut body = encode::body(adapted, Operation::Chat).unwrap();
    if !dropped.is_empty() {
        let dropped: Vec<String> =
            dropped.iter().map(|loss| format!("{}: {}", loss.path, loss.why)).collect();
        body["DROPPED"] = json!(dropped);
    }
    body
}

fn refused(chat: &Chat, model: &str) -> Failure {
    adapt(chat, Family::of(model), Operation::Chat).unwrap_err()
}

#[test]
fn a_converse_call_is_forwarded_untouched() {
    let body = Bytes::from(r#"{ "messages" : [{"role":"user","content":[{"text":"hi"}]}], "new": 1.0 }"#);
    let call = call(Dialect::BedrockConverse, Operation::Chat, body.clone()).unwrap();
    let outgoing = outgoing(&call, "arn:aws:bedrock:us-east-1:1:inference-profile/us.a.b-v1:0").unwrap();
    assert!(outgoing.home && outgoing.dropped.is_empty());
    assert_eq!(outgoing.body[0].as_ptr(), body.as_ptr());
    assert_eq!(
        outgoing.path,
        "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.a.b-v1%3A0/converse-stream"
    );
}

#[test]
fn stored_prompts_reach_bedrock_and_nobody_else() {
    let body = r#"{"promptVariables":{"name":{"text":"x"}}}"#;
    let call = call(Dialect::BedrockConverse, Operation::Chat, body).unwrap();
    assert!(outgoing(&call, "arn:aws:bedrock:us-east-1:1:prompt/ABCDEFGHIJ").unwrap().home);
    let failure = call.chat().unwrap_err();
    assert_eq!((failure.kind, failure.param.as_deref()), (ErrorKind::Unsupported, Some("promptVariables")));
}

#[test]
fn counting_asks_the_model_behind_the_profile() {
    let (_, body) = fixtures("count_tokens").remove(0);
    let call = call(Dialect::BedrockConverse, Operation::CountTokens, body.to_string()).unwrap();
    assert_eq!(
        outgoing(&call, CLAUDE).unwrap().path,
        "/model/anthropic.claude-sonnet-4-6-v1%3A0/count-tokens"
    );
    let (adapted, _) = adapt(
        &Chat {
            sampling: Sampling { max_tokens: Some(5), ..Sampling::default() },
            ..chat(vec![Message::text(Role::User, "hi")])
        },
        Family::of(CLAUDE),
        Operation::CountTokens,
    )
    .unwrap();
    let body = encode::body(adapted, Operation::CountTokens).unwrap();
    assert_eq!(
        body,
        json!({"input": {"converse": {"messages": [{"role": "user", "content": [{"text": "hi"}]}]}}})
    );
}

/// A conversation with everything in it.
fn everything() -> Chat {
    let document = |name: &str, media_type: &str, source| {
        let (media_type, name) = (Some(media_type.to_owned()), Some(name.to_owned()));
        block(BlockKind::Document(Media { media_type, name, source }.into()))
    };
    let mut chat = chat(vec![
        turn(
            Role::User,
            vec![
                cached(Some("1h"), Block::text("look")),
                image(base64()),
                document("a_b.pdf", "application/pdf", base64()),
                document("a b pdf", "application/json", MediaSource::Text("{}".to_owned())),
                Block::text("  "),
            ],
        ),
        turn(
            Role::Assistant,
            vec![
                block(BlockKind::Thinking { text: "hm".to_owned(), signature: Some("c2ln".to_owned()) }),
                block(BlockKind::Thinking { text: String::new(), signature: Some(Sealer::Gemini.tag("x")) }),
                block(BlockKind::Thinking { text: "open".to_owned(), signature: None }),
                block(BlockKind::RedactedThinking("c2VhbA==".to_owned())),
                tool_use("call|1", "get weather", "{\"city\":\"Oslo\"}"),
                tool_use("call_2", "now", ""),
            ],
        ),
        turn(Role::Tool, vec![result("call|1", vec![image(base64()), Block::text("sun")], Some(true))]),
        turn(Role::Tool, vec![cached(None, result("call_2", vec![Block::text("")], None))]),
        turn(Role::User, vec![Block::text("and?")]),
        turn(Role::System, vec![Block::text("be brief")]),
        turn(Role::Assistant, vec![Block::text("Well ")]),
    ]);
    chat.system = vec![cached(None, Block::text("You help."))];
    chat.tools = vec![
        function("get weather"),
        Tool {
            cache: Some(CacheMarker { ttl: Some("1h".to_owned()) }),
            strict: Some(true),
            ..function("now")
        },
    ];
    chat.tool_choice = Some(ToolChoice::Auto);
    chat.parallel_tool_calls = Some(false);
    chat.user = Some("ann@example.com".to_owned());
    chat.sampling = Sampling {
        max_tokens: Some(100),
        temperature: serde_json::Number::from_f64(1.5),
        top_k: Some(5),
        seed: Some(7),
        stop: vec!["END".to_owned(), "\n".to_owned()],
        ..Sampling::default()
    };
    chat.output = OutputFormat::JsonSchema {
        name: Some("o".to_owned()),
        description: None,
        schema: json!({"type": "object"}),
        strict: Some(true),
    };
    chat.reasoning = Some(Reasoning { effort: Some(Effort::High), ..Reasoning::default() });
    chat.extra = serde_json::from_value(
        json!({"service_tier": "flex", "store": true, "context_management": {"edits": [1]}}),
    )
    .unwrap();
    chat
}

#[test]
fn c1_e4_m1_m2_r2_t6_everything_reaches_claude() {
    insta::assert_json_snapshot!("everything_to_claude", sent(&everything(), CLAUDE));
}

#[test]
fn r9_and_only_what_it_takes_reaches_another_model() {
    insta::assert_json_snapshot!("everything_to_nova", sent(&everything(), NOVA));
    insta::assert_json_snapshot!("everything_to_llama", sent(&everything(), LLAMA));
}

#[test]
fn c2_profiles_that_do_not_tell_their_model_keep_markers_and_seals() {
    let body = sent(&everything(), PROFILE);
    assert_eq!(body["system"][1], json!({"cachePoint": {"type": "default"}}));
    assert_eq!(body["messages"][0]["content"][1], json!({"cachePoint": {"type": "default", "ttl": "1h"}}));
    assert_eq!(body["toolConfig"]["tools"][2]["cachePoint"]["ttl"], "1h");
    let seal = &body["messages"][1]["content"][0]["reasoningContent"]["reasoningText"]["signature"];
    assert_eq!(seal, "c2ln");
}

#[test]
fn c4_automatic_caching_marks_the_end() {
    let mut chat = chat(vec![
        Message::text(Role::User, "a"),
        Message::text(Role::Assistant, "b"),
        Message::text(Role::User, "c"),
    ]);
    chat.extra =
        serde_json::from_value(json!({"cache_control": {"type": "ephemeral", "ttl": "1h"}})).unwrap();
    let body = sent(&chat, CLAUDE);
    assert_eq!(
        body["messages"][2]["content"],
        json!([{"text": "c"}, {"cachePoint": {"type": "default", "ttl": "1h"}}])
    );
    assert_eq!(body.get("DROPPED"), None);
}

#[test]
fn m1_nothing_blank_is_sent() {
    let chat = chat(vec![
        turn(Role::User, vec![Block::text("a"), Block::text(""), cached(None, Block::text("\n"))]),
        turn(Role::Assistant, vec![Block::text("")]),
        turn(Role::User, vec![Block::text("b")]),
    ]);
    assert_eq!(
        sent(&chat, CLAUDE)["messages"],
        json!([{"role": "user", "content": [{"text": "a"}, {"cachePoint": {"type": "default"}}, {"text": "b"}]}])
    );
    let blank = self::chat(vec![Message::text(Role::User, " ")]);
    assert_eq!(refused(&blank, CLAUDE).kind, ErrorKind::Unsupported);
}

#[test]
fn m5_instructions_stay_in_their_place() {
    let chat = chat(vec![
        Message::text(Role::Developer, "first"),
        Message::text(Role::User, "a"),
        Message::text(Role::System, "now"),
    ]);
    let body = sent(&chat, "anthropic.claude-opus-5");
    assert_eq!(body["system"], json!([{"text": "first"}]));
    assert_eq!(body["messages"][1], json!({"role": "system", "content": [{"text": "now"}]}));
    let body = sent(&chat, NOVA);
    assert_eq!(body["messages"], json!([{"role": "user", "content": [{"text": "a"}, {"text": "now"}]}]));
    assert_eq!(body["DROPPED"], json!(["messages.2.role: it was sent as the user's, in its place"]));
}

#[test]
fn a_conversation_starts_with_the_user() {
    let failure = refused(&chat(vec![Message::text(Role::Assistant, "hello")]), CLAUDE);
    assert!(failure.message.contains("A conversation must start with a user message."), "{failure}");
}

#[test]
fn files_that_bedrock_cannot_read_are_refused() {
    let document = |media_type: &str, source| {
        let media = Media { media_type: Some(media_type.to_owned()), name: None, source };
        block(BlockKind::Document(media.into()))
    };
    for (file, place) in [
        (image(MediaSource::Url("https://example.com/a.png".to_owned())), "messages.0.content.0"),
        (image(MediaSource::Reference(json!({"file_id": "f"}))), "messages.0.content.0"),
        (document("application/zip", base64()), "messages.0.content.0"),
        (document("application/pdf", MediaSource::Url("https://x/a.pdf".to_owned())), "messages.0.content.0"),
        (
            result("t", vec![image(MediaSource::Url("http://x".to_owned()))], None),
            "messages.0.content.0.content.0",
        ),
    ] {
        let failure = refused(&chat(vec![turn(Role::User, vec![file])]), CLAUDE);
        assert_eq!((failure.kind, failure.param.as_deref()), (ErrorKind::Unsupported, Some(place)));
    }
    let there = chat(vec![turn(Role::User, vec![image(MediaSource::Url("s3://bucket/a.png".to_owned()))])]);
    let body = sent(&there, NOVA);
    assert_eq!(
        body["messages"][0]["content"][0]["image"]["source"],
        json!({"s3Location": {"uri": "s3://bucket/a.png"}})
    );
}

#[test]
fn a_document_alone_is_given_a_word() {
    let media = Media {
        media_type: Some("application/pdf".to_owned()),
        name: Some("Q3.pdf".to_owned()),
        source: base64(),
    };
    let document = block(BlockKind::Document(media.into()));
    let body = sent(&chat(vec![turn(Role::User, vec![document])]), CLAUDE);
    assert_eq!(body["messages"][0]["content"][1], json!({"text": "Q3 pdf"}));
}

#[test]
fn tools_that_may_not_be_called() {
    let mut plain = chat(vec![Message::text(Role::User, "a")]);
    plain.tools = vec![function("f")];
    plain.tool_choice = Some(ToolChoice::None);
    assert_eq!(sent(&plain, CLAUDE).get("toolConfig"), None);

    let called = vec![
        Message::text(Role::User, "a"),
        turn(Role::Assistant, vec![tool_use("t", "f", "{}")]),
        turn(Role::Tool, vec![result("t", vec![Block::text("x")], None)]),
    ];
    plain.messages.clone_from(&called);
    let body = sent(&plain, CLAUDE);
    assert_eq!(
        (&body["toolConfig"]["tools"][0]["toolSpec"]["name"], body["toolConfig"].get("toolChoice")),
        (&json!("f"), None)
    );
    assert_eq!(body["DROPPED"].as_array().unwrap().len(), 1);
    // Bedrock refuses a history of calls without the tools.
    let body = sent(&chat(called), CLAUDE);
    assert_eq!(body["toolConfig"]["tools"][0]["toolSpec"]["name"], "f");

    plain.tool_choice = Some(ToolChoice::Named("g".to_owned()));
    assert_eq!(refused(&plain, CLAUDE).param.as_deref(), Some("tool_choice"));
}

#[test]
fn thinking_is_asked_for_in_each_models_words() {
    let ask = |model: &str, reasoning: Reasoning| {
        let mut chat = chat(vec![Message::text(Role::User, "a")]);
        chat.reasoning = Some(reasoning);
        let body = sent(&chat, model);
        json!([
            body["additionalModelRequestFields"],
            body["outputConfig"],
            body["inferenceConfig"],
            body["DROPPED"]
        ])
        .to_string()
    };
    let effort = |effort| Reasoning { effort: Some(effort), ..Reasoning::default() };
    let budget = Reasoning { enabled: Some(true), budget_tokens: Some(2000), ..Reasoning::default() };
    let off = Reasoning { enabled: Some(false), ..Reasoning::default() };
    let mut told = Vec::new();
    for model in [
        CLAUDE,
        "anthropic.claude-sonnet-4-5-20250929-v1:0",
        "anthropic.claude-opus-4-8",
        "anthropic.claude-3-haiku-20240307-v1:0",
        "amazon.nova-2-lite-v1:0",
        NOVA,
        "openai.gpt-oss-120b-1:0",
        PROFILE,
    ] {
        for reasoning in [effort(Effort::High), effort(Effort::None), budget.clone(), off.clone()] {
            told.push(format!(
                "{model} {:?} {:?} {:?}: {}",
                reasoning.enabled,
                reasoning.effort,
                reasoning.budget_tokens,
                ask(model, reasoning.clone())
            ));
        }
    }
    insta::assert_snapshot!("thinking", told.join("\n"));
}

#[test]
fn what_cannot_be_answered_is_refused() {
    let mut chat = chat(vec![Message::text(Role::User, "a")]);
    chat.sampling.logprobs = Some(2);
    assert_eq!(refused(&chat, CLAUDE).param.as_deref(), Some("logprobs"));
    chat.sampling.logprobs = None;
    chat.tools = vec![Tool { kind: ToolKind::Function { schema: Some(json!(7)) }, ..function("f") }];
    assert_eq!(refused(&chat, CLAUDE).param.as_deref(), Some("tools.0"));
}

/// Something found, with nothing in one of its pieces.
fn found() -> Block {
    block(BlockKind::SearchResult(SearchResult {
        source: "kb/7".to_owned(),
        title: "Rain".to_owned(),
        content: vec![Block::text("It rains."), Block::text(" ")],
        citations: Some(true),
    }))
}

#[test]
fn search_results_are_for_models_that_cite() {
    let given = chat(vec![turn(Role::User, vec![found(), result("t", vec![found()], None)])]);
    let written = json!({"searchResult": {
        "source": "kb/7", "title": "Rain", "content": [{"text": "It rains."}], "citations": {"enabled": true},
    }});
    let content = &sent(&given, CLAUDE)["messages"][0]["content"];
    assert_eq!(content[0]["toolResult"]["content"], json!([written]));
    assert_eq!(content[1], written);

    let body = sent(&given, NOVA);
    let text = json!({"text": "Search result: Rain\nSource: kb/7\n\nIt rains.\n "});
    assert_eq!(
        body["messages"][0]["content"],
        json!([
            {"toolResult": {"toolUseId": "t", "content": [text]}}, text,
        ])
    );
    assert_eq!(
        body["DROPPED"],
        json!([
            "messages.0.content.0: sent as text, which the answer cannot cite",
            "messages.0.content.1.content.0: sent as text, which the answer cannot cite",
        ])
    );
}

#[test]
fn a_search_result_without_a_word_is_its_title() {
    let empty = SearchResult { source: "s".into(), title: "t".into(), content: vec![], citations: None };
    let given = chat(vec![turn(Role::User, vec![block(BlockKind::SearchResult(empty))])]);
    let text = json!([{"text": "Search result: t\nSource: s\n"}]);
    assert_eq!(sent(&given, CLAUDE)["messages"][0]["content"], text);
}
