//! A model server for tests: it answers each request with a script, and remembers
//! what it was asked. Streams, stalls, cuts and lies on demand.
//!
//! Behind feature `scripted`; loopback only. Being a fixture, it unwraps.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc)]

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// What to do next in a reply's body.
#[derive(Debug, Clone)]
pub enum Step {
    /// Send these bytes.
    Send(Bytes),
    /// Wait.
    Pause(Duration),
    /// Wait until the test lets it go on (sets the value to `true`).
    Hold(watch::Receiver<bool>),
    /// Never send anything again.
    Stall,
    /// Break the connection off.
    Cut,
}

/// A reply.
#[derive(Debug, Clone)]
pub struct Script {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Never send even the head.
    pub silent: bool,
    /// Its body.
    pub steps: Vec<Step>,
}

impl Script {
    /// A body of one piece.
    pub fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_str(content_type).unwrap());
        let steps = vec![Step::Send(body.into())];
        Self { status: StatusCode::from_u16(status).unwrap(), headers, silent: false, steps }
    }

    /// A JSON body.
    pub fn json(status: u16, body: impl Into<Bytes>) -> Self {
        Self::new(status, "application/json", body)
    }

    /// A stream of server-sent events, each piece sent by itself.
    pub fn sse<B: Into<Bytes>>(pieces: impl IntoIterator<Item = B>) -> Self {
        let mut script = Self::new(200, "text/event-stream", Bytes::new());
        script.steps = pieces.into_iter().map(|piece| Step::Send(piece.into())).collect();
        script
    }

    /// A server that takes the request and never answers.
    pub fn never() -> Self {
        Self { silent: true, ..Self::json(200, Bytes::new()) }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, HeaderValue::from_str(value).unwrap());
        self
    }

    /// Adds a step.
    #[must_use]
    pub fn then(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// The same body, sent byte by byte.
    #[must_use]
    pub fn byte_by_byte(mut self) -> Self {
        let steps = self.steps.into_iter().flat_map(|step| match step {
            Step::Send(bytes) => (0..bytes.len()).map(|at| Step::Send(bytes.slice(at..=at))).collect(),
            step => vec![step],
        });
        self.steps = steps.collect();
        self
    }
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Received {
    /// Method and path with query: `POST /v1/messages`.
    pub line: String,
    /// HTTP/1.1 or HTTP/2.
    pub version: Version,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

type Handler = dyn Fn(&Received) -> Script + Send + Sync;

struct Shared {
    handler: Box<Handler>,
    received: Mutex<Vec<Received>>,
    abandoned: watch::Sender<usize>,
    connections: watch::Sender<usize>,
}

/// The running server; ends when dropped.
pub struct Scripted {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Scripted {
    /// Starts one that answers every request with what `handler` says.
    pub async fn start(handler: impl Fn(&Received) -> Script + Send + Sync + 'static) -> Self {
        Self::listen(None, handler).await
    }

    /// The same over TLS, in the protocols `tls` offers.
    pub async fn secure(
        tls: rustls::ServerConfig,
        handler: impl Fn(&Received) -> Script + Send + Sync + 'static,
    ) -> Self {
        Self::listen(Some(TlsAcceptor::from(Arc::new(tls))), handler).await
    }

    async fn listen(
        tls: Option<TlsAcceptor>,
        handler: impl Fn(&Received) -> Script + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            handler: Box::new(handler),
            received: Mutex::default(),
            abandoned: watch::Sender::new(0),
            connections: watch::Sender::new(0),
        });
        let task = tokio::spawn(accept(listener, tls, Arc::clone(&shared)));
        Self { address, shared, task }
    }

    /// One that answers everything alike.
    pub async fn always(script: Script) -> Self {
        Self::start(move |_| script.clone()).await
    }

    /// One that says `bytes` to whoever sends anything, HTTP or not, and hangs up.
    pub async fn raw(bytes: &'static [u8]) -> (String, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(bytes).await;
            }
        });
        (url, task)
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All requests so far.
    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// How many connections were accepted so far.
    pub fn connections(&self) -> usize {
        *self.shared.connections.borrow()
    }

    /// Waits until `count` replies were abandoned by the client before their end.
    pub async fn abandoned(&self, count: usize) {
        let mut abandoned = self.shared.abandoned.subscribe();
        abandoned.wait_for(|seen| *seen >= count).await.unwrap();
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        shared.connections.send_modify(|count| *count += 1);
        stream.set_nodelay(true).unwrap();
        let shared = Arc::clone(&shared);
        let tls = tls.clone();
        connections.spawn(async move {
            let service = service_fn(move |request| answer(request, Arc::clone(&shared)));
            if let Some(tls) = tls {
                let Ok(stream) = tls.accept(stream).await else { return };
                let builder = auto::Builder::new(TokioExecutor::new());
                let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                return;
            }
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Response<Steps>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let path = head.uri.path_and_query().map_or("", |path| path.as_str());
    let line = format!("{} {path}", head.method);
    let received = Received { line, version: head.version, headers: head.headers, body };
    let script = (shared.handler)(&received);
    shared.received.lock().unwrap().push(received);
    let mut steps = Steps { left: script.steps.into(), wait: None, flushed: false, shared: Some(shared) };
    if script.silent {
        steps.left = [Step::Stall].into();
        let _ = steps.frame().await;
    }
    let mut response = Response::new(steps);
    *response.status_mut() = script.status;
    *response.headers_mut() = script.headers;
    Ok(response)
}

/// A body that goes through its steps.
struct Steps {
    left: VecDeque<Step>,
    wait: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    flushed: bool,
    /// Gone once the body is whole.
    shared: Option<Arc<Shared>>,
}

impl Drop for Steps {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.take() {
            shared.abandoned.send_modify(|count| *count += 1);
        }
    }
}

impl Body for Steps {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        loop {
            if let Some(wait) = &mut self.wait {
                ready!(wait.as_mut().poll(cx));
                self.wait = None;
            }
            match self.left.pop_front() {
                None => {
                    self.shared = None;
                    return Poll::Ready(None);
                }
                Some(Step::Send(bytes)) if bytes.is_empty() => {}
                Some(Step::Send(bytes)) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Some(Step::Pause(length)) => self.wait = Some(Box::pin(tokio::time::sleep(length))),
                Some(Step::Hold(mut go)) => {
                    self.wait = Some(Box::pin(async move {
                        let _ = go.wait_for(|go| *go).await;
                    }));
                }
                Some(Step::Stall) => {
                    self.left.push_front(Step::Stall);
                    return Poll::Pending;
                }
                Some(Step::Cut) if !self.flushed => {
                    // Let what was said before leave first: hyper sends it when asked to wait.
                    self.flushed = true;
                    self.left.push_front(Step::Cut);
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Some(Step::Cut) => {
                    self.shared = None;
                    return Poll::Ready(Some(Err(io::Error::other("cut by the script"))));
                }
            }
        }
    }
}
