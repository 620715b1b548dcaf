//! What an answer rests on: search results given to be cited, and the citations of them.
//!
//! Two vendors let a model cite what it was given (Anthropic, Bedrock's Converse), OpenAI's
//! and Google's what they found themselves; the words differ, the places cited do not.
//! Source: `text_citation.py` and `search_result_block_param.py` of `anthropic` 2.12.0,
//! `Citation` and `SearchResultBlock` of the bedrock-runtime service model of botocore
//! 1.44.5, `annotation_url_citation.py` of `openai` 3.54.0, read 2026-11-22.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::{Block, Extra};

/// Something the client found, for the model to answer from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchResult {
    /// Where it was found: a URL, or any name.
    pub source: String,
    /// Its title.
    pub title: String,
    /// Its words, in the pieces that can be cited.
    pub content: Vec<Block>,
    /// Whether the answer should cite it. `None`: the client did not say.
    pub citations: Option<bool>,
}

impl SearchResult {
    /// The result as plain words, for a model that is given nothing else.
    pub fn to_text(&self) -> String {
        let mut text = format!("Search result: {}\nSource: {}\n", self.title, self.source);
        for piece in self.content.iter().filter_map(Block::as_text) {
            text.push('\n');
            text.push_str(piece);
        }
        text
    }

    /// Why a target that is given [`to_text`](Self::to_text) is given less.
    pub const AS_TEXT: &'static str = "sent as text, which the answer cannot cite";
}

/// A place on which a piece of an answer rests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Citation {
    /// The source, and where in it.
    pub source: CitationSource,
    /// The source's title.
    pub title: Option<String>,
    /// The words cited.
    pub quote: Option<String>,
    /// Which characters of its block's text rest on it. `None`: all of them.
    pub claim: Option<Range<u64>>,
    /// Fields that only the words of the answering server have, for clients that have
    /// the same (Anthropic's, by way of Bedrock).
    pub extra: Extra,
}

/// What is cited.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum CitationSource {
    /// A document of the request.
    Document {
        /// Its place among the documents of the whole conversation: 0, 1, 2 …
        index: u64,
        /// Where in it.
        span: Span,
    },
    /// A search result of the request.
    SearchResult {
        /// Its place among the search results of the whole conversation: 0, 1, 2 …
        index: u64,
        /// Where it was found, as the client said.
        source: String,
        /// Its pieces.
        pieces: Range<u64>,
    },
    /// A page that the vendor found.
    Web {
        /// Its address.
        url: String,
    },
    /// Anything else that has a name: a file that the vendor keeps.
    Named(String),
}

/// Where in a document, in the unit that its kind is cited by. The end is the first that
/// is not cited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Span {
    /// Characters of a plain text, from 0.
    Chars(Range<u64>),
    /// Pages of a PDF, from 1.
    Pages(Range<u64>),
    /// Pieces of a document given in pieces, from 0.
    Pieces(Range<u64>),
}

impl Citation {
    /// A citation of `source`, of all that the block says.
    pub fn of(source: CitationSource) -> Self {
        Self { source, title: None, quote: None, claim: None, extra: Extra::new() }
    }

    /// The address of what is cited, if it has one on the web.
    pub fn url(&self) -> Option<&str> {
        match &self.source {
            CitationSource::Web { url } => Some(url),
            CitationSource::SearchResult { source, .. } => {
                let on_the_web = source.starts_with("https://") || source.starts_with("http://");
                on_the_web.then_some(source)
            }
            CitationSource::Document { .. } | CitationSource::Named(_) => None,
        }
    }

    /// What it costs to hold, in bytes of text.
    pub fn text_bytes(&self) -> usize {
        let name = match &self.source {
            CitationSource::SearchResult { source: name, .. }
            | CitationSource::Web { url: name }
            | CitationSource::Named(name) => name.len(),
            CitationSource::Document { .. } => 0,
        };
        let extra = self.extra.values().map(|value| value.as_str().map_or(0, str::len)).sum::<usize>();
        name + extra + [&self.title, &self.quote].into_iter().flatten().map(String::len).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_result_is_read_without_its_own_block() {
        let result = SearchResult {
            source: "https://a.test".into(),
            title: "Rain".into(),
            content: vec![Block::text("It rains."), Block::text("Much.")],
            citations: Some(true),
        };
        assert_eq!(result.to_text(), "Search result: Rain\nSource: https://a.test\n\nIt rains.\nMuch.");
    }

    #[test]
    fn what_lies_on_the_web_has_an_address() {
        let found = |source: &str| {
            Citation::of(CitationSource::SearchResult { index: 0, source: source.to_owned(), pieces: 0..1 })
        };
        assert_eq!(found("https://a.test").url(), Some("https://a.test"));
        assert_eq!(found("kb/7").url(), None);
        assert_eq!(Citation::of(CitationSource::Web { url: "gopher://a".into() }).url(), Some("gopher://a"));
    }

    #[test]
    fn a_held_citation_is_not_free() {
        let citation = Citation {
            title: Some("four".into()),
            quote: Some("fives".into()),
            extra: Extra::from_iter([("sealed".to_owned(), "six666".into())]),
            ..Citation::of(CitationSource::Web { url: "abc".into() })
        };
        assert_eq!(citation.text_bytes(), 4 + 5 + 6 + 3);
    }
}
