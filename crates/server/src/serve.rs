//! The server's life: bind, accept, drain, cut, close.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::authenticate::Authenticator;
use crate::config::Config;
use crate::connection;
use crate::gateway::{Auth, Gateway};
use crate::phase::{Phase, Shutdown};
use crate::receive::Allowance;
use crate::route::Router;
use crate::vitals::Vitals;

/// After streams were told to end: for their last frames to leave.
const CUT_GRACE: Duration = Duration::from_secs(2);

/// After connections were told to close: above what each of them grants itself.
const CLOSE_GRACE: Duration = Duration::from_secs(3);

/// Pause after the system refused a connection (out of file descriptors, say).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Silence after which the kernel probes a connection, so that a vanished client is
/// noticed without a timer of ours.
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);

/// Why the server cannot run.
#[derive(Debug, Error)]
pub enum ServeError {
    /// A setting can never work.
    #[error("{0}")]
    Config(String),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}; is another server running there?")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Dev mode on an address others can reach.
    #[error(
        "--dev accepts any credential and so serves loopback addresses only, but {0} can be reached \
         from other machines: listen on 127.0.0.1, or drop --dev"
    )]
    DevNotLoopback(SocketAddr),
    /// A bound socket has no address: the system is in trouble.
    #[error("cannot read the address of a listening socket: {0}")]
    Socket(#[from] io::Error),
}

/// The bound ports.
pub struct Listeners {
    address: SocketAddr,
    clear: TcpListener,
    tls_address: Option<SocketAddr>,
    tls: Option<(TcpListener, TlsAcceptor)>,
}

impl Listeners {
    /// Binds `config.listen`, and with `tls` (see [`tls::Local`](crate::tls::Local))
    /// `config.tls_listen`, if `config.tls` says so.
    ///
    /// # Errors
    /// When an address is taken or not ours.
    pub async fn bind(config: &Config, tls: Option<Arc<rustls::ServerConfig>>) -> Result<Self, ServeError> {
        let clear = bind(config.listen).await?;
        let tls = match tls.filter(|_| config.tls) {
            Some(tls) => Some((bind(config.tls_listen).await?, TlsAcceptor::from(tls))),
            None => None,
        };
        let address = clear.local_addr()?;
        let tls_address = tls.as_ref().map(|(listener, _)| listener.local_addr()).transpose()?;
        Ok(Self { address, clear, tls_address, tls })
    }

    /// The cleartext address really bound (port 0 asks for any).
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The TLS address really bound, if TLS is served.
    pub const fn tls_address(&self) -> Option<SocketAddr> {
        self.tls_address
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|source| ServeError::Bind { address, source })
}

/// Serves until `shutdown` says so, then drains: requests in flight finish within
/// `config.drain_timeout_ms`, new ones are answered "shutting down", streams that are
/// still open then end with their dialect's error. Returns when all is closed.
///
/// # Errors
/// [`ServeError`] before anything is served; none later.
pub async fn serve(
    config: Config,
    listeners: Listeners,
    gateway: Gateway,
    shutdown: Shutdown,
) -> Result<(), ServeError> {
    config.check().map_err(ServeError::Config)?;
    if matches!(gateway.auth, Auth::Dev) {
        let addresses = [Some(listeners.address), listeners.tls_address];
        if let Some(open) = addresses.into_iter().flatten().find(|address| !address.ip().is_loopback()) {
            return Err(ServeError::DevNotLoopback(open));
        }
    }
    let server = Arc::new(Server::new(config, gateway, shutdown.clone()));
    let Listeners { clear, tls, .. } = listeners;
    let accepting = [
        Some(tokio::spawn(accept(clear, None, Arc::clone(&server)))),
        tls.map(|(listener, tls)| tokio::spawn(accept(listener, Some(tls), Arc::clone(&server)))),
    ];
    shutdown.reached(Phase::Draining).await;
    server.wind_down().await;
    for task in accepting.into_iter().flatten() {
        task.abort();
    }
    Ok(())
}

