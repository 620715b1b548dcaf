//! Tools in words, for models whose template does not know them: a system prompt in the
//! Hermes function-calling notation, and calls of earlier turns as the model wrote them.

use serde_json::{Value, json};

use super::{Body, Syntax};
use crate::template::python_json;

/// A system prompt that tells of the tools (each `{"name", "description", "parameters"}`).
pub(crate) fn describe(tools: &[Value]) -> String {
    let mut text = String::from(
        "You may call one or more functions to help with the user's request.\n\n\
         The functions you may call, with their signatures:\n<tools>\n",
    );
    for tool in tools {
        text.push_str(&python_json(&json!({ "type": "function", "function": tool })));
        text.push('\n');
    }
    text.push_str(
        "</tools>\n\nFor each function call, answer with a JSON object that holds the function's \
         name and its arguments, within <tool_call></tool_call> tags:\n<tool_call>\n\
         {\"name\": <function-name>, \"arguments\": <arguments-object>}\n</tool_call>",
    );
    text
}

/// Calls as the model would have written them: for templates that show tools and not
/// calls, and for models that were told in words.
pub(crate) fn written_call(syntax: Syntax, calls: &[(&Value, &Value)]) -> String {
    let Syntax { open, close, body } = syntax;
    let object = |key: &str, (name, arguments): &(&Value, &Value)| {
        let arguments = match arguments {
            Value::String(text) => text.clone(),
            arguments => python_json(arguments),
        };
        format!("{{\"name\": {name}, \"{key}\": {arguments}}}")
    };
    match body {
        Body::Object { arguments, list: true } => {
            let calls: Vec<String> = calls.iter().map(|call| object(arguments, call)).collect();
            format!("{open}[{}]{close}", calls.join(", "))
        }
        Body::Object { arguments, list: false } => {
            let calls = calls.iter().map(|call| object(arguments, call));
            let calls: Vec<String> = match open.is_empty() {
                true => calls.collect(),
                false => calls.map(|call| format!("{open}\n{call}\n{close}")).collect(),
            };
            calls.join("\n")
        }
        // Templates that know these notations write the calls themselves.
        Body::Named(_) | Body::Xml | Body::Harmony => {
            let calls: Vec<String> = calls.iter().map(|call| object("arguments", call)).collect();
            calls.join("\n")
        }
    }
}
