//! One provider's connections: address, prebuilt headers, and a pool.
//!
//! Everything that is the same for every request is made once, here: scheme and
//! authority, the authentication header, `host`, the parsed URI of each path. HTTP/1.1
//! in the clear; over TLS whichever of HTTP/2 and HTTP/1.1 ALPN agrees on.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::header::{HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use http::uri::{Authority, PathAndQuery, Scheme as UriScheme};
use http::{HeaderName as Name, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::connector::Connector;
use crate::pieces::Pieces;
use crate::{Limits, Provider, ProviderError, Speaks, Timeouts};

pub(crate) type HttpClient = Client<Connector, Pieces>;

/// One provider, ready to be sent to. Shared by the models it runs.
pub struct Transport {
    pub(crate) name: Arc<str>,
    pub(crate) speaks: Speaks,
    pub(crate) timeouts: Timeouts,
    pub(crate) limits: Limits,
    pub(crate) headers: HeaderMap,
    pub(crate) client: HttpClient,
    scheme: UriScheme,
    authority: Authority,
    prefix: String,
    first_path: OnceLock<(String, Uri)>,
}

impl Transport {
    /// Makes the pool of the provider configured as `name`; reads its secret. Opens no
    /// connection yet.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn open(name: &str, provider: &Provider) -> Result<Arc<Self>, ProviderError> {
        check_positive(name, provider)?;
        let (scheme, authority, prefix) = base(name, &provider.base_url)?;
        let headers = headers(name, provider, &authority)?;
        let tls = tls(name, scheme == UriScheme::HTTPS)?;
        Ok(Arc::new(Self {
            name: name.into(),
            speaks: provider.dialect,
            timeouts: provider.timeouts,
            limits: provider.limits,
            headers,
            client: client(tls, provider),
            scheme,
            authority,
            prefix,
            first_path: OnceLock::new(),
        }))
    }

    /// The URI of a path below the base. The first path asked for (in practice the only
    /// one that is hot) is parsed once.
    pub(crate) fn uri(&self, path: &str) -> Result<Uri, http::Error> {
        if let Some((known, uri)) = self.first_path.get()
            && known == path
        {
            return Ok(uri.clone());
        }
        let full = PathAndQuery::try_from(format!("{}{path}", self.prefix))?;
        let uri = Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(full)
            .build()?;
        let _ = self.first_path.set((path.to_owned(), uri.clone()));
        Ok(uri)
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("name", &self.name)
            .field("authority", &self.authority.as_str())
            .finish_non_exhaustive()
    }
}

fn check_positive(name: &str, provider: &Provider) -> Result<(), ProviderError> {
    let Timeouts { connect_ms, first_byte_ms, between_ms, total_ms, error_body_ms } = provider.timeouts;
    let fields = [
        ("timeouts.connect_ms", connect_ms),
        ("timeouts.first_byte_ms", first_byte_ms),
        ("timeouts.between_ms", between_ms),
        ("timeouts.total_ms", total_ms),
        ("timeouts.error_body_ms", error_body_ms),
        ("limits.answer_max_bytes", provider.limits.answer_max_bytes),
        ("limits.error_max_bytes", provider.limits.error_max_bytes as u64),
    ];
    match fields.into_iter().find(|(_, value)| *value == 0) {
        Some((field, _)) => Err(ProviderError::Zero { provider: name.to_owned(), field }),
        None => Ok(()),
    }
}

fn base(name: &str, url: &str) -> Result<(UriScheme, Authority, String), ProviderError> {
    let wrong =
        |reason| ProviderError::BaseUrl { provider: name.to_owned(), url: without_userinfo(url), reason };
    let parts = url.parse::<Uri>().map_err(|_| wrong("is not a URL"))?.into_parts();
    let scheme = parts
        .scheme
        .filter(|scheme| *scheme == UriScheme::HTTP || *scheme == UriScheme::HTTPS)
        .ok_or_else(|| wrong("must begin with http:// or https://"))?;
    let authority = parts.authority.ok_or_else(|| wrong("has no host"))?;
    if authority.as_str().contains('@') {
        return Err(wrong("must not hold a user name or password (use `auth`)"));
    }
    if parts.path_and_query.as_ref().is_some_and(|path| path.query().is_some()) {
        return Err(wrong("must not have a query"));
    }
    let path = parts.path_and_query.as_ref().map_or("", PathAndQuery::path);
    Ok((scheme, authority, path.trim_end_matches('/').to_owned()))
}

/// A URL fit for an error message.
fn without_userinfo(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => format!("{}://…{}", &url[..scheme], &url[at..]),
        _ => url.to_owned(),
    }
}

