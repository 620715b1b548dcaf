//! The conversation of another dialect → turns as Converse wants them: instructions in
//! the system prompt, tool results in user turns, user and assistant taking turns,
//! nothing blank, ids and names of allowed characters, files by their bytes.
//!
//! Blocks keep their order and are never merged: a signed thinking block is only valid
//! where it stood. Constraints as the service states them in its 400s and as the service
//! model of botocore 1.44.5 has them (read 2026-11-22).

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use message::{
    Block, BlockKind, CacheMarker, Chat, Dialect, Document, Extra, Failure, Media, MediaSource, Message,
    Role, Sealer, SearchResult, ToolOrigin,
};

use super::adapt::{Losses, is_blank, refuse};
use super::family::Family;
use super::media::Medium;
use super::names::{document_name, tool_name, tool_use_id};
use super::whole::tool_input;
use super::wire::At;

/// What a tool that answered nothing is said to have answered: an empty result is refused.
const NOTHING: &str = "(no output)";

/// Writes the system prompt and the turns of `chat` into `adapted`.
///
/// # Errors
/// [`Unsupported`](message::ErrorKind::Unsupported) for content whose loss would make the
/// answer wrong; [`InvalidRequest`](message::ErrorKind::InvalidRequest) for a conversation
/// that begins with the model's turn.
pub(super) fn adapt(
    chat: &Chat,
    family: Family,
    adapted: &mut Chat,
    losses: &mut Losses,
) -> Result<(), Failure> {
    let mut adapter = Adapter { family, losses, documents: HashSet::new() };
    adapter.instruct(&mut adapted.system, &chat.system, At::Body.key("system"))?;
    let turns = &mut adapted.messages;
    let list = At::Body.key("messages");
    for (index, message) in chat.messages.iter().enumerate() {
        let at = list.index(index);
        adapter.losses.extra(&message.extra, at);
        let role = match message.role {
            Role::System | Role::Developer if turns.is_empty() => {
                adapter.instruct(&mut adapted.system, &message.content, at.key("content"))?;
                continue;
            }
            Role::System | Role::Developer if family.takes_system_turns() => Role::System,
            // Moved to the front it would spoil the prompt cache, and come too early.
            Role::System | Role::Developer => {
                adapter.losses.note(at.key("role"), "it was sent as the user's, in its place");
                Role::User
            }
            Role::User | Role::Tool => Role::User,
            Role::Assistant => Role::Assistant,
        };
        append(turns, role, adapter.blocks(&message.content, at.key("content"))?);
    }
    match turns.first().map(|turn| turn.role) {
        Some(Role::User) => {}
        Some(_) => {
            return Err(Failure::invalid_field(
                "messages",
                "A conversation must start with a user message. This model's server takes no other",
            ));
        }
        None => return Err(refuse(list, "the model needs a message that is neither blank nor instructions")),
    }
    finish(turns);
    Ok(())
}

/// A marker as the family takes it, if it does.
pub(super) fn fit_marker(cache: &mut Option<CacheMarker>, family: Family, at: At<'_>, losses: &mut Losses) {
    let Some(marker) = cache else { return };
    if !family.caches() {
        losses.note(at.key("cache_control"), "this model has no prompt cache that can be marked");
        *cache = None;
    } else if marker.ttl.as_deref().is_some_and(|ttl| ttl != "5m") && !family.takes_ttl() {
        losses.note(at.key("cache_control").key("ttl"), "this model caches for five minutes");
        marker.ttl = None;
    } else if !family.takes_ttl() {
        marker.ttl = None;
    }
}

/// Adds to the last turn if it is the same speaker's, else begins one.
fn append(turns: &mut Vec<Message>, role: Role, content: Vec<Block>) {
    match turns.last_mut() {
        _ if content.is_empty() => {}
        Some(turn) if turn.role == role => turn.content.extend(content),
        _ => turns.push(Message { role, content, plain: false, extra: Extra::new() }),
    }
}

