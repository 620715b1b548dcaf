//! Whole servers on loopback, before services of the tests' own. One binary, since
//! linking costs more than running.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod bodies;
mod protocols;
mod refusals;
mod responses;
mod shutdown;
mod streams;
mod support;