fn headers(name: &str, provider: &Provider, authority: &Authority) -> Result<HeaderMap, ProviderError> {
    let mut headers = HeaderMap::with_capacity(4 + provider.headers.len());
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("outcrop/", env!("CARGO_PKG_VERSION"))));
    if let Ok(host) = HeaderValue::from_str(authority.as_str()) {
        headers.insert(HOST, host);
    }
    extra_headers(name, &provider.headers, &mut headers)?;
    let auth = provider.auth.header(provider.dialect);
    let auth = auth.map_err(|reason| ProviderError::Auth { provider: name.to_owned(), reason })?;
    headers.extend(auth.map(|(name, value)| (Some(name), value)));
    Ok(headers)
}

fn extra_headers(
    provider: &str,
    extra: &BTreeMap<String, String>,
    headers: &mut HeaderMap,
) -> Result<(), ProviderError> {
    for (header, value) in extra {
        let wrong =
            |reason| ProviderError::Header { provider: provider.to_owned(), header: header.clone(), reason };
        let name = Name::try_from(header).map_err(|_| wrong("is not a header name"))?;
        if is_ours(&name) {
            return Err(wrong("is set by the transport itself"));
        }
        let value = HeaderValue::from_str(value).map_err(|_| wrong("has a value no header can have"))?;
        headers.insert(name, value);
    }
    Ok(())
}

/// Headers that frame the message: a configured one would corrupt it.
fn is_ours(name: &HeaderName) -> bool {
    const OURS: [&str; 6] =
        ["host", "content-length", "transfer-encoding", "connection", "accept-encoding", "te"];
    OURS.contains(&name.as_str())
}

fn client(tls: rustls::ClientConfig, provider: &Provider) -> HttpClient {
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(Duration::from_millis(provider.limits.idle_connection_ms))
        .pool_max_idle_per_host(provider.limits.idle_connections)
        .build(Connector::new(tls, provider.timeouts.connect()))
}

/// The system's trusted roots for https (`SSL_CERT_FILE` and `SSL_CERT_DIR` are
/// honoured); none for a provider in the clear, since reading them takes a while.
fn tls(name: &str, needed: bool) -> Result<rustls::ClientConfig, ProviderError> {
    let mut roots = rustls::RootCertStore::empty();
    if needed {
        let found = rustls_native_certs::load_native_certs();
        let (added, _) = roots.add_parsable_certificates(found.certs);
        if added == 0 {
            let reason = found.errors.first().map_or_else(|| "none found".to_owned(), ToString::to_string);
            return Err(ProviderError::Roots { provider: name.to_owned(), reason });
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ProviderError::Roots { provider: name.to_owned(), reason: error.to_string() })?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(toml: &str) -> Provider {
        toml::from_str(toml).unwrap()
    }

    fn open(toml: &str) -> Result<Arc<Transport>, ProviderError> {
        Transport::open("p", &provider(toml))
    }

    #[test]
    fn paths_go_below_the_base() {
        let transport = open("dialect = 'openai-chat'\nbase_url = 'http://h:1/api/v1/'").unwrap();
        for _ in 0..2 {
            let uri = transport.uri("/chat/completions").unwrap();
            assert_eq!(uri.to_string(), "http://h:1/api/v1/chat/completions");
        }
        assert_eq!(transport.uri("/other?x=1").unwrap().to_string(), "http://h:1/api/v1/other?x=1");
    }

    #[test]
    fn static_headers_are_prebuilt() {
        let transport = open(
            "dialect = 'anthropic'\nbase_url = 'http://h:1'\nauth.value = 'k'\nheaders.x-team = 'search'",
        )
        .unwrap();
        assert_eq!(transport.headers["host"], "h:1");
        assert_eq!(transport.headers["x-api-key"], "k");
        assert_eq!(transport.headers["x-team"], "search");
        assert!(!format!("{transport:?}").contains("\"k\""));
    }

    #[test]
    fn bad_configuration_is_told() {
        let told = |toml: &str| open(toml).unwrap_err().to_string();
        assert!(told("dialect='openai'\nbase_url='ftp://h'").contains("http:// or https://"));
        assert!(told("dialect='openai'\nbase_url='http://h/?a=1'").contains("query"));
        let password = told("dialect='openai'\nbase_url='http://user:hunter2@h/'");
        assert!(password.contains("password") && !password.contains("hunter2"), "{password}");
        assert!(told("dialect='openai'\nbase_url='http://h'\nheaders.Host='x'").contains("transport"));
        assert!(told("dialect='openai'\nbase_url='http://h'\ntimeouts.total_ms=0").contains("total_ms"));
        assert!(toml::from_str::<Provider>("dialect='openai'\nbase_url='http://h'\nbase_urll=''").is_err());
        assert!(toml::from_str::<Provider>("dialect='bedrock'\nbase_url='http://h'").is_err());
    }
}
