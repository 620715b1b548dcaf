//! Takes an object apart field by field, says exactly where something is wrong, and puts
//! it together again.
//!
//! Typed structs would lose what losslessness needs: absent, `null` and unknown must each
//! survive. So a field is *taken* out of the object, and what nobody took (`null`s
//! included) becomes the object's `extra`. Strings move, nothing is copied. How a field was
//! spelt, where it was not the dialect's usual way, is noted under [`SPELLING`] for
//! [`restore`]. Used by the dialects whose JSON allows two spellings of each name (Gemini)
//! and those small enough to share a reader (Cohere, Ollama).

use std::fmt;

use message::{Extra, Failure, SPELLING};
use serde_json::{Map, Number, Value};

/// The note that holds the names spelt otherwise: usual name → the client's.
const NAMES: &str = "names";

/// The note that names the inner objects that were taken apart as well.
const INNER: &str = "inner";

/// Where a value stands in the body; printed only in errors.
#[derive(Debug, Clone, Copy)]
pub(crate) enum At<'a> {
    /// The body itself.
    Root,
    /// A member.
    Field(&'a At<'a>, &'a str),
    /// An item of an array.
    Item(&'a At<'a>, usize),
}

impl<'a> At<'a> {
    /// A member of what stands here.
    pub(crate) fn field(&'a self, name: &'a str) -> Self {
        Self::Field(self, name)
    }

    /// An item of what stands here.
    pub(crate) fn item(&'a self, index: usize) -> Self {
        Self::Item(self, index)
    }

    /// A failure at this place.
    pub(crate) fn fault(&self, message: impl fmt::Display) -> Failure {
        match self {
            Self::Root => Failure::invalid(message.to_string()),
            _ => Failure::invalid_field(self.to_string(), message),
        }
    }

    /// A failure at this place: another type was expected.
    pub(crate) fn expected(&self, what: &str, got: &Value) -> Failure {
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
pub(crate) struct Fields<'a> {
    /// Where it stands.
    pub(crate) at: At<'a>,
    map: Map<String, Value>,
    notes: Extra,
    /// Some name has an underscore, so that a camelCase one may be meant.
    underscored: bool,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(at: At<'a>, map: Map<String, Value>) -> Self {
        let underscored = map.keys().any(|name| name.contains('_'));
        Self { at, map, notes: Extra::new(), underscored }
    }

    pub(crate) fn of(at: At<'a>, value: Value) -> Result<Self, Failure> {
        match value {
            Value::Object(map) => Ok(Self::new(at, map)),
            other => Err(at.expected("an object", &other)),
        }
    }

    /// The field, left where it is; `null` is none.
    pub(crate) fn peek(&self, name: &str) -> Option<&Value> {
        let value = self.map.get(name).or_else(|| self.map.get(&*self.other(name)?));
        value.filter(|value| !value.is_null())
    }

    /// Takes the field unless it is `null`.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        match self.map.get(name) {
            Some(Value::Null) => None,
            Some(_) => self.map.shift_remove(name),
            None => {
                let other = self.other(name)?;
                self.map.get(&other).filter(|value| !value.is_null())?;
                let names = self.notes.entry(NAMES).or_insert_with(|| Map::new().into());
                names[name] = other.as_str().into();
                self.map.shift_remove(&other)
            }
        }
    }

    /// The snake_case spelling of a camelCase name.
    fn other(&self, name: &str) -> Option<String> {
        (self.underscored && name.bytes().any(|byte| byte.is_ascii_uppercase())).then(|| snake(name))
    }

    /// Puts a value (back) under a name that the hub has no place for.
    pub(crate) fn put(&mut self, name: &str, value: Value) {
        self.map.insert(name.to_owned(), value);
    }

    /// Notes how something was spelt.
    pub(crate) fn note(&mut self, name: &str, value: impl Into<Value>) {
        self.notes.insert(name.to_owned(), value.into());
    }

    pub(crate) fn string(&mut self, name: &str) -> Result<Option<String>, Failure> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.at.field(name).expected("a string", &other)),
        }
    }

    pub(crate) fn required_string(&mut self, name: &str) -> Result<String, Failure> {
        self.string(name)?.ok_or_else(|| self.missing(name))
    }

    pub(crate) fn bool(&mut self, name: &str) -> Result<Option<bool>, Failure> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(other) => Err(self.at.field(name).expected("a boolean", &other)),
        }
    }

    pub(crate) fn number(&mut self, name: &str) -> Result<Option<Number>, Failure> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Number(number)) => Ok(Some(number)),
            Some(other) => Err(self.at.field(name).expected("a number", &other)),
        }
    }

    /// A whole number of at least 0; a float without a fraction is noted as one.
    pub(crate) fn count(&mut self, name: &str) -> Result<Option<u64>, Failure> {
        let Some(number) = self.number(name)? else { return Ok(None) };
        if let Some(count) = number.as_u64() {
            return Ok(Some(count));
        }
        match number.as_f64() {
            // Below 2^53 every whole float is exact.
            Some(float) if float >= 0.0 && float.fract() == 0.0 && float < 9_007_199_254_740_992.0 => {
                self.note(name, number);
                Ok(Some(float as u64))
            }
            _ => Err(self.at.field(name).fault("expected a non-negative integer")),
        }
    }

    pub(crate) fn array(&mut self, name: &str) -> Result<Option<Vec<Value>>, Failure> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(other) => Err(self.at.field(name).expected("an array", &other)),
        }
    }

    /// An array with something in it; an empty one stays where it is.
    pub(crate) fn filled_array(&mut self, name: &str) -> Result<Vec<Value>, Failure> {
        match self.peek(name) {
            Some(Value::Array(items)) if items.is_empty() => Ok(Vec::new()),
            _ => Ok(self.array(name)?.unwrap_or_default()),
        }
    }

    pub(crate) fn missing(&self, name: &str) -> Failure {
        self.at.field(name).fault("this field is required")
    }

    /// What nobody took, with the notes.
    pub(crate) fn rest(self) -> Extra {
        let Self { mut map, mut notes, .. } = self;
        if let Some(clients_own) = map.shift_remove(SPELLING) {
            notes.insert(SPELLING.to_owned(), clients_own);
        }
        if !notes.is_empty() {
            map.insert(SPELLING.to_owned(), notes.into());
        }
        map
    }

    /// The object as it came; only where nothing was taken.
    pub(crate) fn whole(self) -> Value {
        self.map.into()
    }

    /// What nobody took of an inner object goes on under its name here.
    pub(crate) fn keep_rest(&mut self, name: &str, inner: Fields<'_>) {
        self.notes.entry(INNER).or_insert_with(|| Map::new().into())[name] = Value::Null;
        self.put(name, inner.rest().into());
    }
}

