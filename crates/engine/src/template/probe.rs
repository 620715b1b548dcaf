//! Finds out what a template can show, by rendering small conversations and looking
//! whether their words appear. Reading the Jinja would have to understand it.

use serde_json::{Value, json};

use super::jinja::Jinja;
use super::{Traits, tool_value, typed_content};
use crate::tools::{Body, Syntax};

const USER: &str = "needle-user";
const SYSTEM: &str = "needle-system";
const TOOL: &str = "needle_tool";
const ARGUMENT: &str = "needle_argument";
const RESULT: &str = "needle-result";

/// What the template can show.
pub(super) fn probe(jinja: &Jinja) -> Traits {
    let typed = !shows(jinja, &in_words(json!([user()]), false), &[USER])
        && shows(jinja, &in_parts(json!([user()]), false), &[USER]);
    let context = if typed { in_parts } else { in_words };
    let system =
        shows(jinja, &context(json!([{ "role": "system", "content": SYSTEM }, user()]), false), &[SYSTEM]);
    let told = shows(jinja, &context(json!([user()]), true), &[TOOL]);
    let mut traits = Traits {
        typed,
        images: false,
        system,
        tools: None,
        calls: true,
        arguments_as_text: false,
        thought: None,
        short_ids: false,
    };
    if !told {
        return traits;
    }
    let told = jinja.render(&context(json!([user()]), true)).unwrap_or_default();
    let ways = [(false, false), (true, false), (false, true), (true, true)];
    for (as_text, short_ids) in ways {
        let id = if short_ids { "abcdef123" } else { "call_0123456789" };
        let rendered = jinja.render(&context(called(as_text, id), true)).unwrap_or_default();
        if !rendered.contains(RESULT) {
            continue;
        }
        // The call is what the conversation has more than its beginning, where templates
        // may tell of notations that they do not write.
        let more = rendered.strip_prefix(common(&rendered, &told)).unwrap_or_default();
        let written = more.contains(TOOL) && shows_arguments(more);
        if written && let Some(syntax) = Syntax::of(more) {
            return Traits { tools: Some(syntax), arguments_as_text: as_text, short_ids, ..traits };
        }
        if !written && traits.tools.is_none() {
            // It tells how calls are written, and leaves it to the turn's words to hold them.
            traits.tools =
                Syntax::of(&told).filter(|syntax| matches!(syntax.body, Body::Object { list: true, .. }));
            traits.calls = traits.tools.is_none();
            traits.short_ids = short_ids && traits.tools.is_some();
        }
    }
    traits
}

/// Whether a call's arguments can be read: within a JSON string they would be text.
fn shows_arguments(rendered: &str) -> bool {
    [
        format!("{{\"{ARGUMENT}\": 1}}"),
        format!("{{\"{ARGUMENT}\":1}}"),
        format!("{{{ARGUMENT}:1}}"),
        format!("<parameter={ARGUMENT}>"),
    ]
    .iter()
    .any(|written| rendered.contains(written))
}

/// What two texts begin with, up to a mark that only begins the same.
fn common<'a>(one: &'a str, other: &str) -> &'a str {
    let same = one.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count();
    let boundary = (0..=same).rev().find(|&at| one.is_char_boundary(at)).unwrap_or(0);
    &one[..one[..boundary].rfind(['<', '[']).unwrap_or(boundary)]
}

fn shows(jinja: &Jinja, context: &Value, words: &[&str]) -> bool {
    jinja.render(context).is_ok_and(|text| words.iter().all(|word| text.contains(word)))
}

fn user() -> Value {
    json!({ "role": "user", "content": USER })
}

fn called(as_text: bool, id: &str) -> Value {
    let arguments = if as_text { json!(format!("{{\"{ARGUMENT}\": 1}}")) } else { json!({ ARGUMENT: 1 }) };
    json!([
        user(),
        { "role": "assistant", "content": "", "tool_calls": [
            { "type": "function", "id": id, "function": { "name": TOOL, "arguments": arguments } }
        ] },
        { "role": "tool", "tool_call_id": id, "name": TOOL, "content": RESULT },
    ])
}

/// Contents as lists of parts.
fn in_parts(mut messages: Value, tools: bool) -> Value {
    messages.as_array_mut().into_iter().flatten().for_each(typed_content);
    in_words(messages, tools)
}

fn in_words(messages: Value, tools: bool) -> Value {
    let tool = tool_value(&json!({
        "name": TOOL,
        "description": "a tool",
        "parameters": { "type": "object", "properties": { ARGUMENT: { "type": "integer" } } },
    }));
    let tools = if tools { json!([tool]) } else { Value::Null };
    json!({ "messages": messages, "tools": tools, "add_generation_prompt": true })
}
