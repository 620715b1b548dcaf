//! The canonical request: one text that client and server can both write down.

use std::borrow::Cow;

use http::HeaderMap;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use sha2::{Digest, Sha256};

use super::ALGORITHM;
use crate::RequestHead;

/// What stays as it is in a query: RFC 3986's unreserved characters.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// And in a path.
const PATH: &AsciiSet = &QUERY.remove(b'/');

/// A header that the signature covers and the request does not have.
pub(super) struct HeaderMissing<'a>(pub(super) &'a str);

/// Everything a signature covers.
pub(super) struct Canonical<'a> {
    pub(super) request: &'a RequestHead<'a>,
    pub(super) service: &'a str,
    /// In the order signed.
    pub(super) signed_headers: &'a [String],
    /// `x-amz-content-sha256`, or what it would be.
    pub(super) payload_hash: &'a str,
}

impl<'a> Canonical<'a> {
    /// The canonical request.
    pub(super) fn request(&self) -> Result<Vec<u8>, HeaderMissing<'a>> {
        let mut text = Vec::with_capacity(1024);
        let RequestHead { method, path, query, headers } = *self.request;
        let path = if self.service == "s3" { path.into() } else { encode(path.as_bytes(), PATH) };
        for line in [method, &path, &canonical_query(query.split('&').filter(|pair| !pair.is_empty()))] {
            text.extend_from_slice(line.as_bytes());
            text.push(b'\n');
        }
        for name in self.signed_headers {
            write_header(&mut text, name, headers)?;
        }
        text.push(b'\n');
        text.extend_from_slice(self.signed_headers.join(";").as_bytes());
        text.push(b'\n');
        text.extend_from_slice(self.payload_hash.as_bytes());
        Ok(text)
    }
}

/// What is signed: the algorithm, the time, the scope, and the canonical request's hash.
pub(super) fn string_to_sign(timestamp: &str, scope: &[&str; 3], canonical_request: &[u8]) -> String {
    let [date, region, service] = scope;
    let hash = hex::encode(Sha256::digest(canonical_request));
    format!("{ALGORITHM}\n{timestamp}\n{date}/{region}/{service}/aws4_request\n{hash}")
}

/// Parameters, each decoded and encoded again, in order of name and then value.
pub(super) fn canonical_query<'a>(pairs: impl Iterator<Item = &'a str>) -> String {
    let again = |text: &'a str| encode(&decode(text), QUERY).into_owned();
    let mut pairs: Vec<(String, String)> = pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (again(name), again(value)))
        .collect();
    pairs.sort_unstable();
    let pairs: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

/// Percent-decodes; `+` is itself.
pub(super) fn decode(text: &str) -> Cow<'_, [u8]> {
    percent_decode_str(text).into()
}

fn encode<'a>(text: &'a [u8], keep: &'static AsciiSet) -> Cow<'a, str> {
    percent_encode(text, keep).into()
}

/// `name:value` with the value's white space trimmed and collapsed; values of one name
/// joined by commas. HTTP/2's `:authority` is in the head as `host`.
fn write_header<'a>(text: &mut Vec<u8>, name: &'a str, headers: &HeaderMap) -> Result<(), HeaderMissing<'a>> {
    text.extend_from_slice(name.as_bytes());
    let mut before = b':';
    for value in headers.get_all(if name == ":authority" { "host" } else { name }) {
        text.push(before);
        before = b',';
        let start = text.len();
        for word in value.as_bytes().split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()) {
            if text.len() > start {
                text.push(b' ');
            }
            text.extend_from_slice(word);
        }
    }
    text.push(b'\n');
    if before == b':' { Err(HeaderMissing(name)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> String {
        canonical_query(text.split('&').filter(|pair| !pair.is_empty()))
    }

    #[test]
    fn queries_are_sorted_and_encoded_alike() {
        for (raw, canonical) in [
            ("", ""),
            ("b=2&a=1", "a=1&b=2"),
            ("a=2&a=1&a", "a=&a=1&a=2"),
            ("a-b=1&a=1", "a=1&a-b=1"),
            ("x=%3a&y=:&z=a+b&w=a%20b", "w=a%20b&x=%3A&y=%3A&z=a%2Bb"),
            ("k=a=b", "k=a%3Db"),
            ("k=%ff%zz%", "k=%FF%25zz%25"),
            ("~.-_=1&&", "~.-_=1"),
        ] {
            assert_eq!(query(raw), canonical, "{raw}");
            assert_eq!(query(canonical), canonical, "again: {canonical}");
        }
    }

    #[test]
    fn paths_are_encoded_once_more_but_not_for_s3() {
        let headers = HeaderMap::new();
        for (service, raw, canonical) in [
            ("bedrock", "/model/a%3A0/x", "/model/a%253A0/x"),
            ("bedrock", "/model/a:0/x", "/model/a%3A0/x"),
            ("bedrock", "//a/../~b c/", "//a/../~b%20c/"),
            ("s3", "/bucket/a%20b/c", "/bucket/a%20b/c"),
        ] {
            let request = RequestHead { method: "GET", path: raw, query: "", headers: &headers };
            let canon = Canonical { request: &request, service, signed_headers: &[], payload_hash: "" };
            let text = canon.request().unwrap_or_else(|_| panic!("no header is signed"));
            assert!(text.starts_with(format!("GET\n{canonical}\n\n").as_bytes()), "{raw}");
        }
    }

    #[test]
    fn header_values_are_trimmed_collapsed_and_joined() {
        let mut headers = HeaderMap::new();
        headers.append("x", " a   b\tc ".parse().expect("a value"));
        headers.append("x", "d".parse().expect("a value"));
        headers.append("x", "".parse().expect("a value"));
        let mut text = Vec::new();
        assert!(write_header(&mut text, "x", &headers).is_ok());
        assert_eq!(text, b"x:a b c,d,\n");
        assert!(write_header(&mut text, ":authority", &headers).is_err());
    }
}
