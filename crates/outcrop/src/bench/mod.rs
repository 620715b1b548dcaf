//! `outcrop bench`: one model on this machine, in a worker as it is served, and how near it
//! comes to what the machine could do.
//!
//! `machine` measures the limits, `works` asks the model, `report` writes both down.

mod machine;
mod process;
mod report;
mod works;

use std::time::Instant;

use engine::{Engine, Task};
use indicatif::{ProgressBar, ProgressStyle};

use crate::exit::Exit;
pub(crate) use machine::Machine;
pub(crate) use report::Report;

/// What is asked of the model.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// How many calls at once, one measurement each.
    pub(crate) streams: Vec<usize>,
    /// Tokens of each of their answers.
    pub(crate) tokens: usize,
    /// Tokens, about, of the prompt that is read, and of the beginning that calls share.
    pub(crate) prompt: usize,
    /// Threads of computation.
    pub(crate) threads: usize,
}

/// Measures; tells on the terminal how far it is.
pub(crate) async fn run(engine: &Engine, plan: Plan) -> Result<Report, Exit> {
    let bar = bar(4 + plan.streams.len() as u64);
    let step = |what: String| {
        bar.set_message(what);
        bar.inc(1);
    };
    step("memory and arithmetic of this machine".to_owned());
    let threads = plan.threads;
    let machine = blocking(move || machine::measure(threads)).await?;

    step("loading".to_owned());
    let began = Instant::now();
    let waking = engine.clone();
    blocking(move || waking.wake()).await?.map_err(Exit::failed)?;
    let load_s = began.elapsed().as_secs_f64();
    let model = engine.model().ok_or_else(|| Exit::failed("the model is not loaded"))?;
    let does = match model.task {
        Task::Chat => None,
        Task::Embed => Some("makes embeddings"),
        Task::Rerank => Some("scores documents"),
    };
    if let Some(does) = does {
        return Err(Exit::usage(format!("{} {does}; a model that answers is measured", model.name)));
    }
    works::warm_up(engine).await?;
    let loaded_bytes = process::workers_bytes();

    step(format!("a prompt of {} tokens", plan.prompt));
    let prefill = works::prefill(engine, plan.prompt).await?;
    let mut decode = Vec::new();
    for &streams in &plan.streams {
        step(format!("{streams} at once, {} tokens each", plan.tokens));
        decode.push(works::decode(engine, streams, plan.tokens).await?);
    }
    step(format!("eight that share a beginning of {} tokens", plan.prompt));
    let shared = works::shared(engine, plan.prompt).await?;
    bar.finish_and_clear();
    let peak_bytes = process::workers_peak_bytes();
    Ok(Report {
        machine,
        model,
        plan: plan.into(),
        load_s,
        loaded_bytes,
        peak_bytes,
        prefill,
        decode,
        shared,
    })
}

fn bar(steps: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {pos}/{len} {msg} ({elapsed})");
    let bar = ProgressBar::new(steps).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(std::time::Duration::from_millis(200));
    bar
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Exit> {
    tokio::task::spawn_blocking(work).await.map_err(Exit::failed)
}
