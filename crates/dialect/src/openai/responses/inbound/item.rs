//! `input` → turns.
//!
//! Items are flat; a turn of the hub holds all that the model said before somebody else
//! spoke, so neighbouring items of the model become blocks of one turn. The first block
//! of each `message` item has a note of what its item said beside the content, which is
//! how `encode` finds the items again.

use message::{Block, BlockKind, Chat, Dialect, Dropped, Extra, Failure, Message, Role, Sealer, ToolOrigin};
use serde_json::{Value, json};

use super::part;
use super::tool::flat_name;
use crate::openai::custom;
use crate::openai::fields::{At, Fields};
use crate::openai::responses::stored::COMPACTION;
use crate::openai::responses::{ANTHROPIC_SEAL, REDACTED};
use crate::openai::spelling::seal;

/// An item that offers tools (newer Codex models get all of theirs so): they join the
/// others, and the item is noted with its place.
pub(in crate::openai::responses) const ADDITIONAL_TOOLS: &str = "additional_tools";

/// Fields of items that say which item it is or how far it got: nothing a model reads.
pub(in crate::openai::responses) const BOOKKEEPING: [&str; 6] =
    ["id", "status", "type", "phase", "created_by", "caller"];

/// Decodes `input`.
pub(super) fn conversation(
    fields: &mut Fields<'_>,
    chat: &mut Chat,
    notes: &mut Extra,
) -> Result<(), Failure> {
    let at = fields.at;
    let at = at.field("input");
    match fields.take("input") {
        None => {}
        Some(Value::String(text)) => {
            notes.insert("input".to_owned(), true.into());
            chat.messages.push(Message::text(Role::User, text));
        }
        Some(Value::Array(items)) => {
            let mut tools = Vec::new();
            for (index, value) in items.into_iter().enumerate() {
                if value.get("type").is_some_and(|kind| kind == ADDITIONAL_TOOLS) {
                    super::tool::additional(at.item(index), &value, index, chat)?;
                    tools.push(json!([index, value]));
                } else {
                    item(at.item(index), value, chat)?;
                }
            }
            if chat.messages.is_empty() && tools.is_empty() {
                notes.insert("empty input".to_owned(), true.into());
            }
            if !tools.is_empty() {
                notes.insert(ADDITIONAL_TOOLS.to_owned(), tools.into());
            }
        }
        Some(other) => return Err(at.expected("a string or an array of items", &other)),
    }
    Ok(())
}

fn item(at: At<'_>, value: Value, chat: &mut Chat) -> Result<(), Failure> {
    let mut fields = Fields::of(at, value)?;
    let kind = match fields.peek("type") {
        Some(Value::String(kind)) => kind.clone(),
        None | Some(Value::Null) if fields.has("role") => "message".to_owned(),
        None | Some(Value::Null) => "item_reference".to_owned(),
        Some(other) => return Err(at.field("type").expected("a string", other)),
    };
    match kind.as_str() {
        "message" => message(fields, chat),
        "function_call" => call(fields, chat, "arguments", Extra::new()),
        "custom_tool_call" => call(fields, chat, "input", note("custom", true.into())),
        "reasoning" => {
            let (block, notes) = reasoning(&mut fields)?;
            said_by_model(chat, block, fields, notes);
            Ok(())
        }
        "function_call_output" => output(fields, chat, Extra::new()),
        "custom_tool_call_output" => output(fields, chat, note("custom", true.into())),
        _ => {
            if let (COMPACTION_ITEM, Some(summary)) = (kind.as_str(), summary(&fields)) {
                let notes = note(COMPACTION_ITEM, fields.peek("id").cloned().unwrap_or_default());
                let message =
                    Message { extra: seal(Extra::new(), notes), ..Message::text(Role::User, summary) };
                chat.messages.push(message);
                return Ok(());
            }
            if kind == "item_reference" {
                let path = at.to_string();
                chat.essential
                    .push(Dropped { path, why: "the item is kept by the vendor; send the item itself" });
            }
            let kind = BlockKind::Opaque { dialect: Dialect::OpenAiResponses, value: fields.rest().into() };
            models_turn(chat).content.push(Block::new(kind));
            Ok(())
        }
    }
}

/// An earlier conversation in short. The service's own is sealed, ours is not.
const COMPACTION_ITEM: &str = "compaction";

/// The summary in a compaction that was made here.
fn summary(fields: &Fields<'_>) -> Option<String> {
    let sealed = fields.peek("encrypted_content")?.as_str()?;
    Some(sealed.strip_prefix(COMPACTION)?.to_owned())
}

fn note(name: &str, value: Value) -> Extra {
    Extra::from_iter([(name.to_owned(), value)])
}

/// Moves the bookkeeping to the notes.
fn keep_books(fields: &mut Fields<'_>, notes: &mut Extra) {
    for name in BOOKKEEPING {
        if let Some(value) = fields.take_any(name) {
            notes.insert(name.to_owned(), value);
        }
    }
}

