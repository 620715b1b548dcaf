//! The conversation of another dialect → turns as this one wants them: instructions in
//! the system prompt, tool results in user turns, user and assistant taking turns,
//! nothing blank, ids of allowed characters.
//!
//! Blocks keep their order and are never merged: a signed thinking block is only valid
//! where it stood. Constraints as the API states them in its 400s and in
//! <https://platform.claude.com/docs/en/api/messages>, read 2026-11-22.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use message::{
    Block, BlockKind, Chat, Citation, Dialect, Document, Extra, Failure, Media, MediaSource, Message, Role,
    Sealer, SearchResult, ToolOrigin,
};
use sha2::{Digest, Sha256};

use super::adapt::{Losses, refuse};
use super::citation::is_taken_back;
use super::fields::Path;
use super::reply::object_input;

/// The system prompt and the turns of `chat`.
pub(super) fn adapt(chat: &Chat, losses: &mut Losses) -> Result<(Vec<Block>, Vec<Message>), Failure> {
    let mut system = Vec::new();
    let at = Path::Key(&Path::Root, "system");
    instruct(&mut system, &chat.system, &at, losses)?;
    let mut turns: Vec<Message> = Vec::new();
    let list = Path::Key(&Path::Root, "messages");
    for (index, message) in chat.messages.iter().enumerate() {
        let at = Path::Index(&list, index);
        let content = Path::Key(&at, "content");
        losses.extra(&message.extra, &at);
        match message.role {
            Role::System | Role::Developer => {
                if !turns.is_empty() {
                    losses.note(&Path::Key(&at, "role"), "its place: it was moved to the system prompt");
                }
                instruct(&mut system, &message.content, &content, losses)?;
            }
            Role::User | Role::Tool => {
                append(&mut turns, Role::User, blocks(&message.content, &content, losses)?);
            }
            Role::Assistant => {
                append(&mut turns, Role::Assistant, blocks(&message.content, &content, losses)?);
            }
        }
    }
    if turns.is_empty() {
        return Err(refuse(
            &list,
            "an Anthropic model needs a message that is neither blank nor instructions",
        ));
    }
    finish(&mut turns);
    Ok((system, turns))
}

/// Adds instructions to the system prompt, which holds text only.
fn instruct(
    system: &mut Vec<Block>,
    content: &[Block],
    at: &Path<'_>,
    losses: &mut Losses,
) -> Result<(), Failure> {
    for (index, item) in content.iter().enumerate() {
        let at = Path::Index(at, index);
        match block(item, &at, losses)? {
            Some(block) if block.as_text().is_some() => system.push(block),
            Some(_) => losses.note(&at, "Anthropic's system prompt holds text only"),
            None => {}
        }
    }
    Ok(())
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
    }
    // A last assistant turn is a beginning for the model to go on from, and may not end in white space.
    if let Some(Message { role: Role::Assistant, content, .. }) = turns.last_mut()
        && let Some(Block { kind: BlockKind::Text(text), .. }) = content.last_mut()
    {
        text.truncate(text.trim_end().len());
    }
}

fn blocks(content: &[Block], at: &Path<'_>, losses: &mut Losses) -> Result<Vec<Block>, Failure> {
    let mut adapted = Vec::with_capacity(content.len());
    for (index, item) in content.iter().enumerate() {
        adapted.extend(block(item, &Path::Index(at, index), losses)?);
    }
    Ok(adapted)
}

