//! Chores of this repository: `cargo xtask <chore>`.

use clap::Parser;

/// Chores of this repository.
#[derive(Parser)]
enum Chore {}

fn main() {
    match Chore::parse() {}
}