/// The note on one thing.
pub(crate) fn note<'a>(extra: &'a Extra, name: &str) -> Option<&'a Value> {
    extra.get(SPELLING)?.get(name)
}

/// Writes the unknown fields back beside the known ones in `out`, which win, and spells
/// names as the client did; what was left of an inner object goes back into it.
pub(crate) fn restore(extra: &Extra, out: &mut Extra) {
    let clients_own = note(extra, SPELLING).map(|value| (SPELLING, value));
    let fields = extra.iter().filter(|(name, _)| *name != SPELLING);
    let inner = note(extra, INNER);
    for (name, value) in fields.map(|(name, value)| (name.as_str(), value)).chain(clients_own) {
        match value {
            Value::Object(rest) if inner.is_some_and(|inner| inner.get(name).is_some()) => {
                if let Value::Object(out) = out.entry(name).or_insert_with(|| Map::new().into()) {
                    restore(rest, out);
                }
            }
            _ => {
                out.entry(name).or_insert_with(|| value.clone());
            }
        }
    }
    let Some(Value::Object(names)) = note(extra, NAMES) else { return };
    for (usual, spelt) in names {
        if let (Some(value), Some(spelt)) = (out.shift_remove(usual), spelt.as_str()) {
            out.insert(spelt.to_owned(), value);
        }
    }
}

fn snake(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(value: Value) -> Fields<'static> {
        Fields::of(At::Root, value).expect("an object")
    }

    #[test]
    fn both_spellings_are_read_and_written_again() {
        let body = json!({
            "max_output_tokens": 5, "topP": 1, "top_k": null, "own": {"$spelling": 1}, "$spelling": 2,
            "in_ner": {"aB": 1, "c": 2},
        });
        let mut fields = fields(body.clone());
        let inner = fields.take("inNer").expect("there");
        let mut inner = Fields::of(At::Root, inner).expect("an object");
        assert_eq!(inner.count("aB"), Ok(Some(1)));
        fields.keep_rest("inNer", inner);
        assert_eq!(fields.count("maxOutputTokens"), Ok(Some(5)));
        assert_eq!(fields.number("topP"), Ok(Some(1.into())));
        assert_eq!(fields.count("topK"), Ok(None));
        let mut out = Extra::from_iter([
            ("maxOutputTokens".to_owned(), json!(5)),
            ("topP".to_owned(), json!(1)),
            ("inNer".to_owned(), json!({"aB": 1})),
        ]);
        restore(&fields.rest(), &mut out);
        assert_eq!(Value::Object(out), body);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let failure = fields(json!({"n": "x"})).count("n").expect_err("a string");
        assert_eq!(failure.message, "n: expected a number, got a string");
        let failure = fields(json!({"n": -1})).count("n").expect_err("negative");
        assert_eq!(failure.param.as_deref(), Some("n"));
        assert_eq!(fields(json!({"n": 40.0})).count("n"), Ok(Some(40)));
    }
}
