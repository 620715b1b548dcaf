//! One model at one provider, as a [`Service`]: encode, send, judge the status, hand
//! the body to a decoder.

use std::fmt;
use std::sync::Arc;

use bytes::BytesMut;
use dialect::{Outbound, Outgoing};
use http::header::{CONTENT_ENCODING, HeaderMap};
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use message::{Call, ErrorKind, Failure, Form, Reply, Service};

use crate::Transport;
use crate::answer::Answer;
use crate::deadline::Deadline;
use crate::pieces::Pieces;

/// Headers that name an exchange: Anthropic, OpenAI and most, Amazon, Azure, and what
/// stands before many of the others.
const PROVIDER_REQUEST_IDS: [&str; 5] =
    ["request-id", "x-request-id", "x-amzn-requestid", "apim-request-id", "cf-ray"];

/// Longest id kept, in bytes: those of today have under 100.
const PROVIDER_REQUEST_ID_MAX_BYTES: usize = 256;

/// One model at one provider.
pub struct Remote {
    transport: Arc<Transport>,
    outbound: Box<dyn Outbound>,
    model: Arc<str>,
}

impl Remote {
    /// A model that the provider knows as `model`. Cheap: the connections are the transport's.
    pub fn new(transport: &Arc<Transport>, model: impl Into<Arc<str>>) -> Self {
        let outbound = dialect::outbound(transport.speaks.dialect(), &dialect::Quirks::default())
            .expect("`Speaks` lists only dialects with an outbound side");
        Self { transport: Arc::clone(transport), outbound, model: model.into() }
    }

    fn request(&self, outgoing: Outgoing) -> Result<Request<Pieces>, Failure> {
        let uri = self.transport.uri(&outgoing.path).map_err(Failure::internal)?;
        let mut request = Request::new(Pieces::new(outgoing.body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.clone_from(&self.transport.headers);
        for (name, value) in outgoing.headers {
            headers.insert(name, value);
        }
        Ok(request)
    }

    async fn send(
        &self,
        request: Request<Pieces>,
        deadline: &mut Deadline,
    ) -> Result<Response<Incoming>, Failure> {
        let name = &*self.transport.name;
        let sent = deadline.guard(name, self.transport.client.request(request)).await?;
        let response = sent.map_err(|error| {
            let what = if error.is_connect() {
                "cannot be reached"
            } else {
                "closed the connection without answering"
            };
            Failure::new(ErrorKind::Upstream, format!("provider `{name}` {what}")).with_cause(error)
        })?;
        deadline.head_arrived();
        Ok(response)
    }

    /// An unsuccessful reply, in the hub's words. Its body is read up to a bound, and
    /// what cannot be read in time is left.
    async fn refusal(&self, response: Response<Incoming>) -> Failure {
        let (head, mut body) = response.into_parts();
        if head.status.is_redirection() || head.status.is_informational() {
            let name = &self.transport.name;
            let message = format!(
                "provider `{name}` answered with status {}: redirects are not followed; correct its base_url",
                head.status.as_u16()
            );
            return Failure::new(ErrorKind::Upstream, message);
        }
        let mut read = BytesMut::new();
        let max = self.transport.limits.error_max_bytes;
        let reading = async {
            while let Some(Ok(frame)) = body.frame().await {
                if let Some(data) = frame.data_ref() {
                    read.extend_from_slice(&data[..data.len().min(max - read.len())]);
                }
                if read.len() == max {
                    break;
                }
            }
        };
        let _ = tokio::time::timeout(self.transport.timeouts.error_body(), reading).await;
        self.outbound
            .failure(head.status, &head.headers, &read)
            .with_provider_request_id(provider_request_id(&head.headers))
    }

    /// A compressed body was not asked for and would be forwarded as garbage.
    fn check_encoding(&self, headers: &HeaderMap) -> Result<(), Failure> {
        match headers.get(CONTENT_ENCODING) {
            Some(encoding) if encoding != "identity" => Err(Failure::new(
                ErrorKind::Upstream,
                format!("provider `{}` sent a compressed answer that was not asked for", self.transport.name),
            )),
            _ => Ok(()),
        }
    }

    /// The headers that a same-dialect client may see.
    fn shown(&self, headers: &HeaderMap) -> HeaderMap {
        let mut shown = HeaderMap::new();
        for name in self.outbound.forwarded_headers() {
            if let Some(value) = headers.get(*name) {
                shown.insert(*name, value.clone());
            }
        }
        shown
    }
}

/// The id under which the provider's operator can find the exchange, by any vendor's name for it.
fn provider_request_id(headers: &HeaderMap) -> Option<Box<str>> {
    let name = PROVIDER_REQUEST_IDS.into_iter().find(|name| headers.contains_key(*name))?;
    let id = headers.get(name)?.to_str().ok()?;
    (!id.is_empty() && id.len() <= PROVIDER_REQUEST_ID_MAX_BYTES).then(|| id.into())
}

impl Service for Remote {
    async fn call(&self, call: Call) -> Result<Reply, Failure> {
        let mut outgoing = self.outbound.encode(&call, &self.model)?;
        call.accept(&outgoing.dropped)?;
        let home = outgoing.home;
        let dropped = std::mem::take(&mut outgoing.dropped);
        let mut decoder = self.outbound.decoder(&call, home);
        let max_bytes = if call.head.stream { u64::MAX } else { self.transport.limits.answer_max_bytes };
        drop(call);

        let mut deadline = Deadline::start(self.transport.timeouts);
        let response = self.send(self.request(outgoing)?, &mut deadline).await?;
        if !response.status().is_success() {
            return Err(Box::pin(self.refusal(response)).await);
        }
        let provider_request_id = provider_request_id(response.headers());
        self.check_encoding(response.headers())
            .map_err(|failure| failure.with_provider_request_id(provider_request_id.clone()))?;
        let mut shown = self.shown(response.headers());
        decoder.head(response.headers(), &mut shown);
        let form = if home { Form::Home { status: response.status(), headers: shown } } else { Form::Events };
        let answer =
            Answer::new(Arc::clone(&self.transport.name), response.into_body(), decoder, deadline, max_bytes);
        Ok(Reply {
            form,
            model: Arc::clone(&self.model),
            dropped,
            provider_request_id,
            events: Box::pin(answer),
        })
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("transport", &self.transport).field("model", &self.model).finish()
    }
}
