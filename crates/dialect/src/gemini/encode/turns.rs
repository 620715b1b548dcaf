//! The conversation → `systemInstruction` and `contents`.
//!
//! From another dialect: user and model take turns, results of tools stand in a content of
//! their own in the order of their calls (Gemini counts one against the other), blank text
//! is left out, instructions inside the conversation go as the user's words, marked.

use std::collections::HashMap;

use ::message::{Block, BlockKind, Chat, Failure, Message, Role};
use serde_json::{Map, Value};

use super::{Encoder, content, inner, member, refuse};
use crate::json::fields::note;

/// The calls of a conversation: id → place and name.
pub(super) type Calls<'a> = HashMap<&'a str, (usize, &'a str)>;

/// A content being gathered, of a conversation from elsewhere.
struct Turn {
    kind: Kind,
    parts: Vec<Value>,
    /// Of each result, the place of its call.
    places: Vec<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    User,
    Results,
    Model,
}

impl Encoder {
    /// Writes instructions and turns.
    pub(super) fn conversation(&mut self, chat: &Chat, body: &mut Map<String, Value>) -> Result<(), Failure> {
        let calls = calls(&chat.messages);
        let mut system = self.blocks("system", &chat.system, &calls)?;
        let contents = if self.home {
            self.at_home_contents(chat, &calls)?
        } else {
            let turns = self.turns(chat, &calls, &mut system)?;
            if turns.is_empty() {
                let why = "a Gemini model needs a message that is neither blank nor instructions";
                return Err(refuse("messages", why));
            }
            turns.into_iter().map(Turn::write).collect()
        };
        let noted = inner(&chat.extra, "systemInstruction");
        if noted.is_some() || !system.is_empty() {
            let instruction = content(system, noted.unwrap_or(&Map::new()));
            body.insert("systemInstruction".to_owned(), instruction.into());
        }
        let mut contents: Vec<Value> = contents;
        let contents = match note(&chat.extra, "contents") {
            Some(_) if contents.len() == 1 => contents.remove(0),
            _ => contents.into(),
        };
        body.insert("contents".to_owned(), contents);
        Ok(())
    }

    fn at_home_contents(&mut self, chat: &Chat, calls: &Calls<'_>) -> Result<Vec<Value>, Failure> {
        let mut contents = Vec::with_capacity(chat.messages.len());
        for (index, message) in chat.messages.iter().enumerate() {
            let at = format!("contents.{index}");
            let parts = self.blocks(&format!("{at}.parts"), &message.content, calls)?;
            let mut out = content(parts, &message.extra);
            let role = match message.role {
                Role::Assistant => "model",
                _ => "user",
            };
            match note(&message.extra, "role") {
                Some(Value::Null) => {}
                Some(spelt) => {
                    out.insert("role".to_owned(), spelt.clone());
                }
                None => {
                    out.insert("role".to_owned(), role.into());
                }
            }
            self.extra(|| at, &message.extra, &mut out);
            contents.push(out.into());
        }
        Ok(contents)
    }

    fn turns(
        &mut self,
        chat: &Chat,
        calls: &Calls<'_>,
        system: &mut Vec<Value>,
    ) -> Result<Vec<Turn>, Failure> {
        let mut turns: Vec<Turn> = Vec::new();
        for (index, message) in chat.messages.iter().enumerate() {
            let at = format!("messages.{index}");
            self.drop_extra(&at, &message.extra);
            let content_at = format!("{at}.content");
            match message.role {
                Role::System | Role::Developer if turns.is_empty() => {
                    system.extend(self.blocks(&content_at, &message.content, calls)?);
                }
                Role::System | Role::Developer => {
                    self.drop(
                        format!("{at}.role"),
                        "sent as the user's words, marked: Gemini has no instructions inside a conversation",
                    );
                    let parts = self.blocks(&content_at, &message.content, calls)?;
                    push(&mut turns, Kind::User, parts.into_iter().map(marked).collect());
                }
                Role::Assistant => {
                    let parts = self.blocks(&content_at, &message.content, calls)?;
                    push(&mut turns, Kind::Model, parts);
                }
                Role::User | Role::Tool => self.user(&content_at, &message.content, calls, &mut turns)?,
            }
        }
        Ok(turns)
    }

    /// A user's blocks: results first, what else is said behind them.
    fn user(
        &mut self,
        at: &str,
        blocks: &[Block],
        calls: &Calls<'_>,
        turns: &mut Vec<Turn>,
    ) -> Result<(), Failure> {
        let mut others = Vec::new();
        for (index, block) in blocks.iter().enumerate() {
            let at = format!("{at}.{index}");
            match &block.kind {
                BlockKind::ToolResult { id, .. } => {
                    let Some((place, name)) = calls.get(id.as_str()) else {
                        let why = "it answers a tool call that is not in the conversation";
                        return Err(refuse(at, why));
                    };
                    let (result, beside) = self.result(&at, block, name)?;
                    results(turns).add(*place, result);
                    others.extend(beside);
                }
                _ => others.extend(self.block(&at, block, None)?),
            }
        }
        push(turns, Kind::User, others);
        Ok(())
    }

    /// The parts of some blocks, each seal on the part behind it.
    fn blocks(&mut self, at: &str, blocks: &[Block], calls: &Calls<'_>) -> Result<Vec<Value>, Failure> {
        let mut parts = Vec::with_capacity(blocks.len());
        let mut seal: Option<String> = None;
        for (index, block) in blocks.iter().enumerate() {
            let at = format!("{at}.{index}");
            if let Some(own) = self.seal_alone(block) {
                parts.extend(seal.replace(own).map(sealed_nothing));
                continue;
            }
            if let BlockKind::ToolResult { id, .. } = &block.kind {
                let noted = inner(&block.extra, "functionResponse").and_then(|inner| note(inner, "name"));
                let name = noted.and_then(Value::as_str).or(calls.get(id.as_str()).map(|(_, name)| *name));
                let name = name.ok_or_else(|| refuse(at.as_str(), "it answers no tool call"))?;
                let (mut part, _) = self.result(&at, block, name)?;
                if let (Some(seal), Some(part)) = (seal.take(), part.as_object_mut()) {
                    part.insert("thoughtSignature".to_owned(), seal.into());
                }
                parts.push(part);
                continue;
            }
            let first_call = matches!(block.kind, BlockKind::ToolUse { .. })
                && !blocks[..index].iter().any(|earlier| matches!(earlier.kind, BlockKind::ToolUse { .. }));
            if seal.is_none() && first_call && !self.home && self.generation >= SEALED_SINCE {
                seal = Some(UNSEALED.to_owned());
            }
            let before = parts.len();
            parts.extend(self.block(&at, block, seal.take())?);
            debug_assert!(parts.len() <= before + 2);
        }
        parts.extend(seal.map(sealed_nothing));
        Ok(parts)
    }
}

/// The generation since which the first call of a turn must bear a seal.
const SEALED_SINCE: u32 = 3;

/// What Google's guide to thought signatures says to send for calls that no Gemini made.
const UNSEALED: &str = "skip_thought_signature_validator";

/// A seal behind which nothing came: Gemini itself ends streams so.
fn sealed_nothing(seal: String) -> Value {
    serde_json::json!({"text": "", "thoughtSignature": seal})
}

fn calls(messages: &[Message]) -> Calls<'_> {
    let blocks = messages.iter().flat_map(|message| &message.content);
    let names = blocks.filter_map(|block| match &block.kind {
        BlockKind::ToolUse { id, name, .. } => Some((id.as_str(), name.as_str())),
        _ => None,
    });
    names.enumerate().map(|(place, (id, name))| (id, (place, name))).collect()
}

