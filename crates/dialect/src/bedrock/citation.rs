//! Citations of an answer ⇄ the hub's [`Citation`]s, both ways: in a reply, and in the
//! history that the client sends back.
//!
//! Source: `Citation`, `CitationsDelta` and `CitationLocation`, bedrock-runtime service
//! model of botocore 1.44.5 (read 2026-11-22).

use std::ops::Range;

use message::{Citation, CitationSource, Span};
use serde_json::{Map, Value, json};

/// Reads one citation; `None` if it is of a kind that this version does not know.
pub(super) fn read(value: &Value) -> Option<Citation> {
    let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let source = match value.get("location").filter(|location| !location.is_null()) {
        Some(location) => located(location, text("source"))?,
        None => CitationSource::Named(text("source").or_else(|| text("title"))?),
    };
    let pieces = value.get("sourceContent").and_then(Value::as_array);
    let quote = pieces.map(|pieces| {
        pieces.iter().filter_map(|piece| piece.get("text").and_then(Value::as_str)).collect::<String>()
    });
    Some(Citation { title: text("title"), quote, ..Citation::of(source) })
}

fn located(location: &Value, source: Option<String>) -> Option<CitationSource> {
    let (kind, place) = location.as_object()?.iter().find(|(_, place)| !place.is_null())?;
    let count = |name: &str| place.get(name).and_then(Value::as_u64);
    let range = || Some(count("start")?..count("end")?);
    let document = |span| Some(CitationSource::Document { index: count("documentIndex")?, span });
    match kind.as_str() {
        "documentChar" => document(Span::Chars(range()?)),
        "documentPage" => document(Span::Pages(range()?)),
        "documentChunk" => document(Span::Pieces(range()?)),
        "searchResultLocation" => Some(CitationSource::SearchResult {
            index: count("searchResultIndex")?,
            source: source.unwrap_or_default(),
            pieces: range()?,
        }),
        "web" => Some(CitationSource::Web { url: place.get("url")?.as_str()?.to_owned() }),
        _ => None,
    }
}

/// Writes one citation.
pub(super) fn write(citation: &Citation) -> Value {
    let Citation { source, title, quote, .. } = citation;
    let mut out = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        out.extend(value.map(|value| (name.to_owned(), value)));
    };
    put("title", title.clone().map(Value::from));
    let (name, location) = match source {
        CitationSource::Document { index, span } => {
            let (kind, range) = match span {
                Span::Chars(range) => ("documentChar", range),
                Span::Pages(range) => ("documentPage", range),
                Span::Pieces(range) => ("documentChunk", range),
            };
            (None, Some(json!({ kind: place("documentIndex", *index, range) })))
        }
        CitationSource::SearchResult { index, source, pieces } => {
            let place = place("searchResultIndex", *index, pieces);
            (Some(source.as_str()), Some(json!({ "searchResultLocation": place })))
        }
        CitationSource::Web { url } => (None, Some(json!({ "web": { "url": url, "domain": domain(url) } }))),
        CitationSource::Named(name) => (Some(name.as_str()), None),
    };
    put("source", name.map(Value::from));
    put("sourceContent", quote.as_ref().map(|quote| json!([{ "text": quote }])));
    put("location", location);
    out.into()
}

fn place(name: &str, index: u64, range: &Range<u64>) -> Value {
    json!({ name: index, "start": range.start, "end": range.end })
}

/// The host in a URL; all of it if it has none.
fn domain(url: &str) -> &str {
    let behind = url.split_once("://").map_or(url, |(_, behind)| behind);
    behind.split(['/', '?', '#']).next().unwrap_or(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_goes_round() {
        for citation in [
            json!({"title": "Rain", "sourceContent": [{"text": "It rains."}],
                   "location": {"documentChar": {"documentIndex": 0, "start": 3, "end": 12}}}),
            json!({"title": "Rain", "location": {"documentPage": {"documentIndex": 1, "start": 1, "end": 2}}}),
            json!({"location": {"documentChunk": {"documentIndex": 2, "start": 0, "end": 1}}}),
            json!({"title": "t", "source": "https://a.test", "sourceContent": [{"text": "b"}],
                   "location": {"searchResultLocation": {"searchResultIndex": 0, "start": 0, "end": 2}}}),
            json!({"title": "t", "location": {"web": {"url": "https://a.test/b?c", "domain": "a.test"}}}),
            json!({"title": "t", "source": "file-1"}),
        ] {
            assert_eq!(write(&read(&citation).expect("a known kind")), citation);
        }
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        for value in [
            json!({}),
            json!(1),
            json!({"title": "t", "location": {"dream": {"depth": 3}}}),
            json!({"title": "t", "location": {"documentChar": {"documentIndex": -1, "start": 0, "end": 1}}}),
            json!({"title": "t", "location": {"web": {}}}),
        ] {
            assert_eq!(read(&value), None, "{value}");
        }
    }
}
