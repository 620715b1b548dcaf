//! Gemini's own `Schema` (OpenAPI 3.0's, with types in capitals) → JSON Schema, and JSON
//! Schema as Gemini takes it in the fields that are for it. Source: `types.Schema` of `google-genai` 3.4.0, read 2026-11-22.

use serde_json::{Map, Value};

/// The same schema in JSON Schema's words. What it does not know stays as it is.
pub(super) fn to_json_schema(schema: &Value) -> Value {
    let Value::Object(fields) = schema else { return schema.clone() };
    let mut out = Map::with_capacity(fields.len());
    let mut nullable = false;
    for (name, value) in fields {
        match (name.as_str(), value) {
            ("type", Value::String(kind)) if kind == "TYPE_UNSPECIFIED" => {}
            ("type", Value::String(kind)) => {
                out.insert(name.clone(), kind.to_ascii_lowercase().into());
            }
            ("nullable", Value::Bool(flag)) => nullable = *flag,
            ("properties" | "defs" | "$defs", Value::Object(inner)) => {
                let name = if name == "defs" { "$defs" } else { name };
                let inner = inner.iter().map(|(key, value)| (key.clone(), to_json_schema(value)));
                out.insert(name.to_owned(), inner.collect());
            }
            ("items" | "additionalProperties" | "additional_properties", value) => {
                let name = if name == "items" { name } else { "additionalProperties" };
                out.insert(name.to_owned(), to_json_schema(value));
            }
            ("anyOf" | "any_of", Value::Array(options)) => {
                out.insert("anyOf".to_owned(), options.iter().map(to_json_schema).collect());
            }
            ("ref", Value::String(_)) => {
                out.insert("$ref".to_owned(), value.clone());
            }
            // Order is no matter of validity; an example is written otherwise.
            ("propertyOrdering" | "property_ordering", _) => {}
            ("example", value) => {
                out.insert("examples".to_owned(), vec![value.clone()].into());
            }
            (name, value) => {
                let usual = LENGTHS.iter().find(|(own, _)| *own == name).map_or(name, |(_, usual)| usual);
                out.insert(usual.to_owned(), length(usual, value));
            }
        }
    }
    if nullable {
        allow_null(&mut out);
    }
    out.into()
}

/// A JSON Schema as Gemini takes one: `const` is not among the keywords it knows, a list of
/// one value is. References stay: it follows them.
pub(super) fn adapt(schema: &Value) -> Value {
    let Value::Object(fields) = schema else { return schema.clone() };
    let mut out = Map::with_capacity(fields.len());
    for (name, value) in fields {
        match (name.as_str(), value) {
            ("const", value) if !fields.contains_key("enum") => {
                out.insert("enum".to_owned(), vec![value.clone()].into());
            }
            ("properties" | "$defs" | "definitions", Value::Object(inner)) => {
                let inner = inner.iter().map(|(key, value)| (key.clone(), adapt(value)));
                out.insert(name.clone(), inner.collect());
            }
            ("items" | "additionalProperties", value) => {
                out.insert(name.clone(), adapt(value));
            }
            ("anyOf" | "oneOf" | "allOf" | "prefixItems", Value::Array(options)) => {
                out.insert(name.clone(), options.iter().map(adapt).collect());
            }
            _ => {
                out.insert(name.clone(), value.clone());
            }
        }
    }
    out.into()
}

/// Bounds, in their older spelling and the usual one.
const LENGTHS: [(&str, &str); 6] = [
    ("min_items", "minItems"),
    ("max_items", "maxItems"),
    ("min_length", "minLength"),
    ("max_length", "maxLength"),
    ("min_properties", "minProperties"),
    ("max_properties", "maxProperties"),
];

/// Protobuf's JSON writes 64-bit integers as strings.
fn length(name: &str, value: &Value) -> Value {
    match value {
        Value::String(digits) if LENGTHS.iter().any(|(_, usual)| *usual == name) => {
            digits.parse::<u64>().map_or_else(|_| value.clone(), Value::from)
        }
        _ => value.clone(),
    }
}

fn allow_null(schema: &mut Map<String, Value>) {
    if let Some(Value::String(kind)) = schema.get("type") {
        let kinds = vec![kind.clone().into(), "null".into()];
        schema.insert("type".to_owned(), Value::Array(kinds));
    } else if let Some(Value::Array(options)) = schema.get_mut("anyOf") {
        options.push(serde_json::json!({"type": "null"}));
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.push(Value::Null);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn t4_geminis_own_words_become_json_schemas() {
        let own = json!({
            "type": "OBJECT", "propertyOrdering": ["a", "b"], "required": ["a"],
            "properties": {
                "a": {"type": "STRING", "enum": ["x", "y"], "nullable": true, "maxLength": "10"},
                "b": {"type": "ARRAY", "items": {"anyOf": [{"type": "INTEGER"}, {"ref": "#/$defs/c"}]}, "min_items": 1},
                "type": {"type": "NUMBER", "example": 1.5},
            },
            "defs": {"c": {"type": "BOOLEAN"}},
        });
        let expected = json!({
            "type": "object", "required": ["a"],
            "properties": {
                "a": {"type": ["string", "null"], "enum": ["x", "y", null], "maxLength": 10},
                "b": {"type": "array", "items": {"anyOf": [{"type": "integer"}, {"$ref": "#/$defs/c"}]}, "minItems": 1},
                "type": {"type": "number", "examples": [1.5]},
            },
            "$defs": {"c": {"type": "boolean"}},
        });
        assert_eq!(to_json_schema(&own), expected);
        assert_eq!(to_json_schema(&json!(true)), json!(true));
    }

    #[test]
    fn t4_t7_references_stay_and_a_constant_is_a_list_of_one() {
        let schema = json!({
            "type": "object", "$defs": {"k": {"const": "x"}},
            "properties": {"const": {"$ref": "#/$defs/k"}, "l": {"items": {"anyOf": [{"const": 1}]}}},
        });
        let expected = json!({
            "type": "object", "$defs": {"k": {"enum": ["x"]}},
            "properties": {"const": {"$ref": "#/$defs/k"}, "l": {"items": {"anyOf": [{"enum": [1]}]}}},
        });
        assert_eq!(adapt(&schema), expected);
    }
}
