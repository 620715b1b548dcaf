//! Runs calls of the AWS SDK for Rust for the Python tests, by the protocol of
//! `js/driver.mjs`: one JSON line per call on stdin, one or more JSON lines back on stdout
//! (`{event, at}` while a stream runs, then `{output}` or `{error}`). Calls run side by
//! side. The SDK is used as an application would use it.
//!
//! Source: `aws-sdk-bedrockruntime` 1.153.0, read 2026-11-22.

mod call;
mod input;
mod output;

use std::time::Instant;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let start = Instant::now();
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let task: Value = serde_json::from_str(&line)?;
        tokio::spawn(async move {
            let id = &task["id"];
            let answer = call::run(&task, |event| {
                println!("{}", json!({"id": id, "at": start.elapsed().as_secs_f64(), "event": event}));
            });
            match answer.await {
                Ok(output) => println!("{}", json!({"id": id, "output": output})),
                Err(error) => println!("{}", json!({"id": id, "error": error})),
            }
        });
    }
    Ok(())
}
