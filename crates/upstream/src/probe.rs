//! A dry connection test, step by step, which says what is wrong and what to do:
//! configuration, name, connection, TLS, credential, and a question to a model or for
//! the list of models. What `outcrop providers test` prints.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use http::header::HeaderMap;
use http::{Method, Request};
use message::{Call, Dialect, ErrorKind, Failure, NewCall, Operation, Principal, RequestId, Service};
use rustls::pki_types::ServerName;
use serde_json::json;
use tokio::net::TcpStream;

use crate::auth::Unsigned;
use crate::pieces::Pieces;
use crate::resolve::Resolved;
use crate::transport::Spoken;
use crate::{Provider, Remote, Transport, tls};

/// What each step on the network may take: this is a test for people, who wait.
const STEP_TIMEOUT: Duration = Duration::from_secs(20);

/// Most tokens of the answer asked for: the least that every dialect accepts.
const ANSWER_TOKENS: u32 = 16;

/// One step of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What was tried.
    pub name: &'static str,
    /// What was found.
    pub outcome: Result<String, Fault>,
}

/// Why a step failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong; never a secret.
    pub why: String,
    /// What to do about it.
    pub advice: String,
}

/// Tests a provider; the last step is the one that failed, if one did. With a `model`
/// that is asked a question, else the list of models is asked for.
pub async fn probe(name: &str, provider: &Provider, model: Option<&str>) -> Vec<Step> {
    let mut steps = Vec::new();
    // Stops at the first fault, which is then the last step.
    let _ = walk(name, provider, model, &mut steps).await;
    steps
}

struct Stopped;

/// Notes a step; stops at a fault.
fn note<T>(
    steps: &mut Vec<Step>,
    name: &'static str,
    outcome: Result<(T, String), Fault>,
) -> Result<T, Stopped> {
    let (value, outcome) = match outcome {
        Ok((value, found)) => (Ok(value), Ok(found)),
        Err(fault) => (Err(Stopped), Err(fault)),
    };
    steps.push(Step { name, outcome });
    value
}

async fn walk(
    name: &str,
    provider: &Provider,
    model: Option<&str>,
    steps: &mut Vec<Step>,
) -> Result<(), Stopped> {
    let (transport, resolved) = note(steps, "configuration", configuration(name, provider))?;
    let addresses = note(steps, "name", lookup(&transport).await)?;
    let stream = note(steps, "connection", connect(&addresses, provider).await)?;
    if transport.is_secure() {
        note(steps, "tls", handshake(stream, &transport, provider).await)?;
    }
    let (what, spoken) = question(&transport, model);
    note(steps, "credential", credential(&transport).await)?;
    match (what, spoken) {
        (Some(path), Some(spoken)) => note(steps, "models", list(&transport, spoken, path, &resolved).await),
        _ => note(steps, "answer", ask(&transport, model).await),
    }
}

fn configuration(name: &str, provider: &Provider) -> Result<((Arc<Transport>, Resolved), String), Fault> {
    let opened = provider.resolve(name).and_then(|resolved| Ok((Transport::open(name, provider)?, resolved)));
    let (transport, resolved) = opened.map_err(|error| Fault {
        why: error.to_string(),
        advice: format!("correct [providers.{name}] in outcrop.toml, or set what it names"),
    })?;
    let dialects: Vec<&str> =
        transport.spoken.iter().map(|spoken| spoken.outbound.dialect().name()).collect();
    let found = format!("{} ({})", resolved.base_url, dialects.join(", "));
    Ok(((transport, resolved), found))
}

async fn lookup(transport: &Transport) -> Result<(Vec<SocketAddr>, String), Fault> {
    let (host, port) = transport.host_and_port();
    let fault = |why: String| Fault {
        why: format!("the name `{host}` is not known: {why}"),
        advice: "check base_url for a typing error, and this machine's DNS and network".to_owned(),
    };
    let found = within(tokio::net::lookup_host((host, port))).await.map_err(fault)?;
    let addresses: Vec<SocketAddr> = found.map_err(|error| fault(error.to_string()))?.collect();
    match addresses.as_slice() {
        [] => Err(fault("it has no address".to_owned())),
        [first, rest @ ..] => {
            let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
            let found = format!("{host} is {}{more}", first.ip());
            Ok((addresses, found))
        }
    }
}

async fn connect(addresses: &[SocketAddr], provider: &Provider) -> Result<(TcpStream, String), Fault> {
    let begun = Instant::now();
    let wait = Duration::from_millis(provider.timeouts.connect_ms);
    let fault = |why: String| Fault {
        why,
        advice: "check that the server runs and listens there, and that no firewall is between; \
                 proxies are not used"
            .to_owned(),
    };
    match tokio::time::timeout(wait, TcpStream::connect(addresses)).await {
        Ok(Ok(stream)) => {
            let found = format!("open after {} ms", begun.elapsed().as_millis());
            Ok((stream, found))
        }
        Ok(Err(error)) => Err(fault(format!("cannot be connected to: {error}"))),
        Err(_) => Err(fault(format!("no connection within {} ms", wait.as_millis()))),
    }
}

