//! The walls of ARCHITECTURE.md, checked: which crate may import which, which folder
//! may not, that every module says what it is, and that nothing unfinished is hidden.
//!
//! Cargo enforces the crates' imports only once they are declared; this keeps anyone
//! from declaring the wrong one. File sizes are reported, not judged.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// crate → our crates it may import. Anything not listed is forbidden.
const WALLS: &[(&str, &[&str])] = &[
    ("message", &[]),
    ("dialect", &["message"]),
    ("upstream", &["message", "dialect"]),
    ("engine", &["message"]),
    ("catalog", &[]),
    ("store", &[]),
    ("platform", &["message", "store"]),
    ("server", &["message", "dialect", "platform"]),
    ("outcrop", &["message", "dialect", "upstream", "engine", "catalog", "store", "platform", "server"]),
];

/// crate → outside crates it must not know: pure crates stay free of IO and servers.
const NO_IO: &[(&str, &[&str])] = &[
    ("message", &["tokio", "hyper", "axum", "sqlx", "ureq"]),
    ("dialect", &["tokio", "hyper", "axum", "sqlx", "ureq"]),
    ("platform", &["hyper", "axum", "sqlx", "ureq", "llama-cpp-2"]),
    ("engine", &["hyper", "axum", "sqlx", "ureq"]),
    ("upstream", &["axum", "sqlx", "ureq"]),
];

/// folder → what its files must not mention: folders beside each other stay apart.
const FOLDERS: &[(&str, &[&str])] = &[
    (
        "crates/dialect/src/anthropic",
        &["crate::openai", "crate::bedrock", "crate::gemini", "crate::cohere", "crate::ollama"],
    ),
    (
        "crates/dialect/src/openai",
        &["crate::anthropic", "crate::bedrock", "crate::gemini", "crate::cohere", "crate::ollama"],
    ),
    // `bedrock/invoke` carries other families' bodies; no other part of it knows them.
    ("crates/dialect/src/bedrock", &["crate::gemini", "crate::ollama"]),
    (
        "crates/dialect/src/gemini",
        &["crate::anthropic", "crate::openai", "crate::bedrock", "crate::cohere", "crate::ollama"],
    ),
    (
        "crates/dialect/src/cohere",
        &["crate::anthropic", "crate::openai", "crate::bedrock", "crate::gemini", "crate::ollama"],
    ),
    (
        "crates/dialect/src/ollama",
        &["crate::anthropic", "crate::openai", "crate::bedrock", "crate::gemini", "crate::cohere"],
    ),
    (
        "crates/dialect/src/framing",
        &[
            "crate::anthropic",
            "crate::openai",
            "crate::bedrock",
            "crate::gemini",
            "crate::cohere",
            "crate::ollama",
        ],
    ),
    (
        "crates/dialect/src/json",
        &[
            "crate::anthropic",
            "crate::openai",
            "crate::bedrock",
            "crate::gemini",
            "crate::cohere",
            "crate::ollama",
        ],
    ),
    (
        "crates/dialect/src/sigv4",
        &[
            "crate::anthropic",
            "crate::openai",
            "crate::bedrock",
            "crate::gemini",
            "crate::cohere",
            "crate::ollama",
        ],
    ),
    ("crates/platform/src/keys", &["crate::route", "crate::trace"]),
    ("crates/platform/src/route", &["crate::keys", "crate::trace"]),
    ("crates/platform/src/trace", &["crate::keys", "crate::route"]),
];

/// Only here may llama.cpp be named: hardware and native code live behind one wall.
const BACKEND: &str = "crates/engine/src/backend";

/// Files longer than this are listed in the report.
const LONG_LINES: usize = 400;

