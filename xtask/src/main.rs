//! Chores of this repository: `cargo xtask <chore>`.

mod bench;
mod dist;
mod fuzz;
mod tidy;

use std::process::ExitCode;

use clap::Parser;

/// Chores of this repository.
#[derive(Parser)]
enum Chore {
    /// Measure what a request costs.
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Build a release: one folder, and an archive of it, for every processor.
    Dist(dist::Options),
    /// Run the fuzz targets.
    Fuzz(fuzz::Options),
    /// Check the walls between crates and folders, module docs, and forbidden stubs; report file sizes.
    Tidy,
}

fn main() -> ExitCode {
    match Chore::parse() {
        Chore::Bench(bench) => bench::main(bench),
        Chore::Dist(options) => dist::main(&options),
        Chore::Fuzz(options) => fuzz::main(&options),
        Chore::Tidy => tidy::main(),
    }
}