/// Adds to the last turn if it is of the same kind, else begins one.
fn push(turns: &mut Vec<Turn>, kind: Kind, parts: Vec<Value>) {
    match turns.last_mut() {
        _ if parts.is_empty() => {}
        Some(turn) if turn.kind == kind => turn.parts.extend(parts),
        _ => turns.push(Turn { kind, parts, places: Vec::new() }),
    }
}

/// The results since the model last spoke, also where something was said in between.
fn results(turns: &mut Vec<Turn>) -> &mut Turn {
    let since = turns.iter().rposition(|turn| turn.kind == Kind::Model).map_or(0, |place| place + 1);
    let place = turns[since..].iter().position(|turn| turn.kind == Kind::Results);
    let place = place.map_or(since, |place| since + place);
    if turns.get(place).is_none_or(|turn| turn.kind != Kind::Results) {
        turns.insert(place, Turn { kind: Kind::Results, parts: Vec::new(), places: Vec::new() });
    }
    &mut turns[place]
}

/// Instructions among what the user says.
fn marked(part: Value) -> Value {
    match part.get("text").and_then(Value::as_str) {
        Some(text) => member("text", format!("<system>\n{text}\n</system>")),
        None => part,
    }
}

impl Turn {
    /// A result, where its call's place puts it.
    fn add(&mut self, place: usize, result: Value) {
        let at = self.places.partition_point(|earlier| *earlier <= place);
        self.places.insert(at, place);
        self.parts.insert(at, result);
    }

    fn write(self) -> Value {
        let role = if self.kind == Kind::Model { "model" } else { "user" };
        serde_json::json!({"role": role, "parts": self.parts})
    }
}
