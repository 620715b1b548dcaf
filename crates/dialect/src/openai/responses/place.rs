//! Where something of a turn stands in `input`: the hub's turns back to the flat items
//! they were made of.

use message::{BlockKind, Chat, Message, Role};
use serde_json::Value;

use super::inbound::ADDITIONAL_TOOLS;
use crate::openai::spelling::note;
use crate::told::Place;

/// The client's own path for the hub's; `None` if it leads nowhere.
pub(crate) fn place(chat: &Chat, path: &str) -> Option<String> {
    let Place { turn, block, rest } = Place::of(path)?;
    let Some(turn) = turn else { return Some("instructions".to_owned()) };
    if note(&chat.extra, "input").is_some() {
        return Some("input".to_owned());
    }
    let before: usize = chat.messages.get(..turn)?.iter().map(|message| items(message).len()).sum();
    let message = chat.messages.get(turn)?;
    let items = items(message);
    let within = match block {
        Some(block) => items.iter().rposition(|first| *first <= block)?,
        None => 0,
    };
    let item = with_tools(chat, before + within);
    let Some(block) = block else { return Some(format!("input.{item}{rest}")) };
    let first = *items.get(within)?;
    Some(match &message.content.get(block)?.kind {
        // An item of its own, whose members are not the hub's.
        BlockKind::ToolUse { .. } | BlockKind::Thinking { .. } | BlockKind::RedactedThinking(_) => {
            format!("input.{item}{rest}")
        }
        BlockKind::ToolResult { plain: true, .. } => format!("input.{item}.output"),
        BlockKind::ToolResult { .. } => format!("input.{item}{}", rest.replacen(".content", ".output", 1)),
        BlockKind::Opaque { .. } if first == block && message.role == Role::Assistant => {
            format!("input.{item}{rest}")
        }
        _ if message.plain => format!("input.{item}.content"),
        _ => format!("input.{item}.content.{}{rest}", block - first),
    })
}

/// The first block of each item that a turn was made of.
fn items(message: &Message) -> Vec<usize> {
    if message.role != Role::Assistant {
        return vec![0];
    }
    let mut items = Vec::new();
    let mut spoken = false;
    for (index, block) in message.content.iter().enumerate() {
        let begins = note(&block.extra, "item").is_some();
        let alone = matches!(
            block.kind,
            BlockKind::ToolUse { .. }
                | BlockKind::Thinking { .. }
                | BlockKind::RedactedThinking(_)
                | BlockKind::ToolResult { .. }
        );
        // Unknown items stand alone, unknown parts among the others of their message.
        let alone = alone || (matches!(block.kind, BlockKind::Opaque { .. }) && !spoken && !begins);
        if alone || begins || items.is_empty() {
            items.push(index);
        }
        spoken = !alone;
    }
    items
}

/// The place of an item among those that offer tools, which are no turns.
fn with_tools(chat: &Chat, mut item: usize) -> usize {
    let noted = note(&chat.extra, ADDITIONAL_TOOLS).and_then(Value::as_array);
    for tools in noted.into_iter().flatten() {
        let place = tools.get(0).and_then(Value::as_u64).and_then(|place| usize::try_from(place).ok());
        if place.is_some_and(|place| place <= item) {
            item += 1;
        }
    }
    item
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::openai::responses::inbound::decode_body;

    fn placed(body: &Value, paths: &[&str]) -> Vec<Option<String>> {
        let chat = decode_body(body.to_string().as_bytes()).expect("a good body");
        paths.iter().map(|path| place(&chat, path)).collect()
    }

    #[test]
    fn turns_are_told_as_the_items_they_were() {
        let body = json!({"model": "m", "instructions": "brief", "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]},
            {"type": "additional_tools", "role": "developer", "tools": []},
            {"type": "reasoning", "summary": [], "encrypted_content": "x"},
            {"type": "message", "role": "assistant", "content": [
                {"type": "output_text", "text": "c"}, {"type": "refusal", "refusal": "d"}]},
            {"role": "assistant", "content": "e"},
            {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
            {"type": "web_search_call", "id": "ws_1"},
            {"type": "function_call_output", "call_id": "1", "output": [{"type": "input_text", "text": "g"}]},
        ]});
        for (hub, own) in [
            ("system", "instructions"),
            ("messages.0.content.1.x", "input.0.content.1.x"),
            ("messages.0.role", "input.0.role"),
            ("messages.1.content.0", "input.2"),
            ("messages.1.content.1", "input.3.content.0"),
            ("messages.1.content.2", "input.3.content.1"),
            ("messages.1.content.3", "input.4.content.0"),
            ("messages.1.content.4.x", "input.5.x"),
            ("messages.1.content.5", "input.6"),
            ("messages.2.content.0.content.0", "input.7.output.0"),
        ] {
            assert_eq!(placed(&body, &[hub]), [Some(own.to_owned())], "{hub}");
        }
        assert_eq!(
            placed(&body, &["messages.1.content.9", "messages.9.role", "tools.0"]),
            [None, None, None]
        );
        assert_eq!(
            placed(&json!({"model": "m", "input": "hi"}), &["messages.0.content.0"]),
            [Some("input".into())]
        );
    }
}
