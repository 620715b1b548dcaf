//! `outcrop check`: everything that can be known to be wrong before serving.

use serde_json::json;

use crate::cli;
use crate::config::{Config, Home};
use crate::exit::Outcome;
use crate::gateway;

pub(crate) fn run(arguments: cli::Check) -> Outcome {
    let _logging = crate::logging::start("warn");
    let config = Config::load(arguments.source.config.as_deref())?;
    let home = Home::open()?;
    let report = gateway::check(&config, &home)?;
    if arguments.json {
        println!("{:#}", json!({"file": config.file, "serves": report.serves, "missing": report.missing}));
        return Ok(());
    }
    match &config.file {
        Some(file) => println!("{}: fine", file.display()),
        None => println!("no configuration file: the defaults serve {}", catalog::DEFAULT_MODEL),
    }
    println!("serves {}", report.serves.join(", "));
    for model in &report.missing {
        println!("{model} is not here yet; `outcrop serve` fetches it, or `outcrop pull {model}` now");
    }
    Ok(())
}