/// One running server.
pub(crate) struct Server {
    pub(crate) config: Arc<Config>,
    pub(crate) router: Router,
    pub(crate) shutdown: Shutdown,
    connections: Arc<Semaphore>,
    in_flight: AtomicUsize,
    none_in_flight: Notify,
}

impl Server {
    fn new(config: Config, gateway: Gateway, shutdown: Shutdown) -> Self {
        let allowance = Allowance { max_bytes: config.body_max_bytes, idle: config.body_idle_timeout() };
        let authenticator = Authenticator::new(gateway.auth.clone());
        Self {
            router: Router {
                gateway,
                authenticator,
                allowance,
                shutdown: shutdown.clone(),
                keepalive: config.keepalive(),
            },
            connections: Arc::new(Semaphore::new(config.max_connections.min(Semaphore::MAX_PERMITS))),
            config: Arc::new(config),
            shutdown,
            in_flight: AtomicUsize::new(0),
            none_in_flight: Notify::new(),
        }
    }

    /// Counts a request as in flight for as long as the guard lives.
    pub(crate) fn begin(server: &Arc<Self>, vitals: &Arc<Vitals>) -> InFlight {
        server.in_flight.fetch_add(1, Ordering::AcqRel);
        vitals.request_began();
        InFlight { server: Arc::clone(server), vitals: Arc::clone(vitals) }
    }

    async fn wind_down(&self) {
        let trigger = self.shutdown.trigger();
        tracing::info!(in_flight = self.in_flight.load(Ordering::Acquire), "shutting down: draining");
        tokio::select! {
            () = self.drained() => {}
            () = tokio::time::sleep(self.config.drain_timeout()) => {}
            () = self.shutdown.reached(Phase::Cutting) => {}
        }
        trigger.advance(Phase::Cutting);
        if timeout(CUT_GRACE, self.drained()).await.is_err() {
            let left = self.in_flight.load(Ordering::Acquire);
            tracing::warn!(left, "clients did not take the end of their answers in time");
        }
        trigger.advance(Phase::Closing);
        // Every connection holds a permit: having all of them means none is open.
        let all = u32::try_from(self.config.max_connections).unwrap_or(u32::MAX);
        if timeout(CLOSE_GRACE, self.connections.acquire_many(all)).await.is_err() {
            tracing::warn!("some connections did not close in time");
        }
    }

    /// Waits until no request is in flight.
    async fn drained(&self) {
        loop {
            let notified = self.none_in_flight.notified();
            tokio::pin!(notified);
            // Listen first, then look: an end in between is not missed.
            notified.as_mut().enable();
            if self.in_flight.load(Ordering::Acquire) == 0 {
                return;
            }
            notified.await;
        }
    }
}

/// A request in flight: from its head to the last byte of its answer.
pub(crate) struct InFlight {
    server: Arc<Server>,
    vitals: Arc<Vitals>,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.vitals.request_ended();
        let last = self.server.in_flight.fetch_sub(1, Ordering::AcqRel) == 1;
        if last && self.server.shutdown.phase() > Phase::Serving {
            self.server.none_in_flight.notify_waiters();
        }
    }
}

/// Accepts until the server closes. While it drains it still accepts, so that new
/// requests are told to go elsewhere instead of finding a dead port.
async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, server: Arc<Server>) {
    loop {
        let stream = tokio::select! {
            () = server.shutdown.reached(Phase::Closing) => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        // Waits here when there are as many as allowed: the next ones queue in the kernel.
        let Ok(permit) = Arc::clone(&server.connections).acquire_owned().await else { return };
        tokio::spawn(keep(stream, tls.clone(), Arc::clone(&server), permit));
    }
}

async fn keep(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    server: Arc<Server>,
    _permit: OwnedSemaphorePermit,
) {
    // Both only tune; a socket that refuses them still serves.
    let _ = stream.set_nodelay(true);
    let keepalive = socket2::TcpKeepalive::new().with_time(TCP_KEEPALIVE);
    let _ = socket2::SockRef::from(&stream).set_tcp_keepalive(&keepalive);
    connection::serve(stream, tls, server).await;
}
