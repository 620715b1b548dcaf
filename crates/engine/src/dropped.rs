//! What of a call means nothing to a model served here: read beside the request, told to
//! the caller in `x-outcrop-dropped`, refused if the call is strict.
//!
//! What an answer would be wrong without is no loss but an error, and belongs to `request`.

use std::fmt::Arguments;

use message::{Block, BlockKind, Chat, Dialect, Dropped, Extra, SearchResult, said};

use crate::template::wants_thinking;

/// Most losses told to the caller: they travel in a header.
const MAX_DROPPED: usize = 32;

const UNKNOWN: &str = "unknown to models served here";
const THINKS_NOT: &str = "this model was not taught to think before it answers";
const SEALED: &str = "only its maker can read it";
const CACHES_NOT: &str = "models served here cannot be asked to cache";

/// Everything that is left out for a model that `thinks`, or does not; at most 32.
pub(crate) fn read(chat: &Chat, thinks: bool) -> Vec<Dropped> {
    let cache = if chat.home == Dialect::BedrockConverse { "cachePoint" } else { "cache_control" };
    let mut losses = Losses { told: Vec::new(), cache };
    let read = &chat.sampling.extensions.read;
    for name in said(&chat.extra).filter(|name| !read.iter().any(|read| read == name)) {
        losses.push(name.to_owned(), UNKNOWN);
    }
    if !thinks && wants_thinking(chat) == Some(true) {
        losses.push("reasoning".to_owned(), THINKS_NOT);
    }
    losses.blocks(format_args!("system"), &chat.system);
    for (at, message) in chat.messages.iter().enumerate() {
        losses.fields(format_args!("messages.{at}."), &message.extra);
        losses.blocks(format_args!("messages.{at}.content"), &message.content);
    }
    for (at, tool) in chat.tools.iter().enumerate() {
        losses.fields(format_args!("tools.{at}."), &tool.extra);
        if tool.cache.is_some() {
            losses.push(format!("tools.{at}.{cache}"), CACHES_NOT);
        }
    }
    losses.told
}

struct Losses {
    told: Vec<Dropped>,
    /// What the client calls a cache marker.
    cache: &'static str,
}

impl Losses {
    fn push(&mut self, path: String, why: &'static str) {
        if self.told.len() < MAX_DROPPED {
            self.told.push(Dropped { path, why });
        }
    }

    /// Names are only written out for what is lost: most calls lose nothing.
    fn fields(&mut self, parent: Arguments<'_>, extra: &Extra) {
        said(extra).for_each(|name| self.push(format!("{parent}{name}"), UNKNOWN));
    }

    fn blocks(&mut self, parent: Arguments<'_>, blocks: &[Block]) {
        for (at, block) in blocks.iter().enumerate() {
            let path = format_args!("{parent}.{at}");
            self.fields(format_args!("{path}."), &block.extra);
            block.citing().for_each(|name| self.push(format!("{path}.{name}"), UNKNOWN));
            match &block.kind {
                BlockKind::RedactedThinking(_) => self.push(path.to_string(), SEALED),
                BlockKind::SearchResult(_) => self.push(path.to_string(), SearchResult::AS_TEXT),
                BlockKind::ToolResult { content, .. } => self.blocks(format_args!("{path}.content"), content),
                _ => {}
            }
            if block.cache.is_some() {
                self.push(format!("{path}.{}", self.cache), CACHES_NOT);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use message::{CacheMarker, Message, Reasoning, Role, Tool, ToolKind};
    use serde_json::json;

    use super::*;

    fn tool() -> Tool {
        let kind = ToolKind::Function { schema: None };
        let mut extra = Extra::new();
        extra.insert("eager".to_owned(), true.into());
        let cache = Some(CacheMarker::default());
        Tool { name: "t".to_owned(), description: None, kind, strict: None, cache, extra }
    }

    #[test]
    fn losses_are_named_wherever_they_stand() {
        let mut chat = Chat::new(Dialect::Anthropic);
        chat.extra.insert("metadata".to_owned(), json!({"team": "a"}));
        chat.reasoning = Some(Reasoning { enabled: Some(true), ..Reasoning::default() });
        let mut cached = Block::text("Be brief.");
        cached.cache = Some(CacheMarker::default());
        chat.system.push(cached.clone());
        let sealed = Block::new(BlockKind::RedactedThinking("x".to_owned()));
        cached.extra.insert("citations".to_owned(), json!([1]));
        let result =
            BlockKind::ToolResult { id: "1".to_owned(), content: vec![cached], plain: false, is_error: None };
        let content = vec![sealed, Block::new(result)];
        chat.messages.push(Message { role: Role::User, content, plain: false, extra: Extra::new() });
        chat.tools = vec![tool()];
        let told = |thinks| {
            let paths = read(&chat, thinks).into_iter().map(|Dropped { path, .. }| path);
            paths.collect::<Vec<_>>().join(" ")
        };
        let rest = "system.0.cache_control messages.0.content.0 messages.0.content.1.content.0.citations \
                    messages.0.content.1.content.0.cache_control tools.0.eager tools.0.cache_control";
        assert_eq!(told(true), format!("metadata {rest}"));
        assert_eq!(told(false), format!("metadata reasoning {rest}"));
    }

    #[test]
    fn nothing_can_be_cited() {
        let mut chat = Chat::new(Dialect::Anthropic);
        let found = SearchResult { source: "s".into(), title: "t".into(), content: vec![], citations: None };
        let media =
            message::Media { media_type: None, name: None, source: message::MediaSource::Text("a".into()) };
        let file = message::Document { media, context: Some("old".into()), citations: Some(true) };
        let content = vec![Block::new(BlockKind::SearchResult(found)), Block::new(BlockKind::Document(file))];
        chat.messages.push(Message { role: Role::User, content, plain: false, extra: Extra::new() });
        let told = read(&chat, true).into_iter().map(|Dropped { path, why }| format!("{path}: {why}"));
        assert_eq!(
            told.collect::<Vec<_>>(),
            [
                "messages.0.content.0: sent as text, which the answer cannot cite",
                "messages.0.content.1.context: unknown to models served here",
                "messages.0.content.1.citations: unknown to models served here",
            ]
        );
    }

    #[test]
    fn a_header_is_not_filled_without_bound() {
        let mut chat = Chat::new(Dialect::Anthropic);
        chat.tools = vec![tool(); 100];
        assert_eq!(read(&chat, true).len(), MAX_DROPPED);
    }
}
