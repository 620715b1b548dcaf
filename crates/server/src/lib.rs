//! HTTP: one port, every dialect. The only crate that knows HTTP servers.
//!
//! The way of one request, file by file:
//!
//! ```text
//! serve.rs       accept, drain, end            phase.rs  the three stages of a shutdown
//! connection.rs  TLS, HTTP/1.1 or HTTP/2       socket.rs, vitals.rs  stalls and idling noticed
//! route.rs       what is asked ─ who asks ─ body ─ verify ─ decode ─ call
//!   authenticate.rs   credential → principal, before the body; signature, after it
//!   receive.rs        the body, bounded
//!   reply.rs          first event → status; whole or streamed
//!   body.rs           events → frames, as the client takes them
//!   refuse.rs         a failure in the client's dialect
//! responses/     kept responses: recorded, gone on from, asked for again
//! health.rs      /livez, /readyz, /
//! tls/           the local certificate authority
//! ```
//!
//! Nothing here knows a vendor's format: that is `dialect`'s. Nothing here knows what
//! answers a call: that is a [`BoxService`](message::BoxService) handed to [`serve`].

mod authenticate;
mod body;
mod config;
mod connection;
mod gateway;
mod health;
mod phase;
mod receive;
mod refuse;
mod reply;
mod request_id;
mod responses;
mod route;
mod serve;
mod silence;
mod socket;
pub mod tls;
mod vitals;

pub use config::Config;
pub use gateway::{Auth, Cards, Gateway, KeyRing, Readiness, Ready};
pub use phase::{Phase, Shutdown, Trigger, signals};
pub use serve::{Listeners, ServeError, serve};
