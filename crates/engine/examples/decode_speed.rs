//! Tokens per CPU-second of decoding: `decode_speed MODEL.gguf [THREADS] [TOKENS]` answers
//! 1, 8 and 32 calls at once and prints, for each, generated tokens over the process's
//! CPU time (Linux: /proc/self/stat), prompts not counted as output.

use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use engine::{Config, Engine};
use futures_util::StreamExt;
use futures_util::future::try_join_all;
use message::Failure;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: decode_speed MODEL.gguf [THREADS] [TOKENS]")?;
    let threads: usize = arguments.next().map_or(Ok(1), |text| text.parse())?;
    let tokens: usize = arguments.next().map_or(Ok(32), |text| text.parse())?;
    let config = Config { threads: Some(threads), context_tokens: 8192, ..Config::default() };
    let engine =
        tokio::task::spawn_blocking(move || Engine::load(Path::new(&path), "speed", config)).await??;
    for streams in [1, 8, 32] {
        let (began, cpu) = (Instant::now(), cpu_seconds()?);
        let before = engine.stats();
        try_join_all((0..streams).map(|_| drain(&engine, tokens))).await?;
        let after = engine.stats();
        let decoded = after.decoded_tokens - before.decoded_tokens;
        let cpu = cpu_seconds()? - cpu;
        writeln!(
            std::io::stdout(),
            "streams {streams}: {decoded} tokens, {:.1} per CPU-second, {:.1} per second",
            decoded as f64 / cpu,
            decoded as f64 / began.elapsed().as_secs_f64()
        )?;
    }
    Ok(())
}

async fn drain(engine: &Engine, tokens: usize) -> Result<(), Failure> {
    let mut events = engine.continue_greedily("One, two, three, four,", tokens).await?;
    while let Some(event) = events.next().await {
        event?;
    }
    Ok(())
}

/// User and system time of this process, in seconds.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The command's name, in parentheses, may hold blanks; utime and stime are the
    // 14th and 15th fields, in hundredths on every Linux.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    Ok((ticks(11) + ticks(12)) / 100.0)
}
