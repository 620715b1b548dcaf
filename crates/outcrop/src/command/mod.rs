//! One file a command. Each takes its arguments and ends in an `Outcome`.

pub(crate) mod bench;
pub(crate) mod chat;
pub(crate) mod check;
pub(crate) mod devices;
pub(crate) mod keys;
pub(crate) mod models;
pub(crate) mod providers;
pub(crate) mod pull;
pub(crate) mod serve;
pub(crate) mod trust;
pub(crate) mod worker;

use std::future::Future;

use crate::exit::{Exit, Outcome};

/// Runs a command that waits for things. One thread is enough for all but `serve`.
fn block_on(work: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Exit::failed(format!("cannot start: {error}")))?.block_on(work)
}
