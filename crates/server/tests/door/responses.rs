//! Responses that are kept: recorded, gone on from, answered in the background.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body_util::Full;
use message::{BoxService, Event, FinishReason, Form, Frame, Reply, service_fn};
use serde_json::{Value, json};

use crate::support::*;

const RESPONSES: &str = "/v1/responses";

/// Says "Hello there", and shows every body it was asked with.
fn heard() -> (BoxService, Arc<Mutex<Vec<Value>>>) {
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let service = service_fn({
        let bodies = Arc::clone(&bodies);
        move |call: message::Call| {
            bodies.lock().unwrap().push(serde_json::from_slice(&call.body).unwrap());
            let events = call.chat().cloned().map(|_| text_events(&["Hello", " there"]).into_iter().map(Ok));
            std::future::ready(events.map(|events| reply(Box::pin(stream::iter(events)))))
        }
    });
    (BoxService::new(service), bodies)
}

fn get(path: &str) -> Request<Full<Bytes>> {
    method("GET", path)
}

fn method(method: &str, path: &str) -> Request<Full<Bytes>> {
    let mut request = ask(path, "");
    *request.method_mut() = method.parse().unwrap();
    request
}

async fn sent(server: &Running, request: Request<Full<Bytes>>) -> (StatusCode, Value) {
    let (status, _, body) = read(h1(server.clear, request).await).await;
    (status, serde_json::from_str(&body).unwrap_or_else(|_| panic!("{body}")))
}

async fn create(server: &Running, body: Value) -> Value {
    let (status, response) = sent(server, ask(RESPONSES, body.to_string())).await;
    assert_eq!(status, 200, "{response}");
    response
}

fn events(body: &str) -> Vec<Value> {
    let lines = body.lines().filter_map(|line| line.strip_prefix("data: "));
    lines.map(|data| serde_json::from_str(data).unwrap()).collect()
}

async fn streamed(server: &Running, request: Request<Full<Bytes>>) -> Vec<Value> {
    let (status, _, body) = read(h1(server.clear, request).await).await;
    assert_eq!(status, 200, "{body}");
    events(&body)
}

/// Asks until the response is no longer under way.
async fn ended(server: &Running, id: &str) -> Value {
    within(async {
        loop {
            let (_, response) = sent(server, get(&format!("{RESPONSES}/{id}"))).await;
            match response["status"].as_str() {
                Some("queued" | "in_progress") => tokio::task::yield_now().await,
                _ => return response,
            }
        }
    })
    .await
}

#[tokio::test]
async fn what_was_answered_can_be_asked_for_gone_on_from_and_forgotten() {
    let (service, bodies) = heard();
    let server = start_keeping(service).await;
    let first = create(&server, json!({"model": "m", "input": "One?", "instructions": "Be brief."})).await;
    let id = first["id"].as_str().unwrap();
    let path = format!("{RESPONSES}/{id}");
    assert_eq!(sent(&server, get(&path)).await.1, first);

    let asked = json!({"model": "m", "input": "Two?", "previous_response_id": id, "stream": true});
    let all = streamed(&server, ask(RESPONSES, asked.to_string())).await;
    let second = &all.last().unwrap()["response"];
    assert_eq!(second["previous_response_id"], id);
    let heard = bodies.lock().unwrap().last().unwrap().clone();
    assert_eq!(heard.get("previous_response_id"), None);
    assert_eq!(heard.get("instructions"), None, "they are not carried over");
    let roles: Vec<_> = heard["input"].as_array().unwrap().iter().map(|item| item["role"].clone()).collect();
    assert_eq!(roles, ["user", "assistant", "user"]);
    assert_eq!(heard["input"][1]["content"][0]["text"], "Hello there");

    let second_id = second["id"].as_str().unwrap();
    assert_eq!(&sent(&server, get(&format!("{RESPONSES}/{second_id}"))).await.1, second);
    let items = format!("{RESPONSES}/{second_id}/input_items?order=asc&limit=2");
    let (_, page) = sent(&server, get(&items)).await;
    assert_eq!((page["data"].as_array().unwrap().len(), &page["has_more"]), (2, &json!(true)));

    let (status, deleted) = sent(&server, method("DELETE", &path)).await;
    assert_eq!((status, &deleted["deleted"]), (StatusCode::OK, &json!(true)));
    for request in [get(&path), method("DELETE", &path), get(&format!("{path}/input_items"))] {
        assert_eq!(sent(&server, request).await.0, 404);
    }
    let gone = json!({"model": "m", "input": "Three?", "previous_response_id": second_id});
    let (status, error) = sent(&server, ask(RESPONSES, gone.to_string())).await;
    assert_eq!(
        (status, &error["error"]["code"]),
        (StatusCode::NOT_FOUND, &json!("previous_response_not_found"))
    );
}

