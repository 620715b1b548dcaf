//! Bytes → typed structs, with the path of the field at fault in the error.
//!
//! Called by each dialect's `decode`, after the scan at the door has bounded the depth.
//! The happy path is plain `serde_json`; only a body that failed is read again with its
//! path tracked. Messages are rewritten in JSON's own words and never repeat more of
//! the input than a short name.

use std::ops::Range;

use message::Failure;
use serde::Deserialize;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

/// Longest piece of the client's own text repeated in an error, in characters: enough to
/// find a misspelt name, too little to leak a prompt.
const ECHO_CHARS_MAX: usize = 64;

/// Decodes a whole body.
///
/// # Errors
/// [`InvalidRequest`](message::ErrorKind::InvalidRequest) with the path of the field:
/// `messages.0.content.2.type: expected a string, got a number`.
pub fn decode<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, Failure> {
    match serde_json::from_slice(body) {
        Ok(decoded) => Ok(decoded),
        Err(first) => {
            let mut deserializer = serde_json::Deserializer::from_slice(body);
            match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
                Err(error) => Err(explain("", error.path(), error.inner())),
                // The value is fine and something follows it.
                Ok(_) => Err(Failure::invalid(first.to_string())),
            }
        }
    }
}

/// Decodes a part of a body that was kept as a [`Value`]; `at` is its path in the body.
///
/// # Errors
/// As [`decode`].
pub fn decode_value<'de, T: Deserialize<'de>>(at: &str, value: &'de Value) -> Result<T, Failure> {
    T::deserialize(value).or_else(|_| {
        serde_path_to_error::deserialize(value).map_err(|error| explain(at, error.path(), error.inner()))
    })
}

/// Decodes one member found by [`members`](super::members); absent and `null` are `None`.
///
/// # Errors
/// As [`decode`]; the path begins with `name`.
pub fn member<'de, T: Deserialize<'de>>(
    body: &'de [u8],
    span: Option<Range<usize>>,
    name: &str,
) -> Result<Option<T>, Failure> {
    let Some(text) = span.and_then(|span| body.get(span)) else { return Ok(None) };
    serde_json::from_slice(text).or_else(|_| {
        let mut deserializer = serde_json::Deserializer::from_slice(text);
        serde_path_to_error::deserialize(&mut deserializer)
            .map_err(|error| explain(name, error.path(), error.inner()))
    })
}

fn explain(at: &str, path: &Path, error: &serde_json::Error) -> Failure {
    let mut names: Vec<String> = Vec::new();
    if !at.is_empty() {
        names.push(at.to_owned());
    }
    names.extend(path.iter().filter_map(|segment| match segment {
        Segment::Seq { index } => Some(index.to_string()),
        Segment::Map { key } => Some(shorten(key)),
        Segment::Enum { variant } => Some(shorten(variant)),
        Segment::Unknown => None,
    }));
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    let message = match text.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        Some(field) => {
            names.push(field.to_owned());
            "this field is required".to_owned()
        }
        None => reword(text),
    };
    if names.is_empty() {
        Failure::invalid(message)
    } else {
        Failure::invalid_field(names.join("."), message)
    }
}

/// `serde`'s words → JSON's. The client's own text stands only in the first half of a
/// message (`invalid type: string "…", expected …`), and only its kind is kept.
fn reword(text: &str) -> String {
    if let Some((found, expected)) = text.rsplit_once(", expected ") {
        let expected = expected_words(expected);
        if let Some(found) = found.strip_prefix("invalid type: ") {
            return format!("expected {expected}, got {}", found_words(found));
        }
        if found.starts_with("invalid value: ") || found.starts_with("invalid length ") {
            return format!("expected {expected}");
        }
        if let Some(name) = found.strip_prefix("unknown variant ") {
            return format!("{} is not known here, expected {expected}", shorten(name));
        }
        if let Some(name) = found.strip_prefix("unknown field ") {
            return format!("the field {} is not known here, expected {expected}", shorten(name));
        }
    }
    // A message of our own, or of serde's that holds no value.
    text.chars().take(4 * ECHO_CHARS_MAX).collect()
}

fn found_words(found: &str) -> &'static str {
    const KINDS: [(&str, &str); 9] = [
        ("string", "a string"),
        ("integer", "a number"),
        ("floating point", "a number"),
        ("number", "a number"),
        ("boolean", "a boolean"),
        ("map", "an object"),
        ("sequence", "an array"),
        ("null", "null"),
        ("unit", "null"),
    ];
    let kind = KINDS.iter().find(|(kind, _)| found.starts_with(kind));
    kind.map_or("something else", |(_, words)| words)
}

