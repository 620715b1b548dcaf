//! What Google's clients say in the query, moved to where everybody else says it.
//!
//! `?key=` is the API key (`x-goog-api-key` as a header), `?alt=sse` asks for a stream of
//! events where the default is one JSON array that grows. Both are Google's "system
//! parameters" (<https://cloud.google.com/apis/docs/system-parameters>, read 2026-11-22).
//! The door calls [`lift`] once; nothing behind it needs the query, which may hold a key.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;

/// The API key.
pub const X_GOOG_API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");

/// Set here to `json` where a stream is to be an array; never sent by a client.
const X_GOOG_ALT: HeaderName = HeaderName::from_static("x-goog-alt");

const JSON: HeaderValue = HeaderValue::from_static("json");

/// Moves what `query` says into `headers`. A key in a header wins.
pub fn lift(query: &str, headers: &mut HeaderMap) {
    headers.remove(X_GOOG_ALT);
    let value = |names: &[&str]| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let (_, value) = pairs.find(|(name, _)| names.contains(name))?;
        Some(percent_decode_str(value).decode_utf8_lossy())
    };
    if let (Some(key), false) = (value(&["key", "$key"]), headers.contains_key(X_GOOG_API_KEY))
        && let Ok(mut key) = HeaderValue::from_str(&key)
    {
        key.set_sensitive(true);
        headers.insert(X_GOOG_API_KEY, key);
    }
    if value(&["alt", "$alt"]) != Some(Cow::Borrowed("sse")) {
        headers.insert(X_GOOG_ALT, JSON);
    }
}

/// Whether a stream is to be one array.
pub(super) fn wants_array(headers: &HeaderMap) -> bool {
    headers.get(X_GOOG_ALT) == Some(&JSON)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lifted(query: &str, header: Option<&'static str>) -> (Option<String>, bool) {
        let mut headers = HeaderMap::new();
        headers.extend(header.map(|key| (X_GOOG_API_KEY, HeaderValue::from_static(key))));
        lift(query, &mut headers);
        assert!(!format!("{headers:?}").contains("hunter2"));
        let key = headers.get(X_GOOG_API_KEY).and_then(|key| key.to_str().ok()).map(str::to_owned);
        (key, wants_array(&headers))
    }

    #[test]
    fn the_query_says_key_and_form() {
        assert_eq!(lifted("", None), (None, true));
        assert_eq!(lifted("alt=sse", None), (None, false));
        assert_eq!(lifted("key=hunter2%2F&alt=sse", None), (Some("hunter2/".to_owned()), false));
        assert_eq!(lifted("$alt=sse&key=hunter2", Some("own")), (Some("own".to_owned()), false));
        assert_eq!(lifted("key=%0a&alt=json", None), (None, true));
    }
}
