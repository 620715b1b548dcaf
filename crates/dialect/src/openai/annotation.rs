//! Annotations of an answer ⇄ the hub's [`Citation`]s: pages and files that a text rests on.
//!
//! Written are pages only: nobody else's files are this vendor's. Source:
//! `chat_completion_message.py` and `response_output_text.py` of `openai` 3.54.0, read
//! 2026-11-22.

use std::ops::Range;

use message::{Citation, CitationSource};
use serde_json::{Map, Value, json};

/// Most citations of one block that are kept until it ends; what a server sends beyond
/// them is not told. The longest answers of web searches have some dozens.
pub(super) const CITATIONS_MAX: usize = 1_024;

/// Reads one annotation; `None` if it cites nothing, or in a way not known.
pub(super) fn read(annotation: &Value) -> Option<Citation> {
    let kind = annotation.get("type")?.as_str()?;
    // Chat Completions nests what Responses has flat.
    let fields = annotation.get(kind).unwrap_or(annotation);
    let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
    let count = |name: &str| fields.get(name).and_then(Value::as_u64);
    let (source, title) = match kind {
        "url_citation" => (CitationSource::Web { url: text("url")? }, "title"),
        "file_citation" | "container_file_citation" => (CitationSource::Named(text("file_id")?), "filename"),
        _ => return None,
    };
    let claim = count("start_index").zip(count("end_index")).map(|(start, end)| start..end);
    let title = text(title).filter(|title| !title.is_empty());
    Some(Citation { title, claim: claim.filter(|claim| !claim.is_empty()), ..Citation::of(source) })
}

/// What a `url_citation` says, of a text at `place` in the message; `None` for what is no page.
pub(super) fn page(citation: &Citation, place: Range<u64>) -> Option<Map<String, Value>> {
    let url = citation.url()?;
    let claim = citation.claim.clone().unwrap_or(0..u64::MAX);
    // Within the text, whatever a server claims.
    let within = |index: u64| place.start.saturating_add(index).min(place.end);
    let page = json!({
        "start_index": within(claim.start),
        "end_index": within(claim.end),
        "title": citation.title.as_deref().unwrap_or(url),
        "url": url,
    });
    match page {
        Value::Object(page) => Some(page),
        _ => None,
    }
}

/// A text's length as this dialect counts places in it.
pub(super) fn chars(text: &str) -> u64 {
    text.chars().count().try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_read_nested_and_flat() {
        let page = json!({"start_index": 3, "end_index": 9, "title": "Rain", "url": "https://a.test"});
        let mut flat = page.clone();
        flat["type"] = "url_citation".into();
        for annotation in [json!({"type": "url_citation", "url_citation": page}), flat] {
            let read = read(&annotation).expect("a citation");
            assert_eq!((read.url(), read.title.as_deref()), (Some("https://a.test"), Some("Rain")));
            assert_eq!(read.claim, Some(3..9));
            assert_eq!(super::page(&read, 0..20).map(Value::Object), Some(page.clone()));
        }
    }

    #[test]
    fn files_are_read_and_the_rest_is_not() {
        let file = json!({"type": "file_citation", "file_id": "file-1", "filename": "a.pdf", "index": 4});
        let read = super::read(&file).expect("a citation");
        assert_eq!(read.source, CitationSource::Named("file-1".into()));
        assert_eq!((read.title.as_deref(), page(&read, 0..9)), (Some("a.pdf"), None));
        for nothing in
            [json!({"type": "file_path", "file_id": "f", "index": 0}), json!({"type": 1}), json!(null)]
        {
            assert_eq!(super::read(&nothing), None);
        }
    }

    #[test]
    fn a_place_stays_within_the_text() {
        let mut citation = Citation::of(CitationSource::Web { url: "https://a.test".into() });
        let place = |citation: &Citation| {
            let page = page(citation, 10..20).expect("a page");
            (page["start_index"].as_u64(), page["end_index"].as_u64())
        };
        assert_eq!(place(&citation), (Some(10), Some(20)));
        citation.claim = Some(2..u64::MAX);
        assert_eq!(place(&citation), (Some(12), Some(20)));
    }
}
