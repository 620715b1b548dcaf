//! What the fuzz targets share: a call around any body, and streams cut in two.
//!
//! Targets are the programs of `src/bin/`; each reads anything at all and may only ever
//! answer with an error. `cargo xtask fuzz` runs them.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use message::{
    Call, Dialect, Event, Failure, FinishReason, Frame, NewCall, Operation, Principal, RequestId, Seen, Usage,
};

/// Cuts the input where its first byte says, in 256ths.
pub fn cut(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&place, rest) = input.split_first()?;
    Some(rest.split_at(rest.len() * usize::from(place) / 256))
}

/// A call with this body, as the server makes one: only if `inbound` takes it.
pub fn call(dialect: Dialect, operation: Operation, stream: bool, body: &[u8]) -> Result<Call, Failure> {
    let inbound = dialect::inbound(dialect, operation, Some("a-model"), stream, body)?;
    Ok(Call::new(NewCall {
        id: RequestId::new("fuzz"),
        operation: inbound.operation(operation),
        dialect,
        head: inbound.head,
        body: Bytes::copy_from_slice(body),
        headers: Arc::new(HeaderMap::new()),
        principal: Principal { key_id: "key_fuzz".into(), name: "fuzz".into() },
        received: Instant::now(),
        strict: false,
        decode: inbound.decode,
    }))
}

/// Everything that may happen to a request's body: read, decoded, sent on in every
/// dialect that targets speak, or refused in its own.
pub fn request(dialect: Dialect, operation: Operation, body: &[u8]) {
    let call = match call(dialect, operation, false, body) {
        Ok(call) => call,
        Err(failure) => return refused(dialect, &failure),
    };
    assert_json(body);
    if let Some(span) = call.head.model_span.clone() {
        assert_json(&body[span]);
    }
    if let Err(failure) = call.chat() {
        refused(dialect, &failure);
    }
    let own = "the \"target's\" name";
    for (target, model) in [
        (Dialect::Anthropic, own),
        (Dialect::OpenAiChat, own),
        (Dialect::OpenAiResponses, own),
        (Dialect::OpenAiCompletions, own),
        (Dialect::BedrockConverse, own),
        (Dialect::BedrockConverse, "us.anthropic.claude-opus-4-6-v1"),
        (Dialect::BedrockConverse, "cohere.embed-v4:0"),
        (Dialect::Gemini, own),
        (Dialect::Gemini, "gemini-3-pro"),
        (Dialect::Cohere, own),
    ] {
        let Some(outbound) = dialect::outbound(target, &dialect::Quirks::default()) else { continue };
        match outbound.encode(&call, model) {
            Ok(outgoing) => assert_json(&outgoing.body.concat()),
            Err(failure) => refused(dialect, &failure),
        }
    }
}

fn refused(dialect: Dialect, failure: &Failure) {
    /// Most bytes of an error message: it is no echo of the body.
    const MESSAGE_BYTES_MAX: usize = 8 << 10;
    assert!(!failure.message.is_empty());
    assert!(failure.message.len() < MESSAGE_BYTES_MAX, "{}", failure.message.len());
    assert!(dialect::failure(dialect, failure, &RequestId::new("fuzz")).status.as_u16() >= 400);
}

fn assert_json(text: &[u8]) {
    assert_eq!(dialect::json::validate(text), Ok(()));
}

/// A reply of a server of dialect `target`: read in two pieces it is what it is whole,
/// and every client dialect can be told of it.
pub fn reply(target: Dialect, first: &[u8], second: &[u8]) {
    let Ok(call) = call(target, Operation::Chat, true, plain(target)) else { panic!("a plain request") };
    let whole = read(&call, false, &[&[first, second].concat()]);
    assert_eq!(whole, read(&call, false, &[first, second]));
    let forwarded = forward(&call, &[&[first, second].concat()]);
    assert_eq!(forwarded, forward(&call, &[first, second]));
    // The server's own bytes; a last event without its blank line may be given one.
    let sent = [first, second, b"\n\n"].concat();
    assert!(sent.starts_with(&forwarded.bytes) || is_renamed(&sent, &forwarded.bytes));
    let (events, ending) = whole;
    let homes = [
        Dialect::Anthropic,
        Dialect::OpenAiChat,
        Dialect::OpenAiResponses,
        Dialect::OpenAiCompletions,
        Dialect::BedrockConverse,
        Dialect::Gemini,
        Dialect::Cohere,
    ];
    for home in homes {
        tell(home, events.clone(), ending.as_ref().err());
    }
}

/// A request that says little.
fn plain(dialect: Dialect) -> &'static [u8] {
    match dialect {
        Dialect::BedrockConverse => br#"{"messages":[{"role":"user","content":[{"text":"hi"}]}]}"#,
        Dialect::OpenAiResponses => br#"{"model":"m","stream":true,"input":"hi"}"#,
        Dialect::OpenAiCompletions => br#"{"model":"m","stream":true,"prompt":"hi"}"#,
        Dialect::Gemini => br#"{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}"#,
        _ => br#"{"model":"m","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"hi"}]}"#,
    }
}