fn finish(turns: &mut [Message]) {
    for turn in turns.iter_mut().filter(|turn| turn.role == Role::User) {
        // Results must come before anything else that is said with them.
        turn.content.sort_by_key(|block| !matches!(block.kind, BlockKind::ToolResult { .. }));
        // A document is refused without a word about it.
        let name = turn.content.iter().find_map(|block| match &block.kind {
            BlockKind::Document(document) => document.media.name.clone(),
            _ => None,
        });
        if let Some(name) = name.filter(|_| !turn.content.iter().any(|block| block.as_text().is_some())) {
            turn.content.push(Block::text(name));
        }
    }
    // A last assistant turn is a beginning for the model to go on from, and may not end in white space.
    if let Some(Message { role: Role::Assistant, content, .. }) = turns.last_mut()
        && let Some(Block { kind: BlockKind::Text(text), .. }) = content.last_mut()
    {
        text.truncate(text.trim_end().len());
    }
}

struct Adapter<'a> {
    family: Family,
    losses: &'a mut Losses,
    /// Names of documents that have been given out.
    documents: HashSet<String>,
}

impl Adapter<'_> {
    /// Adds instructions to the system prompt, which holds text only.
    fn instruct(&mut self, system: &mut Vec<Block>, content: &[Block], at: At<'_>) -> Result<(), Failure> {
        for (index, block) in self.blocks(content, at)?.into_iter().enumerate() {
            if block.as_text().is_some() {
                system.push(block);
            } else {
                self.losses.note(at.index(index), "Converse's system prompt holds text only");
            }
        }
        Ok(())
    }

    fn blocks(&mut self, content: &[Block], at: At<'_>) -> Result<Vec<Block>, Failure> {
        let mut adapted: Vec<Block> = Vec::with_capacity(content.len());
        for (index, item) in content.iter().enumerate() {
            let at = at.index(index);
            let mut cache = item.cache.clone().or_else(|| inner_marker(item));
            fit_marker(&mut cache, self.family, at, self.losses);
            match self.block(item, at)? {
                Some(kind) => {
                    self.losses.extra(&item.extra, at);
                    adapted.push(Block { cache, citations: item.citations.clone(), ..Block::new(kind) });
                }
                // The mark of what is not sent falls to what stands before it.
                None => {
                    if let Some(last) = adapted.last_mut() {
                        last.cache = last.cache.take().or(cache);
                    }
                }
            }
        }
        Ok(adapted)
    }

    /// One block; `None` if it says nothing, or was noted as lost.
    fn block(&mut self, block: &Block, at: At<'_>) -> Result<Option<BlockKind>, Failure> {
        Ok(Some(match &block.kind {
            BlockKind::Text(_) if is_blank(block) => return Ok(None),
            BlockKind::Text(text) | BlockKind::Refusal(text) => BlockKind::Text(text.clone()),
            BlockKind::Image(media) => BlockKind::Image(file(media, Medium::Image, at)?),
            BlockKind::Audio(media) => BlockKind::Audio(file(media, Medium::Audio, at)?),
            BlockKind::Video(media) => BlockKind::Video(file(media, Medium::Video, at)?),
            BlockKind::Document(Document { media, context, citations }) => match document(media, at)? {
                Some(media) => {
                    let name = document_name(media.name.as_deref(), &mut self.documents);
                    BlockKind::Document(Document {
                        media: Media { name: Some(name), ..media },
                        context: context.clone().filter(|context| !context.is_empty()),
                        // Not to be cited is how this dialect understands silence.
                        citations: citations.filter(|wanted| *wanted),
                    })
                }
                None => return Ok(None),
            },
            BlockKind::SearchResult(result) => self.search_result(result, at),
            BlockKind::ToolUse { id, name, input, origin: ToolOrigin::Client } => BlockKind::ToolUse {
                id: tool_use_id(id).into_owned(),
                name: tool_name(name).into_owned(),
                input: tool_input(input.clone()).to_string(),
                origin: ToolOrigin::Client,
            },
            BlockKind::ToolUse { origin: ToolOrigin::Server, .. } => {
                self.losses.note(at, "a tool call that only its own vendor understands");
                return Ok(None);
            }
            BlockKind::ToolResult { id, content, is_error, .. } => {
                self.tool_result(id, content, *is_error, at)?
            }
            BlockKind::Thinking { text, signature } => {
                return Ok(self.thinking(text, signature.as_deref(), at));
            }
            BlockKind::RedactedThinking(data) => match Sealer::read(data) {
                (Sealer::Anthropic, seal) if self.family.takes_seals() => {
                    BlockKind::RedactedThinking(seal.to_owned())
                }
                _ => {
                    self.losses.note(at, "thinking that another vendor sealed");
                    return Ok(None);
                }
            },
            BlockKind::Opaque { dialect: Dialect::BedrockConverse, .. } => block.kind.clone(),
            BlockKind::Opaque { .. } => {
                self.losses.note(at, "content that only its own vendor understands");
                return Ok(None);
            }
        }))
    }

    fn search_result(&mut self, result: &SearchResult, at: At<'_>) -> BlockKind {
        if !self.family.takes_search_results() {
            self.losses.note(at, SearchResult::AS_TEXT);
            return BlockKind::Text(result.to_text());
        }
        let pieces = result.content.iter().filter(|piece| !is_blank(piece));
        let content: Vec<Block> = pieces.filter_map(Block::as_text).map(Block::text).collect();
        // It is refused without a word in it.
        if content.is_empty() {
            return BlockKind::Text(result.to_text());
        }
        let citations = result.citations.filter(|wanted| *wanted);
        BlockKind::SearchResult(SearchResult { content, citations, ..result.clone() })
    }

    /// Reasoning is only good where it was sealed: with Claude, wherever that runs.
    fn thinking(&mut self, text: &str, signature: Option<&str>, at: At<'_>) -> Option<BlockKind> {
        match signature.map(Sealer::read) {
            Some((Sealer::Anthropic, seal)) if self.family.takes_seals() => {
                Some(BlockKind::Thinking { text: text.to_owned(), signature: Some(seal.to_owned()) })
            }
            Some((Sealer::Anthropic, _)) => {
                self.losses.note(at, "thinking that only Claude takes back");
                None
            }
            // Another vendor's seal on a block of its own says nothing here.
            Some(_) if text.is_empty() => None,
            Some(_) | None => {
                self.losses.note(at, "thinking that this model did not sign");
                None
            }
        }
    }

    fn tool_result(
        &mut self,
        id: &str,
        content: &[Block],
        is_error: Option<bool>,
        at: At<'_>,
    ) -> Result<BlockKind, Failure> {
        let list = at.key("content");
        let mut adapted = Vec::with_capacity(content.len().max(1));
        for (index, mut block) in self.blocks(content, list)?.into_iter().enumerate() {
            // Marks stand behind the result, not in it.
            block.cache = None;
            match block.kind {
                BlockKind::Text(_)
                | BlockKind::Image(_)
                | BlockKind::Document(_)
                | BlockKind::SearchResult(_)
                | BlockKind::Video(_) => adapted.push(block),
                _ => self.losses.note(list.index(index), "Converse's tool results cannot hold it"),
            }
        }
        if adapted.is_empty() {
            adapted.push(Block::text(NOTHING));
        }
        let is_error = is_error.filter(|failed| *failed);
        if is_error.is_some() && !self.family.takes_tool_status() {
            self.losses.note(at.key("is_error"), "this model is not told whether a tool failed");
        }
        Ok(BlockKind::ToolResult {
            id: tool_use_id(id).into_owned(),
            content: adapted,
            plain: false,
            is_error: is_error.filter(|_| self.family.takes_tool_status()),
        })
    }
}