async fn handshake(
    stream: TcpStream,
    transport: &Transport,
    provider: &Provider,
) -> Result<((), String), Fault> {
    let fault = |why: String| Fault {
        why: format!("no TLS: {why}"),
        advice: "if its certificate is from an authority of your own, name it in `ca_file`; \
                 if the server speaks plain HTTP, write http:// in base_url"
            .to_owned(),
    };
    let mut config = tls::trusting(provider.ca_file.as_deref()).map_err(fault)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let (host, _) = transport.host_and_port();
    let server = ServerName::try_from(host.to_owned()).map_err(|error| fault(error.to_string()))?;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = within(connector.connect(server, stream)).await.map_err(fault)?;
    let stream = stream.map_err(|error| fault(error.to_string()))?;
    let (_, session) = stream.get_ref();
    let version =
        session.protocol_version().map_or_else(|| "TLS".to_owned(), |version| format!("{version:?}"));
    let protocol = session.alpn_protocol().map_or("http/1.1".into(), String::from_utf8_lossy);
    Ok(((), format!("{version}, {protocol}")))
}

async fn credential(transport: &Transport) -> Result<((), String), Fault> {
    let fault = |why: String| Fault {
        why: format!("there is no credential: {why}"),
        advice: "see `auth` in outcrop.example.toml for where one may come from".to_owned(),
    };
    let mut headers = transport.headers.clone();
    let before = headers.len();
    let uri = transport.spoken.first().and_then(|spoken| transport.uri(spoken, "/").ok()).unwrap_or_default();
    let unsigned = Unsigned { method: &Method::POST, uri: &uri, body: &[] };
    within(transport.authenticator.authorize(unsigned, &mut headers)).await.map_err(fault)?.map_err(fault)?;
    let found = if headers.len() > before { "is there" } else { "none is sent" };
    Ok(((), found.to_owned()))
}

/// What to ask: for the list of models, where no model was named and the dialect has one.
fn question<'t>(transport: &'t Transport, model: Option<&str>) -> (Option<&'static str>, Option<&'t Spoken>) {
    if model.is_some() {
        return (None, None);
    }
    let listed = transport.spoken.iter().find_map(|spoken| {
        let path = match spoken.outbound.dialect() {
            Dialect::Anthropic | Dialect::Cohere => "/v1/models",
            Dialect::OpenAiChat | Dialect::OpenAiResponses | Dialect::OpenAiCompletions | Dialect::Gemini => {
                "/models"
            }
            _ => return None,
        };
        Some((path, spoken))
    });
    listed.map_or((None, None), |(path, spoken)| (Some(path), Some(spoken)))
}

async fn list(
    transport: &Transport,
    spoken: &Spoken,
    path: &str,
    resolved: &Resolved,
) -> Result<((), String), Fault> {
    let broken = |why: String| Fault {
        why: format!("no list of models: {why}"),
        advice: "try `--model NAME`: not every server has a list".to_owned(),
    };
    let uri = transport.uri(spoken, path).map_err(|error| broken(error.to_string()))?;
    let mut headers = transport.headers.clone();
    if spoken.outbound.dialect() == Dialect::Anthropic {
        headers.insert("anthropic-version", http::HeaderValue::from_static("2023-06-01"));
    }
    let unsigned = Unsigned { method: &Method::GET, uri: &uri, body: &[] };
    transport.authenticator.authorize(unsigned, &mut headers).await.map_err(broken)?;
    let mut request = Request::new(Pieces::new(Vec::<Bytes>::new()));
    *request.uri_mut() = uri.clone();
    *request.headers_mut() = headers;
    let response = within(transport.client.request(request)).await.map_err(broken)?;
    let status = response.map_err(|error| broken(error.to_string()))?.status();
    match status.as_u16() {
        200..=299 => Ok(((), format!("GET {uri} answered {status}"))),
        401 | 403 => Err(refused(&format!("GET {uri} answered {status}"), resolved)),
        404 | 405 => Err(broken(format!("GET {uri} answered {status}"))),
        _ => Err(Fault {
            why: format!("GET {uri} answered {status}"),
            advice: "the server is reached but not well; look at its status page or its log".to_owned(),
        }),
    }
}

fn refused(what: &str, resolved: &Resolved) -> Fault {
    let advice = match resolved.auth.env_found() {
        Some(env) => format!("the key in {env} is not (or no longer) good for this; make a new one"),
        None => "make a new key, or check what it may do".to_owned(),
    };
    Fault { why: format!("{what}: the credential is refused"), advice }
}

/// Asks a model one question, the way a call of a client would.
async fn ask(transport: &Arc<Transport>, model: Option<&str>) -> Result<((), String), Fault> {
    let Some(model) = model else {
        return Err(Fault {
            why: "no model to ask".to_owned(),
            advice: "this provider lists none: give `--model NAME`".to_owned(),
        });
    };
    let begun = Instant::now();
    let answered = async {
        let reply = Remote::new(transport, model).call(greeting(model)?).await?;
        let mut events = reply.events;
        while let Some(event) = events.next().await {
            event?;
        }
        Ok::<_, Failure>(())
    };
    match within(answered).await {
        Ok(Ok(())) => Ok(((), format!("{model} answered after {} ms", begun.elapsed().as_millis()))),
        Ok(Err(failure)) => {
            Err(Fault { why: format!("{model}: {failure}"), advice: advice(&failure).to_owned() })
        }
        Err(why) => Err(Fault {
            why: format!("{model}: {why}"),
            advice: "the model may be loading; try again".to_owned(),
        }),
    }
}

