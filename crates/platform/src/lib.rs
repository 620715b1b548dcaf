//! What makes it a cloud: keys, routing, and the ordered stack of layers every Call passes.
//!
//! One folder per concern, none of which imports another:
//!
//! * [`keys`]: who may call. Asked by `server` before it reads a body.
//! * [`responses`]: answers that clients asked to be kept. Asked by `server`.
//! * [`trace`]: one log line per finished call.
//! * [`route`]: a model's name → the target that answers.
//!
//! [`stack`] puts the layers around the route in their one order. The platform knows no
//! engine and no upstream: `outcrop` hands it targets as [`message::BoxService`]s.

pub mod keys;
pub mod responses;
pub mod route;
pub mod stack;
pub mod trace;
