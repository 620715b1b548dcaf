//! How Bedrock's JSON is read: objects member by member, unions by their one key.
//!
//! The rules are those of AWS restJson1 (Smithy 2.0 specification, read 2026-11-22): a
//! `null` member counts as absent, unknown members are no error, a union has exactly one
//! member. What is not taken out of an [`Object`] is handed over by [`Object::rest`],
//! so a decoder cannot lose a member by not knowing it. Every error names its path.

use std::fmt;

use message::{Extra, Failure, SPELLING};
use serde_json::{Map, Number, Value};

/// Longest key repeated in an error, in characters: a client's own may be of any length.
const KEY_CHARS_MAX: usize = 64;

/// A place in the body, kept on the stack and only written out when something is wrong.
#[derive(Clone, Copy)]
pub(super) enum At<'a> {
    /// The body itself.
    Body,
    /// A member of an object.
    Key(&'a At<'a>, &'a str),
    /// An element of a list.
    Index(&'a At<'a>, usize),
}

impl<'a> At<'a> {
    pub(super) fn key(&'a self, key: &'a str) -> Self {
        At::Key(self, key)
    }

    pub(super) fn index(&'a self, index: usize) -> Self {
        At::Index(self, index)
    }

    /// An [`InvalidRequest`](message::ErrorKind::InvalidRequest) at this place.
    pub(super) fn wrong(&self, why: impl fmt::Display) -> Failure {
        match self {
            At::Body => Failure::invalid(format!("request body: {why}")),
            _ => Failure::invalid_field(self.to_string(), why),
        }
    }

    fn expected(&self, what: &str, found: &Value) -> Failure {
        self.wrong(format_args!("expected {what}, found {}", kind(found)))
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            At::Body => Ok(()),
            At::Key(At::Body, key) => write!(f, "{key:.KEY_CHARS_MAX$}"),
            At::Key(parent, key) => write!(f, "{parent}.{key:.KEY_CHARS_MAX$}"),
            At::Index(parent, index) => write!(f, "{parent}.{index}"),
        }
    }
}

/// What a value is, in words for an error. The value itself is never shown: it may be a secret.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// An object that is being read.
pub(super) struct Object<'a> {
    pub(super) at: At<'a>,
    members: Map<String, Value>,
    came_empty: bool,
}

impl<'a> Object<'a> {
    pub(super) fn new(value: Value, at: At<'a>) -> Result<Self, Failure> {
        match value {
            Value::Object(mut members) => {
                members.retain(|_, member| !member.is_null());
                let came_empty = members.is_empty();
                Ok(Self { at, members, came_empty })
            }
            other => Err(at.expected("an object", &other)),
        }
    }

    /// Takes a member out, if it is there.
    pub(super) fn take(&mut self, key: &str) -> Option<Value> {
        self.members.shift_remove(key)
    }

    /// Looks at a member without taking it.
    pub(super) fn peek(&self, key: &str) -> Option<&Value> {
        self.members.get(key)
    }

    /// Takes out a member that must be there.
    pub(super) fn require(&mut self, key: &str) -> Result<Value, Failure> {
        self.take(key).ok_or_else(|| self.at.key(key).wrong("required, but missing"))
    }

    pub(super) fn string(&mut self, key: &str) -> Result<Option<String>, Failure> {
        self.take(key).map(|value| string(value, self.at.key(key))).transpose()
    }

    pub(super) fn require_string(&mut self, key: &str) -> Result<String, Failure> {
        let value = self.require(key)?;
        string(value, self.at.key(key))
    }

    pub(super) fn boolean(&mut self, key: &str) -> Result<Option<bool>, Failure> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(value)),
            Some(other) => Err(self.at.key(key).expected("a boolean", &other)),
        }
    }

    pub(super) fn number(&mut self, key: &str) -> Result<Option<Number>, Failure> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Number(value)) => Ok(Some(value)),
            Some(other) => Err(self.at.key(key).expected("a number", &other)),
        }
    }

    /// A number within bounds, as it was written.
    pub(super) fn fraction(&mut self, key: &str, least: f64, most: f64) -> Result<Option<Number>, Failure> {
        let Some(number) = self.number(key)? else { return Ok(None) };
        match number.as_f64() {
            Some(value) if (least..=most).contains(&value) => Ok(Some(number)),
            _ => Err(self.at.key(key).wrong(format_args!("must be between {least} and {most}"))),
        }
    }

    /// A whole number of at least `least`.
    pub(super) fn count(&mut self, key: &str, least: u64) -> Result<Option<u64>, Failure> {
        let Some(number) = self.number(key)? else { return Ok(None) };
        match number.as_u64() {
            Some(value) if value >= least => Ok(Some(value)),
            _ => Err(self.at.key(key).wrong(format_args!("must be a whole number of at least {least}"))),
        }
    }

    /// What has not been taken, in the order it was written.
    pub(super) fn rest(self) -> Extra {
        self.members
    }

    /// What has not been taken, for [`leave`]: `None` if all was. An object that came
    /// empty is left as one, so that it can be written again.
    pub(super) fn left(self) -> Option<Extra> {
        (self.came_empty || !self.members.is_empty()).then_some(self.members)
    }
}

