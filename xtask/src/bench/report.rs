//! The figures of a run: medians, the median of each repetition's ratio to the floor, a
//! table and JSON.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

use super::load::Work;
use super::{Options, Result};

/// One measurement.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sample {
    /// CPU per unit of work.
    Cpu { user_us: f64, system_us: f64, done: usize },
    /// Memory per open stream.
    Memory { bytes: f64, streams: usize },
}

impl Sample {
    fn value(&self) -> f64 {
        match self {
            Self::Cpu { user_us, system_us, .. } => user_us + system_us,
            Self::Memory { bytes, .. } => *bytes,
        }
    }
}

/// All measurements.
pub(super) struct Report {
    samples: BTreeMap<(Work, &'static str), Vec<Sample>>,
    conditions: Value,
}

impl Report {
    pub(super) fn new(options: &Options) -> Self {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let conditions = json!({
            "seconds": options.seconds,
            "repetitions": options.repetitions,
            "cores": cores,
            "cpu": cpu_name(),
            "version": env!("CARGO_PKG_VERSION"),
        });
        Self { samples: BTreeMap::new(), conditions }
    }

    pub(super) fn add(&mut self, work: Work, proxy: &'static str, sample: Sample) {
        self.samples.entry((work, proxy)).or_default().push(sample);
    }

    pub(super) fn table(&self) -> String {
        let mut table = format!("{}\n", self.conditions);
        let _ = writeln!(
            table,
            "| work | proxy | µs CPU (user + system), or KiB | times the floor | all repetitions |\n|---|---|---|---|---|"
        );
        for ((work, proxy), samples) in &self.samples {
            let middle = median(samples);
            let told = match middle {
                Sample::Cpu { user_us, system_us, .. } => {
                    format!("{:.1} ({user_us:.1} + {system_us:.1})", middle.value())
                }
                Sample::Memory { bytes, .. } => format!("{:.1} KiB", bytes / 1024.0),
            };
            let ratio = self.ratio(*work, proxy).map_or_else(String::new, |ratio| format!("{ratio:.2}"));
            let unit = if matches!(middle, Sample::Memory { .. }) { 1024.0 } else { 1.0 };
            let all: Vec<_> = samples.iter().map(|sample| format!("{:.1}", sample.value() / unit)).collect();
            let _ = writeln!(table, "| {} | {proxy} | {told} | {ratio} | {} |", work.name(), all.join(", "));
        }
        table
    }

    pub(super) fn json(&self) -> Result<String> {
        let works: Vec<_> = self.samples.iter().map(|((work, proxy), samples)| {
            let detail = match median(samples) {
                Sample::Cpu { user_us, system_us, done } => {
                    json!({"cpu_us": user_us + system_us, "user_us": user_us, "system_us": system_us, "units": done})
                }
                Sample::Memory { bytes, streams } => json!({"bytes": bytes, "streams": streams}),
            };
            let all: Vec<_> = samples.iter().map(Sample::value).collect();
            json!({
                "work": work.name(), "proxy": proxy, "median": detail, "times_floor": self.ratio(*work, proxy),
                "repetitions": all,
            })
        }).collect();
        Ok(serde_json::to_string_pretty(&json!({"conditions": self.conditions, "works": works}))?)
    }

    fn ratio(&self, work: Work, proxy: &str) -> Option<f64> {
        if proxy == "floor" {
            return None;
        }
        let floor = self.samples.get(&(work, "floor"))?;
        let other = self.samples.iter().find(|((at, by), _)| *at == work && *by == proxy)?.1;
        // Pair by pair: what else the machine did fell on both of a repetition.
        let mut ratios: Vec<_> = other.iter().zip(floor).map(|(a, b)| a.value() / b.value()).collect();
        ratios.sort_by(f64::total_cmp);
        Some(ratios[ratios.len() / 2])
    }
}

fn median(samples: &[Sample]) -> Sample {
    let mut sorted = samples.to_vec();
    sorted.sort_by(|a, b| a.value().total_cmp(&b.value()));
    sorted[sorted.len() / 2]
}

fn cpu_name() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name"));
    name.map_or_else(String::new, |name| name.trim_start_matches([' ', '\t', ':']).to_owned())
}
