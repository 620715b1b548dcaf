//! What of JSON Schema can be followed token by token. Keywords that cannot are refused
//! by name and place; words that are no keywords are notes to readers, and left out.
//!
//! Source: JSON Schema 2020-12 and draft-07; llguidance 1.9.1, its json/schema.rs, read 2026-11-23.

use message::Failure;
use serde_json::{Map, Value};

/// Keywords that say something about a value and cannot be followed.
const REFUSED: [&str; 16] = [
    "not",
    "if",
    "contains",
    "minContains",
    "maxContains",
    "uniqueItems",
    "propertyNames",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "unevaluatedItems",
    "unevaluatedProperties",
    "$dynamicRef",
    "$recursiveRef",
    "disallow",
    "extends",
];

/// Keywords whose value is a schema.
const SCHEMAS: [&str; 3] = ["items", "additionalItems", "additionalProperties"];
/// Keywords whose value is a list of schemas; `items` was one, once.
const LISTS: [&str; 5] = ["allOf", "anyOf", "oneOf", "prefixItems", "items"];
/// Keywords whose value names schemas.
const NAMED: [&str; 4] = ["properties", "patternProperties", "$defs", "definitions"];
/// The other keywords that are followed.
const PLAIN: [&str; 19] = [
    "$ref",
    "$schema",
    "const",
    "enum",
    "type",
    "required",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
];
/// The formats that are followed. Any other is a note, as the standard has it.
const FORMATS: [&str; 10] =
    ["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"];

/// Formats that have a longest text, which their pattern does not say: at 64 characters
/// every part of an address is within its own bound (RFC 5321), a host's name has 253.
const LONGEST: [(&str, u64); 2] = [("email", 64), ("hostname", 253)];

/// Dates and times that are for certain: no 29th of February, which only some years have,
/// no leap second, which only some days have, and no year that some calendars have not.
const SAFE: [(&str, &str); 3] = [
    ("date", "^[1-9][0-9]{3}-(?:(?:0[13-9]|1[0-2])-[0-9]{2}|02-(?:[01][0-9]|2[0-8]))"),
    (
        "date-time",
        "^[1-9][0-9]{3}-(?:(?:0[13-9]|1[0-2])-[0-9]{2}|02-(?:[01][0-9]|2[0-8]))[tT][0-9]{2}:[0-9]{2}:[0-5]",
    ),
    ("time", "^[0-9]{2}:[0-9]{2}:[0-5]"),
];

/// Takes out of a schema what says nothing of the value.
///
/// # Errors
/// A keyword that cannot be followed, by name and place.
pub(super) fn clean(schema: &mut Value) -> Result<(), Failure> {
    walk(schema, &mut String::from("#"))
}

fn walk(schema: &mut Value, path: &mut String) -> Result<(), Failure> {
    let Value::Object(fields) = schema else { return Ok(()) };
    for (name, value) in fields.iter() {
        // Said and meaning nothing: `uniqueItems: false`, an `if` without consequences.
        let idle = value == &Value::Bool(false) && name == "uniqueItems"
            || name == "if" && !fields.contains_key("then") && !fields.contains_key("else");
        if REFUSED.contains(&name.as_str()) && !idle {
            return Err(Failure::invalid(format!(
                "the JSON schema cannot be followed: `{name}` at {path} is not supported; \
                 say it in other keywords or leave it out"
            )));
        }
    }
    fields.retain(|name, value| {
        let name = name.as_str();
        if name == "format" {
            return value.as_str().is_some_and(|format| FORMATS.contains(&format));
        }
        [&SCHEMAS[..], &LISTS, &NAMED, &PLAIN].iter().any(|known| known.contains(&name))
    });
    if let Some(Value::String(pattern)) = fields.get_mut("pattern") {
        *pattern = without_controls(pattern);
    }
    if let Some((_, longest)) =
        LONGEST.iter().find(|(format, _)| fields.get("format").is_some_and(|f| f == format))
    {
        let longest =
            fields.get("maxLength").and_then(Value::as_u64).map_or(*longest, |said| said.min(*longest));
        fields.insert("maxLength".to_owned(), longest.into());
    }
    if let Some((_, pattern)) =
        SAFE.iter().find(|(format, _)| fields.get("format").is_some_and(|f| f == format))
    {
        // A client's own pattern is thought to know.
        fields.entry("pattern").or_insert_with(|| (*pattern).into());
    }
    for name in SCHEMAS {
        inside(fields, name, path, walk)?;
    }
    for name in LISTS {
        inside(fields, name, path, |value, path| {
            let Value::Array(items) = value else { return Ok(()) };
            items.iter_mut().enumerate().try_for_each(|(at, item)| within(path, &at.to_string(), item))
        })?;
    }
    for name in NAMED {
        inside(fields, name, path, |value, path| {
            let Value::Object(named) = value else { return Ok(()) };
            Map::iter_mut(named).try_for_each(|(name, schema)| within(path, name, schema))
        })?;
    }
    Ok(())
}

