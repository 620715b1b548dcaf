//! What of a request is stored, and how a later one goes on from it.

use message::ErrorKind;
use serde_json::{Value, json};

use super::{call, try_call};
use crate::openai::responses::resource::{Command, Page};
use crate::openai::responses::stored::{Wishes, expand, in_foreground, input_items, list, queued};
use crate::{Ask, RequestHead, Whole};

fn body(whole: &Whole) -> Value {
    serde_json::from_slice(&whole.body).expect("JSON")
}

#[test]
fn wishes_are_read_in_passing() {
    let read = |body: Value| Wishes::read(body.to_string().as_bytes());
    let usual = Wishes { store: true, background: false, previous: None };
    assert_eq!(read(json!({"model": "m"})), Ok(usual.clone()));
    assert_eq!(read(json!({"store": null, "background": null})), Ok(usual));
    let all = read(json!({"store": true, "background": true, "previous_response_id": "resp_1"}));
    assert_eq!(all, Ok(Wishes { store: true, background: true, previous: Some("resp_1".into()) }));
    assert_eq!(
        read(json!({"store": false, "background": true})).expect_err("odd").param.as_deref(),
        Some("background")
    );
    assert!(read(json!({"store": "yes"})).is_err());
}

#[test]
fn a_request_goes_on_where_the_other_ended() {
    let first = call(&json!({"model": "m", "input": "What is it?"}));
    let mut items = input_items(&first).expect("items");
    assert_eq!(items[0]["content"], json!([{"type": "input_text", "text": "What is it?"}]));
    assert!(items[0]["id"].is_string());
    items.push(json!({"id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": "Granite.", "annotations": []}]}));
    items.push(json!({"id": "rs_1", "type": "reasoning", "summary": []}));
    for (own, last) in [
        (json!("Sure?"), json!({"role": "user", "content": "Sure?"})),
        (json!([{"role": "user", "content": "Sure?"}]), json!({"role": "user", "content": "Sure?"})),
    ] {
        let next = json!({"model": "m", "input": own, "previous_response_id": "resp_1", "temperature": 0});
        let expanded = expand(next.to_string().as_bytes(), items.clone()).expect("a body");
        let expanded: Value = serde_json::from_slice(&expanded).expect("JSON");
        assert_eq!(expanded.get("previous_response_id"), None);
        let all = expanded["input"].as_array().expect("items");
        assert_eq!((all.len(), &all[3]), (4, &last));
        assert_eq!(all[1].get("id"), None, "an id made here means nothing to a vendor");
        assert_eq!(all[2]["id"], "rs_1");
        assert!(call(&expanded).chat().is_ok());
    }
    assert!(expand(b"{\"input\":7}", Vec::new()).is_err());
    assert!(input_items(&call(&json!({"model": "m", "input": [1]}))).is_err());
}

#[test]
fn in_the_background_it_is_a_stream_that_nobody_waits_for() {
    let asked = json!({"model": "m", "input": "hi", "background": true});
    let sent: Value =
        serde_json::from_slice(&in_foreground(asked.to_string().as_bytes()).expect("a body")).expect("JSON");
    assert_eq!(sent, json!({"model": "m", "input": "hi", "stream": true}));
    let queued = queued(&try_call(&asked).expect("a call")).expect("a response");
    assert_eq!(
        (&queued["status"], &queued["background"], &queued["id"]),
        (&json!("queued"), &json!(true), &json!("resp_0b5e77"))
    );
}

/// Settings are repeated as they were written: such a one must not be read as if it were ours.
#[test]
fn in_the_background_half_a_character_is_refused() {
    for setting in [r#""user":"\ud800""#, r#""temperature":1e999"#] {
        let body = format!(r#"{{"model":"m","input":"hi","background":true,{setting}}}"#);
        let call = super::try_call_of(body.into()).expect("JSON by its grammar");
        assert_eq!(queued(&call).expect_err("no value").kind, ErrorKind::InvalidRequest);
    }
}

#[test]
fn pages_begin_where_the_last_ended() {
    let items: Vec<Value> = (0..5).map(|n| json!({"id": format!("i{n}")})).collect();
    let ids = |whole: &Whole| -> Vec<String> {
        let body = body(whole);
        body["data"]
            .as_array()
            .expect("items")
            .iter()
            .map(|item| item["id"].as_str().expect("an id").to_owned())
            .collect()
    };
    let page = |after: Option<&str>, ascending| Page { after: after.map(str::to_owned), limit: 2, ascending };
    let first = list(items.clone(), &page(None, true));
    assert_eq!(ids(&first), ["i0", "i1"]);
    assert_eq!((&body(&first)["has_more"], &body(&first)["last_id"]), (&json!(true), &json!("i1")));
    assert_eq!(ids(&list(items.clone(), &page(Some("i3"), true))), ["i4"]);
    assert_eq!(ids(&list(items.clone(), &page(None, false))), ["i4", "i3"]);
    let none = list(items, &page(Some("gone"), true));
    assert_eq!((ids(&none).len(), &body(&none)["has_more"]), (0, &json!(false)));
}

#[test]
fn every_path_has_its_meaning() {
    let ask = |method: &str, path: &str, query: &str| {
        crate::route(&RequestHead { method, path, query, headers: &http::HeaderMap::new() })
    };
    let command = |ask: Ask| match ask {
        Ask::Command { command: crate::Command::Responses(command), .. } => command,
        other => panic!("{other:?}"),
    };
    let id = "resp_1".to_owned();
    let path = "/v1/responses/resp_1";
    assert_eq!(command(ask("GET", path, "")), Command::Get { id: id.clone(), events_after: None });
    assert_eq!(
        command(ask("GET", path, "stream=true&starting_after=4")),
        Command::Get { id: id.clone(), events_after: Some(4) }
    );
    assert_eq!(command(ask("DELETE", path, "")), Command::Delete { id: id.clone() });
    assert_eq!(
        command(ask("POST", "/openai/v1/responses/resp_1/cancel", "")),
        Command::Cancel { id: id.clone() }
    );
    assert_eq!(command(ask("POST", "/v1/responses/compact", "")), Command::Compact);
    let page = Ok(Page { after: Some("x".into()), limit: 3, ascending: true });
    let items = "/v1/responses/resp_1/input_items";
    assert_eq!(command(ask("GET", items, "limit=3&order=asc&after=x")), Command::InputItems { id, page });
    let Command::InputItems { page, .. } = command(ask("GET", items, "limit=0")) else {
        panic!("another command")
    };
    assert_eq!(page.expect_err("too small").param.as_deref(), Some("limit"));
    for (method, path) in [
        ("GET", "/v1/responses"),
        ("PUT", path),
        ("GET", "/v1/responses/compact"),
        ("GET", "/v1/responses/r/cancel"),
    ] {
        assert!(matches!(ask(method, path, ""), Ask::Unknown { wrong_method: true, .. }), "{method} {path}");
    }
    for path in ["/v1/responses/", "/v1/responses/r/other", "/v1/responsesx"] {
        assert!(matches!(ask("GET", path, ""), Ask::Unknown { wrong_method: false, .. }), "{path}");
    }
    let dialect = message::Dialect::OpenAiResponses;
    for (path, operation) in [
        ("/v1/responses", message::Operation::Chat),
        ("/v1/responses/input_tokens", message::Operation::CountTokens),
    ] {
        assert_eq!(ask("POST", path, ""), Ask::Call { dialect, operation, model: None, stream: false });
    }
}
