//! The small HTTP client that tokens and credentials are fetched with: whole bodies,
//! bounded in size and time. Its connections are not those of model calls.

use std::sync::OnceLock;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::uri::Scheme;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use crate::connector::Connector;
use crate::pieces::Pieces;
use crate::tls;

/// To open a connection. Token services and metadata servers are near.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// For a whole exchange.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(20);

/// Bytes of an answer: credentials have a few thousand.
const ANSWER_MAX_BYTES: usize = 256 << 10;

/// Sends one request and reads the whole answer.
pub(super) async fn send(request: Request<Bytes>) -> Result<Response<Bytes>, String> {
    let client = client(request.uri().scheme() == Some(&Scheme::HTTPS))?;
    let request = request.map(|body| Pieces::new(vec![body]));
    let exchange = async {
        let response = client.request(request).await.map_err(|error| chain(&error))?;
        let (head, mut body) = response.into_parts();
        let mut read = BytesMut::new();
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame.map_err(|error| chain(&error))?.into_data() {
                read.extend_from_slice(&data);
            }
            if read.len() > ANSWER_MAX_BYTES {
                return Err(format!("the answer is longer than {ANSWER_MAX_BYTES} bytes"));
            }
        }
        Ok(Response::from_parts(head, read.freeze()))
    };
    let late = |_| format!("no answer within {} s", EXCHANGE_TIMEOUT.as_secs());
    tokio::time::timeout(EXCHANGE_TIMEOUT, exchange).await.map_err(late)?
}

type FetchClient = Client<Connector, Pieces>;

fn client(secure: bool) -> Result<FetchClient, String> {
    let open = |tls: Result<rustls::ClientConfig, String>| -> Result<FetchClient, String> {
        // No idle connections: fetches are minutes apart, and may come from another runtime.
        Ok(Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build(Connector::new(tls?, CONNECT_TIMEOUT)))
    };
    static CLEAR: OnceLock<Result<FetchClient, String>> = OnceLock::new();
    static SECURE: OnceLock<Result<FetchClient, String>> = OnceLock::new();
    match secure {
        true => SECURE.get_or_init(|| open(tls::trusting(None))).clone(),
        false => CLEAR.get_or_init(|| open(tls::none())).clone(),
    }
}

/// An error and what caused it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
