//! The vocabulary every other crate speaks.
//!
//! Down goes one [`Call`], up comes one [`Reply`]: a stream of [`Event`]s. Wire
//! formats are turned into these types by `dialect`, answered by `engine` or
//! `upstream` (both are a [`Service`]), and watched by the layers of `platform`
//! in between. Data only: nothing in this crate opens a socket, a file or a clock
//! other than to carry an instant somebody else read.

mod call;
mod chat;
mod citation;
mod completion;
mod content;
mod credential;
mod embed;
mod event;
mod extensions;
mod failure;
mod grammar;
mod model_card;
mod priority;
mod reply;
mod rerank;
mod seal;
mod service;
mod tool;
mod usage;

pub use call::{Call, Decode, Dialect, Head, NewCall, Operation, Principal, RequestId};
pub use chat::{Chat, Effort, Message, OutputFormat, Reasoning, Role, Sampling};
pub use citation::{Citation, CitationSource, SearchResult, Span};
pub use completion::Completion;
pub use content::{
    Block, BlockKind, CacheMarker, Document, Extra, Media, MediaSource, SPELLING, ToolOrigin, said,
};
pub use credential::{Credential, Presigned, Secret, SignedRequest};
pub use embed::{Embed, EmbedInput, EmbedPurpose, Truncate};
pub use event::{BlockHead, Delta, Event, FinishReason, Frame, Seen, TokenLogprob, TopLogprob};
pub use extensions::Extensions;
pub use failure::{AuthFault, Dropped, ErrorKind, Failure, Retry};
pub use grammar::Grammar;
pub use model_card::ModelCard;
pub use priority::Priority;
pub use reply::{EventStream, Form, Reply};
pub use rerank::{Ranked, Rerank, RerankDocument};
pub use seal::Sealer;
pub use service::{BoxService, Service, service_fn};
pub use tool::{Tool, ToolChoice, ToolKind};
pub use usage::Usage;
