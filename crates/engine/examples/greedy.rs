//! Continues prompts greedily: `greedy MODEL.gguf TOKENS < prompts.json` reads a JSON list
//! of strings, computes all of them in one batch, and writes a JSON list of their
//! continuations. conformance/greedy.py compares these with llama.cpp's own.

use std::error::Error;
use std::io::{Read, Write};
use std::path::Path;

use engine::{Config, Engine};
use futures_util::StreamExt;
use futures_util::future::try_join_all;
use message::{Completion, Failure};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: greedy MODEL.gguf TOKENS < prompts.json";
    let path = arguments.next().ok_or(usage)?;
    let tokens: usize = arguments.next().ok_or(usage)?.parse()?;
    let mut input = String::new();
    std::io::stdin().read_to_string(&mut input)?;
    let prompts: Vec<String> = serde_json::from_str(&input)?;
    let config = Config { threads: Some(1), context_tokens: 4096, ..Config::default() };
    let engine =
        tokio::task::spawn_blocking(move || Engine::load(Path::new(&path), "greedy", config)).await??;
    let texts = try_join_all(prompts.iter().map(|prompt| continuation(&engine, prompt, tokens))).await?;
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&texts)?)?;
    Ok(())
}

async fn continuation(engine: &Engine, prompt: &str, tokens: usize) -> Result<String, Failure> {
    let mut events = engine.continue_greedily(prompt, tokens).await?;
    let mut completion = Completion::default();
    while let Some(event) = events.next().await {
        completion.push(event?);
    }
    Ok(completion.content.iter().filter_map(|block| block.as_text()).collect())
}
