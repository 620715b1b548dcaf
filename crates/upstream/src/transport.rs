//! One provider's connections: address, dialects, prebuilt headers, and a pool.
//!
//! Everything that is the same for every request is made once, here: scheme and
//! authority, the authentication header, `host`, the parsed URI of each path. HTTP/1.1
//! in the clear; over TLS whichever of HTTP/2 and HTTP/1.1 ALPN agrees on.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use dialect::Outbound;
use http::header::{HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use http::uri::{Authority, PathAndQuery, Scheme as UriScheme};
use http::{HeaderName as Name, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::auth::Authenticator;
use crate::connector::Connector;
use crate::pieces::Pieces;
use crate::resolve::Resolved;
use crate::{Limits, Provider, ProviderError, Timeouts, tls};

pub(crate) type HttpClient = Client<Connector, Pieces>;

/// One provider, ready to be sent to. Shared by the models it runs.
pub struct Transport {
    pub(crate) name: Arc<str>,
    /// The dialects it speaks, the preferred one first; at least one.
    pub(crate) spoken: Vec<Spoken>,
    pub(crate) timeouts: Timeouts,
    pub(crate) limits: Limits,
    pub(crate) headers: HeaderMap,
    pub(crate) authenticator: Authenticator,
    pub(crate) client: HttpClient,
    scheme: UriScheme,
    authority: Authority,
}

/// A dialect that a provider speaks, and where.
pub(crate) struct Spoken {
    pub(crate) outbound: Box<dyn Outbound>,
    /// Beginnings of the names of the models that speak it; empty: all that no other
    /// dialect claims.
    model_prefixes: Vec<String>,
    /// What stands before the dialect's own paths.
    prefix: String,
    first_path: OnceLock<(String, Uri)>,
    /// The reply headers that a client of its own dialect may see.
    pub(crate) forwarded: Vec<HeaderName>,
}

impl Transport {
    /// Makes the pool of the provider configured as `name`; reads its secret. Opens no
    /// connection yet.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn open(name: &str, provider: &Provider) -> Result<Arc<Self>, ProviderError> {
        check_positive(name, provider)?;
        let resolved = provider.resolve(name)?;
        let (scheme, authority, prefix) = base(name, &resolved.base_url)?;
        let spoken = spoken(&resolved, &prefix);
        if spoken.is_empty() {
            return Err(ProviderError::Dialect { provider: name.to_owned() });
        }
        let preferred = resolved.dialects.first().map(|place| place.speaks);
        let auth = preferred.map_or(Ok(Authenticator::Nothing), |speaks| {
            resolved.auth.open(speaks, resolved.region.as_deref())
        });
        let authenticator =
            auth.map_err(|reason| ProviderError::Auth { provider: name.to_owned(), reason })?;
        Ok(Arc::new(Self {
            name: name.into(),
            spoken,
            timeouts: provider.timeouts,
            limits: provider.limits,
            headers: headers(name, &resolved, &authority)?,
            authenticator,
            client: client(tls_config(name, provider, scheme == UriScheme::HTTPS)?, provider),
            scheme,
            authority,
        }))
    }

    /// The places of the dialects that a model may be spoken to in: those that claim its
    /// name, or all that claim none.
    pub(crate) fn spoken_to(&self, model: &str) -> Vec<usize> {
        let chosen = |wanted: &dyn Fn(&Spoken) -> bool| -> Vec<usize> {
            let places = self.spoken.iter().enumerate().filter(|(_, spoken)| wanted(spoken));
            places.map(|(place, _)| place).collect()
        };
        let claimed =
            chosen(&|spoken| spoken.model_prefixes.iter().any(|prefix| model.starts_with(prefix.as_str())));
        if claimed.is_empty() { chosen(&|spoken| spoken.model_prefixes.is_empty()) } else { claimed }
    }

    /// Whether it is reached over TLS.
    pub(crate) fn is_secure(&self) -> bool {
        self.scheme == UriScheme::HTTPS
    }

    /// Whom to connect to; an IPv6 address without its brackets.
    pub(crate) fn host_and_port(&self) -> (&str, u16) {
        let port = self.authority.port_u16().unwrap_or(if self.is_secure() { 443 } else { 80 });
        (self.authority.host().trim_matches(['[', ']']), port)
    }

    /// The URI of a dialect's path. The first path asked for (for most dialects the only
    /// one that is hot) is parsed once.
    pub(crate) fn uri(&self, spoken: &Spoken, path: &str) -> Result<Uri, http::Error> {
        if let Some((known, uri)) = spoken.first_path.get()
            && known == path
        {
            return Ok(uri.clone());
        }
        let full = PathAndQuery::try_from(format!("{}{path}", spoken.prefix))?;
        let uri = Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(full)
            .build()?;
        let _ = spoken.first_path.set((path.to_owned(), uri.clone()));
        Ok(uri)
    }
}

fn spoken(resolved: &Resolved, prefix: &str) -> Vec<Spoken> {
    let one = |place: &crate::resolve::Place| {
        let outbound = dialect::outbound(place.speaks.dialect(), &resolved.quirks)?;
        let forwarded = outbound.forwarded_headers().iter().copied().map(HeaderName::from_static);
        Some(Spoken {
            forwarded: forwarded.collect(),
            outbound,
            model_prefixes: place.model_prefixes.clone(),
            prefix: format!("{prefix}{}", place.path),
            first_path: OnceLock::new(),
        })
    };
    resolved.dialects.iter().filter_map(one).collect()
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

fn headers(name: &str, resolved: &Resolved, authority: &Authority) -> Result<HeaderMap, ProviderError> {
    let mut headers = HeaderMap::with_capacity(4 + resolved.headers.len());
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("outcrop/", env!("CARGO_PKG_VERSION"))));
    if let Ok(host) = HeaderValue::from_str(authority.as_str()) {
        headers.insert(HOST, host);
    }
    extra_headers(name, &resolved.headers, &mut headers)?;
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

fn tls_config(name: &str, provider: &Provider, needed: bool) -> Result<rustls::ClientConfig, ProviderError> {
    if !needed {
        return tls::none().map_err(|reason| ProviderError::Roots { provider: name.to_owned(), reason });
    }
    tls::trusting(provider.ca_file.as_deref()).map_err(|reason| match provider.ca_file {
        Some(_) => ProviderError::CaFile { provider: name.to_owned(), reason },
        None => ProviderError::Roots { provider: name.to_owned(), reason },
    })
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
        let spoken = &transport.spoken[0];
        for _ in 0..2 {
            let uri = transport.uri(spoken, "/chat/completions").unwrap();
            assert_eq!(uri.to_string(), "http://h:1/api/v1/chat/completions");
        }
        assert_eq!(transport.uri(spoken, "/other?x=1").unwrap().to_string(), "http://h:1/api/v1/other?x=1");
    }

    #[test]
    fn static_headers_are_prebuilt() {
        let transport = open(
            "dialect = 'anthropic'\nbase_url = 'http://h:1'\nauth.value = 'k'\nheaders.x-team = 'search'",
        )
        .unwrap();
        assert_eq!(transport.headers["host"], "h:1");
        assert!(matches!(&transport.authenticator, Authenticator::Fixed((name, _)) if name == "x-api-key"));
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
        assert!(toml::from_str::<Provider>("dialect='esperanto'\nbase_url='http://h'").is_err());
        assert!(told("dialect='openai'\nbase_url='https://h'\nca_file='/no/such'").contains("ca_file"));
    }

    #[test]
    fn a_dialect_may_claim_its_models_by_name() {
        let transport = open("kind = 'vertex'\nproject = 'p'\nauth.scheme = 'none'").unwrap();
        let dialects = |model: &str| -> Vec<_> {
            let places = transport.spoken_to(model).into_iter();
            places.map(|place| transport.spoken[place].outbound.dialect()).collect()
        };
        assert_eq!(dialects("claude-sonnet-4-5@20250929"), [message::Dialect::Anthropic]);
        assert!(!dialects("gemini-3-pro").contains(&message::Dialect::Anthropic));
    }
}
