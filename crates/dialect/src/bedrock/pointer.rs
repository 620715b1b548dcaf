//! `additionalModelResponseFieldPaths`: what of the model's native answer the client
//! wants beside Converse's own members, as JSON Pointers (RFC 6901).
//!
//! Of a native answer we know the stop sequence; as with the service itself, a path
//! that leads nowhere is left out.

use message::{Chat, Failure, SPELLING};
use serde_json::{Map, Value, json};

use super::wire::{At, strings};

/// Under this name the paths stand in the chat's spelling: they shape our reply and no
/// target loses anything by not seeing them.
pub(super) const PATHS: &str = "additionalModelResponseFieldPaths";

/// Most paths, and longest path in characters, of the service model.
const PATHS_MAX: usize = 10;
const PATH_CHARS_MAX: usize = 256;

/// Checks the paths.
pub(super) fn read(value: Value, at: At<'_>) -> Result<Value, Failure> {
    let paths = strings(value, at)?;
    if paths.len() > PATHS_MAX {
        return Err(at.wrong(format_args!("at most {PATHS_MAX} paths are allowed")));
    }
    for (index, path) in paths.iter().enumerate() {
        if !path.starts_with('/') || path.chars().count() > PATH_CHARS_MAX {
            return Err(at.index(index).wrong(format_args!(
                "must be a JSON Pointer: `/`, then a path of at most {PATH_CHARS_MAX} characters"
            )));
        }
    }
    Ok(Value::from(paths))
}

/// The wanted fields of an answer; `None` if none was wanted or is there.
pub(super) fn fields(chat: &Chat, stop_sequence: Option<&str>) -> Option<Value> {
    let wanted = chat.extra.get(SPELLING)?.get(PATHS)?.as_array()?;
    let native = json!({ "stop_sequence": stop_sequence });
    let mut found = Map::new();
    for path in wanted.iter().filter_map(Value::as_str) {
        if let Some(value) = native.pointer(path)
            && let Some(name) = path.strip_prefix('/')
        {
            found.insert(name.to_owned(), value.clone());
        }
    }
    (!found.is_empty()).then_some(Value::Object(found))
}

#[cfg(test)]
mod tests {
    use message::Dialect;

    use super::*;
    use crate::bedrock::wire::spell;

    #[test]
    fn paths_are_checked() {
        assert!(read(json!(["/stop_sequence", "/a~1b/0"]), At::Body).is_ok());
        assert!(read(json!(["stop_sequence"]), At::Body).is_err());
        assert!(read(json!([""]), At::Body).is_err());
        assert!(read(json!(vec!["/x"; 11]), At::Body).is_err());
        assert!(read(json!([format!("/{}", "x".repeat(256))]), At::Body).is_err());
    }

    #[test]
    fn what_is_known_is_returned_and_the_rest_left_out() {
        let mut chat = Chat::new(Dialect::BedrockConverse);
        assert_eq!(fields(&chat, Some("END")), None);
        spell(&mut chat.extra, PATHS, json!(["/stop_sequence", "/logits"]));
        assert_eq!(fields(&chat, Some("END")), Some(json!({"stop_sequence": "END"})));
        assert_eq!(fields(&chat, None), Some(json!({"stop_sequence": null})));
    }
}
