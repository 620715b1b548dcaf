//! Function names that fit, which model generation a name means, arguments that are objects.

use std::borrow::Cow;
use std::collections::HashMap;

use message::Chat;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::json;

/// Longest function name every server of this dialect takes, in bytes. The newest take 128.
const BYTES_MAX: usize = 64;

/// Hexadecimal digits of a digest at the end of a shortened name: enough to keep a thousand
/// tools apart.
const DIGEST_DIGITS: usize = 10;

/// Levels of a body around a call's arguments; deeper ones could not be read again.
const LEVELS_AROUND: usize = 12;

/// A function's name as the dialect allows it: a letter or `_`, then letters, digits, `_`,
/// `.`, `:` and `-`. The same for the same name, so that nothing must be remembered.
pub(super) fn function_name(name: &str) -> Cow<'_, str> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '-');
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if starts_well && name.len() <= BYTES_MAX && name.chars().all(is_allowed) {
        return Cow::Borrowed(name);
    }
    let digest = hex::encode(Sha256::digest(name.as_bytes()));
    let shown = name.chars().map(|c| if is_allowed(c) { c } else { '_' });
    let shown = std::iter::once('_').filter(|_| !starts_well).chain(shown);
    let shown: String = shown.take(BYTES_MAX - DIGEST_DIGITS - 1).collect();
    Cow::Owned(format!("{shown}_{}", &digest[..DIGEST_DIGITS]))
}

/// Sent name → own name, of the tools whose name does not fit.
pub(super) fn renamed(chat: &Chat) -> HashMap<String, String> {
    let tools = chat.tools.iter().filter_map(|tool| match function_name(&tool.name) {
        Cow::Borrowed(_) => None,
        Cow::Owned(sent) => Some((sent, tool.name.clone())),
    });
    tools.collect()
}

/// The generation of a Gemini model by its name: 3 of `gemini-3.1-pro`. The names that
/// follow the newest count as [`NEWEST`]; other families (Gemma) as 0.
pub(super) fn generation(model: &str) -> u32 {
    let Some((_, rest)) = model.rsplit_once("gemini-") else { return 0 };
    let digits: String = rest.chars().take_while(char::is_ascii_digit).take(4).collect();
    digits.parse().unwrap_or(NEWEST)
}

/// The newest generation known.
const NEWEST: u32 = 3;

/// A call's arguments as an object, the only thing this dialect can say; what is none is
/// put into one, under `input`.
pub(super) fn object_args(input: &str) -> Value {
    let text = input.trim();
    if text.is_empty() || text == "null" {
        return Map::new().into();
    }
    match parsed(text) {
        Some(object @ Value::Object(_)) => object,
        other => Value::Object(Map::from_iter([("input".to_owned(), other.unwrap_or_else(|| input.into()))])),
    }
}

/// JSON text that also fits inside a body.
fn parsed(text: &str) -> Option<Value> {
    let nested = format!("{}{text}{}", "[".repeat(LEVELS_AROUND), "]".repeat(LEVELS_AROUND));
    json::validate(nested.as_bytes()).ok()?;
    serde_json::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn generations_are_read_from_names() {
        for (model, expected) in [
            ("gemini-2.5-flash", 2),
            ("models/gemini-3-pro-preview", 3),
            ("publishers/google/models/gemini-3.1-flash", 3),
            ("gemini-flash-latest", 3),
            ("gemma-3-27b-it", 0),
            ("gemini-99999999999", 9999),
        ] {
            assert_eq!(generation(model), expected, "{model}");
        }
    }

    #[test]
    fn arguments_become_objects() {
        for (input, expected) in [
            ("", json!({})),
            ("null", json!({})),
            (r#"{"a":1}"#, json!({"a": 1})),
            ("[1]", json!({"input": [1]})),
            ("{cut", json!({"input": "{cut"})),
        ] {
            assert_eq!(object_args(input), expected, "{input}");
        }
        let deep = "[".repeat(120) + &"]".repeat(120);
        assert_eq!(object_args(&deep), json!({ "input": deep }));
    }

    #[test]
    fn t6_long_names_stay_readable_and_apart() {
        let long = |last| format!("mcp__{}__{last}", "server".repeat(12));
        assert!(function_name(&long("read")).starts_with("mcp__server"));
        assert_ne!(function_name(&long("read")), function_name(&long("write")));
        assert!(matches!(function_name("a.b:c-d"), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn everything_fits_afterwards(name in ".{0,100}") {
            let sent = function_name(&name);
            prop_assert!((1..=BYTES_MAX).contains(&sent.len()));
            prop_assert!(matches!(function_name(&sent), Cow::Borrowed(_)), "{} would be renamed again", sent);
        }
    }
}