/// Chunks of InvokeModel: read in two pieces they are what they are whole, as they came and
/// unwrapped for an Anthropic client.
pub fn chunks(first: &[u8], second: &[u8]) {
    let outbound =
        dialect::outbound(Dialect::BedrockConverse, &dialect::Quirks::default()).expect("a target's");
    for home in [Dialect::BedrockInvoke, Dialect::Anthropic] {
        let body = br#"{"anthropic_version":"x","model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#;
        let Ok(mut call) = call(home, Operation::Chat, true, body) else { panic!("a plain request") };
        call.head.stream = true;
        let read = |pieces: &[&[u8]]| {
            let mut decoder = outbound.decoder(&call, true);
            let mut events = Vec::new();
            let mut ending = Ok(());
            for piece in pieces {
                ending = ending.and_then(|()| decoder.feed(Bytes::copy_from_slice(piece), &mut events));
            }
            ending = ending.and_then(|()| decoder.finish(&mut events));
            let bytes = events.into_iter().flat_map(|event| match event {
                Event::Frame(Frame { bytes, .. }) => bytes,
                other => panic!("{other:?} beside frames"),
            });
            (bytes.collect::<Vec<u8>>(), ending)
        };
        assert_eq!(read(&[&[first, second].concat()]), read(&[first, second]));
    }
}

/// Whether `got` is a beginning of `sent` with one string, the model's name, made `m`.
fn is_renamed(sent: &[u8], got: &[u8]) -> bool {
    let same = sent.iter().zip(got).take_while(|(sent, got)| sent == got).count();
    (0..=same).rev().filter(|start| got[*start..].starts_with(b"\"m\"")).any(|start| {
        let rest = &got[start + 3..];
        (start + 1..sent.len()).any(|end| sent[end] == b'"' && sent[end + 1..].starts_with(rest))
    })
}

type Read = (Vec<Event>, Result<(), Failure>);

fn read(call: &Call, home: bool, pieces: &[&[u8]]) -> Read {
    let outbound = dialect::outbound(call.dialect, &dialect::Quirks::default()).expect("a target's dialect");
    let mut decoder = outbound.decoder(call, home);
    let mut events = Vec::new();
    let mut ending = Ok(());
    for piece in pieces {
        ending = ending.and_then(|()| decoder.feed(Bytes::copy_from_slice(piece), &mut events));
    }
    ending = ending.and_then(|()| decoder.finish(&mut events));
    (events, ending)
}

/// What a client of the same dialect gets, and what the layers on the way saw.
#[derive(Debug, PartialEq)]
struct Forwarded {
    bytes: Vec<u8>,
    usage: Option<Usage>,
    finish: Option<FinishReason>,
    ending: Result<(), Failure>,
}

fn forward(call: &Call, pieces: &[&[u8]]) -> Forwarded {
    let (events, ending) = read(call, true, pieces);
    let mut forwarded = Forwarded { bytes: Vec::new(), usage: None, finish: None, ending };
    for event in events {
        let Event::Frame(Frame { bytes, seen }) = event else { panic!("{event:?} beside frames") };
        forwarded.bytes.extend_from_slice(&bytes);
        let seen = seen.map_or_else(Seen::default, |seen| *seen);
        forwarded.usage = seen.usage.or(forwarded.usage);
        forwarded.finish = seen.finish.or(forwarded.finish);
    }
    forwarded
}

fn tell(home: Dialect, events: Vec<Event>, failure: Option<&Failure>) {
    let Ok(call) = call(home, Operation::Chat, true, plain(home)) else { panic!("a plain request") };
    let mut encoder = dialect::reply_encoder(&call);
    let mut out = Vec::new();
    let mut completion = message::Completion::default();
    for event in events {
        completion.push(event.clone());
        encoder.event(event, &mut out);
    }
    match failure {
        Some(failure) => encoder.failure(failure, &mut out),
        None => encoder.end(&mut out),
    }
    assert_framed(home, out);
    assert_json(&dialect::reply_encoder(&call).whole(completion).body);
}

/// What a client gets is a whole number of events of JSON.
fn assert_framed(home: Dialect, out: Vec<u8>) {
    if home == Dialect::BedrockConverse {
        let mut decoder = dialect::framing::eventstream::Decoder::new();
        decoder.push(out.into());
        while let Some(message) = decoder.next().expect("our own frames") {
            assert_json(&message.payload);
        }
        assert!(decoder.is_between_messages());
        return;
    }
    let mut parser = dialect::framing::sse::Parser::new();
    parser.push(out.into());
    while let Some(event) = parser.next().expect("our own events") {
        if event.data != "[DONE]" {
            assert_json(&event.data);
        }
    }
    assert!(parser.is_between_events());
}

/// Headers from any bytes; `None` where they cannot be a header at all.
pub fn headers(pairs: &[(&'static str, &[u8])]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_bytes(value).ok()?);
    }
    Some(headers)
}
