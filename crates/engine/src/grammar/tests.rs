//! Constraints over a vocabulary of single bytes, driven by a generator that always
//! takes the first token allowed.

use serde_json::json;

use super::*;

const END: Token = 256;

fn grammars() -> Grammars {
    let mut vocabulary = Vocabulary::default();
    vocabulary.primary_eos = END;
    (0..=255u8).for_each(|byte| vocabulary.push(&[byte], false));
    vocabulary.push(b"", true);
    vocabulary.control.push((END, "<|end|>".to_owned()));
    Grammars::new(Arc::new(vocabulary))
}

/// Whether `text` is a whole answer of this shape.
fn allows(shape: Shape<'_>, text: &str) -> bool {
    let mut constraint = grammars().compile(shape).unwrap();
    for byte in text.bytes() {
        let Ok(mask) = constraint.mask() else { return false };
        if !mask.is_allowed(u32::from(byte)) {
            return false;
        }
        constraint.accept(u32::from(byte)).unwrap();
    }
    constraint.satisfied() || constraint.mask().unwrap().is_allowed(END)
}

#[test]
fn json_of_a_schema() {
    let schema = json!({ "type": "object", "properties": { "n": { "type": "integer" } }, "required": ["n"] });
    assert!(allows(Shape::Json(&schema), "{\"n\": 12}"));
    assert!(!allows(Shape::Json(&schema), "{\"n\": \"x\"}"));
    assert!(!allows(Shape::Json(&schema), "{}"));
    assert!(!allows(Shape::Json(&schema), "{\"n\": 12, \"m\": 1}"));
}

#[test]
fn a_call_in_each_notation() {
    let schema = json!({ "type": "object", "properties": { "x": { "$ref": "#/$defs/X" } }, "required": ["x"],
        "$defs": { "X": { "enum": ["a", "b"] } } });
    let tools =
        [CallSchema { name: "f \"q\"", schema: Some(&schema) }, CallSchema { name: "g", schema: None }];
    let hermes = "<tool_call>\n{\"name\": \"f \\\"q\\\"\", \"arguments\": {\"x\": \"a\"}}\n</tool_call>";
    assert!(allows(Shape::Call(Syntax::HERMES, &tools), hermes));
    assert!(!allows(Shape::Call(Syntax::HERMES, &tools), &hermes.replace("\"a\"", "\"c\"")));
    assert!(!allows(Shape::Call(Syntax::HERMES, &tools), "Hello"));
    let mistral = "[TOOL_CALLS][{\"name\": \"g\", \"arguments\": {}}]";
    assert!(allows(Shape::Call(Syntax::MISTRAL, &tools), mistral));
    let llama = "{\"name\": \"g\", \"parameters\": {\"any\": 1}}";
    assert!(allows(Shape::Call(Syntax::LLAMA3, &tools), llama));
}

#[test]
fn json_or_a_call() {
    let schema = json!({ "type": "boolean" });
    let tools = [CallSchema { name: "g", schema: None }];
    let shape = Shape::JsonOrCall(&schema, Syntax::HERMES, &tools);
    assert!(allows(shape, "true"));
    assert!(allows(shape, "<tool_call>\n{\"name\": \"g\", \"arguments\": {}}\n</tool_call>"));
}

#[test]
fn schemas_that_cannot_be_followed_are_refused_with_a_reason() {
    for schema in [
        json!({ "type": "object", "not": { "type": "string" } }),
        json!({ "$ref": "https://example.com/schema.json" }),
        json!({ "type": "no such type" }),
        json!(false),
        json!({ "type": "string", "pattern": "(" }),
        json!({ "enum": vec!["x".repeat(1000); 200] }),
    ] {
        let failure = grammars().compile(Shape::Json(&schema)).unwrap_err();
        assert_eq!(failure.kind, message::ErrorKind::InvalidRequest, "{schema}");
        assert!(failure.message.contains("schema"), "{}", failure.message);
        assert!(!failure.message.contains('\n'), "{}", failure.message);
    }
}
