//! A Call sent to another model server over HTTP.
//!
//! ```text
//! Call ─ dialect outbound.encode ─ auth header ─ hyper client ─▶ server
//! Event ◀─ dialect decoder ◀─ frames ◀──────────────────────────┘
//! ```
//!
//! * `provider.rs`: one `[providers.NAME]` table of the configuration, as data;
//! * `auth.rs`: where a provider's secret comes from and in which header it goes;
//! * `transport.rs`: one provider's connection pool, address and prebuilt headers;
//! * `connector.rs`: TCP and TLS;
//! * `remote.rs`: one model there, as a [`Service`](message::Service);
//! * `answer.rs`: the reply's bytes → [`Event`](message::Event)s, with its deadlines;
//! * `deadline.rs`: the clock of one exchange; `pieces.rs`: a body sent without copying.
//!
//! With feature `scripted`, `scripted.rs` is a model server for tests that streams,
//! stalls, cuts and lies on demand.
//!
//! No retries here: a layer of `platform` decides about those. The one exception is a
//! pooled connection found dead before any byte was sent, which hyper replays.

mod answer;
mod auth;
mod connector;
mod deadline;
mod pieces;
mod provider;
mod remote;
#[cfg(feature = "scripted")]
pub mod scripted;
mod transport;

pub use auth::{Auth, Scheme};
pub use provider::{Limits, Provider, ProviderError, Speaks, Timeouts};
pub use remote::Remote;
pub use transport::Transport;
