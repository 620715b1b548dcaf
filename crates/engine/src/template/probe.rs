//! Finds out what a template can show, by rendering small conversations and looking
//! whether their words appear. Reading the Jinja would have to understand it.

use serde_json::{Value, json};

use super::jinja::Jinja;
use super::{Traits, tool_value};
use crate::tools::Syntax;

const SYSTEM: &str = "needle-system";
const TOOL: &str = "needle_tool";
const ARGUMENT: &str = "needle_argument";
const RESULT: &str = "needle-result";

/// What the template can show.
pub(super) fn probe(jinja: &Jinja) -> Traits {
    let system =
        shows(jinja, &context(json!([{ "role": "system", "content": SYSTEM }, user()]), false), &[SYSTEM]);
    let told = shows(jinja, &context(json!([user()]), true), &[TOOL]);
    let call = |as_text, id| jinja.render(&context(called(as_text, id), true)).unwrap_or_default();
    let mut traits = Traits { system, tools: None, arguments_as_text: false, short_ids: false };
    let ways = [(false, false), (true, false), (false, true), (true, true)];
    for (as_text, short_ids) in ways.into_iter().filter(|_| told) {
        let id = if short_ids { "abcdef123" } else { "call_0123456789" };
        let rendered = call(as_text, id);
        if let Some(syntax) = notation(&rendered) {
            return Traits { tools: Some(syntax), arguments_as_text: as_text, short_ids, ..traits };
        }
    }
    traits.tools = None;
    traits
}

/// The notation of a rendered call, if it is one that we can read.
fn notation(rendered: &str) -> Option<Syntax> {
    // Arguments within a JSON string would be read as text by the model.
    let shown = [TOOL, RESULT].iter().all(|word| rendered.contains(word))
        && rendered.contains(&format!("{{\"{ARGUMENT}\": 1}}"));
    let named = |key: &str| rendered.contains(&format!("\"{key}\": {{\"{ARGUMENT}\""));
    let syntax = [Syntax::HERMES, Syntax::MISTRAL].into_iter().find(|syntax| rendered.contains(syntax.open));
    let syntax = syntax.or_else(|| named(Syntax::LLAMA3.arguments).then_some(Syntax::LLAMA3));
    syntax.filter(|syntax| shown && named(syntax.arguments))
}

fn shows(jinja: &Jinja, context: &Value, words: &[&str]) -> bool {
    jinja.render(context).is_ok_and(|text| words.iter().all(|word| text.contains(word)))
}

fn user() -> Value {
    json!({ "role": "user", "content": "needle-user" })
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

fn context(messages: Value, tools: bool) -> Value {
    let tool = tool_value(&json!({
        "name": TOOL,
        "description": "a tool",
        "parameters": { "type": "object", "properties": { ARGUMENT: { "type": "integer" } } },
    }));
    let tools = if tools { json!([tool]) } else { Value::Null };
    json!({ "messages": messages, "tools": tools, "add_generation_prompt": true })
}
