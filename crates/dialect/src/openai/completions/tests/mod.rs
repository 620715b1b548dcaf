//! The older Completions: requests in and out, replies in and out.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;
use message::{
    BlockHead, Call, Completion, Delta, Dialect, ErrorKind, Event, Failure, FinishReason, NewCall, Operation,
    Principal, RequestId, TokenLogprob, TopLogprob, Usage,
};
use serde_json::{Value, json};

use super::encode::encode;
use super::reply::Encoder;
use crate::{Quirks, ReplyEncoder};

fn try_call(body: &Value) -> Result<Call, Failure> {
    let body = Bytes::from(body.to_string());
    let inbound = crate::inbound(Dialect::OpenAiCompletions, Operation::Chat, None, false, &body)?;
    Ok(Call::new(NewCall {
        id: RequestId::new("0b-5e"),
        operation: Operation::Chat,
        dialect: Dialect::OpenAiCompletions,
        head: inbound.head,
        body,
        headers: Arc::new(HeaderMap::new()),
        principal: Principal { key_id: "key_1".into(), name: "test".into() },
        received: Instant::now(),
        strict: false,
        decode: inbound.decode,
    }))
}

fn call(body: &Value) -> Call {
    try_call(body).unwrap_or_else(|failure| panic!("{failure}"))
}

fn requests() -> Vec<Value> {
    vec![
        json!({"model": "m", "prompt": "Once"}),
        json!({"model": "m", "prompt": ["Once"], "max_tokens": 5, "temperature": 0, "stop": "\n", "logprobs": 2, "n": 1}),
        json!({"model": "m"}),
        json!({"model": "m", "prompt": null, "stream": true, "stream_options": {"include_usage": true}, "seed": 1, "user": "u"}),
        json!({"model": "m", "prompt": ["a", "b"], "echo": true, "best_of": 3, "suffix": "end", "logit_bias": {"1": 2}}),
        json!({"model": "m", "prompt": [1, 2], "echo": false, "suffix": null, "top_k": 3, "stop": ["a", "b"], "novel": 1}),
        json!({"model": "m", "prompt": [[1], [2]], "presence_penalty": 1.5, "frequency_penalty": -1, "top_p": 0.5, "n": 2}),
    ]
}

#[test]
fn openai_completions_is_lossless() {
    for body in requests() {
        let call = call(&body);
        let chat = call.chat().unwrap_or_else(|failure| panic!("{failure}"));
        assert!(chat.raw);
        let (again, dropped) =
            encode(chat, &call.head, "m", Quirks::default()).expect("home takes everything");
        assert_eq!((Value::from(again), dropped), (body.clone(), Vec::new()));
        let outbound =
            crate::outbound(Dialect::OpenAiCompletions, &Quirks::default()).expect("a target's dialect");
        let sent = outbound.encode(&call, "m").expect("home");
        assert_eq!((sent.path.as_str(), sent.body.concat()), ("/completions", body.to_string().into_bytes()));
    }
}

#[test]
fn a_bare_prompt_is_a_users_turn_elsewhere() {
    let call = call(&json!({"model": "m", "prompt": "Once", "stop": "."}));
    let outbound = crate::outbound(Dialect::OpenAiChat, &Quirks::default()).expect("a target's dialect");
    let sent: Value =
        serde_json::from_slice(&outbound.encode(&call, "gpt").expect("text").body.concat()).expect("JSON");
    assert_eq!(sent["messages"], json!([{"role": "user", "content": "Once"}]));
    assert_eq!((&sent["max_completion_tokens"], &sent["stop"]), (&json!(16), &json!(".")));
}

#[test]
fn what_only_this_dialect_can_do_is_refused_elsewhere() {
    for (name, value) in [
        ("prompt", json!(["a", "b"])),
        ("prompt", json!([1, 2])),
        ("prompt", json!([[1]])),
        ("suffix", json!("end")),
        ("echo", json!(true)),
        ("best_of", json!(2)),
        ("n", json!(2)),
    ] {
        let mut body = json!({"model": "m", "prompt": "Once"});
        body[name] = value;
        let failure = call(&body).chat().expect("valid").leave_home().expect_err(name);
        assert_eq!((failure.kind, failure.param.as_deref()), (ErrorKind::Unsupported, Some(name)));
    }
    let best = json!({"model": "m", "prompt": "Once", "n": 2, "best_of": 2});
    assert_eq!(call(&best).chat().expect("valid").leave_home_with_choices(), Ok(()), "all that are made");
    for (name, value) in [
        ("prompt", json!({})),
        ("prompt", json!([1, "a"])),
        ("logprobs", json!(6)),
        ("logprobs", json!(true)),
    ] {
        let mut body = json!({"model": "m", "prompt": "Once"});
        body[name] = value;
        let failure = call(&body).chat().cloned().expect_err(name);
        assert_eq!(failure.param.as_deref(), Some(name));
    }
}

