//! HTTP as far as fetching files needs it: GET, redirects, credentials that stay home.
//!
//! Redirects are followed here rather than by the client library: the hub tells a
//! file's hash on the redirect itself (`x-linked-etag`), and a credential must never
//! follow to another origin.

mod download;
mod part;

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ureq::http::{HeaderMap, Response, header};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body, Proxy};
use url::Url;

use crate::settings::Token;
use crate::{Digest, SourceError};

pub(crate) use download::{Download, Trouble, disk_error, room};
pub(crate) use part::Part;

/// Longest wait for a name, a connection and TLS together: a source that is away must
/// not hold up the next one for long.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Longest wait for the head of an answer.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest silence within a body.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);
/// Most redirects followed for one file; the hub needs two.
const REDIRECTS_MAX: usize = 8;
/// Largest page of a package index, in bytes. The largest public ones are near 10 MB.
const PAGE_MAX_BYTES: u64 = 32 << 20;

/// What a connection that broke under way says; one that cannot be made says other things.
const BROKEN: [ErrorKind; 4] = [
    ErrorKind::ConnectionReset,
    ErrorKind::ConnectionAborted,
    ErrorKind::BrokenPipe,
    ErrorKind::UnexpectedEof,
];

/// An HTTP client.
#[derive(Debug, Clone)]
pub(crate) struct Client(Agent);

/// One GET.
#[derive(Debug, Default)]
pub(crate) struct Get<'a> {
    pub(crate) accept: Option<&'a str>,
    pub(crate) range: Option<String>,
    pub(crate) if_range: Option<&'a str>,
    /// Sent to the first origin only.
    pub(crate) token: Option<&'a Token>,
}

/// An answer, redirects followed.
pub(crate) struct Answer {
    /// Where it came from in the end.
    pub(crate) url: Url,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// The file's hash, as the hub tells it.
    pub(crate) linked_sha256: Option<Digest>,
    pub(crate) body: Body,
}

