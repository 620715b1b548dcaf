//! One model at one provider, as a [`Service`]: encode, send, judge the status, hand
//! the body to a decoder.

use std::fmt;
use std::sync::Arc;

use bytes::BytesMut;
use dialect::Outgoing;
use http::header::{CONTENT_ENCODING, HeaderMap, HeaderName};
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use message::{Call, ErrorKind, Failure, Form, Priority, Reply, Service};

use crate::Transport;
use crate::answer::Answer;
use crate::auth::Unsigned;
use crate::deadline::Deadline;
use crate::pieces::Pieces;
use crate::transport::Spoken;

/// Headers that name an exchange: Anthropic, OpenAI and most, Amazon, Azure, and what
/// stands before many of the others.
static PROVIDER_REQUEST_IDS: [HeaderName; 5] = [
    HeaderName::from_static("request-id"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("x-amzn-requestid"),
    HeaderName::from_static("apim-request-id"),
    HeaderName::from_static("cf-ray"),
];

/// Longest id kept, in bytes: those of today have under 100.
const PROVIDER_REQUEST_ID_MAX_BYTES: usize = 256;

/// One model at one provider.
pub struct Remote {
    transport: Arc<Transport>,
    /// Places in the transport's list of the dialects this model may be spoken to in.
    spoken: Vec<usize>,
    model: Arc<str>,
}

impl Remote {
    /// A model that the provider knows as `model`. Cheap: the connections are the transport's.
    pub fn new(transport: &Arc<Transport>, model: impl Into<Arc<str>>) -> Self {
        let model = model.into();
        Self { transport: Arc::clone(transport), spoken: transport.spoken_to(&model), model }
    }

    /// The dialect to speak: the client's own where the provider speaks it, since nothing
    /// is lost then; else the first that can be asked for this.
    fn spoken(&self, call: &Call) -> Result<&Spoken, Failure> {
        let spoken = || self.spoken.iter().filter_map(|place| self.transport.spoken.get(*place));
        let mut able = spoken().filter(|spoken| spoken.outbound.takes(call.operation));
        let home = able.clone().find(|spoken| spoken.outbound.dialect() == call.dialect);
        home.or_else(|| able.next()).or_else(|| spoken().next()).ok_or_else(|| {
            let message =
                format!("provider `{}` speaks no dialect for model `{}`", self.transport.name, self.model);
            Failure::unsupported(message)
        })
    }

    async fn request(&self, spoken: &Spoken, outgoing: Outgoing) -> Result<Request<Pieces>, Failure> {
        let uri = self.transport.uri(spoken, &outgoing.path).map_err(Failure::internal)?;
        let mut headers = self.transport.headers.clone();
        for (name, value) in outgoing.headers {
            headers.insert(name, value);
        }
        let unsigned = Unsigned { method: &Method::POST, uri: &uri, body: &outgoing.body };
        self.transport.authenticator.authorize(unsigned, &mut headers).await.map_err(|reason| {
            let name = &self.transport.name;
            let message = format!(
                "this gateway has no credential for provider `{name}` now; its operator must see to it"
            );
            Failure::new(ErrorKind::Upstream, message).with_cause(reason)
        })?;
        let mut request = Request::new(Pieces::new(outgoing.body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
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
    async fn refusal(&self, spoken: &Spoken, response: Response<Incoming>) -> Failure {
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
        spoken
            .outbound
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
    fn shown(spoken: &Spoken, headers: &HeaderMap) -> HeaderMap {
        let mut shown = HeaderMap::new();
        for name in &spoken.forwarded {
            if let Some(value) = headers.get(name) {
                shown.insert(name, value.clone());
            }
        }
        shown
    }
}

/// The id under which the provider's operator can find the exchange, by any vendor's name for it.
fn provider_request_id(headers: &HeaderMap) -> Option<Box<str>> {
    let id = PROVIDER_REQUEST_IDS.iter().find_map(|name| headers.get(name))?.to_str().ok()?;
    (!id.is_empty() && id.len() <= PROVIDER_REQUEST_ID_MAX_BYTES).then(|| id.into())
}

impl Service for Remote {
    async fn call(&self, call: Call) -> Result<Reply, Failure> {
        let spoken = self.spoken(&call)?;
        let mut outgoing = spoken.outbound.encode(&call, &self.model)?;
        call.accept(&outgoing.dropped)?;
        let home = outgoing.home;
        let dropped = std::mem::take(&mut outgoing.dropped);
        let mut decoder = spoken.outbound.decoder(&call, home);
        let max_bytes = if call.head.stream { u64::MAX } else { self.transport.limits.answer_max_bytes };
        drop(call);

        let mut deadline = Deadline::start(self.transport.timeouts);
        let request = deadline.guard(&self.transport.name, self.request(spoken, outgoing)).await??;
        let response = self.send(request, &mut deadline).await?;
        if !response.status().is_success() {
            return Err(Box::pin(self.refusal(spoken, response)).await);
        }
        let provider_request_id = provider_request_id(response.headers());
        self.check_encoding(response.headers())
            .map_err(|failure| failure.with_provider_request_id(provider_request_id.clone()))?;
        let mut shown = Self::shown(spoken, response.headers());
        decoder.head(response.headers(), &mut shown);
        let form = if home { Form::Home { status: response.status(), headers: shown } } else { Form::Events };
        let answer =
            Answer::new(Arc::clone(&self.transport.name), response.into_body(), decoder, deadline, max_bytes);
        Ok(Reply {
            priority: Priority::Interactive,
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
