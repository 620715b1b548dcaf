//! One [`Block`] → a part, with the seal that stands before it.

use std::borrow::Cow;

use ::message::{
    Block, BlockKind, Dialect, Document, Extra, Failure, Media, MediaSource, SearchResult, ToolOrigin,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::{Encoder, inner, member, refuse};
use crate::gemini::inbound::said;
use crate::gemini::names::{function_name, object_args};
use crate::gemini::seal;
use crate::json::fields::note;

/// The generation that takes files inside a function's response; those before get them
/// beside it.
const FILES_IN_RESULTS_SINCE: u32 = 3;

impl Encoder {
    /// The seal of a block that is nothing but Gemini's own seal on what follows.
    pub(super) fn seal_alone(&self, block: &Block) -> Option<String> {
        match &block.kind {
            BlockKind::Thinking { text, signature: Some(travelled) }
                if text.is_empty() && note(&block.extra, "thought").is_none() =>
            {
                seal::for_server(travelled).map(str::to_owned)
            }
            _ => None,
        }
    }

    /// One block; nothing if it says nothing or was noted as lost, two if a name goes before.
    pub(super) fn block(
        &mut self,
        at: &str,
        block: &Block,
        sealed: Option<String>,
    ) -> Result<Vec<Value>, Failure> {
        let mut before = None;
        let part = match &block.kind {
            BlockKind::Text(text) | BlockKind::Refusal(text) => {
                if text.trim().is_empty() && !self.home && sealed.is_none() {
                    return Ok(Vec::new());
                }
                member("text", text.as_str())
            }
            BlockKind::Thinking { text, signature } => match signature.as_deref().map(seal::for_server) {
                Some(Some(seal)) => json!({"text": text, "thought": true, "thoughtSignature": seal}),
                None if self.home => json!({"text": text, "thought": true}),
                _ => {
                    self.drop(at, "thinking that Gemini did not seal");
                    return Ok(Vec::new());
                }
            },
            BlockKind::RedactedThinking(_) => {
                self.drop(at, "thinking that Gemini did not seal");
                return Ok(Vec::new());
            }
            BlockKind::Image(media)
            | BlockKind::Document(Document { media, .. })
            | BlockKind::Audio(media)
            | BlockKind::Video(media) => {
                if let (false, Some(name), BlockKind::Document(_)) = (self.home, &media.name, &block.kind) {
                    before = Some(member("text", name.as_str()));
                }
                self.file(at, block, media)?
            }
            BlockKind::SearchResult(result) => {
                self.drop(at, SearchResult::AS_TEXT);
                member("text", result.to_text())
            }
            BlockKind::ToolUse { origin: ToolOrigin::Server, .. } => {
                self.drop(at, "a tool call that only its own vendor understands");
                return Ok(Vec::new());
            }
            BlockKind::ToolUse { id, name, input, .. } => self.call(block, id, name, input),
            // Written by `result`, wherever one may stand.
            BlockKind::ToolResult { .. } => return Err(refuse(at, "a tool's result cannot stand here")),
            BlockKind::Opaque { dialect: Dialect::Gemini, value } => value.clone(),
            BlockKind::Opaque { .. } => {
                self.drop(at, "content that only its own vendor understands");
                return Ok(Vec::new());
            }
        };
        let Value::Object(mut part) = part else { return Ok(vec![part]) };
        if let Some(seal) = sealed {
            part.insert("thoughtSignature".to_owned(), seal.into());
        }
        self.finish(at, block, &mut part);
        Ok(before.into_iter().chain([part.into()]).collect())
    }

    /// What stands on any part.
    fn finish(&mut self, at: &str, block: &Block, part: &mut Map<String, Value>) {
        if let (true, Some(thought @ Value::Bool(false))) = (self.home, note(&block.extra, "thought")) {
            part.insert("thought".to_owned(), thought.clone());
        }
        if block.cache.is_some() {
            self.drop_cache(at);
        }
        self.drop_citing(at, block);
        self.extra(|| at.to_owned(), &block.extra, part);
    }

    fn call(&self, block: &Block, id: &str, name: &str, input: &str) -> Value {
        let noted = |name| inner(&block.extra, "functionCall").and_then(|inner| note(inner, name));
        let mut call = Map::new();
        if noted("id").is_none() {
            call.insert("id".to_owned(), id.into());
        }
        let name = if self.home { name.into() } else { function_name(name) };
        call.insert("name".to_owned(), name.into());
        let args = object_args(input);
        if noted("args").is_none() || args != json!({}) {
            call.insert("args".to_owned(), args);
        }
        member("functionCall", call)
    }

    /// A tool's result, and the files that have to stand beside it.
    pub(super) fn result(
        &mut self,
        at: &str,
        block: &Block,
        name: &str,
    ) -> Result<(Value, Vec<Value>), Failure> {
        let BlockKind::ToolResult { id, content, is_error, .. } = &block.kind else {
            return Err(refuse(at, "not a tool's result"));
        };
        let nothing = Extra::new();
        let notes = inner(&block.extra, "functionResponse").unwrap_or(&nothing);
        let mut out = Map::new();
        if note(notes, "id").is_none() {
            out.insert("id".to_owned(), id.as_str().into());
        }
        let sent = if self.home { name.into() } else { function_name(name) };
        out.insert("name".to_owned(), sent.into());
        let (texts, files): (Vec<_>, Vec<_>) =
            content.iter().enumerate().partition(|(_, block)| text_of(block).is_some());
        if let Some(response) = response(&texts, *is_error, note(notes, "response"), self.home) {
            out.insert("response".to_owned(), response);
        }
        let mut parts = Vec::new();
        for (index, file) in files {
            parts.extend(self.block(&format!("{at}.content.{index}"), file, None)?);
        }
        let inside = self.home || self.generation >= FILES_IN_RESULTS_SINCE;
        let mut beside = Vec::new();
        if !inside && !parts.is_empty() {
            beside.push(member("text", format!("Attached to the result of tool call {id} ({name}):")));
            beside.append(&mut parts);
        }
        // A file's name goes before it as text, which a response does not take.
        let (parts, named): (Vec<_>, Vec<_>) =
            parts.into_iter().partition(|part| self.home || part.get("text").is_none());
        if !parts.is_empty() {
            out.insert("parts".to_owned(), parts.into());
        }
        for (index, text) in texts {
            let at = || format!("{at}.content.{index}");
            if text.cache.is_some() && !self.home {
                self.drop_cache(&at());
            }
            if matches!(text.kind, BlockKind::SearchResult(_)) {
                self.drop(at(), SearchResult::AS_TEXT);
            }
        }
        let mut part = Map::from_iter([("functionResponse".to_owned(), out.into())]);
        self.finish(at, block, &mut part);
        Ok((part.into(), beside.into_iter().chain(named).collect()))
    }

    /// Bytes, or a link.
    fn file(&self, at: &str, block: &Block, media: &Media) -> Result<Value, Failure> {
        let media_type = media.media_type.as_deref().filter(|kind| !kind.is_empty());
        let mut out = Map::new();
        let member_name = match &media.source {
            MediaSource::Base64(data) => {
                let media_type = media_type.or_else(|| sniff(data));
                let media_type = media_type.ok_or_else(|| {
                    refuse(at, "the file does not say its media type; name it, such as image/png")
                })?;
                out.insert("mimeType".to_owned(), media_type.into());
                let notes = inner(&block.extra, "inlineData");
                out.insert("data".to_owned(), spelt(data, notes).into());
                "inlineData"
            }
            MediaSource::Text(text) => {
                out.insert("mimeType".to_owned(), "text/plain".into());
                out.insert("data".to_owned(), STANDARD.encode(text).into());
                "inlineData"
            }
            MediaSource::Url(uri) => {
                let media_type = media_type.or_else(|| if self.home { None } else { by_extension(uri) });
                out.extend(media_type.map(|kind| ("mimeType".to_owned(), kind.into())));
                out.insert("fileUri".to_owned(), uri.as_str().into());
                "fileData"
            }
            MediaSource::Reference(reference) => {
                let uri = reference.get("fileUri").filter(|_| self.home);
                let uri = uri.ok_or_else(|| {
                    refuse(at, "the file lies where Gemini cannot read it; send its bytes or a URL")
                })?;
                out.extend(media_type.map(|kind| ("mimeType".to_owned(), kind.into())));
                out.insert("fileUri".to_owned(), uri.clone());
                "fileData"
            }
        };
        if let (true, Some(name)) = (self.home, &media.name) {
            out.insert("displayName".to_owned(), name.as_str().into());
        }
        Ok(member(member_name, out))
    }
}

/// The response object: as it was while it says the same, else by Google's convention. Text
/// stays text: a `$ref` in an object would be taken for a reference to a file (T4).
fn response(
    texts: &[(usize, &Block)],
    is_error: Option<bool>,
    noted: Option<&Value>,
    home: bool,
) -> Option<Value> {
    let texts: Vec<Cow<'_, str>> = texts.iter().filter_map(|(_, block)| text_of(block)).collect();
    let failed = is_error == Some(true);
    match noted {
        Some(noted) if texts.len() == 1 && said(noted) == (texts[0].clone().into_owned(), failed) => {
            return Some(noted.clone());
        }
        None if home && texts.is_empty() => return None,
        _ => {}
    }
    Some(member(if failed { "error" } else { "output" }, texts.join("\n")))
}

/// What of a tool's result is text.
fn text_of(block: &Block) -> Option<Cow<'_, str>> {
    match &block.kind {
        BlockKind::Text(text) | BlockKind::Refusal(text) => Some(text.into()),
        BlockKind::SearchResult(result) => Some(result.to_text().into()),
        _ => None,
    }
}

