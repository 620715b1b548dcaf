//! Narrows a JSON schema for generation: whatever satisfies the narrow schema satisfies
//! the client's, and a small model has less room to ramble.

use serde_json::{Map, Value, json};

/// The largest whole number that every reader of JSON takes as it stands (2^53 − 1).
/// Without a bound a model may write one that no reader takes.
const LARGEST: i64 = (1 << 53) - 1;
/// The definition of any value.
const ANY: &str = "any-value";

/// The schema to generate by; none is any object.
pub(super) fn narrow(schema: Option<&Value>) -> Value {
    let mut schema = match schema {
        Some(Value::Object(fields)) => Value::Object(fields.clone()),
        // `false` and nonsense are left to the compiler to refuse.
        Some(other) if other != &Value::Bool(true) => return other.clone(),
        _ => json!({ "type": "object" }),
    };
    if !combines(&schema) {
        close(&mut schema);
        define_any(&mut schema);
    }
    // Blanks as models are taught to write them, and no room for endless ones.
    schema["x-guidance"] =
        json!({ "whitespace_flexible": false, "item_separator": ", ", "key_separator": ": " });
    schema
}

/// Any value, with numbers that can be read, wherever it stands.
fn define_any(schema: &mut Value) {
    let Value::Object(fields) = schema else { return };
    // What is no object is left to the compiler to refuse.
    if let Value::Object(definitions) = fields.entry("$defs").or_insert_with(|| json!({})) {
        let any = json!({
            "type": ["object", "array", "string", "number", "boolean", "null"],
            "additionalProperties": any(),
            "items": any(),
            "minimum": -LARGEST,
            "maximum": LARGEST,
        });
        definitions.insert(ANY.to_owned(), any);
    }
}

fn any() -> Value {
    json!({ "$ref": format!("#/$defs/{ANY}") })
}

fn combines(schema: &Value) -> bool {
    match schema {
        Value::Object(fields) => {
            // Closing an object would change what the whole means.
            fields.iter().any(|(key, value)| key == "allOf" || combines(value))
        }
        Value::Array(items) => items.iter().any(combines),
        _ => false,
    }
}

/// Allows no properties but the declared ones, where the schema leaves it open, and no
/// numbers that cannot be read.
fn close(schema: &mut Value) {
    if matches!(schema, Value::Bool(true)) || schema.as_object().is_some_and(Map::is_empty) {
        *schema = any();
    }
    let Value::Object(fields) = schema else { return };
    let elsewhere = ["$ref", "enum", "const", "anyOf", "oneOf"].iter().any(|key| fields.contains_key(*key));
    let may_be = |fields: &Map<String, Value>, wanted: &str| match fields.get("type") {
        None => !elsewhere,
        Some(Value::Array(types)) => types.iter().any(|name| name == wanted),
        Some(name) => name == wanted,
    };
    if may_be(fields, "object") && !fields.contains_key("patternProperties") {
        let declares = fields.get("properties").and_then(Value::as_object).is_some_and(|p| !p.is_empty());
        let open = if declares { Value::Bool(false) } else { any() };
        fields.entry("additionalProperties").or_insert(open);
    }
    if may_be(fields, "array") {
        fields.entry("items").or_insert_with(any);
    }
    if may_be(fields, "number") || may_be(fields, "integer") {
        bound(fields);
        leave_out_ends(fields);
    }
    for key in ["properties", "patternProperties", "$defs", "definitions"] {
        if let Some(Value::Object(named)) = fields.get_mut(key) {
            Map::values_mut(named).for_each(close);
        }
    }
    for key in ["anyOf", "oneOf", "prefixItems"] {
        if let Some(Value::Array(items)) = fields.get_mut(key) {
            items.iter_mut().for_each(close);
        }
    }
    for key in ["items", "additionalItems", "additionalProperties"] {
        fields.get_mut(key).into_iter().for_each(close);
    }
}

