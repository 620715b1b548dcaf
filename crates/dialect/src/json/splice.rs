//! One value of a body changed, the rest of it not even copied.
//!
//! The way a model's name is replaced when a call is forwarded in its own dialect:
//! prefix and suffix are slices of the received body, to be sent by one vectored write.

use std::ops::Range;

use bytes::Bytes;

use super::write;

/// The body with the value at `span` (as [`members`](super::members) of this very body
/// found it) replaced by the JSON string `text`: prefix, new value, suffix.
///
/// # Panics
/// If `span` does not lie within `body`.
pub fn splice(body: &Bytes, span: Range<usize>, text: &str) -> [Bytes; 3] {
    let mut value = Vec::with_capacity(text.len() + 2);
    write(&mut value, text);
    [body.slice(..span.start), Bytes::from(value), body.slice(span.end..)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::members;
    use super::*;

    #[test]
    fn prefix_and_suffix_are_the_same_memory() {
        let body = Bytes::from_static(br#"{"model": "old", "messages": []}"#);
        let [prefix, value, suffix] = splice(&body, 10..15, "new");
        assert_eq!(prefix.as_ptr(), body.as_ptr());
        assert_eq!(suffix.as_ptr(), body[15..].as_ptr());
        assert_eq!([prefix, value, suffix].concat(), br#"{"model": "new", "messages": []}"#);
    }

    proptest! {
        #[test]
        fn only_the_value_changes(old in ".*", new in ".*", other in ".*") {
            let make = |model: &str| serde_json::json!({"a": other, "model": model, "z": other}).to_string();
            let body = Bytes::from(make(&old));
            let [span] = members(&body, ["model"]).expect("valid");
            let spliced = splice(&body, span.expect("is there"), &new).concat();
            prop_assert_eq!(String::from_utf8(spliced).expect("UTF-8"), make(&new));
        }
    }
}