fn expected_words(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a non-negative integer",
        "i8" | "i16" | "i32" | "i64" | "isize" => "an integer",
        "f32" | "f64" => "a number",
        "a borrowed string" | "string" | "str" => "a string",
        "a map" => "an object",
        "a sequence" => "an array",
        "unit" => "null",
        _ if expected.starts_with("struct ") || expected.starts_with("internally tagged ") => "an object",
        _ if expected.starts_with("tuple ") => "an array",
        _ if expected.starts_with("enum ") => "a known name",
        _ => expected,
    }
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(ECHO_CHARS_MAX) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Request {
        messages: Vec<Turn>,
        #[serde(default)]
        max_tokens: Option<u64>,
        #[serde(default)]
        tags: BTreeMap<String, String>,
        #[serde(flatten)]
        extra: serde_json::Map<String, Value>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Turn {
        role: Role,
        content: Vec<Part>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Role {
        User,
        Assistant,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(tag = "type", rename_all = "snake_case")]
    enum Part {
        Text { text: String },
    }

    fn refused(body: &str) -> Failure {
        decode::<Request>(body.as_bytes()).expect_err(body)
    }

    #[test]
    fn decodes_and_keeps_the_rest() {
        let body = br#"{"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}],"seed":1}"#;
        let request: Request = decode(body).expect("valid");
        assert_eq!(request.messages[0].content, [Part::Text { text: "hi".into() }]);
        assert_eq!(request.extra["seed"], 1);
    }

    #[test]
    fn names_the_field_at_fault() {
        for (body, path, message) in [
            (r#"{"messages":1}"#, "messages", "expected an array, got a number"),
            (r#"{"max_tokens":1}"#, "messages", "this field is required"),
            (r#"{"messages":[{}]}"#, "messages.0.role", "this field is required"),
            (r#"{"messages":[],"max_tokens":-1}"#, "max_tokens", "expected a non-negative integer"),
            (
                r#"{"messages":[],"max_tokens":"many"}"#,
                "max_tokens",
                "expected a non-negative integer, got a string",
            ),
            (r#"{"messages":[],"tags":{"a":null}}"#, "tags.a", "expected a string, got null"),
            (
                r#"{"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":{}}]}]}"#,
                "messages.0.content.1",
                "expected a string, got an object",
            ),
            (
                r#"{"messages":[{"role":"robot","content":[]}]}"#,
                "messages.0.role",
                "`robot` is not known here, expected `user` or `assistant`",
            ),
            (
                r#"{"messages":[{"role":"user","content":[{"type":"film"}]}]}"#,
                "messages.0.content.0.type",
                "`film` is not known here, expected `text`",
            ),
        ] {
            let failure = refused(body);
            assert_eq!(failure.param.as_deref(), Some(path), "{failure}");
            assert_eq!(failure.message, format!("{path}: {message}"));
        }
    }

    #[test]
    fn does_not_repeat_what_was_sent() {
        let secret = "sk-secret, expected nothing".repeat(1000);
        for body in [
            serde_json::json!({"messages": secret}),
            serde_json::json!({"messages": [], "max_tokens": secret}),
            serde_json::json!({"messages": [{"role": secret, "content": []}]}),
            serde_json::json!({"messages": [{"role": "user", "content": [{"type": secret}]}]}),
            serde_json::json!({"messages": [], "tags": {secret.clone(): 1}}),
        ] {
            let failure = refused(&body.to_string());
            assert!(failure.message.len() < 400, "{failure}");
        }
        let failure = refused(&serde_json::json!({"messages": secret}).to_string());
        assert_eq!(failure.message, "messages: expected an array, got a string");
    }

    #[test]
    fn what_is_not_json_is_no_panic() {
        for body in ["", "{", "[]", "{}x", "null", "\u{0}", "{\"messages\":[]}x"] {
            assert!(!refused(body).message.is_empty());
        }
    }

    #[test]
    fn a_member_alone() {
        let body = br#"{"model":"m","n":null,"stream":1}"#;
        assert_eq!(member::<String>(body, Some(9..12), "model"), Ok(Some("m".into())));
        assert_eq!(member::<u64>(body, Some(17..21), "n"), Ok(None));
        assert_eq!(member::<u64>(body, None, "seed"), Ok(None));
        let failure = member::<bool>(body, Some(31..32), "stream").expect_err("a number");
        assert_eq!(failure.message, "stream: expected a boolean, got a number");
    }

    #[test]
    fn a_value_kept_aside() {
        let value = serde_json::json!({"role": "user", "content": 1});
        let failure = decode_value::<Turn>("messages.3", &value).expect_err("wrong type");
        assert_eq!(failure.message, "messages.3.content: expected an array, got a number");
        let failure = decode_value::<Turn>("messages.3", &serde_json::json!([])).expect_err("wrong type");
        assert!(failure.param.is_some_and(|param| param.starts_with("messages.3")));
    }
}
