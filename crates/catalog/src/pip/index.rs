//! One page of a package index: JSON (PEP 691) or HTML (PEP 503).

use std::collections::HashMap;

use serde::Deserialize;
use ureq::http::header;
use url::Url;

use super::{Wheel, html, is_wanted, url_file};
use crate::fetch::{Client, shown_url};
use crate::{Digest, SourceError, WheelMember};

const ACCEPT: &str =
    "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1";

#[derive(Deserialize)]
struct Page {
    files: Vec<File>,
}

#[derive(Deserialize)]
struct File {
    filename: String,
    url: String,
    #[serde(default)]
    hashes: HashMap<String, String>,
    size: Option<u64>,
}

/// Looks for the wanted wheel on a page. `None`: the index does not have it.
pub(super) fn search(client: &Client, url: &Url, wanted: &WheelMember) -> Result<Option<Wheel>, SourceError> {
    let (answer, text) = match client.page(url, ACCEPT) {
        Ok(page) => page,
        Err(SourceError::Status { status: 404, .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let kind =
        answer.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let found = if kind.contains("json") {
        json(&answer.url, &text, wanted)?
    } else {
        page(&answer.url, &text, wanted)
    };
    Ok(found.map(|wheel| with_credentials(wheel, url)))
}

/// A file on the index's own origin needs the index's credentials, too.
fn with_credentials(wheel: Wheel, index: &Url) -> Wheel {
    match wheel {
        Wheel::There { mut url, sha256, size_bytes } if url.origin() == index.origin() => {
            // Cannot fail: both have a host.
            let _ = url.set_username(index.username());
            let _ = url.set_password(index.password());
            Wheel::There { url, sha256, size_bytes }
        }
        wheel => wheel,
    }
}

fn json(base: &Url, text: &str, wanted: &WheelMember) -> Result<Option<Wheel>, SourceError> {
    let nonsense = |why: String| SourceError::Nonsense { url: shown_url(base), why };
    let page: Page = serde_json::from_str(text).map_err(|error| nonsense(error.to_string()))?;
    let Some(file) = page.files.into_iter().find(|file| is_wanted(&file.filename, wanted)) else {
        return Ok(None);
    };
    let url = resolve(base, &file.url).ok_or_else(|| nonsense("a file at no address".into()))?;
    let sha256 = file.hashes.get("sha256").and_then(|hash| hash.parse().ok());
    Ok(Some(Wheel::There { url, sha256, size_bytes: file.size }))
}

fn page(base: &Url, text: &str, wanted: &WheelMember) -> Option<Wheel> {
    html::links(text).find_map(|link| {
        let mut url = resolve(base, &link).filter(|url| is_wanted(&url_file(url), wanted))?;
        let sha256: Option<Digest> = url
            .fragment()
            .and_then(|fragment| fragment.strip_prefix("sha256="))
            .and_then(|hash| hash.parse().ok());
        url.set_fragment(None);
        Some(Wheel::There { url, sha256, size_bytes: None })
    })
}

/// A link on a page.
fn resolve(base: &Url, link: &str) -> Option<Url> {
    base.join(link).ok().filter(|url| matches!(url.scheme(), "https" | "http"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70";

    fn wanted() -> WheelMember {
        WheelMember { package: "a-b".into(), version: "1.0".into(), member: String::new() }
    }

    fn base() -> Url {
        Url::parse("https://index.example/simple/a-b/").unwrap()
    }

    #[test]
    fn both_forms_of_page_tell_the_same() {
        let json_page = format!(
            r#"{{"files":[{{"filename":"a_b-0.9-py3-none-any.whl","url":"no"}},
                {{"filename":"a_b-1.0-py3-none-any.whl","url":"../../files/a_b-1.0-py3-none-any.whl",
                  "hashes":{{"sha256":"{HASH}"}},"size":7,"yanked":false}}]}}"#
        );
        let html_page = format!(
            r#"<a href="a_b-0.9-py3-none-any.whl">0.9</a>
               <a href="../../files/a_b-1.0-py3-none-any.whl#sha256={HASH}">1.0</a>"#
        );
        let url = Url::parse("https://index.example/files/a_b-1.0-py3-none-any.whl").unwrap();
        let there = |size_bytes| Wheel::There { url: url.clone(), sha256: HASH.parse().ok(), size_bytes };
        assert_eq!(json(&base(), &json_page, &wanted()).unwrap(), Some(there(Some(7))));
        assert_eq!(page(&base(), &html_page, &wanted()), Some(there(None)));
    }

    #[test]
    fn nonsense_is_said_and_odd_addresses_are_refused() {
        assert!(json(&base(), "[]", &wanted()).is_err());
        assert!(json(&base(), "{", &wanted()).is_err());
        let file = r#"{"files":[{"filename":"a_b-1.0-py3-none-any.whl","url":"file:///etc/passwd"}]}"#;
        assert!(json(&base(), file, &wanted()).is_err());
        assert_eq!(page(&base(), "<a href=\"file:///a_b-1.0-py3-none-any.whl\">", &wanted()), None);
    }
}