/// The last marker inside a tool result.
fn inner_marker(block: &Block) -> Option<CacheMarker> {
    match &block.kind {
        BlockKind::ToolResult { content, .. } => content.iter().rev().find_map(|inner| inner.cache.clone()),
        _ => None,
    }
}

/// An image, sound or film: its bytes, or where it lies in S3.
fn file(media: &Media, medium: Medium, at: At<'_>) -> Result<Media, Failure> {
    let sniffed = || match (&media.source, medium) {
        (MediaSource::Base64(data), Medium::Image) => sniff(data),
        _ => None,
    };
    let media_type = media.media_type.as_deref().map(plain_type).or_else(sniffed);
    let known = media_type.filter(|media_type| medium.format(media_type).is_some());
    let Some(media_type) = known else {
        return Err(refuse(at, "Bedrock does not take this format, or it is not said which it is"));
    };
    Ok(Media { media_type: Some(media_type.to_owned()), name: None, source: source(&media.source, at)? })
}

fn source(source: &MediaSource, at: At<'_>) -> Result<MediaSource, Failure> {
    match source {
        MediaSource::Base64(data) if data.is_empty() => Err(refuse(at, "the file is empty")),
        MediaSource::Base64(_) => Ok(source.clone()),
        MediaSource::Url(url) if url.starts_with("s3://") => Ok(source.clone()),
        MediaSource::Reference(place) if place.get("s3Location").is_some() => Ok(source.clone()),
        MediaSource::Text(_) | MediaSource::Url(_) | MediaSource::Reference(_) => {
            Err(refuse(at, "the file lies where Bedrock cannot read it; send its bytes, or an s3:// address"))
        }
    }
}

