//! Why a call failed: one small closed set, rendered by each dialect in one match.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What went wrong, by who can mend it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ErrorKind {
    /// The request is malformed or says something impossible.
    InvalidRequest,
    /// The prompt, or prompt plus `max_tokens`, exceeds the model's context.
    ContextOverflow,
    /// The model or this server cannot do what is asked (images, an unbuilt operation).
    Unsupported,
    /// The body is larger than allowed.
    TooLarge,
    /// The credential is missing, unknown or wrong.
    Unauthenticated(AuthFault),
    /// The credential is good but may not do this.
    PermissionDenied,
    /// No such model, resource or operation.
    NotFound,
    /// The caller (or this server's own credential upstream) is over a rate.
    RateLimited,
    /// A queue is full; the same call may work soon.
    Overloaded,
    /// The server is shutting down or a dependency is away.
    Unavailable,
    /// The answer did not come in time.
    Timeout,
    /// The upstream broke: refused, cut, or answered nonsense.
    Upstream,
    /// A bug or a fault here.
    Internal,
}

/// What is wrong with a credential; AWS clients want to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AuthFault {
    /// There is none.
    Missing,
    /// It cannot be parsed.
    Malformed,
    /// No key goes by it (or it was revoked).
    Unknown,
    /// The key has expired.
    Expired,
    /// The signature does not match.
    BadSignature,
    /// The signature is too old or too new: a clock is off.
    ClockSkew,
}

/// Whether the same call may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Retry {
    /// It would fail again.
    #[default]
    No,
    /// It may work, at the client's own pace.
    Yes,
    /// It may work after this long.
    After(Duration),
}

/// A failed call: what the client may know, and privately, why.
#[derive(Clone)]
pub struct Failure {
    /// What went wrong.
    pub kind: ErrorKind,
    /// What happened, why and what to do next: shown to the client.
    pub message: String,
    /// The field at fault, as a path in the client's own body (`messages.0.content`).
    pub param: Option<String>,
    /// Whether to try again.
    pub retry: Retry,
    /// The hosted model's server's own id for the exchange that failed.
    pub provider_request_id: Option<Box<str>>,
    /// For the log only; never shown.
    pub cause: Option<Arc<dyn Error + Send + Sync>>,
}

impl Failure {
    /// A failure with the kind's usual retry advice.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let retry = match kind {
            ErrorKind::RateLimited
            | ErrorKind::Overloaded
            | ErrorKind::Unavailable
            | ErrorKind::Timeout
            | ErrorKind::Upstream => Retry::Yes,
            _ => Retry::No,
        };
        Self { kind, message: message.into(), param: None, retry, provider_request_id: None, cause: None }
    }

    /// A malformed request.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidRequest, message)
    }

    /// A malformed field: `param` is its path.
    pub fn invalid_field(param: impl Into<String>, message: impl fmt::Display) -> Self {
        let param = param.into();
        Self::new(ErrorKind::InvalidRequest, format!("{param}: {message}")).with_param(param)
    }

    /// Something that cannot be done here.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// A bug or a fault here; `cause` goes to the log.
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(
            ErrorKind::Internal,
            "internal error; the server's log has the cause under this request's id",
        )
        .with_cause(cause)
    }

    /// A bad credential.
    pub fn unauthenticated(fault: AuthFault, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unauthenticated(fault), message)
    }

    /// Names the field at fault.
    #[must_use]
    pub fn with_param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// Adds the private cause.
    #[must_use]
    pub fn with_cause(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.cause = Some(Arc::from(cause.into()));
        self
    }

    /// Names the exchange as the hosted model's server knows it.
    #[must_use]
    pub fn with_provider_request_id(mut self, id: Option<Box<str>>) -> Self {
        self.provider_request_id = id;
        self
    }

    /// Replaces the retry advice.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Failure");
        debug
            .field("kind", &self.kind)
            .field("message", &self.message)
            .field("param", &self.param)
            .field("retry", &self.retry);
        if let Some(id) = &self.provider_request_id {
            debug.field("provider_request_id", id);
        }
        debug.field("cause", &self.cause).finish()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as &(dyn Error + 'static))
    }
}

impl PartialEq for Failure {
    /// Equal to a client: causes and the provider's request ids are not compared.
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
            && self.message == other.message
            && self.param == other.param
            && self.retry == other.retry
    }
}

/// Something of a call its target could not express, and was left out.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Dropped {
    /// The field's path in the client's own body.
    pub path: String,
    /// Why, in a few words.
    pub why: &'static str,
}
