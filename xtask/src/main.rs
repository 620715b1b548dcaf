//! Chores of this repository: `cargo xtask <chore>`.

mod fuzz;
mod tidy;

use std::process::ExitCode;

use clap::Parser;

/// Chores of this repository.
#[derive(Parser)]
enum Chore {
    /// Run the fuzz targets.
    Fuzz(fuzz::Options),
    /// Check the walls between crates and folders, module docs, and forbidden stubs; report file sizes.
    Tidy,
}

fn main() -> ExitCode {
    match Chore::parse() {
        Chore::Fuzz(options) => fuzz::main(&options),
        Chore::Tidy => tidy::main(),
    }
}
