//! `outcrop worker`: one model, in a process of its own; see `engine`. Started by
//! [`gateway`](crate::gateway), never by people.

use crate::exit::{Exit, Outcome};

pub(crate) fn run() -> Outcome {
    let _logging = crate::logging::start("info");
    engine::run_worker().map_err(Exit::failed)
}
