//! What is asked of a model, until its worker has it: shared with the caller, and written
//! out only by the thread that writes, since a conversation may be long.

use std::sync::Arc;

use message::{Call, ErrorKind, Failure, Priority};

use crate::adapter::AdapterId;
use crate::choices;
use crate::protocol::{Ask, FrameError, Order, encode};

/// What is asked, as it is kept until the worker has it. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) enum Question {
    Chat {
        call: Call,
        /// Which of its answers: 0, 1, 2 …
        choice: u32,
        /// What it is computed with.
        adapter: AdapterId,
    },
    Count(Call),
    Embed(Call),
    Rerank(Call),
    Continue {
        text: Arc<str>,
        max_tokens: u64,
        adapter: AdapterId,
    },
}

impl Question {
    /// Appends the order to answer it, as call `number`, to `frames`.
    pub(super) fn write(&self, number: u64, frames: &mut Vec<u8>) -> Result<(), Failure> {
        let order = Order::Call {
            number,
            key: self.key(),
            priority: self.priority()?,
            adapter: self.adapter(),
            ask: self.ask()?,
        };
        encode(&order, frames).map_err(|error| match error {
            FrameError::TooLong { .. } => Failure::new(ErrorKind::TooLarge, format!("the request: {error}")),
            other => Failure::internal(other),
        })
    }

    /// In the form it crosses the socket.
    fn ask(&self) -> Result<Ask, Failure> {
        let json = |text: serde_json::Result<String>| text.map_err(Failure::internal);
        Ok(match self {
            Self::Chat { call, choice, .. } => {
                Ask::Chat(json(serde_json::to_string(&*choices::one(call.chat()?, *choice)))?)
            }
            Self::Count(call) => Ask::Count(json(serde_json::to_string(call.chat()?))?),
            Self::Embed(call) => Ask::Embed(json(serde_json::to_string(call.embed()?))?),
            Self::Rerank(call) => Ask::Rerank(json(serde_json::to_string(call.rerank()?))?),
            Self::Continue { text, max_tokens, .. } => {
                Ask::Continue { text: text.to_string(), max_tokens: *max_tokens }
            }
        })
    }

    fn priority(&self) -> Result<u8, Failure> {
        Ok(match self.call().map(Call::priority).transpose()? {
            Some(Priority::Batch) => 1,
            Some(Priority::Interactive) | None => 0,
        })
    }

    fn adapter(&self) -> AdapterId {
        match self {
            Self::Chat { adapter, .. } | Self::Continue { adapter, .. } => *adapter,
            Self::Count(_) | Self::Embed(_) | Self::Rerank(_) => 0,
        }
    }

    fn key(&self) -> String {
        self.call().map(|call| call.principal.key_id.to_string()).unwrap_or_default()
    }

    /// Whose it is; `None`: a tool's.
    fn call(&self) -> Option<&Call> {
        match self {
            Self::Chat { call, .. } | Self::Count(call) | Self::Embed(call) | Self::Rerank(call) => {
                Some(call)
            }
            Self::Continue { .. } => None,
        }
    }
}
