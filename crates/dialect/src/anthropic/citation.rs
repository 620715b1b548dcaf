//! Citations of an answer ⇄ the hub's [`Citation`]s, both ways: in a reply, and in the
//! history that the client sends back.
//!
//! Source: `text_citation.py` and `text_citation_param.py` of the Python SDK `anthropic`
//! 2.12.0, read 2026-11-22.

use std::ops::Range;

use message::{Citation, CitationSource, Span};
use serde_json::{Map, Value};

/// Reads one citation.
///
/// # Errors
/// The value itself, if it is of a kind that this version does not know.
pub(super) fn read(value: Value) -> Result<Citation, Value> {
    let Value::Object(map) = value else { return Err(value) };
    let mut fields = map.clone();
    match known(&mut fields) {
        Some(source) => Ok(source),
        None => Err(Value::Object(map)),
    }
}

fn known(fields: &mut Map<String, Value>) -> Option<Citation> {
    let kind = text(fields, "type")?;
    let (title, source) = match kind.as_str() {
        "char_location" => {
            let range = range(fields, "start_char_index", "end_char_index")?;
            ("document_title", document(fields, Span::Chars(range))?)
        }
        "page_location" => {
            let range = range(fields, "start_page_number", "end_page_number")?;
            ("document_title", document(fields, Span::Pages(range))?)
        }
        "content_block_location" => {
            let range = range(fields, "start_block_index", "end_block_index")?;
            ("document_title", document(fields, Span::Pieces(range))?)
        }
        "search_result_location" => {
            let pieces = range(fields, "start_block_index", "end_block_index")?;
            let index = count(fields, "search_result_index")?;
            ("title", CitationSource::SearchResult { index, source: text(fields, "source")?, pieces })
        }
        "web_search_result_location" => ("title", CitationSource::Web { url: text(fields, "url")? }),
        _ => return None,
    };
    let quote = Some(text(fields, "cited_text")?).filter(|quote| !quote.is_empty());
    let title = match fields.shift_remove(title) {
        None | Some(Value::Null) => None,
        Some(Value::String(title)) => Some(title),
        Some(_) => return None,
    };
    Some(Citation { title, quote, extra: std::mem::take(fields), ..Citation::of(source) })
}

fn document(fields: &mut Map<String, Value>, span: Span) -> Option<CitationSource> {
    Some(CitationSource::Document { index: count(fields, "document_index")?, span })
}

fn text(fields: &mut Map<String, Value>, name: &str) -> Option<String> {
    match fields.shift_remove(name)? {
        Value::String(text) => Some(text),
        _ => None,
    }
}

fn count(fields: &mut Map<String, Value>, name: &str) -> Option<u64> {
    fields.shift_remove(name)?.as_u64()
}

fn range(fields: &mut Map<String, Value>, start: &str, end: &str) -> Option<Range<u64>> {
    Some(count(fields, start)?..count(fields, end)?)
}

/// Writes one citation; `None` for what this dialect has no words for.
pub(super) fn write(citation: &Citation) -> Option<Value> {
    let Citation { source, title, quote, extra, .. } = citation;
    let mut out = Map::new();
    let mut put = |name: &str, value: Value| drop(out.insert(name.to_owned(), value));
    let mut span = |kind: &str, [start, end]: [&str; 2], range: &Range<u64>| {
        put("type", kind.into());
        put(start, range.start.into());
        put(end, range.end.into());
    };
    let blocks = ["start_block_index", "end_block_index"];
    let title_name = match source {
        CitationSource::Document { index, span: place } => {
            match place {
                Span::Chars(range) => span("char_location", ["start_char_index", "end_char_index"], range),
                Span::Pages(range) => span("page_location", ["start_page_number", "end_page_number"], range),
                Span::Pieces(range) => span("content_block_location", blocks, range),
            }
            put("document_index", (*index).into());
            "document_title"
        }
        CitationSource::SearchResult { index, source, pieces } => {
            span("search_result_location", blocks, pieces);
            put("search_result_index", (*index).into());
            put("source", source.as_str().into());
            "title"
        }
        CitationSource::Web { url } => {
            put("type", "web_search_result_location".into());
            put("url", url.as_str().into());
            // Anthropic's own stands in `extra`; the SDKs' type demands the field.
            put("encrypted_index", "".into());
            "title"
        }
        CitationSource::Named(_) => return None,
    };
    put("cited_text", quote.clone().unwrap_or_default().into());
    put(title_name, title.clone().into());
    out.extend(extra.iter().map(|(name, value)| (name.clone(), value.clone())));
    Some(out.into())
}

/// Whether this dialect's server takes the citation back in a conversation's history: a
/// page on the web only with the seal of its own search.
pub(super) fn is_taken_back(citation: &Citation) -> bool {
    match citation.source {
        CitationSource::Document { .. } | CitationSource::SearchResult { .. } => true,
        CitationSource::Web { .. } => {
            citation.extra.get("encrypted_index").is_some_and(|sealed| *sealed != "")
        }
        CitationSource::Named(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_goes_round() {
        for citation in [
            json!({"type": "char_location", "cited_text": "It rains.", "document_index": 0, "document_title": "Rain",
                   "start_char_index": 3, "end_char_index": 12, "file_id": null}),
            json!({"type": "page_location", "cited_text": "a", "document_index": 1, "document_title": null,
                   "start_page_number": 1, "end_page_number": 2}),
            json!({"type": "content_block_location", "cited_text": "", "document_index": 2, "document_title": "t",
                   "start_block_index": 0, "end_block_index": 1}),
            json!({"type": "search_result_location", "cited_text": "b", "search_result_index": 0, "title": "t",
                   "source": "https://a.test", "start_block_index": 0, "end_block_index": 2}),
            json!({"type": "web_search_result_location", "cited_text": "c", "url": "https://a.test", "title": "t",
                   "encrypted_index": "Eo8B"}),
        ] {
            let read = read(citation.clone()).expect("a known kind");
            assert_eq!(write(&read), Some(citation));
            assert!(is_taken_back(&read));
        }
    }

    #[test]
    fn what_is_not_known_comes_back_as_it_was() {
        for value in [
            json!({"type": "char_location"}),
            json!({"type": "dream_location", "cited_text": "x"}),
            json!({"type": "web_search_result_location", "cited_text": 1, "url": "u", "title": "t"}),
            json!({"type": "char_location", "cited_text": "x", "document_index": -1, "document_title": "t",
                   "start_char_index": 0, "end_char_index": 1}),
            json!(7),
        ] {
            assert_eq!(read(value.clone()), Err(value));
        }
    }

    #[test]
    fn a_page_that_another_vendor_found_is_shown_but_not_taken_back() {
        let web = Citation::of(CitationSource::Web { url: "https://a.test".into() });
        let written = write(&web).expect("words for it");
        assert_eq!(written["encrypted_index"], "");
        assert!(!is_taken_back(&web));
        assert!(!is_taken_back(&read(written).expect("a known kind")));
        assert_eq!(write(&Citation::of(CitationSource::Named("file-1".into()))), None);
    }
}
