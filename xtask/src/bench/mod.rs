//! `cargo xtask bench gateway`: what a request costs on its way through Outcrop,
//! against a bare forwarding proxy.
//!
//! The floor is the least any HTTP gateway built on hyper can do: accept, forward,
//! stream back. Floor, gateway, model server and load each are processes of their own;
//! what is compared is CPU time of the proxy's process per unit of work, since requests
//! per second on a shared machine mean little. Floor and gateway take turns in one run,
//! and the median of the repetitions is told. `docs/benchmarks.md` keeps the results.

mod children;
mod floor;
mod load;
mod model;
mod process;
mod report;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};

use children::{Floor, Model, Outcrop, Proxy};
use load::{Load, Work};
use report::{Report, Sample};

/// What to bench.
#[derive(Subcommand)]
pub(crate) enum Bench {
    /// CPU per request, per streamed token, and memory per open stream, against the floor.
    Gateway(Options),
    /// The floor: a bare forwarding proxy (run by `gateway`).
    #[command(hide = true)]
    Floor {
        /// Where to forward to.
        #[arg(long)]
        to: SocketAddr,
    },
    /// The model server (run by `gateway`).
    #[command(hide = true)]
    Model,
}

/// How to bench.
#[derive(Args)]
pub(crate) struct Options {
    /// The binary to bench.
    #[arg(long, default_value = "target/release/outcrop")]
    outcrop: PathBuf,
    /// Seconds of load per work and repetition.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Repetitions; the median counts.
    #[arg(long, default_value_t = 3)]
    repetitions: usize,
    /// Streams held open while memory is measured.
    #[arg(long, default_value_t = 1000)]
    open_streams: usize,
    /// Only works whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// Also write the figures as JSON to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// Runs the chore.
#[allow(clippy::print_stderr)]
pub(crate) fn main(bench: Bench) -> ExitCode {
    let result = match bench {
        Bench::Gateway(options) => run(WORKERS, gateway(options)),
        Bench::Floor { to } => run(WORKERS, floor::serve(to)),
        Bench::Model => run(1, model::serve()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Threads of each proxy: as many as the machine the figures are told for has cores.
const WORKERS: usize = 2;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn run(workers: usize, future: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()?.block_on(future)
}

#[allow(clippy::print_stdout)]
async fn gateway(options: Options) -> Result<()> {
    let model = Model::start()?;
    let floor = Floor::start(model.address)?;
    let outcrop = Outcrop::start(&options.outcrop, model.address).await?;

    let mut report = Report::new(&options);
    for repetition in 0..options.repetitions {
        for work in Work::ALL.into_iter().filter(|work| work.name().contains(&options.only)) {
            if work == Work::OpenStreams {
                // Fresh processes: memory that earlier work left behind would be used again.
                let floor = Floor::start(model.address)?;
                report.add(work, floor.name(), open_streams(&floor, options.open_streams).await?);
                let outcrop = Outcrop::start(&options.outcrop, model.address).await?;
                report.add(work, outcrop.name(), open_streams(&outcrop, options.open_streams).await?);
                continue;
            }
            for proxy in [&floor as &dyn Proxy, &outcrop] {
                report.add(work, proxy.name(), measure(proxy, work, &options).await?);
            }
        }
        println!("repetition {} of {} done", repetition + 1, options.repetitions);
    }
    println!("{}", report.table());
    if let Some(path) = &options.json {
        std::fs::write(path, report.json()?)?;
    }
    Ok(())
}

/// Time for a proxy to warm up: connections open, caches filled.
const WARM_UP: Duration = Duration::from_millis(500);

async fn measure(proxy: &dyn Proxy, work: Work, options: &Options) -> Result<Sample> {
    let (target, work) = (proxy.target(), proxy.does(work));
    Load::new(work, &target).run(WARM_UP).await?;
    let before = process::cpu(proxy.pid())?;
    let done = Load::new(work, &target).run(Duration::from_secs_f64(options.seconds)).await?;
    let spent = process::cpu(proxy.pid())?.since(before);
    Ok(Sample::Cpu {
        user_us: spent.user.as_secs_f64() * 1e6 / done as f64,
        system_us: spent.system.as_secs_f64() * 1e6 / done as f64,
        done,
    })
}

/// Streams opened before memory is first read: threads and pools are there by then.
const FIRST_STREAMS: usize = 50;

async fn open_streams(proxy: &dyn Proxy, count: usize) -> Result<Sample> {
    let target = proxy.target();
    let _first = load::hold_streams(&target, FIRST_STREAMS).await?;
    let before = process::resident_bytes(proxy.pid())?;
    let _held = load::hold_streams(&target, count).await?;
    let during = process::resident_bytes(proxy.pid())?;
    Ok(Sample::Memory { bytes: during.saturating_sub(before) as f64 / count as f64, streams: count })
}
