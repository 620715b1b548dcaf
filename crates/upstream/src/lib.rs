//! A Call sent to another model server over HTTP.
//!
//! ```text
//! Call ─ dialect outbound.encode ─ auth header ─ hyper client ─▶ server
//! Event ◀─ dialect decoder ◀─ frames ◀──────────────────────────┘
//! ```
//!
//! * `provider.rs`: one `[providers.NAME]` table of the configuration, as data;
//! * `known.rs`: what is known of a vendor, as data; `resolve.rs`: the two put together;
//! * `auth/`: where a provider's secret comes from and how it is shown; `tls.rs`: whom to trust;
//! * `transport.rs`: one provider's connection pool, address and prebuilt headers;
//! * `connector.rs`: TCP and TLS;
//! * `remote.rs`: one model there, as a [`Service`](message::Service);
//! * `answer.rs`: the reply's bytes → [`Event`](message::Event)s, with its deadlines;
//! * `probe.rs`: a connection test that says what is wrong;
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
mod known;
mod pieces;
mod probe;
mod provider;
mod remote;
mod resolve;
#[cfg(feature = "scripted")]
pub mod scripted;
mod tls;
mod transport;

pub use auth::{Auth, Plain, Scheme};
pub use known::{Known, Variable, VariableSource};
pub use probe::{Fault, Step, probe};
pub use provider::{Limits, Provider, ProviderError, QuirkName, Speaks, Timeouts};
pub use remote::Remote;
pub use resolve::{Place, Resolved};
pub use transport::Transport;