impl Client {
    /// `certificates`: a PEM file to trust instead of the system's roots. `proxy`: one to
    /// use instead of the environment's.
    pub(crate) fn new(certificates: Option<&Path>, proxy: Option<&str>) -> Result<Self, SourceError> {
        let roots = certificates.map_or(Ok(RootCerts::PlatformVerifier), roots)?;
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_resolve(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(HEAD_TIMEOUT))
            .timeout_per_read(Some(STALL_TIMEOUT))
            .user_agent(concat!("outcrop/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .tls_config(TlsConfig::builder().root_certs(roots).build());
        if let Some(proxy) = proxy {
            let proxy = Proxy::new(proxy)
                .map_err(|error| SourceError::Settings(format!("the proxy {}: {error}", shown(proxy))))?;
            config = config.proxy(Some(proxy));
        }
        Ok(Self(config.build().new_agent()))
    }

    /// Gets `url`, following redirects.
    pub(crate) fn get(&self, url: &Url, get: &Get<'_>) -> Result<Answer, SourceError> {
        let origin = url.origin();
        let (mut url, basic) = take_user(url.clone());
        let mut linked_sha256 = None;
        for _ in 0..=REDIRECTS_MAX {
            let credential = Some(()).filter(|()| url.origin() == origin).and_then(|()| {
                get.token.map(|token| format!("Bearer {}", token.0)).or_else(|| basic.clone())
            });
            let answer = self.send(&url, get, credential)?;
            linked_sha256 = linked_sha256.or_else(|| linked_hash(answer.headers()));
            let Some(location) = redirect(&answer) else {
                let (head, body) = answer.into_parts();
                let (status, headers) = (head.status.as_u16(), head.headers);
                return Ok(Answer { url, status, headers, linked_sha256, body });
            };
            url = follow(&url, location)?;
        }
        Err(SourceError::Nonsense {
            url: shown_url(&url),
            why: format!("more than {REDIRECTS_MAX} redirects"),
        })
    }

    /// Gets a page of text.
    pub(crate) fn page(&self, url: &Url, accept: &str) -> Result<(Answer, String), SourceError> {
        let mut answer = self.get(url, &Get { accept: Some(accept), ..Get::default() })?;
        if answer.status != 200 {
            return Err(status(&answer.url, answer.status));
        }
        let text = answer.body.with_config().limit(PAGE_MAX_BYTES).lossy_utf8(true).read_to_string();
        let text = text.map_err(|error| unreachable(&answer.url, &error))?;
        Ok((answer, text))
    }

    fn send(
        &self,
        url: &Url,
        get: &Get<'_>,
        credential: Option<String>,
    ) -> Result<Response<Body>, SourceError> {
        let mut request = self.0.get(url.as_str());
        for (name, value) in [
            (header::ACCEPT, get.accept),
            (header::RANGE, get.range.as_deref()),
            (header::IF_RANGE, get.if_range),
            (header::AUTHORIZATION, credential.as_deref()),
        ] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        request.call().map_err(|error| unreachable(url, &error))
    }
}

/// The failure that a status means.
pub(crate) fn status(url: &Url, status: u16) -> SourceError {
    let hint = match status {
        401 | 403 => "; a gated model needs its terms accepted on its page and a token in HF_TOKEN",
        404 | 410 => ": there is no such file",
        429 => ": too many requests; try again later",
        _ => "",
    };
    SourceError::Status { url: shown_url(url), status, hint }
}

/// The failure that a broken connection means.
pub(crate) fn unreachable(url: &Url, error: &ureq::Error) -> SourceError {
    let transient = match error {
        ureq::Error::Io(error) => BROKEN.contains(&error.kind()),
        ureq::Error::Timeout(timeout) => !matches!(timeout, ureq::Timeout::Connect | ureq::Timeout::Resolve),
        _ => false,
    };
    SourceError::Unreachable { url: shown_url(url), why: error.to_string(), transient }
}

/// An address as it may be shown: no credentials, no (signed) query.
pub(crate) fn shown(url: &str) -> String {
    Url::parse(url).map_or_else(|_| "an address".into(), |url| shown_url(&url))
}

pub(crate) fn shown_url(url: &Url) -> String {
    let mut url = take_user(url.clone()).0;
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}

/// Takes `user:password@` off a URL, as the header it means.
fn take_user(mut url: Url) -> (Url, Option<String>) {
    if url.username().is_empty() && url.password().is_none() {
        return (url, None);
    }
    let decode = |text: &str| percent_decode(text);
    let pair = format!("{}:{}", decode(url.username()), decode(url.password().unwrap_or_default()));
    // Cannot fail: a URL that has a user name has a host.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    (url, Some(format!("Basic {}", STANDARD.encode(pair))))
}

/// `%41` → `A`; bytes that are no UTF-8 are replaced.
pub(crate) fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut place = 0;
    while let Some(&byte) = bytes.get(place) {
        let escaped = bytes.get(place + 1..place + 3).filter(|_| byte == b'%');
        let mut value = [0];
        if escaped.is_some_and(|digits| hex::decode_to_slice(digits, &mut value).is_ok()) {
            decoded.push(value[0]);
            place += 3;
        } else {
            decoded.push(byte);
            place += 1;
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn redirect<T>(answer: &Response<T>) -> Option<&str> {
    let follows = matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    answer.headers().get(header::LOCATION).filter(|_| follows)?.to_str().ok()
}

fn follow(from: &Url, location: &str) -> Result<Url, SourceError> {
    let nonsense = |why: String| SourceError::Nonsense { url: shown_url(from), why };
    let to = from.join(location).map_err(|_| nonsense("a redirect that is no address".into()))?;
    match (from.scheme(), to.scheme()) {
        (_, "https") | ("http", "http") => Ok(to),
        ("https", "http") => Err(nonsense("a redirect from https to http".into())),
        (_, scheme) => Err(nonsense(format!("a redirect to {scheme}:"))),
    }
}

/// The hub tells large files' SHA-256 in `x-linked-etag`; a git blob's SHA-1 is not it.
fn linked_hash(headers: &HeaderMap) -> Option<Digest> {
    headers.get("x-linked-etag")?.to_str().ok()?.trim_matches('"').parse().ok()
}

fn roots(path: &Path) -> Result<RootCerts, SourceError> {
    let wrong = |why: String| SourceError::Settings(format!("the certificates {}: {why}", path.display()));
    let pem = fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let certificates: Vec<_> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        return Err(wrong("none in there".into()));
    }
    Ok(RootCerts::new_with_certs(&certificates))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_private_of_an_address_is_shown() {
        assert_eq!(shown("https://user:pass@example.com/a?sig=1#x"), "https://example.com/a");
        assert_eq!(
            shown("user:pass"),
            "user:pass".parse::<Url>().map_or("an address".into(), |url| url.to_string())
        );
    }

    #[test]
    fn credentials_become_a_header() {
        let url = Url::parse("https://us%40er:p%3Ass@example.com/simple/").unwrap();
        let (url, basic) = take_user(url);
        assert_eq!(url.as_str(), "https://example.com/simple/");
        assert_eq!(basic.unwrap(), format!("Basic {}", STANDARD.encode("us@er:p:ss")));
    }

    #[test]
    fn redirects_never_leave_https_or_http() {
        let from = Url::parse("https://a/x").unwrap();
        assert_eq!(follow(&from, "/y").unwrap().as_str(), "https://a/y");
        assert_eq!(follow(&from, "https://b/y").unwrap().as_str(), "https://b/y");
        for bad in ["http://a/x", "file:///etc/passwd", "https://", "ftp://a/"] {
            assert!(follow(&from, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn percent_decoding_survives_anything() {
        assert_eq!(percent_decode("a%20b%"), "a b%");
        assert_eq!(percent_decode("%zz%4"), "%zz%4");
        assert_eq!(percent_decode("%ff"), "\u{fffd}");
    }
}
