//! The scan at the door against `serde_json`: they must agree on what JSON is, on where
//! the members are, and on what can be decoded afterwards.
#![no_main]

use dialect::json::{self, Reason};
use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;
use serde_json::Value;

fuzz_target!(|body: &[u8]| {
    let valid = match json::validate(body) {
        Ok(()) => true,
        Err(error) => {
            assert!(error.offset <= body.len());
            if error.reason == Reason::TooDeep {
                return;
            }
            false
        }
    };
    // Skipping a value, `serde_json` checks the grammar but not the encoding.
    let serde = std::str::from_utf8(body).is_ok() && serde_json::from_slice::<IgnoredAny>(body).is_ok();
    assert_eq!(valid, serde);
    let Ok(spans) = json::members(body, ["a", "model", "stream"]) else { return };
    assert!(valid);
    // What passes can be decoded, but for lone surrogates and numbers beyond f64.
    let Ok(Value::Object(decoded)) = serde_json::from_slice::<Value>(body) else { return };
    for (name, span) in ["a", "model", "stream"].into_iter().zip(spans) {
        let found = span.map(|span| serde_json::from_slice::<Value>(&body[span]).expect("a value"));
        assert_eq!(found.as_ref(), decoded.get(name));
    }
});
