//! A whole server on loopback before a service of the test's own, and clients that can
//! do more and worse than an SDK would.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use message::{
    AuthFault, BlockHead, BoxService, Call, Delta, Event, EventStream, Failure, FinishReason, Form,
    ModelCard, Principal, Reply, Secret, Usage, service_fn,
};
use server::{Auth, Config, Gateway, KeyRing, Listeners, Phase, Ready, ServeError, Trigger, serve};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub(crate) const BEARER: &str = "good-key";
pub(crate) const ACCESS_KEY: &str = "AKIDEXAMPLE";
pub(crate) const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// How long anything here may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Running {
    pub(crate) clear: SocketAddr,
    pub(crate) tls: Option<SocketAddr>,
    pub(crate) trigger: Trigger,
    pub(crate) task: JoinHandle<Result<(), ServeError>>,
    pub(crate) folder: tempfile::TempDir,
}

impl Running {
    /// Waits for a shutdown that was asked for.
    pub(crate) async fn ended(self) {
        within(self.task).await.unwrap().unwrap();
    }

    pub(crate) fn drain(&self) {
        self.trigger.advance(Phase::Draining);
    }
}

pub(crate) fn config() -> Config {
    let listen = "127.0.0.1:0".parse().unwrap();
    Config { listen, tls_listen: listen, tls: false, ..Config::default() }
}

pub(crate) async fn start(config: Config, service: BoxService) -> Running {
    start_as(config, Auth::Keys(Arc::new(Ring)), service).await
}

/// A server that keeps responses.
pub(crate) async fn start_keeping(service: BoxService) -> Running {
    let folder = tempfile::tempdir().unwrap();
    start_in(folder, config(), Auth::Keys(Arc::new(Ring)), service, true).await
}

pub(crate) async fn start_as(config: Config, auth: Auth, service: BoxService) -> Running {
    start_in(tempfile::tempdir().unwrap(), config, auth, service, false).await
}

async fn start_in(
    folder: tempfile::TempDir,
    config: Config,
    auth: Auth,
    service: BoxService,
    keeping: bool,
) -> Running {
    let tls = config
        .tls
        .then(|| server::tls::Local::open(folder.path(), &config.tls_names).unwrap().server_config());
    let listeners = Listeners::bind(&config, tls).await.unwrap();
    let (clear, tls) = (listeners.address(), listeners.tls_address());
    let cards: Arc<[ModelCard]> = [card("m")].into();
    let responses = match keeping {
        true => {
            let store = store::Store::open(&folder.path().join("data")).await.unwrap();
            Some(platform::responses::Responses::open(store, platform::responses::Limits::default()))
        }
        false => None,
    };
    let cards = Arc::new(move || Arc::clone(&cards));
    let gateway = Gateway { service, auth, cards, readiness: Arc::new(Ready::default), responses };
    let (trigger, shutdown) = Trigger::new();
    let task = tokio::spawn(serve(config, listeners, gateway, shutdown));
    Running { clear, tls, trigger, task, folder }
}

pub(crate) fn card(id: &str) -> ModelCard {
    ModelCard {
        id: id.into(),
        name: id.to_owned(),
        provider: "local".to_owned(),
        created_s: 1_700_000_000,
        context_length: Some(2048),
        images: false,
        alias_of: Vec::new(),
    }
}

/// One good bearer key, one good access key.
pub(crate) struct Ring;

impl Ring {
    fn principal() -> Principal {
        Principal { key_id: "key_test".into(), name: "test".into() }
    }
}

impl KeyRing for Ring {
    fn find_bearer(&self, secret: &Secret, _: SystemTime) -> Result<Principal, Failure> {
        if secret.expose() == BEARER {
            return Ok(Self::principal());
        }
        Err(Failure::unauthenticated(AuthFault::Unknown, "no key goes by this secret"))
    }

    fn find_access_key(&self, id: &str, _: SystemTime) -> Result<(Principal, Secret), Failure> {
        if id == ACCESS_KEY {
            return Ok((Self::principal(), Secret::new(SECRET)));
        }
        Err(Failure::unauthenticated(AuthFault::Unknown, "no key goes by this access key id"))
    }
}

/// The events of an answer of one text block.
pub(crate) fn text_events(pieces: &[&str]) -> Vec<Event> {
    let mut events = vec![Event::Start { id: None }, Event::BlockStart { index: 0, block: BlockHead::Text }];
    events.extend(pieces.iter().map(|piece| Event::Delta { index: 0, delta: Delta::text(*piece) }));
    events.push(Event::BlockStop { index: 0 });
    events.push(Event::Usage(Usage { input_tokens: 3, output_tokens: 2, ..Usage::default() }));
    events.push(Event::Finish { reason: FinishReason::EndTurn, stop_sequence: None });
    events
}

