//! One request, from its head to its response: match the operation, find out who asks,
//! read the body, verify, decode, call. Whatever goes wrong on the way is said in the
//! dialect the client most likely speaks, under the request's id.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dialect::{Ask, Command, RequestHead};
use http::header::{
    AUTHORIZATION, CONNECTION, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHORIZATION,
};
use http::request::Parts;
use http::{Request, Response, Version};
use hyper::body::{Body, Incoming};
use message::{Call, Dialect, ErrorKind, Failure, NewCall, Operation, Principal, RequestId};

use crate::authenticate::{Authenticator, Proof};
use crate::body::{ResponseBody, shutting_down};
use crate::gateway::Gateway;
use crate::phase::{Phase, Shutdown};
use crate::receive::{self, Allowance};
use crate::vitals::Vitals;
use crate::{health, refuse, reply, request_id, responses};

/// Asks for a refusal where the target cannot express all that was said.
const X_OUTCROP_STRICT: HeaderName = HeaderName::from_static("x-outcrop-strict");

/// Headers that carry a credential, of any vendor.
static CREDENTIALS: [HeaderName; 6] = [
    AUTHORIZATION,
    PROXY_AUTHORIZATION,
    COOKIE,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("x-goog-api-key"),
    HeaderName::from_static("x-amz-security-token"),
];

/// Characters of an unknown path shown back to the client.
const SHOWN_PATH_CHARS: usize = 200;

/// What every request needs; one per server.
pub(crate) struct Router {
    pub(crate) gateway: Gateway,
    pub(crate) authenticator: Authenticator,
    pub(crate) allowance: Allowance,
    pub(crate) shutdown: Shutdown,
    /// Silence after which a stream says that it lives.
    pub(crate) keepalive: Duration,
}

impl Router {
    /// Answers one request. Never fails: a failure is an answer.
    pub(crate) async fn answer(&self, request: Request<Incoming>, vitals: &Vitals) -> Response<ResponseBody> {
        let received = Instant::now();
        let id = request_id::new();
        let phase = self.shutdown.phase();
        let (mut parts, body) = request.into_parts();
        let version = parts.version;
        name_host(&mut parts);

        let path = parts.uri.path();
        let mut response = match health::answer(&parts.method, path, &self.gateway, phase, &id) {
            Some(response) => response,
            None => {
                let has_body = !body.is_end_stream();
                let asked = dialect::route(&head(&parts));
                if dialect_of(&asked) == Dialect::Gemini {
                    let query = parts.uri.query().unwrap_or_default().to_owned();
                    dialect::gemini::door::lift(&query, &mut parts.headers);
                }
                let exchange = Exchange { router: self, parts, id, received, body_read: !has_body };
                exchange.answer(asked, body, phase, vitals).await
            }
        };
        if phase > Phase::Serving && version < Version::HTTP_2 {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// Whose words are used, whatever is asked.
const fn dialect_of(asked: &Ask) -> Dialect {
    match asked {
        Ask::Call { dialect, .. }
        | Ask::Command { dialect, .. }
        | Ask::Unbuilt { dialect, .. }
        | Ask::Unknown { dialect, .. } => *dialect,
    }
}

/// HTTP/2 carries the host as `:authority`; signatures and dialects look for `host`.
fn name_host(parts: &mut Parts) {
    if let (false, Some(authority)) = (parts.headers.contains_key(HOST), parts.uri.authority())
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        parts.headers.insert(HOST, host);
    }
}

fn head(parts: &Parts) -> RequestHead<'_> {
    RequestHead {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        headers: &parts.headers,
    }
}

/// One request under way.
struct Exchange<'a> {
    router: &'a Router,
    parts: Parts,
    id: RequestId,
    received: Instant,
    body_read: bool,
}

/// A model's answer is asked for.
struct Wanted {
    dialect: Dialect,
    operation: Operation,
    model: Option<String>,
    stream: bool,
}

