//! Narrows a JSON schema for generation: whatever satisfies the narrow schema satisfies
//! the client's, and a small model has less room to ramble.

use serde_json::{Map, Value, json};

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
    }
    // Blanks as models are taught to write them, and no room for endless ones.
    schema["x-guidance"] =
        json!({ "whitespace_flexible": false, "item_separator": ", ", "key_separator": ": " });
    schema
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

/// Allows no properties but the declared ones, where the schema leaves it open.
fn close(schema: &mut Value) {
    let Value::Object(fields) = schema else { return };
    let declares = fields.get("properties").and_then(Value::as_object).is_some_and(|p| !p.is_empty());
    if declares && !fields.contains_key("additionalProperties") && !fields.contains_key("patternProperties") {
        fields.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
    for key in ["properties", "$defs", "definitions"] {
        if let Some(Value::Object(named)) = fields.get_mut(key) {
            Map::values_mut(named).for_each(close);
        }
    }
    for key in ["anyOf", "oneOf", "prefixItems"] {
        if let Some(Value::Array(items)) = fields.get_mut(key) {
            items.iter_mut().for_each(close);
        }
    }
    if let Some(items) = fields.get_mut("items") {
        close(items);
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
        assert_eq!(narrowed["items"]["additionalProperties"], true, "what the client says stands");
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
