//! The binary: read the configuration, wire every part together, run; and the command
//! line. The only crate that sees all the others.

#![allow(clippy::print_stdout, clippy::print_stderr)] // a command line prints

mod bench;
mod chat;
mod cli;
mod command;
mod config;
mod exit;
mod gateway;
mod logging;
mod pipe;
mod terminal;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};

/// Streams allocate and free small frames at a high rate, and a server that ran hot must
/// give memory back: mimalloc does both better than the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    if cli.command.only_prints() {
        pipe::end_quietly();
    }
    let result = match cli.command {
        Command::Serve(arguments) => command::serve::run(arguments),
        Command::Chat(arguments) => command::chat::run(arguments),
        Command::Pull(arguments) => command::pull::run(arguments),
        Command::Models(arguments) => command::models::run(arguments),
        Command::Bench(arguments) => command::bench::run(arguments),
        Command::Devices(arguments) => command::devices::run(arguments),
        Command::Keys(arguments) => command::keys::run(arguments),
        Command::Providers(arguments) => command::providers::run(arguments),
        Command::Check(arguments) => command::check::run(arguments),
        Command::Trust(arguments) => command::trust::run(arguments),
        Command::Worker => command::worker::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(),
    }
}