fn token(text: &str) -> TokenLogprob {
    let top = TopLogprob { token: text.as_bytes().to_vec(), logprob: -0.5 };
    TokenLogprob { token: text.as_bytes().to_vec(), logprob: -0.5, top: vec![top] }
}

fn events() -> Vec<Event> {
    let piece = |text: &str| Event::Delta {
        index: 0,
        delta: Delta::Text { text: text.into(), logprobs: vec![token(text)] },
    };
    vec![
        Event::Start { id: Some("cmpl-1".into()) },
        Event::BlockStart { index: 0, block: BlockHead::Text },
        piece(" upon"),
        piece(" a"),
        Event::BlockStop { index: 0 },
        Event::Usage(Usage { input_tokens: 1, output_tokens: 2, ..Usage::default() }),
        Event::Finish { reason: FinishReason::MaxTokens, stop_sequence: None },
    ]
}

fn gather(events: Vec<Event>) -> Completion {
    let mut completion = Completion::default();
    events.into_iter().for_each(|event| completion.push(event));
    completion
}

fn asked() -> Value {
    json!({"model": "m", "prompt": "Once", "logprobs": 1, "stream": true, "stream_options": {"include_usage": true}})
}

fn streamed() -> Vec<u8> {
    let mut encoder = Encoder::new(call(&asked()), 1_700_000_000);
    let mut out = Vec::new();
    events().into_iter().for_each(|event| encoder.event(event, &mut out));
    encoder.end(&mut out);
    out
}

#[test]
fn replies_are_as_the_service_writes_them() {
    insta::with_settings!({ snapshot_path => "../fixtures/snapshots", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("reply_stream", String::from_utf8(streamed()).expect("UTF-8"));
        let whole = Encoder::new(call(&asked()), 1_700_000_000).whole(gather(events()));
        let whole: Value = serde_json::from_slice(&whole.body).expect("JSON");
        insta::assert_json_snapshot!("reply_whole", whole);
    });
}

#[test]
fn several_answers_are_numbered_and_counted_together() {
    let asked = json!({"model": "m", "prompt": "Once", "n": 2, "logprobs": 0, "stream_options": {"include_usage": true}});
    let further = |event| Event::Choice { index: 1, event: Box::new(event) };
    let usage = Event::Usage(Usage { input_tokens: 1, output_tokens: 4, ..Usage::default() });
    let both: Vec<Event> = events()
        .into_iter()
        .filter(|event| !matches!(event, Event::Usage(_)))
        .flat_map(|event| [event.clone(), further(event)])
        .chain([usage])
        .collect();
    let mut encoder = Encoder::new(call(&asked), 1_700_000_000);
    let mut out = Vec::new();
    both.iter().cloned().for_each(|event| encoder.event(event, &mut out));
    encoder.end(&mut out);
    insta::with_settings!({ snapshot_path => "../fixtures/snapshots", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("reply_choices_stream", String::from_utf8(out).expect("UTF-8"));
        let whole = Encoder::new(call(&asked), 1_700_000_000).whole(gather(both));
        let whole: Value = serde_json::from_slice(&whole.body).expect("JSON");
        insta::assert_json_snapshot!("reply_choices_whole", whole);
    });
}

/// What this dialect writes it reads again, cut anywhere.
#[test]
fn a_server_of_this_dialect_is_understood() {
    let outbound =
        crate::outbound(Dialect::OpenAiCompletions, &Quirks::default()).expect("a target's dialect");
    let read = |home: bool, pieces: &[&[u8]]| {
        let mut decoder = outbound.decoder(&call(&asked()), home);
        let mut events = Vec::new();
        for piece in pieces {
            decoder.feed(Bytes::copy_from_slice(piece), &mut events)?;
        }
        decoder.finish(&mut events)?;
        Ok::<_, Failure>(events)
    };
    let bytes = streamed();
    for cut in 0..=bytes.len() {
        let (first, second) = bytes.split_at(cut);
        let mut expected = gather(events());
        expected.id = Some("cmpl-0b5e".into());
        assert_eq!(read(false, &[first, second]).map(gather), Ok(expected), "cut at {cut}");
        let forwarded: Vec<u8> = read(true, &[first, second])
            .expect("whole")
            .into_iter()
            .flat_map(|event| match event {
                Event::Frame(frame) => frame.bytes.to_vec(),
                other => panic!("{other:?} beside frames"),
            })
            .collect();
        assert_eq!(forwarded, bytes);
    }
    assert_eq!(read(false, &[&bytes[..40]]).expect_err("cut").kind, ErrorKind::Upstream);
    let error = b"data: {\"error\":{\"message\":\"slow down\",\"code\":\"rate_limit_exceeded\"}}\n\n";
    for home in [true, false] {
        assert_eq!(read(home, &[error]).expect_err("an error").kind, ErrorKind::RateLimited);
    }
}