/// Prints the report; fails if a rule is broken.
#[allow(clippy::print_stdout)]
pub(crate) fn main() -> ExitCode {
    let report = check(&root());
    println!("{}", report.sizes);
    for fault in &report.faults {
        println!("tidy: {fault}");
    }
    if report.faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

struct Report {
    faults: Vec<String>,
    sizes: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

fn check(root: &Path) -> Report {
    let files: BTreeMap<String, String> = rust_files(root)
        .into_iter()
        .filter_map(|path| {
            let name = path.strip_prefix(root).ok()?.to_string_lossy().into_owned();
            Some((name, fs::read_to_string(&path).ok()?))
        })
        .collect();
    let mut faults = Vec::new();
    crate_walls(root, &mut faults);
    for (name, text) in &files {
        folder_walls(name, text, &mut faults);
        module_docs(name, text, &mut faults);
        unfinished(name, text, &mut faults);
    }
    Report { faults, sizes: sizes(&files) }
}

fn rust_files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.join("crates"), root.join("xtask"), root.join("fuzz")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}

fn crate_walls(root: &Path, faults: &mut Vec<String>) {
    let ours: Vec<&str> = WALLS.iter().map(|(name, _)| *name).collect();
    for (name, allowed) in WALLS {
        let manifest =
            fs::read_to_string(root.join("crates").join(name).join("Cargo.toml")).unwrap_or_default();
        let banned = NO_IO.iter().find(|(pure, _)| pure == name).map_or(&[][..], |(_, banned)| banned);
        for dependency in dependencies(&manifest) {
            if ours.contains(&dependency) && !allowed.contains(&dependency) {
                faults.push(format!("{name} may not import {dependency}"));
            }
            if banned.contains(&dependency) {
                faults.push(format!("{name} may not know {dependency}"));
            }
        }
    }
    for entry in fs::read_dir(root.join("crates")).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !ours.contains(&name.as_str()) {
            faults.push(format!("crates/{name} stands in no wall: add it to WALLS and ARCHITECTURE.md"));
        }
    }
}

/// The names in a manifest's `[dependencies]` section.
fn dependencies(manifest: &str) -> impl Iterator<Item = &str> {
    manifest
        .lines()
        .skip_while(|line| line.trim() != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['.', '=', ' ']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
}

fn folder_walls(name: &str, text: &str, faults: &mut Vec<String>) {
    for (folder, banned) in FOLDERS {
        if !name.starts_with(&format!("{folder}/")) {
            continue;
        }
        for word in *banned {
            if text.lines().any(|line| !line.trim_start().starts_with("//") && line.contains(word)) {
                faults.push(format!("{name} may not import {word}"));
            }
        }
    }
    // InvokeModel carries other families' bodies: bedrock/invoke is the one place that may.
    if name.starts_with("crates/dialect/src/bedrock/")
        && !name.contains("/invoke")
        && text.contains("crate::anthropic")
    {
        faults.push(format!("{name} may not import crate::anthropic (only bedrock/invoke may)"));
    }
    if name.starts_with("crates/engine/src/") && !name.starts_with(BACKEND) && text.contains("llama_cpp_") {
        faults.push(format!("{name} names llama.cpp; only {BACKEND} may"));
    }
}

fn module_docs(name: &str, text: &str, faults: &mut Vec<String>) {
    let documented = text.lines().find(|line| !line.starts_with("#!")).is_some_and(|l| l.starts_with("//!"));
    if !documented {
        faults.push(format!("{name} does not open with `//!` saying what it is"));
    }
}

fn unfinished(name: &str, text: &str, faults: &mut Vec<String>) {
    // Built from pieces so that this file does not find itself.
    let marks = [concat!("todo", "!("), concat!("unimplemented", "!("), concat!("#[ig", "nore")];
    for mark in marks {
        if text.contains(mark) {
            faults.push(format!("{name} holds `{mark}`"));
        }
    }
}

fn sizes(files: &BTreeMap<String, String>) -> String {
    let mut lines: Vec<(usize, &str)> =
        files.iter().map(|(name, text)| (text.lines().count(), name.as_str())).collect();
    lines.sort_unstable();
    let total: usize = lines.iter().map(|(count, _)| count).sum();
    let median = lines.get(lines.len() / 2).map_or(0, |(count, _)| *count);
    let mut report = format!("{} Rust files, {total} lines, median {median}", lines.len());
    for (count, name) in lines.iter().rev().take_while(|(count, _)| *count > LONG_LINES) {
        report.push_str(&format!("\n  {count:>5} {name}"));
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_tidy() {
        let report = check(&root());
        assert!(report.faults.is_empty(), "{}", report.faults.join("\n"));
    }

    #[test]
    fn a_wrong_import_is_found() {
        let mut faults = Vec::new();
        folder_walls("crates/dialect/src/openai/chat/inbound.rs", "use crate::anthropic::wire;", &mut faults);
        assert_eq!(faults, ["crates/dialect/src/openai/chat/inbound.rs may not import crate::anthropic"]);
    }

    #[test]
    fn dependencies_are_read_from_their_section_only() {
        let manifest = "[dependencies]\nbytes.workspace = true\nmessage = { path = \"x\" }\n\n[dev-dependencies]\ntokio = \"1\"\n";
        assert_eq!(dependencies(manifest).collect::<Vec<_>>(), ["bytes", "message"]);
    }
}
