//! A failure in the form it crosses the socket: its cause as text, for the log.

use std::error::Error;

use message::{ErrorKind, Failure, Retry};
use serde::{Deserialize, Serialize};

/// Longest chain of causes that is told.
const MAX_CAUSES: usize = 8;

/// A failed call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Failed {
    kind: ErrorKind,
    message: String,
    param: Option<String>,
    retry: Retry,
    cause: Option<String>,
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        let causes = std::iter::successors(failure.source(), |&cause| cause.source());
        let causes: Vec<String> = causes.take(MAX_CAUSES).map(ToString::to_string).collect();
        Self {
            cause: (!causes.is_empty()).then(|| causes.join(": ")),
            kind: failure.kind,
            message: failure.message,
            param: failure.param,
            retry: failure.retry,
        }
    }
}

impl From<Failed> for Failure {
    fn from(Failed { kind, message, param, retry, cause }: Failed) -> Self {
        let failure = Self { param, ..Self::new(kind, message).with_retry(retry) };
        match cause {
            Some(cause) => failure.with_cause(cause),
            None => failure,
        }
    }
}
