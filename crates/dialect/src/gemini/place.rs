//! Where something stands in a body of this dialect: the hub's turns, blocks and tools
//! back to contents, parts and declarations.

use message::{BlockKind, Chat, ToolKind};
use serde_json::Value;

use crate::json::fields::note;
use crate::told::Place;

/// The client's own path for the hub's; `None` if it leads nowhere.
pub(crate) fn place(chat: &Chat, path: &str) -> Option<String> {
    if let Some(tool) = path.strip_prefix("tools.") {
        let (index, rest) =
            tool.split_once('.').map_or((tool, ""), |(index, _)| (index, &tool[index.len()..]));
        return Some(format!("{}{rest}", declaration(chat, index.parse().ok()?)?));
    }
    let Place { turn, block, rest } = Place::of(path)?;
    let (turn, blocks) = match turn {
        None => ("systemInstruction".to_owned(), &chat.system),
        Some(turn) => (format!("contents.{turn}"), &chat.messages.get(turn)?.content),
    };
    let Some(block) = block else { return Some(format!("{turn}{rest}")) };
    // A seal is a block of its own here, and a member of the part behind it there.
    let is_seal = |kind: &BlockKind, noted: bool| matches!(kind, BlockKind::Thinking { text, signature: Some(_) } if text.is_empty() && !noted);
    let sealed = |at: &message::Block| is_seal(&at.kind, note(&at.extra, "thought").is_some());
    let part = blocks.get(..block)?.iter().filter(|block| !sealed(block)).count();
    let seal = if sealed(blocks.get(block)?) { ".thoughtSignature" } else { "" };
    Some(format!("{turn}.parts.{part}{seal}{rest}"))
}

/// Where a tool was declared: by its name, since only some of those declared may be allowed.
fn declaration(chat: &Chat, index: usize) -> Option<String> {
    let tool = chat.tools.get(index)?;
    let offered = note(&chat.extra, "tools")?.as_array()?;
    offered.iter().enumerate().find_map(|(place, one)| match &tool.kind {
        ToolKind::Function { .. } => {
            let all = one.get("functionDeclarations").or_else(|| one.get("function_declarations"))?;
            let names = |declared: &Value| declared.get("name").and_then(Value::as_str) == Some(&tool.name);
            let declared = all.as_array()?.iter().position(names)?;
            Some(format!("tools.{place}.functionDeclarations.{declared}"))
        }
        ToolKind::Opaque(_) => one.get(&tool.name).map(|_| format!("tools.{place}.{}", tool.name)),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::gemini::inbound::decode_body;

    #[test]
    fn blocks_are_told_as_the_parts_they_were() {
        let declared = |name: &str| json!({"name": name});
        let body = json!({
            "systemInstruction": {"parts": [{"text": "brief"}]},
            "contents": [{"role": "model", "parts": [
                {"text": "hm", "thought": true},
                {"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "c2VhbA=="},
                {"executableCode": {"code": "1"}},
            ]}],
            "tools": [{"googleSearch": {}}, {"functionDeclarations": [declared("f"), declared("g")]}],
        });
        let chat = decode_body(body.to_string().as_bytes()).expect("a good body");
        for (hub, own) in [
            ("system.0", "systemInstruction.parts.0"),
            ("messages.0.content.0", "contents.0.parts.0"),
            ("messages.0.content.1", "contents.0.parts.1.thoughtSignature"),
            ("messages.0.content.2.x", "contents.0.parts.1.x"),
            ("messages.0.content.3", "contents.0.parts.2"),
            ("messages.0.role", "contents.0.role"),
            ("tools.0", "tools.0.googleSearch"),
            ("tools.2.strict", "tools.1.functionDeclarations.1.strict"),
        ] {
            assert_eq!(place(&chat, hub).as_deref(), Some(own), "{hub}");
        }
        for nowhere in ["messages.0.content.9", "messages.7.role", "tools.9", "tools.x", "stop"] {
            assert_eq!(place(&chat, nowhere), None, "{nowhere}");
        }
    }
}
