//! A JSON object taken apart field by field, with the path of whatever is wrong.
//!
//! Why not serde structs: the content blocks are a union told apart by `type`, and serde
//! loses the path of an error inside such a union and copies every unknown field twice.
//! Here each known field is moved out of the object, and what remains *is* the `extra`.

use std::fmt;

use message::{Extra, Failure, SPELLING};
use serde_json::{Map, Number, Value};

/// Where a value stands in the client's body. Lives on the stack; written only into errors.
#[derive(Clone, Copy)]
pub(super) enum Path<'p> {
    /// The body itself.
    Root,
    /// A member of an object.
    Key(&'p Path<'p>, &'p str),
    /// An element of an array.
    Index(&'p Path<'p>, usize),
}

impl Path<'_> {
    /// A failure about the value here.
    pub(super) fn fail(&self, message: impl fmt::Display) -> Failure {
        match self {
            Self::Root => Failure::invalid(message.to_string()),
            _ => Failure::invalid_field(self.to_string(), message),
        }
    }

    fn expected(&self, expected: &str, found: &Value) -> Failure {
        let found = match found {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        };
        self.fail(format_args!("expected {expected}, got {found}"))
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parent = match self {
            Self::Root => return Ok(()),
            Self::Key(parent, _) | Self::Index(parent, _) => parent,
        };
        parent.fmt(f)?;
        if !matches!(parent, Self::Root) {
            f.write_str(".")?;
        }
        match self {
            Self::Root => Ok(()),
            Self::Key(_, key) => f.write_str(key),
            Self::Index(_, index) => index.fmt(f),
        }
    }
}

/// An object being taken apart. A field that is `null` counts as not given, and stays.
pub(super) struct Fields<'p> {
    at: &'p Path<'p>,
    map: Map<String, Value>,
    taken: bool,
}

impl<'p> Fields<'p> {
    /// The fields of `value`, which stands at `at`.
    pub(super) fn of(value: Value, at: &'p Path<'p>) -> Result<Self, Failure> {
        match value {
            Value::Object(map) => Ok(Self { at, map, taken: false }),
            other => Err(at.expected("an object", &other)),
        }
    }

    /// Moves a field out, whatever it is.
    pub(super) fn take(&mut self, key: &str) -> Option<Value> {
        self.map.get(key).filter(|value| !value.is_null())?;
        self.taken = true;
        self.map.remove(key)
    }

    /// Looks at a field without taking it.
    pub(super) fn peek(&self, key: &str) -> Option<&Value> {
        self.map.get(key)
    }

    /// Puts back what should be kept for home.
    pub(super) fn keep(&mut self, key: &str, value: Value) {
        self.map.insert(key.to_owned(), value);
    }

    pub(super) fn string(&mut self, key: &str) -> Result<Option<String>, Failure> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.expected(key, "a string", &other)),
        }
    }

    pub(super) fn required_string(&mut self, key: &str) -> Result<String, Failure> {
        self.string(key)?.ok_or_else(|| self.missing(key))
    }

    pub(super) fn boolean(&mut self, key: &str) -> Result<Option<bool>, Failure> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(value)),
            Some(other) => Err(self.expected(key, "a boolean", &other)),
        }
    }

    pub(super) fn count(&mut self, key: &str) -> Result<Option<u64>, Failure> {
        match self.take(key) {
            None => Ok(None),
            Some(value) => match value.as_u64() {
                Some(count) => Ok(Some(count)),
                None if value.is_number() => {
                    Err(Path::Key(self.at, key).fail("expected a non-negative integer"))
                }
                None => Err(self.expected(key, "a non-negative integer", &value)),
            },
        }
    }

    pub(super) fn number(&mut self, key: &str) -> Result<Option<Number>, Failure> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Number(number)) => Ok(Some(number)),
            Some(other) => Err(self.expected(key, "a number", &other)),
        }
    }

    /// An array; an empty one stays behind, so that home can tell it from none.
    pub(super) fn array(&mut self, key: &str) -> Result<Option<Vec<Value>>, Failure> {
        if self.peek(key).and_then(Value::as_array).is_some_and(Vec::is_empty) {
            return Ok(None);
        }
        match self.take(key) {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(other) => Err(self.expected(key, "an array", &other)),
        }
    }

    /// The failure of a field that is not there.
    pub(super) fn missing(&self, key: &str) -> Failure {
        Path::Key(self.at, key).fail("field required")
    }

    fn expected(&self, key: &str, expected: &str, found: &Value) -> Failure {
        Path::Key(self.at, key).expected(expected, found)
    }

    /// What nobody took. The hub's own note key is not a field, whoever sent it.
    pub(super) fn rest(mut self) -> Extra {
        self.map.remove(SPELLING);
        self.map
    }

    /// As [`rest`](Self::rest), to be kept under one key: nothing if all was taken.
    pub(super) fn remainder(self) -> Option<Value> {
        let taken = self.taken;
        let rest = self.rest();
        (!rest.is_empty() || !taken).then_some(Value::Object(rest))
    }
}

/// Takes an array apart, each element with its own path.
pub(super) fn each<T>(
    items: Vec<Value>,
    at: &Path<'_>,
    mut read: impl FnMut(Value, &Path<'_>) -> Result<T, Failure>,
) -> Result<Vec<T>, Failure> {
    items.into_iter().enumerate().map(|(index, item)| read(item, &Path::Index(at, index))).collect()
}

/// A string, or why not.
pub(super) fn string(value: Value, at: &Path<'_>) -> Result<String, Failure> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(at.expected("a string", &other)),
    }
}

/// The failure of a value of the wrong type.
pub(super) fn expected(at: &Path<'_>, expected: &str, found: &Value) -> Failure {
    at.expected(expected, found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn errors_name_the_path_and_both_types() {
        let messages = Path::Key(&Path::Root, "messages");
        let message = Path::Index(&messages, 3);
        let mut fields = Fields::of(json!({"role": 1, "n": -1}), &message).expect("an object");
        let failure = fields.string("role").expect_err("a number");
        assert_eq!(failure.message, "messages.3.role: expected a string, got a number");
        assert_eq!(failure.param.as_deref(), Some("messages.3.role"));
        assert_eq!(
            fields.count("n").expect_err("negative").message,
            "messages.3.n: expected a non-negative integer"
        );
        assert_eq!(
            fields.required_string("gone").expect_err("gone").message,
            "messages.3.gone: field required"
        );
        assert_eq!(
            Fields::of(json!([]), &Path::Root).err().expect("an array").message,
            "expected an object, got an array"
        );
    }

    #[test]
    fn what_is_not_taken_stays() {
        let mut fields =
            Fields::of(json!({"a": null, "b": [], "c": 1, "$spelling": 2}), &Path::Root).expect("an object");
        assert_eq!(fields.string("a"), Ok(None));
        assert_eq!(fields.array("b"), Ok(None));
        assert_eq!(fields.count("c"), Ok(Some(1)));
        assert_eq!(Value::Object(fields.rest()), json!({"a": null, "b": []}));
    }
}
