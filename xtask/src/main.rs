//! Chores of this repository: `cargo xtask <chore>`.

mod tidy;

use std::process::ExitCode;

use clap::Parser;

/// Chores of this repository.
#[derive(Parser)]
enum Chore {
    /// Check the walls between crates and folders, module docs, and forbidden stubs; report file sizes.
    Tidy,
}

fn main() -> ExitCode {
    match Chore::parse() {
        Chore::Tidy => tidy::main(),
    }
}
