//! The log line of every way a call can end.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::Bytes;
use futures_util::StreamExt;
use http::HeaderMap;
use message::{
    Dialect, ErrorKind, FinishReason, Form, Frame, Head, NewCall, Operation, Principal, RequestId, Seen,
    Usage, service_fn,
};
use serde_json::Value;
use tracing_subscriber::fmt::MakeWriter;

use super::*;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

fn call(model: &str) -> Call {
    Call::new(NewCall {
        id: RequestId::new("req-1"),
        operation: Operation::Chat,
        dialect: Dialect::Anthropic,
        head: Head { model: model.into(), ..Head::default() },
        body: Bytes::from_static(b"{\"secret prompt\":1}"),
        headers: Arc::new(HeaderMap::new()),
        principal: Principal { key_id: "key_a".into(), name: "a".into() },
        received: Instant::now(),
        strict: false,
        decode: message::Decode::Chat(|_| Err(Failure::internal("not decoded"))),
    })
}

fn answer(events: Vec<Result<Event, Failure>>) -> Result<Reply, Failure> {
    let events = Box::pin(futures_util::stream::iter(events));
    Ok(Reply {
        priority: message::Priority::Interactive,
        form: Form::Events,
        model: "served".into(),
        dropped: Vec::new(),
        provider_request_id: None,
        events,
    })
}

/// Runs one call, reads `take` events of it, and returns the lines logged.
async fn logged(
    model: &str,
    outcome: impl Fn() -> Result<Reply, Failure> + Send + Sync + 'static,
    take: usize,
) -> Vec<Value> {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt().json().with_writer(lines.clone()).finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let service = Trace::new(service_fn(move |_| {
        let outcome = outcome();
        async move { outcome }
    }));
    if let Ok(mut reply) = service.call(call(model)).await {
        for _ in 0..take {
            if reply.events.next().await.is_none() {
                break;
            }
        }
    }
    drop(guard);
    let bytes = lines.0.lock().unwrap();
    std::str::from_utf8(&bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn fields(lines: &[Value]) -> &Value {
    assert_eq!(lines.len(), 1, "one line per call: {lines:?}");
    &lines[0]["fields"]
}

fn finish() -> Event {
    Event::Finish { reason: FinishReason::EndTurn, stop_sequence: None }
}

#[tokio::test]
async fn a_whole_answer_is_one_line() {
    let usage = Usage { input_tokens: 7, output_tokens: 3, ..Usage::default() };
    let events = move || answer(vec![Ok(Event::Start { id: None }), Ok(Event::Usage(usage)), Ok(finish())]);
    let lines = logged("fast", events, 9).await;
    let line = fields(&lines);
    for (name, value) in [
        ("request_id", "req-1"),
        ("key_id", "key_a"),
        ("dialect", "anthropic"),
        ("operation", "chat"),
        ("model", "fast"),
        ("target_model", "served"),
        ("status", "ok"),
        ("finish_reason", "end_turn"),
    ] {
        assert_eq!(line[name], value, "{name}");
    }
    assert_eq!((&line["input_tokens"], &line["output_tokens"]), (&7.into(), &3.into()));
    assert!(line["first_event_ms"].is_u64() && line["total_ms"].is_u64());
    assert!(!lines[0].to_string().contains("secret prompt"));
}

#[tokio::test]
async fn forwarded_frames_are_counted_by_what_the_scan_saw() {
    let frame = |seen| Ok(Event::Frame(Frame { bytes: Bytes::new(), seen }));
    let usage = |tokens| Usage { output_tokens: tokens, ..Usage::default() };
    let events = move || {
        answer(vec![
            frame(Some(Box::new(Seen { usage: Some(usage(1)), finish: Some(FinishReason::ToolUse) }))),
            frame(Some(Box::new(Seen { usage: Some(usage(5)), finish: None }))),
            frame(None),
        ])
    };
    let lines = logged("m", events, 9).await;
    assert_eq!(fields(&lines)["output_tokens"], 5);
    assert_eq!(fields(&lines)["finish_reason"], "tool_use");
    assert_eq!(fields(&lines)["status"], "ok");
}

#[tokio::test]
async fn u7_a_dropped_or_failed_stream_is_counted_as_far_as_it_came() {
    let usage = Usage { input_tokens: 7, output_tokens: 2, ..Usage::default() };
    let begun = move || vec![Ok(Event::Start { id: None }), Ok(Event::Usage(usage))];
    let dropped = move || answer([begun(), vec![Ok(finish())]].concat());
    let failed = move || answer([begun(), vec![Err(Failure::invalid("too late"))]].concat());
    for (lines, status) in
        [(logged("m", dropped, 2).await, "cancelled"), (logged("m", failed, 9).await, "failed")]
    {
        let line = fields(&lines);
        assert_eq!(line["status"], status);
        assert_eq!((&line["input_tokens"], &line["output_tokens"]), (&7.into(), &2.into()), "{status}");
    }
}

#[tokio::test]
async fn an_end_without_finish_is_a_cut() {
    let lines = logged("m", || answer(vec![Ok(Event::Start { id: None })]), 9).await;
    assert_eq!(fields(&lines)["status"], "cut");
}

#[tokio::test]
async fn failures_are_logged_with_their_private_cause() {
    let refuse = || Err(Failure::new(ErrorKind::Upstream, "refused").with_cause("connection reset"));
    let lines = logged("m", refuse, 9).await;
    assert_eq!(lines[0]["level"], "WARN");
    let line = fields(&lines);
    assert_eq!((&line["status"], &line["error_kind"]), (&"failed".into(), &"upstream".into()));
    assert_eq!(line["error_cause"], "connection reset");

    let late = || answer(vec![Ok(Event::Start { id: None }), Err(Failure::invalid("too late"))]);
    let lines = logged("m", late, 9).await;
    assert_eq!(lines[0]["level"], "INFO");
    assert_eq!(fields(&lines)["error_message"], "too late");
}

#[tokio::test]
async fn a_hostile_model_name_is_cut() {
    let lines = logged(&"ß".repeat(100_000), || Err(Failure::invalid("no")), 0).await;
    assert!(fields(&lines)["model"].as_str().unwrap().len() <= 256);
}