/// Leaves control characters out of classes that leave a quote or a backslash out: inside
/// of JSON all of these are escapes, which the follower of patterns takes together
/// (derivre 0.3.13, its `json_quote`).
fn without_controls(pattern: &str) -> String {
    let mut written = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some(next) = rest.chars().next() {
        let length = match next {
            '\\' => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            '[' => {
                let class = class(rest);
                if class.starts_with("[^") && (class.contains('"') || class.contains("\\\\")) {
                    written.push_str("[^\\x00-\\x1f");
                    written.push_str(&class[2..]);
                    rest = &rest[class.len()..];
                    continue;
                }
                class.len()
            }
            other => other.len_utf8(),
        };
        written.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    written
}

/// The class that a pattern begins with, brackets and all; `]` as its first is its own.
fn class(pattern: &str) -> &str {
    let mut escaped = false;
    let first = if pattern.starts_with("[^") { 2 } else { 1 };
    for (at, c) in pattern.char_indices().skip(first) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ']' if at > first => return &pattern[..=at],
            _ => {}
        }
    }
    pattern
}

fn inside(
    fields: &mut Map<String, Value>,
    name: &str,
    path: &mut String,
    visit: impl FnOnce(&mut Value, &mut String) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let Some(value) = fields.get_mut(name) else { return Ok(()) };
    let length = path.len();
    path.push('/');
    path.push_str(name);
    visit(value, path)?;
    path.truncate(length);
    Ok(())
}

fn within(path: &mut String, name: &str, schema: &mut Value) -> Result<(), Failure> {
    let length = path.len();
    path.push('/');
    path.push_str(&name.replace('~', "~0").replace('/', "~1"));
    walk(schema, path)?;
    path.truncate(length);
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_cannot_be_followed_is_named_with_its_place() {
        for (schema, said) in [
            (json!({ "not": {} }), "`not` at # "),
            (
                json!({ "properties": { "a/b": { "uniqueItems": true } } }),
                "`uniqueItems` at #/properties/a~1b ",
            ),
            (json!({ "anyOf": [{}, { "items": { "contains": {} } }] }), "`contains` at #/anyOf/1/items "),
            (json!({ "$defs": { "x": { "if": {}, "then": {} } } }), "`if` at #/$defs/x "),
        ] {
            let mut schema = schema;
            let failure = clean(&mut schema).unwrap_err();
            assert!(failure.message.contains(said), "{}", failure.message);
        }
    }

    #[test]
    fn formats_are_as_long_as_they_may_be() {
        let mut schema = json!({ "items": { "format": "email" }, "format": "hostname", "maxLength": 9 });
        clean(&mut schema).unwrap();
        assert_eq!(schema["items"]["maxLength"], 64);
        assert_eq!(schema["maxLength"], 9);
    }

    #[test]
    fn classes_without_a_quote_are_without_controls() {
        for (pattern, written) in [
            ("^[^\"]*é?$", "^[^\\x00-\\x1f\"]*é?$"),
            ("[^]\"]|[^,]", "[^\\x00-\\x1f]\"]|[^,]"),
            ("\\[^\"]", "\\[^\"]"),
            ("[^\\\\a]+[a-z\"]", "[^\\x00-\\x1f\\\\a]+[a-z\"]"),
            ("[^\"", "[^\\x00-\\x1f\""),
        ] {
            assert_eq!(without_controls(pattern), written);
        }
    }

    #[test]
    fn names_of_properties_are_no_keywords_and_notes_are_left_out() {
        let mut schema = json!({
            "title": "T", "x-note": 1, "nullable": true, "uniqueItems": false,
            "properties": { "not": { "type": "string", "format": "colour" }, "if": { "format": "uuid" } },
        });
        clean(&mut schema).unwrap();
        let rest = json!({ "properties": { "not": { "type": "string" }, "if": { "format": "uuid" } } });
        assert_eq!(schema, rest);
    }
}