pub(super) fn string(value: Value, at: At<'_>) -> Result<String, Failure> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(at.expected("a string", &other)),
    }
}

pub(super) fn list(value: Value, at: At<'_>) -> Result<Vec<Value>, Failure> {
    match value {
        Value::Array(items) => Ok(items),
        other => Err(at.expected("a list", &other)),
    }
}

pub(super) fn strings(value: Value, at: At<'_>) -> Result<Vec<String>, Failure> {
    let items = list(value, at)?;
    items.into_iter().enumerate().map(|(i, item)| string(item, at.index(i))).collect()
}

/// The one member of a union. `known` is what to name when there is none or too many.
pub(super) fn union(value: Value, at: At<'_>, known: &str) -> Result<(String, Value), Failure> {
    let mut members = Object::new(value, at)?.rest();
    // Smithy: type hints that some serializers add are not members.
    members.shift_remove("__type");
    let count = members.len();
    match members.into_iter().next() {
        Some(member) if count == 1 => Ok(member),
        _ => Err(at.wrong(format_args!("expected exactly one of {known}; found {count} members"))),
    }
}

/// Puts what was [left](Object::left) of an object back where it stood: at `path` below
/// `extra`.
pub(super) fn leave(extra: &mut Extra, path: &[&str], rest: Option<Extra>) {
    let Some(rest) = rest else { return };
    let Some((first, below)) = path.split_first() else {
        extra.extend(rest);
        return;
    };
    if let Value::Object(inner) = extra.entry(*first).or_insert_with(|| Value::Object(Map::new())) {
        leave(inner, below, Some(rest));
    }
}

/// Notes how something was written that the hub holds in another form.
pub(super) fn spell(extra: &mut Extra, key: &str, how: Value) {
    if let Value::Object(spelling) = extra.entry(SPELLING).or_insert_with(|| Value::Object(Map::new())) {
        spelling.insert(key.to_owned(), how);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_are_written_from_the_body_down() {
        let messages = At::Body.key("messages");
        let first = messages.index(0);
        let content = first.key("content");
        assert_eq!(content.index(2).key("text").to_string(), "messages.0.content.2.text");
        assert_eq!(At::Body.wrong("no").message, "request body: no");
        let long = "é".repeat(1 << 20);
        assert_eq!(At::Body.key(&long).to_string().chars().count(), KEY_CHARS_MAX);
        assert_eq!(At::Body.key("a").wrong("no").param.as_deref(), Some("a"));
    }

    #[test]
    fn nulls_are_absent_and_the_rest_keeps_its_order() {
        let value = json!({"z": 1, "gone": null, "text": "hi", "a": 2});
        let mut object = Object::new(value, At::Body).unwrap();
        assert_eq!(object.string("gone").unwrap(), None);
        assert_eq!(object.string("text").unwrap().as_deref(), Some("hi"));
        assert_eq!(object.rest().keys().collect::<Vec<_>>(), ["z", "a"]);
    }

    #[test]
    fn numbers_keep_their_spelling_and_their_bounds() {
        let mut object =
            Object::new(json!({"a": 1.0, "b": 2, "c": -1, "d": 1.5, "e": "1"}), At::Body).unwrap();
        assert_eq!(object.fraction("a", 0.0, 1.0).unwrap().unwrap().to_string(), "1.0");
        assert_eq!(object.fraction("b", 0.0, 1.0).unwrap_err().message, "b: must be between 0 and 1");
        assert!(object.count("c", 0).is_err());
        assert!(object.count("d", 0).is_err());
        assert_eq!(object.count("e", 1).unwrap_err().message, "e: expected a number, found a string");
    }

    #[test]
    fn leftovers_go_back_to_their_place() {
        let mut extra = Extra::from_iter([("a".to_owned(), json!({"x": 1}))]);
        leave(&mut extra, &["a", "b"], Some(Extra::from_iter([("y".to_owned(), json!(2))])));
        leave(&mut extra, &["c"], None);
        let mut taken = Object::new(json!({"x": 1}), At::Body).unwrap();
        taken.take("x");
        leave(&mut extra, &["d"], taken.left());
        leave(&mut extra, &["e"], Object::new(json!({}), At::Body).unwrap().left());
        assert_eq!(Value::Object(extra), json!({"a": {"x": 1, "b": {"y": 2}}, "e": {}}));
    }

    #[test]
    fn unions_have_one_member() {
        let ok = union(json!({"text": "a", "image": null, "__type": "x"}), At::Body, "text");
        assert_eq!(ok.unwrap(), ("text".to_owned(), json!("a")));
        for bad in [json!({}), json!({"a": 1, "b": 2}), json!(1), json!([]), json!({"text": null})] {
            assert!(union(bad, At::Body.key("x"), "text, image").is_err());
        }
        let failure = union(json!({"a": 1, "b": 2}), At::Body.key("x"), "text, image").unwrap_err();
        assert_eq!(failure.message, "x: expected exactly one of text, image; found 2 members");
    }
}
