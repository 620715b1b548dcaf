//! Tools in the system prompt, for models whose template does not know them: the words
//! of a system prompt in the Hermes function-calling notation.

use serde_json::{Value, json};

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
