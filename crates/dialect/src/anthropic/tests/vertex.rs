//! Claude on Vertex AI: the same bodies under other paths.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::outbound::Anthropic;
use super::*;
use crate::{Outbound, Outgoing, Quirk, Quirks};

fn encoded(call: &Call) -> Outgoing {
    let outbound = Anthropic(Quirks::from_iter([Quirk::VertexPaths]));
    outbound.encode(call, "claude-sonnet-4-5@20250929").expect("encodes")
}

fn body(outgoing: &Outgoing) -> Value {
    serde_json::from_slice(&outgoing.body.concat()).expect("JSON")
}

#[test]
fn the_model_moves_to_the_path_by_one_splice() {
    let text = r#"{ "max_tokens":1, "model" : "mine", "stream":true,"messages":[] , "new":1.0}"#;
    let call = call(Operation::Chat, text);
    let outgoing = encoded(&call);
    assert_eq!(outgoing.path, "/publishers/anthropic/models/claude-sonnet-4-5@20250929:streamRawPredict");
    assert!(outgoing.home);
    assert_eq!(
        String::from_utf8(outgoing.body.concat()).expect("text"),
        r#"{ "max_tokens":1, "anthropic_version":"vertex-2023-10-16", "stream":true,"messages":[] , "new":1.0}"#
    );
    assert_eq!(outgoing.body[0].as_ptr(), call.body.as_ptr(), "nothing is copied");
}

#[test]
fn a_whole_answer_has_its_own_verb() {
    let outgoing = encoded(&asking(Operation::Chat, false));
    assert!(outgoing.path.ends_with(":rawPredict"), "{}", outgoing.path);
}

#[test]
fn a_token_count_names_its_model_in_the_body() {
    let call = call(Operation::CountTokens, r#"{"model":"mine","messages":[]}"#);
    let outgoing = encoded(&call);
    assert_eq!(outgoing.path, "/publishers/anthropic/models/count-tokens:rawPredict");
    let expected = json!({
        "anthropic_version": "vertex-2023-10-16", "model": "claude-sonnet-4-5@20250929", "messages": [],
    });
    assert_eq!(body(&outgoing), expected);
}

#[test]
fn a_version_of_the_clients_own_gives_way() {
    let call = call(
        Operation::Chat,
        r#"{"anthropic_version":"bedrock-2023-05-31","model":"m","max_tokens":1,"messages":[]}"#,
    );
    let expected = json!({"anthropic_version": "vertex-2023-10-16", "max_tokens": 1, "messages": []});
    assert_eq!(body(&encoded(&call)), expected);
}

#[test]
fn an_odd_model_name_stays_one_segment() {
    let outbound = Anthropic(Quirks::from_iter([Quirk::VertexPaths]));
    let outgoing = outbound.encode(&asking(Operation::Chat, false), "a/b:c;d").expect("encodes");
    assert_eq!(outgoing.path, "/publishers/anthropic/models/a%2Fb%3Ac%3Bd:rawPredict");
}

proptest! {
    #[test]
    fn only_the_model_is_exchanged(before in ".*", model in ".*", key in "(model|mod\\\\u0065l)") {
        let text = format!(
            r#"{{"system":{},"{key}":{},"max_tokens":1,"messages":[]}}"#,
            Value::from(before.as_str()), Value::from(model.as_str())
        );
        prop_assume!(!model.is_empty());
        let call = call(Operation::Chat, &text);
        let expected = json!({
            "system": before, "anthropic_version": "vertex-2023-10-16", "max_tokens": 1, "messages": [],
        });
        prop_assert_eq!(body(&encoded(&call)), expected);
    }
}
