//! How fast is the scan at the door? `cargo run --release -p dialect --example scan`
//!
//! Prints GB/s of [`dialect::json::members`] and, for scale, of `serde_json` skipping
//! the same body, over bodies of the shapes that clients send.
#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use serde::de::IgnoredAny;

/// How long each figure is measured.
const MEASURED: Duration = Duration::from_millis(300);
/// Bytes scanned between two looks at the clock.
const BATCH_BYTES: usize = 400 << 10;

fn main() {
    let prose = "It was a bright cold day in April, and the clocks were striking thirteen. ".repeat(2740);
    let code = include_str!("../src/lib.rs").repeat(25);
    let dense = "fn main() {\n\tprintln!(\"{}\", 1);\n}\n".repeat(5800);
    let czech = "Příliš žluťoučký kůň úpěl ďábelské ódy. ".repeat(3900);
    let body = |content: &str| serde_json::json!({"model": "m", "messages": [{"role": "user", "content": content}], "stream": true});
    let tool = serde_json::json!({"name": "read_file", "description": "Reads a file.", "input_schema": {
        "type": "object", "required": ["path"], "properties": {
            "path": {"type": "string", "description": "Absolute path of the file."},
            "offset": {"type": "integer", "minimum": 0}, "limit": {"type": "integer"}}}});
    let tools = serde_json::json!({"model": "m", "messages": [], "tools": vec![tool; 700]});
    for (name, body) in [
        ("200 KB of prose", body(&prose).to_string()),
        ("200 KB of code", body(&code).to_string()),
        ("200 KB with an escape every 5 bytes", body(&dense).to_string()),
        ("200 KB not ASCII", body(&czech).to_string()),
        ("200 KB of tools (many small values)", tools.to_string()),
        ("200 KB of tools, indented", format!("{tools:#}")),
        ("small request", body("Hello!").to_string()),
    ] {
        let body = body.as_bytes();
        let ours = gigabytes_per_second(body, |body| {
            dialect::json::members(body, ["model", "stream", "max_tokens"]).is_ok()
        });
        let serde = gigabytes_per_second(body, |body| serde_json::from_slice::<IgnoredAny>(body).is_ok());
        println!("{name:<38} {:>7} bytes   {ours:6.2} GB/s   serde_json {serde:6.2} GB/s", body.len());
    }
}

/// Of the best batch: what else the machine does only ever takes away.
fn gigabytes_per_second(body: &[u8], scan: impl Fn(&[u8]) -> bool) -> f64 {
    let rounds = 1 + BATCH_BYTES / body.len();
    let begun = Instant::now();
    let mut best = Duration::MAX;
    while begun.elapsed() < MEASURED {
        let start = Instant::now();
        for _ in 0..rounds {
            assert!(scan(black_box(body)));
        }
        best = best.min(start.elapsed());
    }
    (rounds * body.len()) as f64 / best.as_secs_f64() / 1e9
}
