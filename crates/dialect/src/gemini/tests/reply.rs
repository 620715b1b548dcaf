//! Replies to clients: streamed (both forms), whole, counted.

use ::message::{
    BlockHead, Citation, CitationSource, Completion, Delta, ErrorKind, Event, Failure, FinishReason,
    Operation, Sealer, TokenLogprob, Usage,
};
use serde_json::{Value, json};

use super::{array, asking, gather, read, sse, thinking_and_tools};
use crate::gemini::decode::decoder;
use crate::gemini::reply::encoder;
use crate::gemini::seal;

fn streamed(query: &str, events: &[Event]) -> Vec<u8> {
    let mut encoder = encoder(&asking(Operation::Chat, true, query));
    let mut out = Vec::new();
    events.iter().for_each(|event| encoder.event(event.clone(), &mut out));
    encoder.end(&mut out);
    out
}

fn answer() -> Vec<Event> {
    let call = asking(Operation::Chat, true, "alt=sse");
    read(decoder(&call, false), &[&sse(&thinking_and_tools())]).0
}

fn chunks(stream: &[u8]) -> Vec<Value> {
    let text = String::from_utf8(stream.to_vec()).expect("UTF-8");
    text.split_terminator("\r\n\r\n")
        .map(|event| serde_json::from_str(event.strip_prefix("data: ").expect("data")).expect("JSON"))
        .collect()
}

/// What one of this dialect's servers said comes out meaning the same, in both forms.
#[test]
fn r4_an_answer_comes_back_with_its_seals() {
    let events = answer();
    let out = streamed("alt=sse", &events);
    let again = read(decoder(&asking(Operation::Chat, true, "alt=sse"), false), &[&out]);
    assert_eq!(again.1, Ok(()));
    assert_eq!(gather(again.0), gather(events.clone()));
    let items: Vec<Value> = serde_json::from_slice(&streamed("", &events)).expect("one array");
    assert_eq!(items, chunks(&out));
    let call_chunk = items
        .iter()
        .find(|chunk| chunk["candidates"][0]["content"]["parts"][0].get("functionCall").is_some());
    let part = &call_chunk.expect("a call")["candidates"][0]["content"]["parts"][0];
    assert_eq!(part["thoughtSignature"], "c2VhbA==");
    insta::assert_snapshot!("stream_to_a_client", String::from_utf8_lossy(&out));

    let whole = encoder(&asking(Operation::Chat, false, "")).whole(gather(events));
    let body: Value = serde_json::from_slice(&whole.body).expect("JSON");
    insta::assert_json_snapshot!("whole_to_a_client", body);
}

#[test]
fn several_candidates_are_numbered_and_counted_together() {
    let further = |event| Event::Choice { index: 1, event: Box::new(event) };
    let usage = Event::Usage(Usage { input_tokens: 3, output_tokens: 8, ..Usage::default() });
    let both: Vec<Event> = answer()
        .into_iter()
        .filter(|event| !matches!(event, Event::Usage(_)))
        .flat_map(|event| [event.clone(), further(event)])
        .chain([usage])
        .collect();
    insta::assert_snapshot!("candidates_stream", String::from_utf8_lossy(&streamed("alt=sse", &both)));
    let whole = encoder(&asking(Operation::Chat, false, "")).whole(gather(both));
    let body: Value = serde_json::from_slice(&whole.body).expect("JSON");
    insta::assert_json_snapshot!("candidates_whole", body);
}

/// Arguments are gathered: one part per call, whichever pieces they came in.
#[test]
fn s1_pieces_of_parallel_calls_become_whole_calls() {
    let start = |index, id: &str| Event::BlockStart {
        index,
        block: BlockHead::ToolUse { id: id.to_owned(), name: "f".to_owned() },
    };
    let piece = |index, text: &str| Event::Delta { index, delta: Delta::ToolInput(text.to_owned()) };
    let events = [
        Event::Start { id: None },
        start(0, "a"),
        start(1, "b"),
        piece(0, "{\"x\":"),
        piece(1, "{\"y\":2}"),
        piece(0, "1}"),
        Event::BlockStop { index: 1 },
        Event::BlockStop { index: 0 },
        Event::Finish { reason: FinishReason::ToolUse, stop_sequence: None },
    ];
    let parts: Vec<Value> = chunks(&streamed("alt=sse", &events))
        .iter()
        .map(|chunk| chunk["candidates"][0]["content"]["parts"][0].clone())
        .collect();
    assert_eq!(parts[0], json!({"functionCall": {"id": "b", "name": "f", "args": {"y": 2}}}));
    assert_eq!(parts[1], json!({"functionCall": {"id": "a", "name": "f", "args": {"x": 1}}}));
    assert_eq!(parts[2], json!({"text": ""}));
}

