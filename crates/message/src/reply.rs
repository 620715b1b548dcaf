//! What comes back for a [`Call`](crate::Call).

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use futures_core::Stream;
use http::{HeaderMap, StatusCode};

use crate::{Dropped, Event, Failure, Priority};

/// The pieces of an answer as they come. Dropping it cancels the work behind it.
pub type EventStream = Pin<Box<dyn Stream<Item = Result<Event, Failure>> + Send>>;

/// Which form the events have.
#[derive(Debug, Clone, PartialEq)]
pub enum Form {
    /// Decoded events, to be encoded in the client's dialect.
    Events,
    /// The target speaks the client's dialect: every event is an
    /// [`Event::Frame`] to be written as it is, under this status and these headers.
    Home {
        /// The upstream's status.
        status: StatusCode,
        /// The upstream's headers the client may see (an allowlist).
        headers: HeaderMap,
    },
}

/// An answer under way.
pub struct Reply {
    /// Decoded or forwarded.
    pub form: Form,
    /// The target's own name for the model that answers.
    pub model: Arc<str>,
    /// At which priority the target answers; `Interactive` where it knows of none.
    pub priority: Priority,
    /// What the target could not express of the call (shown in `x-outcrop-dropped`).
    pub dropped: Vec<Dropped>,
    /// The hosted model's server's own id for the exchange, for its operator to look up.
    pub provider_request_id: Option<Box<str>>,
    /// The answer, in pieces.
    pub events: EventStream,
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("form", &self.form)
            .field("model", &self.model)
            .field("dropped", &self.dropped)
            .field("provider_request_id", &self.provider_request_id)
            .finish_non_exhaustive()
    }
}
