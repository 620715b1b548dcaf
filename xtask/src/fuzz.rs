//! `cargo xtask fuzz`: builds the fuzz targets with coverage counters and runs them.
//!
//! Runs on stable Rust, without cargo-fuzz: LLVM's coverage instrumentation is a plain
//! compiler flag, and libFuzzer comes with its crate. Without address sanitizer: the
//! code under test has no `unsafe`, so what is looked for are panics, overflows, broken
//! assertions, hangs and memory without bound.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a chore talks to its terminal")]

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::thread;

/// The flags cargo-fuzz 0.13 passes, less the sanitizer.
const INSTRUMENTATION: [&str; 7] = [
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
];
/// Targets running at once: one for each of the two cores we count on.
const AT_ONCE: usize = 2;
/// Longest input, in bytes: room for a few nested messages, small enough to be quick.
const INPUT_BYTES_MAX: usize = 4096;
/// Longest time for one input, in seconds; the decoders take microseconds.
const INPUT_TIMEOUT_S: u64 = 10;
/// Most memory of a target, in MiB: a decoder that keeps an input a few times over needs
/// a fraction of it.
const MEMORY_MIB_MAX: u64 = 1024;

/// What `cargo xtask fuzz` takes.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How long each target runs.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// What the search begins from: the same seed goes the same way, as far as it gets in
    /// its time. 0: a new one every time.
    #[arg(long, default_value_t = 0)]
    seed: u32,
    /// Only this target (may be given several times); all if there is none.
    #[arg(long)]
    target: Vec<String>,
}

/// Runs the targets; fails if one has a finding.
pub(crate) fn main(options: &Options) -> ExitCode {
    match run(options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("fuzz: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> io::Result<bool> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let targets = choose(&root, &options.target)?;
    let programs = build(&root, &targets)?;
    println!("{:<24} {:>12} {:>9} {:>9} {:>7}  result", "target", "runs", "runs/s", "coverage", "corpus");
    let waiting = Mutex::new(VecDeque::from(targets));
    let next = || waiting.lock().ok().and_then(|mut waiting| waiting.pop_front());
    let worker = || {
        let mut clean = true;
        while let Some(target) = next() {
            let outcome = fuzz(&root, &programs, &target, options)?;
            outcome.report(&target);
            clean &= outcome.finding.is_none();
        }
        io::Result::Ok(clean)
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().try_fold(true, |clean, worker| {
            let mine = worker.join().map_err(|_| io::Error::other("a worker panicked"))??;
            Ok(clean & mine)
        })
    })
}

/// Every program of `fuzz/src/bin`, or those asked for.
fn choose(root: &Path, wanted: &[String]) -> io::Result<Vec<String>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(root.join("fuzz/src/bin"))? {
        let path = entry?.path();
        all.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    all.sort();
    if let Some(unknown) = wanted.iter().find(|name| !all.contains(name)) {
        return Err(io::Error::other(format!("no target {unknown}; there are {}", all.join(", "))));
    }
    Ok(if wanted.is_empty() { all } else { wanted.to_vec() })
}

/// Builds into a directory of its own, since every crate is built with other flags.
/// `--target` keeps the flags away from build scripts and macros.
fn build(root: &Path, targets: &[String]) -> io::Result<PathBuf> {
    let triple = host()?;
    let directory = root.join("target/fuzz");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--release", "--manifest-path"]).arg(root.join("fuzz/Cargo.toml"));
    cargo.arg("--target").arg(&triple).arg("--target-dir").arg(&directory);
    for target in targets {
        cargo.args(["--bin", target]);
    }
    let status = cargo
        .env("CARGO_ENCODED_RUSTFLAGS", INSTRUMENTATION.join("\u{1f}"))
        .env_remove("RUSTFLAGS")
        .status()?;
    if !status.success() {
        return Err(io::Error::other("the targets do not build; see above (libFuzzer needs a C++ compiler)"));
    }
    Ok(directory.join(triple).join("release"))
}

fn host() -> io::Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("-vV").output()?;
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| io::Error::other("rustc -vV names no host"))
}

/// What a run of one target showed.
struct Outcome {
    runs: u64,
    runs_per_second: u64,
    coverage: u64,
    corpus: usize,
    finding: Option<String>,
}

/// Runs one target over its growing corpus (ours alone) and its seeds (committed).
fn fuzz(root: &Path, programs: &Path, target: &str, options: &Options) -> io::Result<Outcome> {
    let corpus = root.join("fuzz/corpus").join(target);
    let seeds = root.join("fuzz/seeds").join(target);
    let artifacts = root.join("fuzz/artifacts").join(target);
    for directory in [&corpus, &artifacts] {
        fs::create_dir_all(directory)?;
    }
    let program = programs.join(target);
    let mut command = Command::new(&program);
    command.arg(&corpus).args(Some(&seeds).filter(|seeds| seeds.is_dir()));
    let dictionary = root.join("fuzz/dictionaries").join(format!("{target}.dict"));
    if dictionary.is_file() {
        command.arg(format!("-dict={}", dictionary.display()));
    }
    let output = command
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .arg(format!("-max_total_time={}", options.seconds))
        .arg(format!("-seed={}", options.seed))
        .arg(format!("-max_len={INPUT_BYTES_MAX}"))
        .arg(format!("-timeout={INPUT_TIMEOUT_S}"))
        .arg(format!("-rss_limit_mb={MEMORY_MIB_MAX}"))
        .arg("-print_final_stats=1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()?;
    let log = String::from_utf8_lossy(&output.stderr);
    let statistic = |name: &str| {
        let line = log.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.trim().parse().ok()).unwrap_or(0)
    };
    Ok(Outcome {
        runs: statistic("stat::number_of_executed_units:"),
        runs_per_second: statistic("stat::average_exec_per_sec:"),
        coverage: log.lines().rev().find_map(coverage).unwrap_or(0),
        corpus: fs::read_dir(&corpus)?.count(),
        finding: (!output.status.success()).then(|| explain(&log, &program, root)),
    })
}

/// `#4096 pulse cov: 1021 ft: …`
fn coverage(line: &str) -> Option<u64> {
    line.split_once(" cov: ")?.1.split(' ').next()?.parse().ok()
}

/// The end of the log from the panic on, and the command that shows it again.
fn explain(log: &str, program: &Path, root: &Path) -> String {
    /// Lines of a log that say enough.
    const LINES: usize = 12;
    let from = log.find("panicked at").or_else(|| log.find("ERROR: libFuzzer")).unwrap_or(0);
    let lines: Vec<&str> = log[from..].lines().take(LINES).collect();
    let artifact =
        log.lines().find_map(|line| line.split_once("Test unit written to ")).map(|(_, path)| path);
    let shorten = |path: &Path| path.strip_prefix(root).unwrap_or(path).display().to_string();
    format!(
        "{}\nto see it again: {} {}\nthen mend it, and add the input to the tests of what it broke",
        lines.join("\n"),
        shorten(program),
        artifact.map_or_else(|| "(no input was written)".to_owned(), |path| shorten(Path::new(path.trim()))),
    )
}

impl Outcome {
    fn report(&self, target: &str) {
        let Self { runs, runs_per_second, coverage, corpus, finding } = self;
        let result = if finding.is_some() { "FINDING" } else { "clean" };
        println!("{target:<24} {runs:>12} {runs_per_second:>9} {coverage:>9} {corpus:>7}  {result}");
        if let Some(finding) = finding {
            println!("{}", finding.lines().map(|line| format!("    {line}\n")).collect::<String>());
        }
    }
}