/// Base64 in the client's alphabet.
fn spelt(data: &str, notes: Option<&Extra>) -> String {
    let noted = |name| notes.and_then(|notes| note(notes, name)).is_some();
    let data = if noted("padding") { data.trim_end_matches('=') } else { data };
    if noted("alphabet") { data.replace('+', "-").replace('/', "_") } else { data.to_owned() }
}

/// The media type of a file by its first bytes, in base64.
fn sniff(data: &str) -> Option<&'static str> {
    let known = [
        ("iVBORw0KGgo", "image/png"),
        ("/9j/", "image/jpeg"),
        ("R0lGOD", "image/gif"),
        ("UklGR", "image/webp"),
        ("JVBERi0", "application/pdf"),
    ];
    known.iter().find(|(start, _)| data.starts_with(start)).map(|(_, media_type)| *media_type)
}

/// The media type of a link by its ending; `None` leaves it to the server.
fn by_extension(uri: &str) -> Option<&'static str> {
    let path = uri.split(['?', '#']).next()?;
    let (_, extension) = path.rsplit_once('.')?;
    let known = [
        ("png", "image/png"),
        ("jpg", "image/jpeg"),
        ("jpeg", "image/jpeg"),
        ("webp", "image/webp"),
        ("gif", "image/gif"),
        ("heic", "image/heic"),
        ("pdf", "application/pdf"),
        ("txt", "text/plain"),
        ("mp4", "video/mp4"),
        ("mov", "video/quicktime"),
        ("webm", "video/webm"),
        ("mp3", "audio/mpeg"),
        ("wav", "audio/wav"),
    ];
    known.iter().find(|(ending, _)| extension.eq_ignore_ascii_case(ending)).map(|(_, kind)| *kind)
}
