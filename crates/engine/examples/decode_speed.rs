//! What decoding costs: `decode_speed MODEL.gguf [THREADS] [TOKENS] [process]` answers 1, 8
//! and 32 calls at once and prints, for each, generated tokens over CPU time (Linux:
//! /proc, the worker's time included), prompts not counted as output; then how long a
//! call of one token takes. With `process` the model has a process of its own.

use std::error::Error;
use std::fs::read_to_string;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use engine::{Config, Engine, Footprint, ModelSpec, Residence, Room};
use futures_util::StreamExt;
use futures_util::future::try_join_all;
use message::Failure;

/// Calls of one token that are timed.
const SHORT_CALLS: usize = 200;

fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().nth(1).as_deref() == Some("worker") {
        return Ok(engine::run_worker()?);
    }
    tokio::runtime::Runtime::new()?.block_on(measure())
}

async fn measure() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: decode_speed MODEL.gguf [THREADS] [TOKENS] [process]")?;
    let threads: usize = arguments.next().map_or(Ok(1), |text| text.parse())?;
    let tokens: usize = arguments.next().map_or(Ok(32), |text| text.parse())?;
    let apart = arguments.next().is_some();
    let config = Config { threads: Some(threads), context_tokens: 8192, ..Config::default() };
    let load = move || -> Result<Engine, Box<dyn Error + Send + Sync>> {
        let path = Path::new(&path);
        if !apart {
            return Ok(Engine::load(path, "speed", config)?);
        }
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("worker");
        let (residence, footprint) = (Residence::default(), Footprint::default());
        let spec = ModelSpec { path, projector: None, name: "speed", config: &config, residence, footprint };
        let engine = Engine::spawn(command, spec, &Room::default())?;
        engine.wake()?;
        Ok(engine)
    };
    let engine = tokio::task::spawn_blocking(load).await?.map_err(|error| error.to_string())?;
    let mut out = std::io::stdout();
    for streams in [1, 8, 32] {
        let (began, cpu) = (Instant::now(), cpu_seconds()?);
        let before = engine.stats();
        try_join_all((0..streams).map(|_| drain(&engine, tokens))).await?;
        let after = engine.stats();
        let decoded = after.decoded_tokens - before.decoded_tokens;
        let cpu = cpu_seconds()? - cpu;
        writeln!(
            out,
            "streams {streams}: {decoded} tokens, {:.1} per CPU-second, {:.1} per second",
            decoded as f64 / cpu,
            decoded as f64 / began.elapsed().as_secs_f64()
        )?;
    }
    let mut times = Vec::with_capacity(SHORT_CALLS);
    for _ in 0..SHORT_CALLS {
        let began = Instant::now();
        drain(&engine, 1).await?;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    let at = |hundredth: usize| millis(times[hundredth * (SHORT_CALLS - 1) / 100]);
    writeln!(out, "one token: {:.2} ms (p50), {:.2} ms (p10), {:.2} ms (p90)", at(50), at(10), at(90))?;
    Ok(())
}

async fn drain(engine: &Engine, tokens: usize) -> Result<(), Failure> {
    let mut events = engine.continue_greedily("One, two, three, four,", tokens).await?;
    while let Some(event) = events.next().await {
        event?;
    }
    Ok(())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// User and system time of this process and those it started, in seconds.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let mut seconds = cpu_seconds_of("self")?;
    for task in std::fs::read_dir("/proc/self/task")? {
        for child in read_to_string(task?.path().join("children"))?.split_whitespace() {
            seconds += cpu_seconds_of(child)?;
        }
    }
    Ok(seconds)
}

fn cpu_seconds_of(process: &str) -> Result<f64, Box<dyn Error>> {
    let stat = read_to_string(format!("/proc/{process}/stat"))?;
    // The command's name, in parentheses, may hold blanks; utime and stime are the
    // 14th and 15th fields, in hundredths on every Linux.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    Ok((ticks(11) + ticks(12)) / 100.0)
}
