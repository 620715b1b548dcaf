//! What came of it: a table for people, JSON for programs.

use engine::ModelInfo;
use serde::Serialize;

use super::works::{Decode, Prefill, Shared};
use super::{Machine, Plan};
use crate::terminal::{count, size, table};

/// All that was measured, and under which conditions.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) model: ModelInfo,
    pub(crate) plan: Conditions,
    /// From its file to the first answer it could give.
    pub(crate) load_s: f64,
    /// Memory of its worker then, and at most; not known outside Linux.
    pub(crate) loaded_bytes: Option<u64>,
    pub(crate) peak_bytes: Option<u64>,
    pub(crate) prefill: Prefill,
    pub(crate) decode: Vec<Decode>,
    pub(crate) shared: Shared,
}

/// What has to be the same for two reports to be compared.
#[derive(Debug, Serialize)]
pub(crate) struct Conditions {
    version: &'static str,
    threads: usize,
    tokens: usize,
    prompt_tokens: usize,
}

impl From<Plan> for Conditions {
    fn from(plan: Plan) -> Self {
        let Plan { tokens, prompt, threads, .. } = plan;
        Self { version: env!("CARGO_PKG_VERSION"), threads, tokens, prompt_tokens: prompt }
    }
}

impl Report {
    /// The share of the limit that so many tokens a second take: of reading memory, if all
    /// weights are read for each, and of multiplying, each of them with each parameter.
    fn shares(&self, tokens_per_s: f64, tokens_at_once: f64) -> (f64, f64) {
        let bytes = tokens_per_s / tokens_at_once * self.model.size_bytes as f64;
        let operations = tokens_per_s * 2.0 * self.model.parameters as f64;
        (bytes / self.machine.memory_bytes_per_s, operations / self.machine.f32_operations_per_s)
    }

    fn row(&self, what: String, tokens_per_s: f64, at_once: f64, cpu: Option<f64>) -> [String; 5] {
        let (memory, arithmetic) = self.shares(tokens_per_s, at_once);
        let cpu = cpu.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.1}"));
        [what, format!("{tokens_per_s:.1}"), cpu, percent(memory), percent(arithmetic)]
    }
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { machine, model, prefill, shared, .. } = self;
        let name = model.title.as_deref().unwrap_or(&model.name);
        let (parameters, weights) = (count(model.parameters), size(model.size_bytes));
        writeln!(f, "{name}: {parameters} parameters, {weights} of weights; threads: {}", machine.threads)?;
        writeln!(f, "computed by {}", model.computed_on)?;
        writeln!(
            f,
            "this machine: reads {}/s, multiplies {:.1} billion f32 operations/s",
            size(machine.memory_bytes_per_s as u64),
            machine.f32_operations_per_s / 1e9
        )?;
        let memory = |bytes: Option<u64>| bytes.map_or_else(|| "not known here".to_owned(), size);
        writeln!(
            f,
            "loaded in {:.2} s, memory {} then, {} at most\n",
            self.load_s,
            memory(self.loaded_bytes),
            memory(self.peak_bytes)
        )?;
        let read = format!("a prompt of {}", prefill.tokens);
        let mut rows = vec![self.row(read, prefill.tokens_per_s, prefill.tokens as f64, None)];
        for decode in &self.decode {
            let what = format!("{} at once", decode.streams);
            rows.push(self.row(what, decode.tokens_per_s, decode.streams as f64, decode.tokens_per_cpu_s));
        }
        let header = ["", "tokens/s", "tokens/CPU-s", "of memory's limit", "of arithmetic's limit"];
        writeln!(f, "{}\n", table(header, &rows))?;
        write!(
            f,
            "{} calls that share a beginning: {} prompt tokens computed, {} reused; first token {:.2} s (p95), \
             {:.2} s once it is known",
            shared.calls, shared.computed, shared.reused, shared.cold_p95_s, shared.warm_p95_s
        )
    }
}