impl Exchange<'_> {
    async fn answer(
        mut self,
        asked: Ask,
        body: Incoming,
        phase: Phase,
        vitals: &Vitals,
    ) -> Response<ResponseBody> {
        let id = self.id.clone();
        let http1 = self.parts.version < Version::HTTP_2;
        let dialect = dialect_of(&asked);
        let answered = if phase > Phase::Serving {
            Err(shutting_down())
        } else {
            match asked {
                Ask::Call { dialect, operation, model, stream } => {
                    self.call(Wanted { dialect, operation, model, stream }, body).await
                }
                Ask::Command { dialect, command } => Box::pin(self.command(dialect, command, body)).await,
                Ask::Unbuilt { operation, .. } => Err(unbuilt(operation)),
                Ask::Unknown { wrong_method, .. } => Err(self.unknown(wrong_method)),
            }
        };
        if !self.body_read && http1 {
            vitals.leave_body_unread();
        }
        answered.unwrap_or_else(|failure| refuse::refuse(dialect, &failure, &id))
    }

    async fn call(&mut self, wanted: Wanted, body: Incoming) -> Result<Response<ResponseBody>, Failure> {
        let (principal, body) = self.admit(body).await?;
        let call = self.decode(wanted, principal, body)?;
        let Router { gateway, shutdown, keepalive, .. } = self.router;
        if let (Dialect::OpenAiResponses, Some(kept)) = (call.dialect, &gateway.responses) {
            return Box::pin(responses::answer(call, kept, self.router)).await;
        }
        reply::answer(call, &gateway.service, shutdown, *keepalive).await
    }

    async fn command(
        &mut self,
        dialect: Dialect,
        command: Command,
        body: Incoming,
    ) -> Result<Response<ResponseBody>, Failure> {
        let (principal, body) = self.admit(body).await?;
        if let (Command::Responses(command), Some(kept)) = (&command, &self.router.gateway.responses) {
            let asked = responses::Asked { command: command.clone(), principal, id: self.id.clone(), body };
            return responses::command(asked, kept, self.router).await;
        }
        let command = command.with_body(&body)?;
        let whole = dialect::command(&command, &(self.router.gateway.cards)())?;
        Ok(refuse::respond(dialect, whole, &self.id))
    }

    /// Who asks, and the body: a stranger is turned away before a byte of it is read.
    async fn admit(&mut self, body: Incoming) -> Result<(Principal, Bytes), Failure> {
        let Router { authenticator, allowance, .. } = self.router;
        let proof = authenticator.identify(&head(&self.parts))?;
        let body = receive::receive(body, *allowance).await?;
        self.body_read = true;
        let principal = match proof {
            Proof::Known(principal) => principal,
            proof @ Proof::Signed(_) => authenticator.verify(proof, &head(&self.parts), &body)?,
        };
        Ok((principal, body))
    }

    fn decode(&mut self, wanted: Wanted, principal: Principal, body: Bytes) -> Result<Call, Failure> {
        let Wanted { dialect, operation, model, stream } = wanted;
        let inbound = dialect::inbound(dialect, operation, model.as_deref(), stream, &body)?;
        let strict =
            self.parts.headers.get(X_OUTCROP_STRICT).is_some_and(|value| value == "1" || value == "true");
        Ok(Call::new(NewCall {
            id: self.id.clone(),
            operation: inbound.operation(operation),
            dialect,
            head: inbound.head,
            body,
            headers: Arc::new(without_credentials(std::mem::take(&mut self.parts.headers))),
            principal,
            received: self.received,
            strict,
            decode: inbound.decode,
        }))
    }

    fn unknown(&self, wrong_method: bool) -> Failure {
        let method = &self.parts.method;
        let path: String = self.parts.uri.path().chars().take(SHOWN_PATH_CHARS).collect();
        let message = if wrong_method {
            format!("`{path}` exists, but not with method {method}")
        } else {
            format!("no operation `{method} {path}`; GET / lists what this server speaks")
        };
        Failure::new(ErrorKind::NotFound, message)
    }
}

fn unbuilt(operation: &str) -> Failure {
    Failure::unsupported(format!("{operation} is a known operation that this server does not offer"))
}

/// Nothing behind the door needs a credential, so nothing there can leak one.
fn without_credentials(mut headers: HeaderMap) -> HeaderMap {
    // Only the server itself says this.
    headers.remove(dialect::openai::responses::stored::PREVIOUS_RESPONSE);
    for name in &CREDENTIALS {
        headers.remove(name);
    }
    headers
}
