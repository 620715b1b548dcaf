//! What a turn is made of.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Citation, Dialect, SearchResult};

/// Fields a dialect has and the hub does not, kept for that dialect.
pub type Extra = Map<String, Value>;

/// The one key of an [`Extra`] that is not a field: there a dialect notes *how* it wrote
/// what the hub's own fields hold (a string where others write a list, an older name),
/// so that it can write it the same way again. A foreign dialect loses nothing by it.
pub const SPELLING: &str = "$spelling";

/// What is asked for by an object that may be empty: Chat Completions' search of the web.
const ASKS_BY_BEING_THERE: [&str; 1] = ["web_search_options"];

/// The names in `extra` of what a foreign target would lose: fields that say something
/// (not null, not empty) and are not [`SPELLING`].
pub fn said(extra: &Extra) -> impl Iterator<Item = &str> {
    fn says(value: &Value) -> bool {
        match value {
            Value::Null => false,
            Value::Array(items) => !items.is_empty(),
            Value::String(text) => !text.is_empty(),
            Value::Object(fields) => fields.iter().any(|(name, value)| name != SPELLING && says(value)),
            Value::Bool(_) | Value::Number(_) => true,
        }
    }
    let asks =
        |name: &str, value: &Value| says(value) || (ASKS_BY_BEING_THERE.contains(&name) && value.is_object());
    let said = extra.iter().filter(move |(name, value)| *name != SPELLING && asks(name, value));
    said.map(|(name, _)| name.as_str())
}

/// One piece of content, with what applies to any piece.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Block {
    /// The content.
    pub kind: BlockKind,
    /// The prompt up to and including this block should be cached.
    pub cache: Option<CacheMarker>,
    /// What a text of the model's rests on.
    pub citations: Vec<Citation>,
    /// Unknown fields of the block.
    pub extra: Extra,
}

impl Block {
    /// A block without a cache marker or unknown fields.
    pub fn new(kind: BlockKind) -> Self {
        Self { kind, cache: None, citations: Vec::new(), extra: Extra::new() }
    }

    /// A text block.
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(BlockKind::Text(text.into()))
    }

    /// The text, if this is a text block.
    pub fn as_text(&self) -> Option<&str> {
        match &self.kind {
            BlockKind::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What of the block is about citing sources: the fields that a target loses that
    /// cites none, in the words of the dialects that have them.
    pub fn citing(&self) -> impl Iterator<Item = &'static str> {
        let (context, citations) = match &self.kind {
            BlockKind::Document(Document { context, citations, .. }) => {
                (context.as_ref().is_some_and(|context| !context.is_empty()), *citations == Some(true))
            }
            _ => (false, !self.citations.is_empty()),
        };
        [("context", context), ("citations", citations)]
            .into_iter()
            .filter(|(_, said)| *said)
            .map(|(name, _)| name)
    }
}

impl fmt::Debug for Block {
    /// Citations only where there are some: few blocks have any.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, cache, citations, extra } = self;
        let mut shown = f.debug_struct("Block");
        shown.field("kind", kind).field("cache", cache);
        if !citations.is_empty() {
            shown.field("citations", citations);
        }
        shown.field("extra", extra).finish()
    }
}

/// The kinds of content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum BlockKind {
    /// Plain text.
    Text(String),
    /// A picture.
    Image(Media),
    /// A PDF, spreadsheet, text file and the like.
    Document(Document),
    /// Something the client found, which the answer can cite.
    SearchResult(SearchResult),
    /// Sound.
    Audio(Media),
    /// A film.
    Video(Media),
    /// The model calls a tool.
    ToolUse {
        /// Pairs the call with its result.
        id: String,
        /// The tool's name.
        name: String,
        /// The arguments as JSON text (OpenAI's clients send text, which may even be
        /// malformed; keeping text loses nothing).
        input: String,
        /// Who runs it.
        origin: ToolOrigin,
    },
    /// What a tool answered.
    ToolResult {
        /// The id of the tool use.
        id: String,
        /// The answer.
        content: Vec<Block>,
        /// The dialect wrote the content as a bare string.
        plain: bool,
        /// The tool failed, and said so. `None`: the dialect did not say.
        is_error: Option<bool>,
    },
    /// The model's reasoning, shown.
    Thinking {
        /// The reasoning.
        text: String,
        /// Its vendor's seal; the block is only valid with it, unchanged.
        signature: Option<String>,
    },
    /// The model's reasoning, encrypted by its vendor.
    RedactedThinking(String),
    /// The model declines (OpenAI's `refusal` part).
    Refusal(String),
    /// A block only its home dialect understands, whole.
    Opaque {
        /// Whose it is.
        dialect: Dialect,
        /// The block.
        value: Value,
    },
}

/// Who runs a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum ToolOrigin {
    /// The client.
    #[default]
    Client,
    /// The model's vendor (web search and the like).
    Server,
}

/// A file given to the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Media {
    /// MIME type, such as `image/png`; `None` where the dialect does not say.
    pub media_type: Option<String>,
    /// File name or title.
    pub name: Option<String>,
    /// Where the bytes are.
    pub source: MediaSource,
}

/// A file given to be read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// The file.
    pub media: Media,
    /// What the client says about it; read, but not cited.
    pub context: Option<String>,
    /// Whether the answer should cite it. `None`: the client did not say.
    pub citations: Option<bool>,
}

impl From<Media> for Document {
    fn from(media: Media) -> Self {
        Self { media, context: None, citations: None }
    }
}

/// Where a file's bytes are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum MediaSource {
    /// In the request, base64 (standard alphabet, padded), as received.
    Base64(String),
    /// In the request, as text.
    Text(String),
    /// To be fetched.
    Url(String),
    /// Uploaded before (a file id, an S3 location), in the home dialect's words.
    Reference(Value),
}

/// A prompt-cache marker (Anthropic `cache_control`, Converse `cachePoint`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CacheMarker {
    /// How long to keep it, as the vendors write it: `5m`, `1h`. `None`: their default.
    pub ttl: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_fields_that_say_something_can_be_lost() {
        let Value::Object(extra) = json!({
            "store": false, "name": "ann", "audio": null, "tags": [], "refusal": "", "function": {"description": null}, "web_search_options": {},
            "config": {SPELLING: {"top_k": 40.0}}, SPELLING: {"stop": "x"},
        }) else {
            unreachable!()
        };
        assert_eq!(said(&extra).collect::<Vec<_>>(), ["store", "name", "web_search_options"]);
    }
}
