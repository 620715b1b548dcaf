//! Takes an object apart field by field, and says exactly where something is wrong.
//!
//! Typed structs would lose what losslessness needs: absent, `null` and unknown must
//! each survive. So a field is *taken* out of the object, and what nobody took (`null`s
//! included) is the object's `extra`. Strings move, nothing is copied.

use std::fmt;

use message::{Extra, Failure};
use serde_json::{Map, Number, Value};

/// Where a value stands in the body; printed only in errors.
#[derive(Clone, Copy)]
pub(super) enum At<'a> {
    Root,
    Field(&'a At<'a>, &'static str),
    Item(&'a At<'a>, usize),
}

impl<'a> At<'a> {
    pub(super) fn field(&'a self, name: &'static str) -> Self {
        Self::Field(self, name)
    }

    pub(super) fn item(&'a self, index: usize) -> Self {
        Self::Item(self, index)
    }

    /// A failure at this place.
    pub(super) fn fault(&self, message: impl fmt::Display) -> Failure {
        Failure::invalid_field(self.to_string(), message)
    }

    /// A failure at this place: another type was expected.
    pub(super) fn expected(&self, what: &str, got: &Value) -> Failure {
        self.fault(format_args!("expected {what}, got {}", kind_of(got)))
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Field(Self::Root, name) => f.write_str(name),
            Self::Item(Self::Root, index) => write!(f, "{index}"),
            Self::Field(parent, name) => write!(f, "{parent}.{name}"),
            Self::Item(parent, index) => write!(f, "{parent}.{index}"),
        }
    }
}

/// An object being taken apart.
pub(super) struct Fields<'a> {
    pub(super) at: At<'a>,
    map: Map<String, Value>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(at: At<'a>, map: Map<String, Value>) -> Self {
        Self { at, map }
    }

    pub(super) fn of(at: At<'a>, value: Value) -> Result<Self, Failure> {
        match value {
            Value::Object(map) => Ok(Self { at, map }),
            other => Err(at.expected("an object", &other)),
        }
    }

    /// Whether the field is there, `null` included.
    pub(super) fn has(&self, name: &str) -> bool {
        self.map.contains_key(name)
    }

    /// The field, left where it is.
    pub(super) fn peek(&self, name: &str) -> Option<&Value> {
        self.map.get(name)
    }

    /// Takes the field unless it is `null`.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        match self.map.get(name)? {
            Value::Null => None,
            _ => self.map.shift_remove(name),
        }
    }

    /// Takes the field, `null` included.
    pub(super) fn take_any(&mut self, name: &str) -> Option<Value> {
        self.map.shift_remove(name)
    }

    /// Puts a field back: it has no place in the hub.
    pub(super) fn put(&mut self, name: &str, value: Value) {
        self.map.insert(name.to_owned(), value);
    }

    pub(super) fn string(&mut self, name: &'static str) -> Result<Option<String>, Failure> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.at.field(name).expected("a string", &other)),
        }
    }

    pub(super) fn required_string(&mut self, name: &'static str) -> Result<String, Failure> {
        self.string(name)?.ok_or_else(|| self.missing(name))
    }

    pub(super) fn bool(&mut self, name: &'static str) -> Result<Option<bool>, Failure> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(other) => Err(self.at.field(name).expected("a boolean", &other)),
        }
    }

    pub(super) fn number(&mut self, name: &'static str) -> Result<Option<Number>, Failure> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Number(number)) => Ok(Some(number)),
            Some(other) => Err(self.at.field(name).expected("a number", &other)),
        }
    }

    /// A number that must lie between the bounds, both included.
    pub(super) fn number_in(
        &mut self,
        name: &'static str,
        low: f64,
        high: f64,
    ) -> Result<Option<Number>, Failure> {
        let number = self.number(name)?;
        match number.as_ref().and_then(Number::as_f64) {
            Some(value) if value < low && high.is_infinite() => {
                Err(self.at.field(name).fault(format_args!("must be at least {low}")))
            }
            Some(value) if !(low..=high).contains(&value) => {
                Err(self.at.field(name).fault(format_args!("must be between {low} and {high}")))
            }
            _ => Ok(number),
        }
    }

    pub(super) fn array(&mut self, name: &'static str) -> Result<Option<Vec<Value>>, Failure> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(other) => Err(self.at.field(name).expected("an array", &other)),
        }
    }

    /// An array with something in it; an empty one stays where it is.
    pub(super) fn filled_array(&mut self, name: &'static str) -> Result<Vec<Value>, Failure> {
        match self.map.get(name) {
            Some(Value::Array(items)) if items.is_empty() => Ok(Vec::new()),
            _ => Ok(self.array(name)?.unwrap_or_default()),
        }
    }

    pub(super) fn required_object(&mut self, name: &'static str) -> Result<Map<String, Value>, Failure> {
        match self.take(name) {
            None => Err(self.missing(name)),
            Some(Value::Object(map)) => Ok(map),
            Some(other) => Err(self.at.field(name).expected("an object", &other)),
        }
    }

    pub(super) fn missing(&self, name: &'static str) -> Failure {
        self.at.field(name).fault("this field is required")
    }

    /// What nobody took.
    pub(super) fn rest(self) -> Extra {
        self.map
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
