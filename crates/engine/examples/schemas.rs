//! 1,000 random schemas on a real model: how many documents were valid, refused, unfinished,
//! and what following a schema costs beside free decoding.
//!
//! `cargo run --release --workspace --example schemas -- [model.gguf] [count]`

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::panic, reason = "a tool for people")]

#[path = "../tests/support/schemas.rs"]
#[allow(dead_code, unreachable_pub, reason = "tests use more of it")]
mod schemas;
#[path = "../tests/support/mod.rs"]
#[allow(unused_imports, reason = "tests use more of it")]
mod support;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use engine::{Config, Engine};
use message::{Completion, FinishReason, OutputFormat};
use serde_json::Value;

/// Tokens of an answer: most documents are shorter, and some have to be cut to fit.
const MAX_TOKENS: u64 = 160;
/// An answer that takes longer hangs.
const HANGS_AFTER: Duration = Duration::from_secs(120);
/// How many answers are written freely, for comparison.
const FREE: u64 = 40;

#[derive(Default)]
struct Tally {
    valid: u32,
    invalid: u32,
    refused: u32,
    unfinished: u32,
    hung: u32,
}

/// Tokens generated, and the time it took from the first to the last.
#[derive(Default)]
struct Speed {
    tokens: u64,
    time: Duration,
}

impl Speed {
    fn per_second(&self) -> f64 {
        self.tokens as f64 / self.time.as_secs_f64()
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().map_or_else(support::model_path, PathBuf::from);
    let count: u64 = arguments.next().map_or(1000, |count| count.parse().unwrap());
    let engine = Engine::load(&path, "model", Config { threads: Some(1), ..support::config() }).unwrap();
    let (mut tally, mut held, mut free) = (Tally::default(), Speed::default(), Speed::default());
    for number in 0..count {
        let schema = schemas::schema(number);
        let mut chat = support::chat("Give me an example record as JSON.", MAX_TOKENS);
        chat.sampling.temperature = Some(1.into());
        chat.sampling.seed = Some(number as i64);
        if number % (count / FREE).max(1) == 0 {
            let mut plain = chat.clone();
            plain.sampling.extensions.ignore_eos = true;
            answer(&engine, plain, &mut free).await.unwrap().unwrap();
        }
        chat.output =
            OutputFormat::JsonSchema { name: None, description: None, schema: schema.clone(), strict: None };
        let completion = match answer(&engine, chat, &mut held).await {
            None => {
                println!("{number}: hung: {schema}");
                tally.hung += 1;
                continue;
            }
            Some(Err(failure)) => {
                println!("{number}: refused: {}", failure.message);
                tally.refused += 1;
                continue;
            }
            Some(Ok(completion)) => completion,
        };
        let text = support::text(&completion);
        if completion.finish != Some(FinishReason::EndTurn) {
            println!("{number}: unfinished: {text} of {schema}");
            tally.unfinished += 1;
            continue;
        }
        let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
        let valid = serde_json::from_str::<Value>(&text).is_ok_and(|document| validator.is_valid(&document));
        if valid {
            tally.valid += 1;
        } else {
            println!("{number}: invalid: {text} of {schema}");
            tally.invalid += 1;
        }
    }
    let Tally { valid, invalid, refused, unfinished, hung } = tally;
    println!(
        "{count} schemas: {valid} valid, {invalid} invalid, {refused} refused, {unfinished} unfinished, {hung} hung"
    );
    println!(
        "tokens per second: {:.1} free, {:.1} held to a schema: {:.3} of the time per token",
        free.per_second(),
        held.per_second(),
        free.per_second() / held.per_second()
    );
}

/// An answer; `None` if it hangs.
async fn answer(
    engine: &Engine,
    chat: message::Chat,
    speed: &mut Speed,
) -> Option<Result<Completion, message::Failure>> {
    use futures_util::StreamExt;
    let gather = async {
        let mut events = support::begin(engine, chat).await?.events;
        let (mut completion, mut first) = (Completion::default(), None);
        while let Some(event) = events.next().await {
            first.get_or_insert_with(Instant::now);
            completion.push(event?);
        }
        // The first token is the prompt's, too.
        if let (Some(first), tokens @ 2..) = (first, completion.usage.output_tokens) {
            speed.tokens += tokens - 1;
            speed.time += first.elapsed();
        }
        Ok(completion)
    };
    tokio::time::timeout(HANGS_AFTER, gather).await.ok()
}