/// The turn of the model that is under way, or a new one.
fn models_turn(chat: &mut Chat) -> &mut Message {
    if chat.messages.last().is_none_or(|last| last.role != Role::Assistant) {
        let (content, plain) = (Vec::new(), false);
        chat.messages.push(Message { role: Role::Assistant, content, plain, extra: Extra::new() });
    }
    chat.messages.last_mut().expect("one has just been made if there was none")
}

fn said_by_model(chat: &mut Chat, kind: BlockKind, mut fields: Fields<'_>, mut notes: Extra) {
    keep_books(&mut fields, &mut notes);
    let extra = seal(fields.rest(), notes);
    models_turn(chat).content.push(Block { extra, ..Block::new(kind) });
}

fn message(mut fields: Fields<'_>, chat: &mut Chat) -> Result<(), Failure> {
    let at = fields.at;
    let role = fields.required_string("role")?;
    let role = match role.as_str() {
        "user" => Role::User,
        "system" => Role::System,
        "developer" => Role::Developer,
        "assistant" => Role::Assistant,
        _ => return Err(at.field("role").fault("expected `user`, `assistant`, `system` or `developer`")),
    };
    if !fields.has("content") {
        return Err(fields.missing("content"));
    }
    let (mut content, plain) = part::content(&mut fields, "content")?;
    let mut notes = Extra::new();
    keep_books(&mut fields, &mut notes);
    if role != Role::Assistant {
        let extra = seal(fields.rest(), notes);
        chat.messages.push(Message { role, content, plain, extra });
        return Ok(());
    }
    // Several items may share a turn: what is the item's own stands on its first block.
    if plain {
        notes.insert("plain".to_owned(), true.into());
    }
    let rest = fields.rest();
    if content.is_empty() {
        notes.insert("empty".to_owned(), true.into());
        content.push(Block::text(""));
    }
    if !rest.is_empty() {
        notes.insert("rest".to_owned(), rest.into());
    }
    let first = content.first_mut().expect("an empty one has just been given a block");
    let own = std::mem::take(&mut first.extra);
    first.extra = with_note(own, "item", notes.into());
    models_turn(chat).content.append(&mut content);
    Ok(())
}

/// Adds a note to what may already have some.
fn with_note(mut extra: Extra, name: &str, value: Value) -> Extra {
    let notes = extra.entry(message::SPELLING).or_insert_with(|| Value::Object(Extra::new()));
    if let Value::Object(notes) = notes {
        notes.insert(name.to_owned(), value);
    }
    extra
}

/// A call of a function, or of a custom tool, whose `input` is free text.
fn call(
    mut fields: Fields<'_>,
    chat: &mut Chat,
    input: &'static str,
    mut notes: Extra,
) -> Result<(), Failure> {
    let id = fields.required_string("call_id")?;
    let mut name = fields.required_string("name")?;
    if let Some(namespace) = fields.string("namespace")? {
        let flat = flat_name(&namespace, &name);
        // The flat name alone cannot be parted again.
        notes.insert("namespace".to_owned(), vec![namespace, name].into());
        name = flat;
    }
    let text = fields.required_string(input)?;
    let input = if input == "input" { custom::wrap(&text) } else { text };
    let kind = BlockKind::ToolUse { id, name, input, origin: ToolOrigin::Client };
    said_by_model(chat, kind, fields, notes);
    Ok(())
}

/// The block, and how its text was written.
fn reasoning(fields: &mut Fields<'_>) -> Result<(BlockKind, Extra), Failure> {
    let mut notes = Extra::new();
    let mut texts = Vec::new();
    for name in ["summary", "content"] {
        let Some(value) = fields.take_any(name) else { continue };
        let parts = value.as_array().into_iter().flatten();
        texts.extend(parts.filter_map(|part| Some(part.get("text")?.as_str()?.to_owned())));
        notes.insert(name.to_owned(), value);
    }
    let text = texts.join("\n\n");
    notes.insert("text".to_owned(), text.clone().into());
    let Some(travelled) = fields.string("encrypted_content")? else {
        return Ok((BlockKind::Thinking { text, signature: None }, notes));
    };
    if let Some(data) = travelled.strip_prefix(REDACTED) {
        return Ok((BlockKind::RedactedThinking(data.to_owned()), notes));
    }
    let signature = match travelled.strip_prefix(ANTHROPIC_SEAL) {
        Some(seal) => Sealer::Anthropic.tag(seal),
        None if Sealer::read(&travelled).0 == Sealer::Gemini => travelled,
        None => Sealer::OpenAi.tag(&travelled),
    };
    Ok((BlockKind::Thinking { text, signature: Some(signature) }, notes))
}

fn output(mut fields: Fields<'_>, chat: &mut Chat, mut notes: Extra) -> Result<(), Failure> {
    let id = fields.required_string("call_id")?;
    if !fields.has("output") {
        return Err(fields.missing("output"));
    }
    let (content, plain) = part::content(&mut fields, "output")?;
    keep_books(&mut fields, &mut notes);
    let kind = BlockKind::ToolResult { id, content, plain, is_error: None };
    let block = Block { extra: seal(fields.rest(), notes), ..Block::new(kind) };
    chat.messages.push(Message { role: Role::Tool, content: vec![block], plain: false, extra: Extra::new() });
    Ok(())
}
