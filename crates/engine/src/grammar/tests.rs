//! Constraints over a vocabulary of single bytes, driven by a generator that always
//! takes the first token allowed.

use serde_json::json;

use super::*;

pub(super) const END: Token = 256;

pub(super) fn grammars() -> Grammars {
    let mut vocabulary = Vocabulary::default();
    vocabulary.primary_eos = END;
    (0..=255u8).for_each(|byte| vocabulary.push(&[byte], false));
    vocabulary.push(b"", true);
    vocabulary.control.push((END, "<|end|>".to_owned()));
    Grammars::new(Arc::new(vocabulary))
}

pub(super) fn ask(syntax: Syntax, shape: Shape<'_>) -> Ask<'_> {
    Ask { shape, syntax, before: Before::Nothing }
}

/// Whether `text` is a whole answer to this.
pub(super) fn allows(ask: Ask<'_>, text: &str) -> bool {
    let mut constraint = grammars().compile(ask).unwrap();
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
    let asked = ask(Syntax::HERMES, Shape::Text(Form::Json(&schema)));
    assert!(allows(asked, "{\"n\": 12}"));
    assert!(!allows(asked, "{\"n\": \"x\"}"));
    assert!(!allows(asked, "{}"));
    assert!(!allows(asked, "{\"n\": 12, \"m\": 1}"));
}

/// One call of `f` with `{"x": "a"}` in each notation, as its models write it.
const CALLS: [(Syntax, &str); 11] = [
    (Syntax::HERMES, "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"x\": \"a\"}}\n</tool_call>"),
    (Syntax::MISTRAL, "[TOOL_CALLS][{\"name\": \"f\", \"arguments\": {\"x\": \"a\"}}]"),
    (Syntax::MISTRAL_ARGS, "[TOOL_CALLS]f[ARGS]{\"x\": \"a\"}"),
    (Syntax::LLAMA3, "{\"name\": \"f\", \"parameters\": {\"x\": \"a\"}}"),
    (Syntax::GRANITE, "<|tool_call|>[{\"name\": \"f\", \"arguments\": {\"x\": \"a\"}}]"),
    (Syntax::PHI4, "<|tool_call|>[{\"name\": \"f\", \"arguments\": {\"x\": \"a\"}}]<|/tool_call|>"),
    (Syntax::GEMMA4, "<|tool_call>call:f{\"x\": \"a\"}<tool_call|>"),
    (
        Syntax::DEEPSEEK,
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n{\"x\": \"a\"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
    ),
    (
        Syntax::DEEPSEEK_V31,
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>{\"x\": \"a\"}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
    ),
    (
        Syntax::QWEN3_CODER,
        "<tool_call>\n<function=f>\n<parameter=x>\na\n</parameter>\n</function>\n</tool_call>",
    ),
    (Syntax::HARMONY, "<|channel|>commentary to=functions.f <|constrain|>json<|message|>{\"x\": \"a\"}"),
];

fn schema() -> Value {
    json!({ "type": "object", "properties": { "x": { "$ref": "#/$defs/X" } }, "required": ["x"],
        "$defs": { "X": { "enum": ["a", "b"] } } })
}

#[test]
fn a_call_in_each_notation() {
    let mut schema = schema();
    for (syntax, call) in CALLS {
        if syntax == Syntax::QWEN3_CODER {
            schema["properties"]["x"] = json!({ "enum": ["a", "b"] });
        }
        let tools = [CallSchema { name: "f", schema: Some(&schema), input: None }];
        let asked = ask(syntax, Shape::Calls { tools: &tools, several: false });
        assert!(allows(asked, call), "{call}");
        let wrong = call.replacen('a', "c", call.matches('a').count());
        assert!(!allows(asked, &wrong), "{wrong}");
        assert!(!allows(asked, "Hello"));
        // Where calls are the model's choice, what follows the mark is held to the same.
        let rest = ask(syntax, Shape::RestOfCalls { tools: &tools, several: false });
        let begins = call.find(syntax.open).unwrap() + syntax.open.len();
        assert!(allows(rest, &call[begins..]), "{call}");
    }
}

/// What the rules allow is what the reader reads: the same call, from any notation.
#[test]
fn what_is_allowed_can_be_read() {
    use crate::tools::{Part, Reader, TextParameters};
    for (syntax, call) in CALLS {
        let mut texts = TextParameters::default();
        texts.add("f", Some(&json!({ "properties": { "x": { "type": "string" } } })));
        let mut reader = Reader::new(syntax, texts);
        let mut parts = Vec::new();
        for piece in call.chars() {
            reader.push(&piece.to_string(), &mut parts);
        }
        reader.finish(&mut parts);
        let input: String = parts
            .iter()
            .filter_map(|part| match part {
                Part::Input(input) => Some(input.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(parts.first(), Some(&Part::Begin { name: "f".into() }), "{call}");
        assert_eq!(input, "{\"x\": \"a\"}", "{call}");
        assert_eq!(parts.last(), Some(&Part::End { whole: true }), "{call}");
    }
}

#[test]
fn several_calls_or_one() {
    let tools = [
        CallSchema { name: "f", schema: None, input: None },
        CallSchema { name: "g \"q\"", schema: None, input: None },
    ];
    let hermes = "<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>\n\
                  <tool_call>\n{\"name\": \"g \\\"q\\\"\", \"arguments\": {}}\n</tool_call>";
    let list = "[TOOL_CALLS][{\"name\": \"f\", \"arguments\": {}}, {\"name\": \"f\", \"arguments\": {}}]";
    let named = "[TOOL_CALLS]f[ARGS]{}[TOOL_CALLS]f[ARGS]{}";
    for (syntax, calls) in [(Syntax::HERMES, hermes), (Syntax::MISTRAL, list), (Syntax::MISTRAL_ARGS, named)]
    {
        assert!(allows(ask(syntax, Shape::Calls { tools: &tools, several: true }), calls), "{calls}");
        assert!(!allows(ask(syntax, Shape::Calls { tools: &tools, several: false }), calls), "{calls}");
    }
}

#[test]
fn json_or_a_call() {
    let schema = json!({ "type": "boolean" });
    let tools = [CallSchema { name: "g", schema: None, input: None }];
    let shape = Shape::TextOrCalls { text: Form::Json(&schema), tools: &tools, several: true };
    assert!(allows(ask(Syntax::HERMES, shape), "true"));
    let call = "<tool_call>\n{\"name\": \"g\", \"arguments\": {}}\n</tool_call>";
    assert!(allows(ask(Syntax::HERMES, shape), call));
    assert!(allows(ask(Syntax::HARMONY, shape), "<|channel|>final<|message|>true"));
}

#[test]
fn thinking_comes_before_what_is_asked() {
    use crate::tools::Thought;
    let schema = json!({ "type": "boolean" });
    let asked = |before| Ask { before, ..ask(Syntax::HERMES, Shape::Text(Form::Json(&schema))) };
    let may = asked(Before::MayThink(Thought::THINK));
    assert!(allows(may, "true"));
    assert!(allows(may, "<think>\nHm < é.\n</think>\n\ntrue"));
    assert!(!allows(may, "<think>\nHm"));
    assert!(!allows(may, "Hm"));
    let thinks = asked(Before::Thinks(Thought::THINK));
    assert!(allows(thinks, "Hm</think>true"));
    assert!(!allows(thinks, "true"));
    let harmony = Ask {
        before: Before::MayThink(Thought::HARMONY),
        ..ask(Syntax::HARMONY, Shape::Text(Form::Json(&schema)))
    };
    let answer = "<|channel|>analysis<|message|>Hm<|end|><|start|>assistant<|channel|>final<|message|>true";
    assert!(allows(harmony, answer));
}

#[test]
fn text_written_before_is_taken_note_of() {
    let tools = [CallSchema { name: "f", schema: None, input: None }];
    let asked = ask(Syntax::HERMES, Shape::RestOfCalls { tools: &tools, several: false });
    let call = grammars().compile(asked).unwrap();
    let mut fresh = call.fresh();
    assert!(fresh.accept_text("\n{\"name\""));
    assert!(fresh.mask().unwrap().is_allowed(u32::from(b':')));
    assert!(!call.fresh().accept_text("no call"));
    assert!(call.fresh().accept_text("\n{"), "the first one is as it was");
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
        let failure = grammars().compile(ask(Syntax::HERMES, Shape::Text(Form::Json(&schema)))).unwrap_err();
        assert_eq!(failure.kind, message::ErrorKind::InvalidRequest, "{schema}");
        assert!(failure.message.contains("schema"), "{}", failure.message);
        assert!(!failure.message.contains('\n'), "{}", failure.message);
    }
}