#[tokio::test]
async fn what_shall_not_be_kept_is_not() {
    let (service, _) = heard();
    let server = start_keeping(service).await;
    let response = create(&server, json!({"model": "m", "input": "hi", "store": false})).await;
    let path = format!("{RESPONSES}/{}", response["id"].as_str().unwrap());
    assert_eq!(sent(&server, get(&path)).await.0, 404);
    let unknown = json!({"model": "m", "input": "hi", "previous_response_id": "resp_of_a_vendor"});
    assert_eq!(sent(&server, ask(RESPONSES, unknown.to_string())).await.0, 404);
}

#[tokio::test]
async fn in_the_background_nobody_waits() {
    let (service, mut called) = fed();
    let server = start_keeping(service).await;
    let queued = create(&server, json!({"model": "m", "input": "hi", "background": true})).await;
    assert_eq!((&queued["status"], &queued["background"]), (&json!("queued"), &json!(true)));
    let id = queued["id"].as_str().unwrap().to_owned();
    let (call, feed) = within(called.recv()).await.unwrap();
    let body: Value = serde_json::from_slice(&call.body).unwrap();
    assert_eq!((body.get("background"), call.head.stream), (None, true));
    assert_eq!(sent(&server, get(&format!("{RESPONSES}/{id}"))).await.1["status"], "in_progress");
    let busy = json!({"model": "m", "input": "hi", "previous_response_id": id});
    assert_eq!(sent(&server, ask(RESPONSES, busy.to_string())).await.0, 400);
    // A reader that came early sees the answer grow; one that comes back, the rest of it.
    let early = {
        let (clear, path) = (server.clear, format!("{RESPONSES}/{id}?stream=true"));
        tokio::spawn(async move { read(h1(clear, get(&path)).await).await.2 })
    };
    for event in text_events(&["Hello", " there"]) {
        feed.send(Ok(event)).await.unwrap();
    }
    drop(feed);
    let all = events(&within(early).await.unwrap());
    let response = ended(&server, &id).await;
    assert_eq!(all.last().unwrap()["response"], response);
    assert_eq!(
        (&response["status"], &response["id"], &response["background"]),
        (&json!("completed"), &json!(id), &json!(true))
    );
    let rest = streamed(&server, get(&format!("{RESPONSES}/{id}?stream=true&starting_after=3"))).await;
    assert_eq!(rest, all[4..]);
    assert_eq!(rest[0]["sequence_number"], 4);
}

#[tokio::test]
async fn a_response_in_the_background_can_be_cancelled() {
    let (service, mut called) = fed();
    let server = start_keeping(service).await;
    let queued = create(&server, json!({"model": "m", "input": "hi", "background": true})).await;
    let (_, feed) = within(called.recv()).await.unwrap();
    let path = format!("{RESPONSES}/{}", queued["id"].as_str().unwrap());
    let cancel = || method("POST", &format!("{path}/cancel"));
    let (status, response) = sent(&server, cancel()).await;
    assert_eq!((status, &response["status"]), (StatusCode::OK, &json!("cancelled")));
    within(feed.closed()).await;
    assert_eq!(sent(&server, get(&path)).await.1["status"], "cancelled");
    assert_eq!(sent(&server, cancel()).await.1["status"], "cancelled");
    let (service, _) = heard();
    let server = start_keeping(service).await;
    let whole = create(&server, json!({"model": "m", "input": "hi"})).await;
    let cancel = method("POST", &format!("{RESPONSES}/{}/cancel", whole["id"].as_str().unwrap()));
    assert_eq!(sent(&server, cancel).await.0, 400);
}

#[tokio::test]
async fn what_fails_in_the_background_says_so() {
    let failure = message::Failure::new(message::ErrorKind::Upstream, "the model fell over");
    let server = start_keeping(failing(failure)).await;
    let asked = json!({"model": "m", "input": "hi", "background": true, "stream": true});
    let all = streamed(&server, ask(RESPONSES, asked.to_string())).await;
    let last = all.last().unwrap();
    assert_eq!(last["type"], "response.failed");
    let response = ended(&server, last["response"]["id"].as_str().unwrap()).await;
    assert_eq!(response["error"]["message"], "the model fell over");
}

/// A server of the client's own dialect: its words go through, and are kept.
fn vendor() -> BoxService {
    BoxService::new(service_fn(|call: message::Call| {
        let response = json!({"id": "resp_of_a_vendor", "object": "response", "status": "completed",
            "output": [{"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": "Hi."}]}]});
        let created =
            json!({"type": "response.created", "response": {"id": "resp_of_a_vendor"}, "sequence_number": 0});
        let completed = json!({"type": "response.completed", "response": response, "sequence_number": 1});
        let text = match call.head.stream {
            true => format!(
                "event: response.created\ndata: {created}\n\nevent: response.completed\ndata: {completed}\n\n"
            ),
            false => response.to_string(),
        };
        // In two pieces, as networks are.
        let (first, second) = text.split_at(text.len() / 2);
        let frame = |text: &str| {
            Ok(Event::Frame(Frame { bytes: Bytes::copy_from_slice(text.as_bytes()), seen: None }))
        };
        let events = stream::iter([frame(first), frame(second)]);
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        let form = Form::Home { status: StatusCode::OK, headers };
        std::future::ready(Ok(Reply {
            priority: message::Priority::Interactive,
            form,
            model: "m".into(),
            dropped: Vec::new(),
            provider_request_id: None,
            events: Box::pin(events),
        }))
    }))
}