pub(crate) fn reply(events: EventStream) -> Reply {
    Reply {
        form: Form::Events,
        model: "m".into(),
        priority: message::Priority::Interactive,
        dropped: Vec::new(),
        provider_request_id: None,
        events,
    }
}

/// Says "Hello there" to everybody.
pub(crate) fn hello() -> BoxService {
    BoxService::new(service_fn(|_| async {
        let events = text_events(&["Hello", " there"]).into_iter().map(Ok);
        Ok(reply(Box::pin(stream::iter(events))))
    }))
}

/// Fails every call.
pub(crate) fn failing(failure: Failure) -> BoxService {
    BoxService::new(service_fn(move |_| std::future::ready(Err(failure.clone()))))
}

/// What a test feeds into one call's stream, and learns of it.
pub(crate) type Feed = mpsc::Sender<Result<Event, Failure>>;

/// A service whose calls come to the test, which feeds their streams. A feed's
/// `closed()` resolves when the stream was dropped.
pub(crate) fn fed() -> (BoxService, mpsc::UnboundedReceiver<(Call, Feed)>) {
    let (calls, called) = mpsc::unbounded_channel();
    let service = service_fn(move |call| {
        let (feed, events) = mpsc::channel(64);
        let _ = calls.send((call, feed));
        let events =
            stream::unfold(events, |mut events| async { events.recv().await.map(|event| (event, events)) });
        std::future::ready(Ok(reply(Box::pin(events))))
    });
    (BoxService::new(service), called)
}

pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("took too long")
}

/// A request to a dialect's plainest operation.
pub(crate) fn ask(path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::post(path)
        .header("host", "localhost")
        .header("authorization", format!("Bearer {BEARER}"))
        .header("content-type", "application/json")
        .body(Full::new(body.into()))
        .unwrap()
}

pub(crate) const OPENAI: &str = "/v1/chat/completions";
pub(crate) const ANTHROPIC: &str = "/v1/messages";
pub(crate) const CONVERSE: &str = "/model/m/converse";
pub(crate) const CONVERSE_STREAM: &str = "/model/m/converse-stream";

pub(crate) fn openai(stream: bool) -> Request<Full<Bytes>> {
    ask(OPENAI, format!(r#"{{"model":"m","stream":{stream},"messages":[{{"role":"user","content":"hi"}}]}}"#))
}

pub(crate) fn anthropic(stream: bool) -> Request<Full<Bytes>> {
    let body = format!(
        r#"{{"model":"m","max_tokens":9,"stream":{stream},"messages":[{{"role":"user","content":"hi"}}]}}"#
    );
    let mut request = ask(ANTHROPIC, body);
    request.headers_mut().insert("anthropic-version", "2023-06-01".parse().unwrap());
    request
}

pub(crate) fn converse(stream: bool) -> Request<Full<Bytes>> {
    let path = if stream { CONVERSE_STREAM } else { CONVERSE };
    ask(path, r#"{"messages":[{"role":"user","content":[{"text":"hi"}]}]}"#)
}

/// Sends over a new HTTP/1.1 connection.
pub(crate) async fn h1(address: SocketAddr, request: Request<Full<Bytes>>) -> Response<Incoming> {
    let stream = TcpStream::connect(address).await.unwrap();
    h1_over(stream, request).await
}

pub(crate) async fn h1_over<S>(stream: S, request: Request<Full<Bytes>>) -> Response<Incoming>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    within(sender.send_request(request)).await.unwrap()
}

pub(crate) type H2 = http2::SendRequest<Full<Bytes>>;

/// A new HTTP/2 connection with prior knowledge.
pub(crate) async fn h2(address: SocketAddr) -> (H2, JoinHandle<hyper::Result<()>>) {
    h2_over(TcpStream::connect(address).await.unwrap()).await
}

pub(crate) async fn h2_over<S>(stream: S) -> (H2, JoinHandle<hyper::Result<()>>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    (sender, tokio::spawn(connection))
}

/// A request as HTTP/2 wants it: the authority in the URI.
pub(crate) fn absolute(mut request: Request<Full<Bytes>>) -> Request<Full<Bytes>> {
    request.headers_mut().remove("host");
    let uri = format!("http://localhost{}", request.uri());
    *request.uri_mut() = uri.parse().unwrap();
    request
}

pub(crate) async fn read(response: Response<Incoming>) -> (StatusCode, HeaderMap, String) {
    let (head, body) = response.into_parts();
    let body = within(body.collect()).await.unwrap().to_bytes();
    (head.status, head.headers, String::from_utf8_lossy(&body).into_owned())
}

/// Sends bytes as they are and reads until the server hangs up.
pub(crate) async fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = within(stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}
