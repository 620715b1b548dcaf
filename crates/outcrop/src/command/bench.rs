//! `outcrop bench`: measures a model on this machine; see [`bench`](crate::bench).

use crate::bench::{self, Plan};
use crate::cli;
use crate::config::{Config, Home};
use crate::exit::{Exit, Outcome};
use crate::gateway;

pub(crate) fn run(arguments: cli::Bench) -> Outcome {
    let _logging = crate::logging::start("error");
    let mut config = Config::load(arguments.source.config.as_deref())?;
    let engine = &mut config.engine;
    engine.threads = arguments.threads.or(engine.threads);
    let threads = engine.threads.unwrap_or_else(engine::default_threads);
    let most = arguments.streams.iter().copied().max().unwrap_or(1);
    if most > engine.slots {
        return Err(Exit::usage(format!(
            "--streams {most}: {} are decoded at once; raise engine.slots",
            engine.slots
        )));
    }
    let plan = Plan {
        streams: arguments.streams.iter().map(|&streams| streams as usize).collect(),
        tokens: arguments.tokens,
        prompt: arguments.prompt,
        threads,
    };
    let engine = gateway::alone(&arguments.model, &config, &Home::open()?)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|error| Exit::failed(format!("cannot start: {error}")))?;
    let report = runtime.block_on(bench::run(&engine, plan))?;
    engine.shutdown();
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report).map_err(Exit::failed)?);
    } else {
        println!("{report}");
    }
    Ok(())
}