/// A document by its bytes, which every model that reads documents takes; `None` if it is
/// a blank text.
fn document(media: &Media, at: At<'_>) -> Result<Option<Media>, Failure> {
    const TEXT: &str = "text/plain";
    let media_type = media.media_type.as_deref().map(plain_type);
    let text = |media_type: Option<&str>| match media_type {
        Some(known) if Medium::Document.format(known).is_some() => known.to_owned(),
        _ => TEXT.to_owned(),
    };
    let (media_type, source) = match &media.source {
        MediaSource::Text(words) if words.trim().is_empty() => return Ok(None),
        MediaSource::Text(words) => (text(media_type), MediaSource::Base64(BASE64.encode(words))),
        other => {
            let media_type = match media_type {
                Some(known) if Medium::Document.format(known).is_some() => known.to_owned(),
                // Any text reads as text.
                Some(words)
                    if words.starts_with("text/")
                        || matches!(words, "application/json" | "application/xml") =>
                {
                    TEXT.to_owned()
                }
                None if matches!(other, MediaSource::Base64(data) if data.starts_with("JVBERi")) => {
                    "application/pdf".to_owned()
                }
                _ => {
                    return Err(refuse(
                        at,
                        "Bedrock does not read documents of this type, or it is not said which it is",
                    ));
                }
            };
            (media_type, source(other, at)?)
        }
    };
    Ok(Some(Media { media_type: Some(media_type), name: media.name.clone(), source }))
}

/// A media type without its parameters.
fn plain_type(media_type: &str) -> &str {
    match media_type.split(';').next().unwrap_or_default().trim() {
        "image/jpg" => "image/jpeg",
        "audio/mp3" => "audio/mpeg",
        "audio/x-wav" | "audio/wave" => "audio/wav",
        other => other,
    }
}

/// The media type of an image by its first bytes, in base64.
fn sniff(data: &str) -> Option<&'static str> {
    let known = [
        ("iVBORw0KGgo", "image/png"),
        ("/9j/", "image/jpeg"),
        ("R0lGOD", "image/gif"),
        ("UklGR", "image/webp"),
    ];
    known.iter().find(|(start, _)| data.starts_with(start)).map(|(_, media_type)| *media_type)
}
