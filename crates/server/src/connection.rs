//! One client's connection: TLS if it is that port, then HTTP/1.1 or HTTP/2, kept by a
//! keeper that closes it when it idles, stalls, never begins, or the server ends.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::body::ResponseBody;
use crate::config::Config;
use crate::phase::{Phase, Watch};
use crate::serve::Server;
use crate::socket::Socket;
use crate::vitals::{Verdict, Vitals};

/// How long a connection that was asked to close may take to do so: its answers are
/// sent already, this is for the last bytes and the peer's farewell.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

/// The ALPN name of HTTP/2 (RFC 9113 §3.2).
const ALPN_H2: &[u8] = b"h2";

/// Bytes of unsent answers buffered per HTTP/2 stream. 64 KiB: what one open stream
/// may cost; hyper's default is 400 KiB.
const H2_SEND_BUFFER_BYTES: usize = 64 << 10;

/// Lives for as long as the connection.
pub(crate) async fn serve(stream: TcpStream, tls: Option<TlsAcceptor>, server: Arc<Server>) {
    let client = Client { vitals: Vitals::new(), server };
    let socket = Socket::new(stream, Arc::clone(&client.vitals));
    // Boxed, as all that is rare or large: the task of an open stream must stay small.
    let served = match tls {
        Some(tls) => Box::pin(client.over_tls(socket, tls)).await,
        None => client.in_the_clear(socket).await,
    };
    if let Err(error) = served {
        tracing::debug!(%error, "connection");
    }
}

/// Who is at the other end, and what serves them.
struct Client {
    vitals: Arc<Vitals>,
    server: Arc<Server>,
}

impl Client {
    async fn over_tls(self, socket: Socket, tls: TlsAcceptor) -> io::Result<()> {
        let stream = timeout(self.server.config.head_timeout(), tls.accept(socket)).await??;
        let h2 = stream.get_ref().1.alpn_protocol() == Some(ALPN_H2);
        if h2 { self.h2(stream).await } else { self.h1(stream).await }.map_err(io::Error::other)
    }

    async fn in_the_clear(self, mut socket: Socket) -> io::Result<()> {
        let h2 = timeout(self.server.config.head_timeout(), socket.speaks_h2()).await??;
        if h2 { self.h2(socket).await } else { self.h1(socket).await }.map_err(io::Error::other)
    }

    fn h1<S: Stream>(self, stream: S) -> Keeper<impl Polite> {
        let builder = http1(&self.server.config);
        let connection = Box::pin(builder.serve_connection(TokioIo::new(stream), self.service()));
        Keeper::new(connection, &self)
    }

    fn h2<S: Stream>(self, stream: S) -> Keeper<impl Polite> {
        let builder = http2(&self.server.config);
        let connection = Box::pin(builder.serve_connection(TokioIo::new(stream), self.service()));
        Keeper::new(connection, &self)
    }

    fn service(
        &self,
    ) -> impl HttpService<Incoming, ResBody = ResponseBody, Error = Infallible, Future = Answering> + use<>
    {
        let (server, vitals) = (Arc::clone(&self.server), Arc::clone(&self.vitals));
        service_fn(move |request: Request<Incoming>| -> Answering {
            let in_flight = Server::begin(&server, &vitals);
            let (server, vitals) = (Arc::clone(&server), Arc::clone(&vitals));
            // Boxed: hyper keeps room for it as long as the connection lives, and it is
            // done when a stream begins.
            Box::pin(async move {
                let mut response = server.router.answer(request, &vitals).await;
                response.body_mut().hold(in_flight);
                Ok(response)
            })
        })
    }
}

/// A request being answered.
type Answering = Pin<Box<dyn Future<Output = Result<Response<ResponseBody>, Infallible>> + Send>>;

/// What carries bytes.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for S {}

fn http1(config: &Config) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.max_headers(config.headers_max).max_header_size(config.head_max_bytes as usize);
    // Not `pipeline_flush`: with it hyper takes frames of a streamed body without end
    // while the client reads none (hyper 1.12, `Buffered::can_buffer`).
    //
    // Not `half_close`: a client that closes its sending half counts as gone, because
    // the end of its stream is the only sign by which a departed client is known
    // before the next write, and a model's work for nobody must stop.
    builder
}

fn http2(config: &Config) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(config.h2_max_streams)
        .max_header_list_size(config.head_max_bytes)
        .max_send_buf_size(H2_SEND_BUFFER_BYTES);
    builder
}

/// A connection that can be asked to close when its requests are answered.
trait Polite: Future<Output = hyper::Result<()>> {
    fn ask_to_close(self: Pin<&mut Self>);
}

impl<I, S> Polite for http1::Connection<I, S>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    S: HttpService<Incoming, ResBody = ResponseBody, Error = Infallible>,
{
    fn ask_to_close(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, S> Polite for http2::Connection<I, S, TokioExecutor>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    S: HttpService<Incoming, ResBody = ResponseBody, Error = Infallible>,
    S::Future: Send + 'static,
{
    fn ask_to_close(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Polls the connection, and looks after it now and then.
struct Keeper<C> {
    connection: Pin<Box<C>>,
    config: Arc<Config>,
    vitals: Arc<Vitals>,
    closing: Watch,
    asked_to_close: bool,
    look: Pin<Box<Sleep>>,
}

impl<C: Polite> Keeper<C> {
    fn new(connection: Pin<Box<C>>, client: &Client) -> Self {
        let config = Arc::clone(&client.server.config);
        let vitals = Arc::clone(&client.vitals);
        let closing = Watch::new(client.server.shutdown.clone(), Phase::Closing);
        let first_look = config.head_timeout().min(config.idle_timeout()).min(config.write_stall_timeout());
        let look = Box::pin(sleep(first_look));
        Self { connection, config, vitals, closing, asked_to_close: false, look }
    }

    fn ask_to_close(&mut self) {
        self.asked_to_close = true;
        self.connection.as_mut().ask_to_close();
        self.look.as_mut().reset(Instant::now() + CLOSE_GRACE);
    }
}

impl<C: Polite> Future for Keeper<C> {
    type Output = hyper::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let keeper = &mut *self;
        loop {
            if let Poll::Ready(result) = keeper.connection.as_mut().poll(cx) {
                return Poll::Ready(result);
            }
            if !keeper.asked_to_close && keeper.closing.poll(cx).is_ready() {
                keeper.ask_to_close();
                continue;
            }
            if keeper.look.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            match keeper.vitals.judge(&keeper.config) {
                _ if keeper.asked_to_close => return Poll::Ready(Ok(())),
                Verdict::LookAgain(wait) => keeper.look.as_mut().reset(Instant::now() + wait),
                Verdict::Idle => keeper.ask_to_close(),
                Verdict::Gone => return Poll::Ready(Ok(())),
            }
        }
    }
}