#[test]
fn r1_another_vendors_seal_reaches_the_client_and_comes_back() {
    let seal_event = Event::Delta { index: 0, delta: Delta::Signature("Y2xhdWRl".to_owned()) };
    let events = [
        Event::BlockStart { index: 0, block: BlockHead::Thinking },
        Event::Delta { index: 0, delta: Delta::Thinking("hm".to_owned()) },
        seal_event,
        Event::BlockStop { index: 0 },
        Event::BlockStart { index: 1, block: BlockHead::RedactedThinking("x".to_owned()) },
        Event::BlockStop { index: 1 },
        Event::Finish { reason: FinishReason::EndTurn, stop_sequence: None },
    ];
    let chunks = chunks(&streamed("alt=sse", &events));
    let part = |place: usize| &chunks[place]["candidates"][0]["content"]["parts"][0];
    assert_eq!(part(0), &json!({"text": "hm", "thought": true}));
    assert_eq!(part(1)["thoughtSignature"], seal::for_client("Y2xhdWRl"));
    assert_eq!(part(2)["thoughtSignature"], seal::redacted_for_client("x"));
    let held = seal::of_client(part(1)["thoughtSignature"].as_str().expect("text"));
    assert_eq!(held, seal::Held::Seal(Sealer::Anthropic.tag("Y2xhdWRl")));
}

#[test]
fn s14_a_broken_stream_ends_in_googles_error() {
    let failure = Failure::new(ErrorKind::Overloaded, "full");
    let call = asking(Operation::Chat, true, "alt=sse");
    let mut out = Vec::new();
    encoder(&call).failure(&failure, &mut out);
    assert_eq!(chunks(&out)[0]["error"]["status"], "UNAVAILABLE");
    // A forwarded array is under way, although this encoder wrote none of it.
    let bytes = array(&thinking_and_tools());
    let call = asking(Operation::Chat, true, "");
    let cut = bytes.len() / 2;
    let (events, _) = read(decoder(&call, true), &[&bytes[..cut]]);
    let (mut sent, _) = super::forwarded(&events);
    encoder(&call).failure(&failure, &mut sent);
    let items: Vec<Value> = serde_json::from_slice(&sent).expect("one array");
    assert_eq!(items.last().expect("some")["error"]["code"], 503);
    // One of ours that had not begun.
    let mut encoder = encoder(&call);
    let mut out = Vec::new();
    encoder.event(Event::Start { id: None }, &mut out);
    encoder.failure(&failure, &mut out);
    let items: Vec<Value> = serde_json::from_slice(&out).expect("one array");
    assert_eq!(items.len(), 1);
}

#[test]
fn counts_logprobs_and_unknown_ends_are_told() {
    let usage = Usage { input_tokens: 6, cache_read_tokens: 4, ..Usage::default() };
    let completion = Completion { usage, ..Completion::default() };
    let whole = encoder(&asking(Operation::CountTokens, false, "")).whole(completion);
    assert_eq!(&whole.body[..], br#"{"totalTokens":10,"cachedContentTokenCount":4}"#);

    let token = TokenLogprob { token: b"a".to_vec(), logprob: f32::NEG_INFINITY, top: Vec::new() };
    let completion = Completion {
        logprobs: vec![token],
        finish: Some(FinishReason::Other("odd".to_owned())),
        ..Completion::default()
    };
    let whole = encoder(&asking(Operation::Chat, false, "")).whole(completion);
    let body: Value = serde_json::from_slice(&whole.body).expect("JSON");
    let candidate = &body["candidates"][0];
    assert_eq!(candidate["logprobsResult"]["chosenCandidates"][0]["logProbability"], -9999.0);
    assert_eq!((&candidate["finishReason"], &candidate["finishMessage"]), (&json!("OTHER"), &json!("odd")));
}

/// Places are bytes of the text: of all of it in a stream, of its part in a whole answer.
#[test]
fn pages_that_an_answer_rests_on_are_told_at_its_end() {
    let page = Citation {
        title: Some("A".into()),
        ..Citation::of(CitationSource::Web { url: "https://a.test".into() })
    };
    let text = |index, text: &str| Event::Delta { index, delta: Delta::text(text) };
    let events = vec![
        Event::BlockStart { index: 0, block: BlockHead::Text },
        text(0, "Grüezi. "),
        Event::BlockStop { index: 0 },
        Event::BlockStart { index: 1, block: BlockHead::Text },
        Event::Delta { index: 1, delta: Delta::Citation(Box::new(page)) },
        text(1, "It rains."),
        Event::BlockStop { index: 1 },
        Event::Finish { reason: FinishReason::EndTurn, stop_sequence: None },
    ];
    let told = |segment: Value| {
        json!({
            "groundingChunks": [{"web": {"uri": "https://a.test", "title": "A"}}],
            "groundingSupports": [{"segment": segment, "groundingChunkIndices": [0]}],
        })
    };
    let chunks = chunks(&streamed("alt=sse", &events));
    let last = &chunks.last().expect("a last chunk")["candidates"][0];
    assert_eq!(last["groundingMetadata"], told(json!({"startIndex": 9, "endIndex": 18})));
    let whole = encoder(&asking(Operation::Chat, false, "")).whole(gather(events));
    let whole: Value = serde_json::from_slice(&whole.body).expect("JSON");
    let segment = json!({"startIndex": 0, "endIndex": 9, "partIndex": 1});
    assert_eq!(whole["candidates"][0]["groundingMetadata"], told(segment));
}