/// One block; `None` if it says nothing, or was noted as lost.
fn block(block: &Block, at: &Path<'_>, losses: &mut Losses) -> Result<Option<Block>, Failure> {
    let kind = match &block.kind {
        BlockKind::Text(text) | BlockKind::Refusal(text) => {
            if text.trim().is_empty() {
                return Ok(None);
            }
            BlockKind::Text(text.clone())
        }
        BlockKind::Image(media) => BlockKind::Image(image(media, at)?),
        BlockKind::Document(Document { media, context, citations }) => BlockKind::Document(Document {
            media: document(media, at)?,
            context: context.clone(),
            // Not to be cited is how this dialect understands silence.
            citations: citations.filter(|wanted| *wanted),
        }),
        BlockKind::SearchResult(result) => {
            let content = blocks(&result.content, &Path::Key(at, "content"), losses)?;
            let citations = result.citations.filter(|wanted| *wanted);
            match content.is_empty() {
                // It is refused without a word in it.
                true => BlockKind::Text(result.to_text()),
                false => BlockKind::SearchResult(SearchResult { content, citations, ..result.clone() }),
            }
        }
        BlockKind::Audio(_) => return Err(refuse(at, "Anthropic models take no audio")),
        BlockKind::Video(_) => return Err(refuse(at, "Anthropic models take no video")),
        BlockKind::ToolUse { id, name, input, origin: ToolOrigin::Client } => BlockKind::ToolUse {
            id: tool_id(id),
            name: name.clone(),
            input: object_input(input.clone()),
            origin: ToolOrigin::Client,
        },
        BlockKind::ToolUse { origin: ToolOrigin::Server, .. } => {
            losses.note(at, "a tool call that only its own vendor understands");
            return Ok(None);
        }
        BlockKind::ToolResult { id, content, is_error, .. } => {
            let content = blocks(content, &Path::Key(at, "content"), losses)?;
            // No content at all is allowed, an empty text is not.
            let plain = content.is_empty();
            BlockKind::ToolResult {
                id: tool_id(id),
                content,
                plain,
                is_error: is_error.filter(|failed| *failed),
            }
        }
        // A signature holds wherever Claude runs; the text alone may even be empty.
        BlockKind::Thinking { signature: Some(seal), .. } if Sealer::read(seal).0 == Sealer::Anthropic => {
            block.kind.clone()
        }
        BlockKind::RedactedThinking(data) if Sealer::read(data).0 == Sealer::Anthropic => block.kind.clone(),
        BlockKind::Thinking { .. } | BlockKind::RedactedThinking(_) => {
            losses.note(at, "thinking that Anthropic did not sign");
            return Ok(None);
        }
        BlockKind::Opaque { dialect: Dialect::Anthropic, .. } => block.kind.clone(),
        BlockKind::Opaque { .. } => {
            losses.note(at, "content that only its own vendor understands");
            return Ok(None);
        }
    };
    losses.extra(&block.extra, at);
    let citations = citations(&block.citations, at, losses);
    Ok(Some(Block { cache: block.cache.clone(), citations, ..Block::new(kind) }))
}

/// The citations that the server takes back.
fn citations(citations: &[Citation], at: &Path<'_>, losses: &mut Losses) -> Vec<Citation> {
    let kept: Vec<Citation> = citations.iter().filter(|citation| is_taken_back(citation)).cloned().collect();
    if kept.len() < citations.len() {
        losses.note(&Path::Key(at, "citations"), "a citation of what another vendor found");
    }
    kept
}

fn image(media: &Media, at: &Path<'_>) -> Result<Media, Failure> {
    let media_type = match &media.source {
        MediaSource::Url(_) => None,
        MediaSource::Base64(data) => match media.media_type.as_deref().or_else(|| sniff(data)) {
            Some(media_type) => Some(media_type.to_owned()),
            None => {
                return Err(refuse(at, "the image does not say its media type; name it, such as image/png"));
            }
        },
        MediaSource::Text(_) | MediaSource::Reference(_) => return Err(refuse(at, ELSEWHERE)),
    };
    Ok(Media { media_type, name: None, source: media.source.clone() })
}

const ELSEWHERE: &str = "the file lies where Anthropic cannot read it; send its bytes or a URL";

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

fn document(media: &Media, at: &Path<'_>) -> Result<Media, Failure> {
    const PLAIN: &str = "text/plain";
    let media_type = media.media_type.as_deref();
    let (media_type, source) = match &media.source {
        MediaSource::Text(text) => (Some(PLAIN), MediaSource::Text(text.clone())),
        MediaSource::Base64(data) if media_type == Some("application/pdf") => {
            (media_type, MediaSource::Base64(data.clone()))
        }
        MediaSource::Base64(data) if media_type.is_some_and(|kind| kind.starts_with("text/")) => {
            let text = STANDARD.decode(data).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let text = text.ok_or_else(|| refuse(at, "the document says it is text and is not UTF-8"))?;
            (Some(PLAIN), MediaSource::Text(text))
        }
        MediaSource::Base64(_) => {
            return Err(refuse(at, "Anthropic reads PDF and plain text documents only"));
        }
        MediaSource::Url(url) => (None, MediaSource::Url(url.clone())),
        MediaSource::Reference(_) => return Err(refuse(at, ELSEWHERE)),
    };
    Ok(Media { media_type: media_type.map(str::to_owned), name: media.name.clone(), source })
}

/// Digits of a made-up tool id: 96 bits, enough never to meet another.
const ID_DIGITS: usize = 24;

/// A tool id of the characters allowed here, the same for the same id: calls and results
/// stay paired without anything to remember.
fn tool_id(id: &str) -> String {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !id.is_empty() && id.bytes().all(allowed) {
        return id.to_owned();
    }
    let digest = hex::encode(Sha256::digest(id));
    format!("toolu_{}", &digest[..ID_DIGITS])
}
