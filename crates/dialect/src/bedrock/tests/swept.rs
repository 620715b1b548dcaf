//! Every request that the service model allows, minimal and maximal, as botocore writes it
//! (`fixtures/bedrock/swept.json`, made by `conformance/botocore_shapes.py`).

use message::ErrorKind;
use serde_json::Map;

use super::outbound::{CLAUDE, outgoing};
use super::*;
use crate::bedrock::encode;

type Cases = Map<String, Value>;

fn swept() -> Map<String, Value> {
    serde_json::from_str(include_str!("../../../fixtures/bedrock/swept.json")).expect("a JSON file")
}

fn cases(operation: &str) -> Cases {
    swept()[operation].as_object().cloned().unwrap_or_else(|| panic!("no {operation}"))
}

#[test]
fn every_converse_request_is_read_and_written_again() {
    for operation in ["Converse", "ConverseStream"] {
        let cases = cases(operation);
        assert!(cases.len() > 4, "one for each member of a union that stands alone");
        for (name, mut body) in cases {
            if name == "minimal" {
                // The service model asks for no messages: a stored prompt has its own.
                let failure = converse(&body).unwrap_err();
                assert_eq!(
                    (failure.kind, failure.param.as_deref()),
                    (ErrorKind::InvalidRequest, Some("messages"))
                );
                continue;
            }
            let refused = converse(&body).unwrap_err();
            assert_eq!(
                (refused.kind, refused.param.as_deref()),
                (ErrorKind::Unsupported, Some("promptVariables"))
            );
            body.as_object_mut().unwrap().remove("promptVariables");
            let chat = converse(&body).unwrap_or_else(|failure| panic!("{operation} {name}: {failure}"));
            let failure = chat.leave_home().unwrap_err();
            assert_eq!(failure.param.as_deref(), Some("guardrailConfig"), "{operation} {name}");
            assert_eq!(encode::body(chat, Operation::Chat).unwrap(), body, "{operation} {name}");
        }
    }
}

#[test]
fn every_request_is_forwarded_to_bedrock() {
    for (operation, dialect, asked) in [
        ("Converse", Dialect::BedrockConverse, Operation::Chat),
        ("ConverseStream", Dialect::BedrockConverse, Operation::Chat),
        ("CountTokens", Dialect::BedrockConverse, Operation::CountTokens),
        ("InvokeModel", Dialect::BedrockInvoke, Operation::Chat),
        ("InvokeModelWithResponseStream", Dialect::BedrockInvoke, Operation::Chat),
    ] {
        for (name, body) in cases(operation).into_iter().filter(|(name, _)| name != "minimal") {
            let body = Bytes::from(body.to_string());
            let call = call(dialect, asked, body.clone())
                .unwrap_or_else(|failure| panic!("{operation} {name}: {failure}"));
            let outgoing = outgoing(&call, CLAUDE).unwrap();
            assert!(outgoing.home, "{operation} {name}");
            assert_eq!(outgoing.body.concat(), body, "{operation} {name}");
        }
    }
}

#[test]
fn every_count_is_understood() {
    for (name, body) in cases("CountTokens") {
        let call = call(Dialect::BedrockConverse, Operation::CountTokens, body.to_string()).unwrap();
        assert!(call.chat().is_ok(), "{name}: {:?}", call.chat());
    }
}