fn advice(failure: &Failure) -> &'static str {
    match failure.kind {
        ErrorKind::NotFound => "check the model's name, and whether this account may use it",
        ErrorKind::RateLimited | ErrorKind::Overloaded | ErrorKind::Unavailable => {
            "the credential is good and the provider busy; try again later"
        }
        ErrorKind::InvalidRequest | ErrorKind::Unsupported => {
            "the server is reached and the credential taken; the model or a quirk is not right"
        }
        ErrorKind::Upstream if failure.message.contains("credential") => {
            "renew the key, or check what it may do"
        }
        _ => "look at the provider's status page",
    }
}

fn greeting(model: &str) -> Result<Call, Failure> {
    let body = json!({
        "model": model, "max_completion_tokens": ANSWER_TOKENS,
        "messages": [{"role": "user", "content": "Say hello."}],
    });
    let body = Bytes::from(body.to_string());
    let inbound = dialect::inbound(Dialect::OpenAiChat, Operation::Chat, None, false, &body)?;
    Ok(Call::new(NewCall {
        id: RequestId::new("providers-test"),
        operation: Operation::Chat,
        dialect: Dialect::OpenAiChat,
        head: inbound.head,
        body,
        headers: Arc::new(HeaderMap::new()),
        principal: Principal { key_id: "local".into(), name: "providers test".into() },
        received: Instant::now(),
        strict: false,
        decode: inbound.decode,
    }))
}

async fn within<T>(work: impl Future<Output = T>) -> Result<T, String> {
    let late = |_| format!("nothing within {} s", STEP_TIMEOUT.as_secs());
    tokio::time::timeout(STEP_TIMEOUT, work).await.map_err(late)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::{Script, Scripted};

    fn provider(url: &str) -> Provider {
        toml::from_str(&format!("dialect = 'openai-chat'\nbase_url = '{url}/v1'\nauth.value = 's3cret'"))
            .unwrap()
    }

    fn names(steps: &[Step]) -> Vec<&str> {
        steps.iter().map(|step| step.name).collect()
    }

    fn fault(steps: &[Step]) -> &Fault {
        steps.last().and_then(|step| step.outcome.as_ref().err()).expect("the last step failed")
    }

    #[tokio::test]
    async fn a_good_provider_passes_every_step() {
        let server = Scripted::always(Script::json(200, r#"{"data":[]}"#)).await;
        let steps = probe("lab", &provider(&server.url()), None).await;
        assert_eq!(names(&steps), ["configuration", "name", "connection", "credential", "models"]);
        assert!(steps.iter().all(|step| step.outcome.is_ok()), "{steps:?}");
        assert_eq!(server.received()[0].line, "GET /v1/models");
        assert_eq!(server.received()[0].headers["authorization"], "Bearer s3cret");
    }

    #[tokio::test]
    async fn a_model_is_asked_when_named() {
        let whole = r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}]}"#;
        let server = Scripted::always(Script::json(200, whole)).await;
        let steps = probe("lab", &provider(&server.url()), Some("m")).await;
        assert!(steps.last().unwrap().outcome.as_ref().unwrap().contains("m answered"), "{steps:?}");
        assert_eq!(server.received()[0].line, "POST /v1/chat/completions");
    }

    #[tokio::test]
    async fn the_step_that_fails_says_what_to_do_and_shows_no_secret() {
        let refusing = Scripted::always(Script::json(401, r#"{"error":{"message":"bad s3cret"}}"#)).await;
        for model in [None, Some("m")] {
            let steps = probe("lab", &provider(&refusing.url()), model).await;
            let fault = fault(&steps);
            assert!(fault.why.contains("credential") && fault.advice.contains("key"), "{fault:?}");
            assert!(!format!("{steps:?}").contains("s3cret"));
        }
        let (url, server) = Scripted::raw(b"").await;
        server.abort();
        let _ = server.await;
        let steps = probe("lab", &provider(&url), None).await;
        assert_eq!(steps.last().unwrap().name, "connection");
        assert!(fault(&steps).advice.contains("runs"));
        let steps = probe("lab", &provider("http://no-such-host.invalid"), None).await;
        assert_eq!(steps.last().unwrap().name, "name");
        let steps = probe("lab", &Provider::default(), None).await;
        assert_eq!(names(&steps), ["configuration"]);
        let plain = Scripted::always(Script::json(200, "{}")).await;
        let steps = probe("lab", &provider(&plain.url().replace("http:", "https:")), None).await;
        assert_eq!(steps.last().unwrap().name, "tls");
        assert!(fault(&steps).advice.contains("http://"));
    }
}
