//! `outcrop devices`: the chips that models can be computed on, and how the processor's
//! kernels were chosen.

use engine::Device;
use serde_json::json;

use crate::cli;
use crate::config::Config;
use crate::exit::{Exit, Outcome};
use crate::terminal::{size, table};

pub(crate) fn run(arguments: cli::Devices) -> Outcome {
    let _logging = crate::logging::start("error");
    let config = Config::load(arguments.source.config.as_deref())?.engine;
    let devices = engine::devices(&config).map_err(Exit::failed)?;
    let kernels = engine::kernels(&config).map_err(Exit::failed)?;
    let threads = config.threads.unwrap_or_else(engine::default_threads);
    if arguments.json {
        println!("{:#}", json!({"devices": devices, "kernels": kernels, "threads": threads}));
        return Ok(());
    }
    let row = |device: &Device| {
        let (free, total) = (size(device.free_bytes), size(device.total_bytes));
        [device.name.clone(), device.backend.clone(), free, total, device.description.clone()]
    };
    let rows: Vec<_> = devices.iter().map(row).collect();
    println!("{}", table(["NAME", "DRIVEN BY", "FREE", "OF", "CHIP"], &rows));
    println!("\nthe processor's kernels: {kernels}; threads: {threads}");
    Ok(())
}