/// Bounds numbers where the schema does not.
fn bound(fields: &mut Map<String, Value>) {
    let said = |fields: &Map<String, Value>, names: [&str; 2]| {
        names.iter().find_map(|name| fields.get(*name).and_then(Value::as_f64))
    };
    let least = said(fields, ["minimum", "exclusiveMinimum"]);
    let most = said(fields, ["maximum", "exclusiveMaximum"]);
    if most.is_none() && least.is_none_or(|least| least < LARGEST as f64) {
        fields.insert("maximum".to_owned(), LARGEST.into());
    }
    if least.is_none() && most.is_none_or(|most| most > -LARGEST as f64) {
        fields.insert("minimum".to_owned(), (-LARGEST).into());
    }
}

/// llguidance 1.9 takes a whole number for greater than itself if the other bound is less
/// than one away (`0` of 0 < x < 0.1), and the same below zero. So such a bound moves
/// inwards, by a thousandth of what is between the two.
fn leave_out_ends(fields: &mut Map<String, Value>) {
    let ends = [
        ("exclusiveMinimum", "minimum", ["maximum", "exclusiveMaximum"], 1.0),
        ("exclusiveMaximum", "maximum", ["minimum", "exclusiveMinimum"], -1.0),
    ];
    for (exclusive, inclusive, others, sign) in ends {
        let number = |name: &str| fields.get(name).and_then(Value::as_f64).map(|number| number * sign);
        let other = others.iter().filter_map(|name| number(name)).reduce(f64::min);
        if let (Some(end), Some(other)) = (number(exclusive), other)
            && end >= 0.0
            && other.trunc() == end
            && other > end
        {
            let inside = end + (other - end) / 1000.0;
            let bound = number(inclusive).map_or(inside, |said| said.max(inside));
            fields.remove(exclusive);
            fields.insert(inclusive.to_owned(), json!(bound * sign));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_properties_are_all_there_are() {
        let schema = json!({
            "properties": { "a": { "properties": { "b": {} } } },
            "items": { "properties": { "c": {} }, "additionalProperties": true },
        });
        let narrowed = narrow(Some(&schema));
        assert_eq!(narrowed["additionalProperties"], false);
        assert_eq!(narrowed["properties"]["a"]["additionalProperties"], false);
        assert_eq!(narrowed["items"]["additionalProperties"], any(), "what the client says stands");
    }

    #[test]
    fn numbers_are_those_that_can_be_read() {
        let schema = json!({ "items": { "type": "integer", "minimum": 3 }, "additionalProperties": true });
        let narrowed = narrow(Some(&schema));
        assert_eq!(narrowed["items"], json!({ "type": "integer", "minimum": 3, "maximum": LARGEST }));
        assert_eq!(narrowed["additionalProperties"], any());
        assert_eq!(narrowed["$defs"][ANY]["minimum"], -LARGEST);
        let beyond = json!({ "type": "number", "minimum": 1e300 });
        assert!(narrow(Some(&beyond)).get("maximum").is_none());
    }

    #[test]
    fn ends_that_do_not_belong_are_left_out() {
        let narrowed = |schema: Value| {
            let mut schema = schema;
            leave_out_ends(schema.as_object_mut().unwrap());
            schema
        };
        let near = json!({ "exclusiveMinimum": 2, "maximum": 2.5 });
        assert_eq!(narrowed(near), json!({ "minimum": 2.0005, "maximum": 2.5 }));
        let below = json!({ "exclusiveMaximum": 0, "minimum": -0.5 });
        assert_eq!(narrowed(below), json!({ "maximum": -0.0005, "minimum": -0.5 }));
        let far = json!({ "exclusiveMinimum": 2, "maximum": 3 });
        assert_eq!(narrowed(far.clone()), far);
    }

    #[test]
    fn combined_schemas_are_left_open() {
        let schema = json!({ "allOf": [{ "properties": { "a": {} } }, { "properties": { "b": {} } }] });
        assert_eq!(narrow(Some(&schema))["allOf"], schema["allOf"]);
        assert!(narrow(Some(&schema)).get("additionalProperties").is_none());
    }

    #[test]
    fn no_schema_is_any_object() {
        assert_eq!(narrow(None)["type"], "object");
        assert_eq!(narrow(Some(&Value::Bool(true)))["type"], "object");
        assert_eq!(narrow(Some(&Value::Bool(false))), false);
    }
}
