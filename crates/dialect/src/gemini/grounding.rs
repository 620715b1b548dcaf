//! The pages that an answer rests on, as a Gemini client reads them: each page once, and
//! which stretch of the text rests on which pages.
//!
//! Only pages on the web have a place here. Source: `GroundingMetadata`,
//! `GroundingSupport` and `Segment` of `google-genai` 3.4.0, read 2026-11-22.

use std::ops::Range;

use message::Citation;
use serde_json::{Value, json};

/// Most pages and stretches of one answer that are kept for its end; what a server cites
/// beyond them is not told. The longest answers of web searches have some dozens.
const PAGES_MAX: usize = 256;

/// What the answer so far rests on.
#[derive(Default)]
pub(super) struct Grounding {
    chunks: Vec<Value>,
    supports: Vec<Value>,
}

impl Grounding {
    /// A text rests on these: the bytes at `place`, counted within the part where `part`
    /// says which it is, else within all of the answer's text.
    pub(super) fn add(&mut self, citations: &[Citation], place: Range<usize>, part: Option<usize>) {
        if self.supports.len() >= PAGES_MAX {
            return;
        }
        let mut pages: Vec<usize> = Vec::new();
        for citation in citations {
            let known = self.page(citation).filter(|page| !pages.contains(page));
            pages.extend(known);
        }
        if pages.is_empty() {
            return;
        }
        let mut segment = json!({"startIndex": place.start, "endIndex": place.end});
        if let Some(part) = part {
            segment["partIndex"] = part.into();
        }
        self.supports.push(json!({"segment": segment, "groundingChunkIndices": pages}));
    }

    /// The place of a page among those told.
    fn page(&mut self, citation: &Citation) -> Option<usize> {
        let url = citation.url()?;
        if let Some(known) = self.chunks.iter().position(|chunk| chunk["web"]["uri"] == url) {
            return Some(known);
        }
        if self.chunks.len() >= PAGES_MAX {
            return None;
        }
        let title = citation.title.as_deref().unwrap_or(url);
        self.chunks.push(json!({"web": {"uri": url, "title": title}}));
        Some(self.chunks.len() - 1)
    }

    /// The candidate's `groundingMetadata`; `None` if no page was cited.
    pub(super) fn finish(self) -> Option<Value> {
        let Self { chunks, supports } = self;
        (!chunks.is_empty()).then(|| json!({"groundingChunks": chunks, "groundingSupports": supports}))
    }
}

#[cfg(test)]
mod tests {
    use message::CitationSource;

    use super::*;

    fn page(url: &str) -> Citation {
        Citation::of(CitationSource::Web { url: url.to_owned() })
    }

    #[test]
    fn a_page_is_told_once() {
        let mut grounding = Grounding::default();
        grounding.add(&[page("a"), page("b"), page("a")], 0..4, None);
        grounding.add(&[page("b")], 4..9, None);
        grounding.add(&[Citation::of(CitationSource::Named("file".into()))], 9..12, None);
        assert_eq!(
            grounding.finish().expect("pages"),
            json!({
                "groundingChunks": [{"web": {"uri": "a", "title": "a"}}, {"web": {"uri": "b", "title": "b"}}],
                "groundingSupports": [
                    {"segment": {"startIndex": 0, "endIndex": 4}, "groundingChunkIndices": [0, 1]},
                    {"segment": {"startIndex": 4, "endIndex": 9}, "groundingChunkIndices": [1]},
                ],
            })
        );
        assert_eq!(Grounding::default().finish(), None);
    }

    #[test]
    fn a_server_that_cites_without_end_is_not_kept() {
        let mut grounding = Grounding::default();
        for index in 0..2 * PAGES_MAX {
            grounding.add(&[page(&index.to_string())], 0..1, None);
        }
        assert_eq!((grounding.chunks.len(), grounding.supports.len()), (PAGES_MAX, PAGES_MAX));
    }
}