#[tokio::test]
async fn a_vendors_answer_is_kept_under_the_vendors_id() {
    for stream in [true, false] {
        let server = start_keeping(vendor()).await;
        let asked = json!({"model": "m", "input": "hi", "stream": stream});
        let (_, _, body) = read(h1(server.clear, ask(RESPONSES, asked.to_string())).await).await;
        assert!(body.contains("resp_of_a_vendor"), "{body}");
        let (_, response) = sent(&server, get(&format!("{RESPONSES}/resp_of_a_vendor"))).await;
        assert_eq!(response["output"][0]["content"][0]["text"], "Hi.", "stream: {stream}");
    }
    // In the background the client was given an id of ours before the vendor's was known.
    let server = start_keeping(vendor()).await;
    let queued = create(&server, json!({"model": "m", "input": "hi", "background": true})).await;
    let id = queued["id"].as_str().unwrap();
    let response = ended(&server, id).await;
    assert_eq!((response["id"].as_str(), &response["status"]), (Some(id), &json!("completed")));
}

#[tokio::test]
async fn an_answer_that_broke_is_not_kept() {
    let service = BoxService::new(service_fn(|_| {
        let mut events = text_events(&["half"]);
        events.truncate(3);
        std::future::ready(Ok(reply(Box::pin(stream::iter(events.into_iter().map(Ok))))))
    }));
    let server = start_keeping(service).await;
    let asked = json!({"model": "m", "input": "hi", "stream": true});
    let all = streamed(&server, ask(RESPONSES, asked.to_string())).await;
    let last = all.last().unwrap();
    assert_eq!(last["type"], "response.failed");
    let path = format!("{RESPONSES}/{}", last["response"]["id"].as_str().unwrap());
    assert_eq!(sent(&server, get(&path)).await.0, 404);
}

#[tokio::test]
async fn a_conversation_is_compacted_and_goes_on() {
    let (service, bodies) = heard();
    let server = start_keeping(service).await;
    let asked = json!({"model": "m", "instructions": "Be brief.", "temperature": 1, "input": [
        {"role": "user", "content": "What is granite?"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "A rock."}]},
    ]});
    let (status, compacted) = sent(&server, ask(&format!("{RESPONSES}/compact"), asked.to_string())).await;
    assert_eq!((status, &compacted["object"]), (StatusCode::OK, &json!("response.compaction")));
    assert_eq!(compacted["usage"]["total_tokens"], 5);
    let heard = bodies.lock().unwrap().last().unwrap().clone();
    assert_eq!((heard["input"].as_array().unwrap().len(), &heard["instructions"]), (3, &json!("Be brief.")));
    assert_eq!(heard.get("temperature"), None);
    // The item stands for everything before.
    let mut input = compacted["output"].as_array().unwrap().clone();
    input.push(json!({"role": "user", "content": "Go on."}));
    let body = json!({"model": "m", "input": input}).to_string();
    let inbound = dialect::inbound(
        message::Dialect::OpenAiResponses,
        message::Operation::Chat,
        None,
        false,
        body.as_bytes(),
    );
    assert!(inbound.is_ok());
    create(&server, json!({"model": "m", "input": input})).await;
}

#[tokio::test]
async fn tokens_are_counted() {
    let service = BoxService::new(service_fn(|call: message::Call| {
        assert_eq!(call.operation, message::Operation::CountTokens);
        let usage = message::Usage { input_tokens: 7, ..message::Usage::default() };
        let events = [
            Ok(Event::Usage(usage)),
            Ok(Event::Finish { reason: FinishReason::EndTurn, stop_sequence: None }),
        ];
        std::future::ready(Ok(reply(Box::pin(stream::iter(events)))))
    }));
    let server = start_keeping(service).await;
    let (_, count) =
        sent(&server, ask(&format!("{RESPONSES}/input_tokens"), r#"{"model":"m","input":"hi"}"#)).await;
    assert_eq!(count, json!({"object": "response.input_tokens", "input_tokens": 7}));
}

#[tokio::test]
async fn a_server_that_keeps_nothing_says_so() {
    let server = start(config(), hello()).await;
    let (status, error) = sent(&server, get(&format!("{RESPONSES}/resp_1"))).await;
    assert_eq!((status, &error["error"]["code"]), (StatusCode::BAD_REQUEST, &json!("unsupported")));
    let response = create(&server, json!({"model": "m", "input": "hi"})).await;
    assert_eq!(response["output"][0]["content"][0]["text"], "Hello there");
}
