//! The rows of `docs/fidelity.md`, and how a cell of it is written.
//!
//! A feature is a small change of a plain request (`features/*.json`). Shared by the two
//! tests that generate the document: `fidelity` (servers of other dialects) and the
//! engine's `tests/grid.rs` (models served here).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use message::{Dialect, Dropped, Failure};
use serde_json::Value;

/// Every dialect that clients speak. Bedrock's is two: its InvokeModel carries Anthropic's
/// body here.
pub(crate) const CLIENTS: [Dialect; 6] = [
    Dialect::BedrockConverse,
    Dialect::BedrockInvoke,
    Dialect::Anthropic,
    Dialect::OpenAiChat,
    Dialect::OpenAiResponses,
    Dialect::Gemini,
];

const FEATURES: [(Dialect, &str); 6] = [
    (Dialect::BedrockConverse, include_str!("features/bedrock-converse.json")),
    (Dialect::BedrockInvoke, include_str!("features/bedrock-invoke.json")),
    (Dialect::Anthropic, include_str!("features/anthropic.json")),
    (Dialect::OpenAiChat, include_str!("features/openai-chat.json")),
    (Dialect::OpenAiResponses, include_str!("features/openai-responses.json")),
    (Dialect::Gemini, include_str!("features/gemini.json")),
];

/// The first line of the engine's part of the document.
const LOCAL: &str = "<!-- From here on: crates/engine/tests/grid.rs -->\n";

/// Every client dialect with its features: a name, and a request that asks for it.
pub(crate) fn features() -> impl Iterator<Item = (Dialect, Vec<(String, Value)>)> {
    let plain: BTreeMap<String, Value> =
        serde_json::from_str(include_str!("requests/plain.json")).expect("JSON");
    FEATURES.into_iter().map(move |(client, features)| {
        let features: Vec<(String, Value)> = serde_json::from_str(features).expect("JSON");
        let asked = features.into_iter().map(|(feature, patch)| {
            let mut body = plain[client.name()].clone();
            merge(&mut body, &patch);
            (feature, body)
        });
        (client, asked.collect())
    })
}

/// The numbered reasons below a table.
#[derive(Default)]
pub(crate) struct Notes(Vec<String>);

impl Notes {
    /// A cell: a sign, and the numbers of the notes that explain it.
    pub(crate) fn cell(&mut self, became: Result<Vec<Dropped>, Failure>) -> String {
        let (sign, reasons) = match became {
            Err(failure) => ("✗", vec![failure.message]),
            Ok(dropped) if dropped.is_empty() => ("✓", Vec::new()),
            Ok(dropped) => {
                let named = |Dropped { path, why }| format!("`{path}`: {why}");
                ("−", dropped.into_iter().map(named).collect())
            }
        };
        let numbers: Vec<String> = reasons.into_iter().map(|reason| self.number(reason)).collect();
        if numbers.is_empty() { sign.to_owned() } else { format!("{sign} <sup>{}</sup>", numbers.join(", ")) }
    }

    fn number(&mut self, reason: String) -> String {
        let known = self.0.iter().position(|note| *note == reason);
        let at = known.unwrap_or_else(|| {
            self.0.push(reason);
            self.0.len() - 1
        });
        (at + 1).to_string()
    }

    pub(crate) fn write(self, out: &mut String) {
        if !self.0.is_empty() {
            out.push('\n');
        }
        for (at, note) in self.0.iter().enumerate() {
            writeln!(out, "{}. {note}", at + 1).expect("a String takes everything");
        }
    }
}

/// Who generates a part of the document.
#[derive(PartialEq)]
#[allow(dead_code, reason = "each test generates its own")]
pub(crate) enum Part {
    Servers,
    Local,
}

/// Fails if the document does not say this; under `UPDATE_DOCS=1` it is written instead.
pub(crate) fn hold(part: Part, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/fidelity.md");
    let written = fs::read_to_string(&path).unwrap_or_default();
    let (servers, local) = written.split_at(written.find(LOCAL).unwrap_or(written.len()));
    let document = match part {
        Part::Servers => format!("{text}{local}"),
        Part::Local => format!("{servers}{LOCAL}{text}"),
    };
    if std::env::var_os("UPDATE_DOCS").is_some() {
        return fs::write(&path, &document).expect("docs/ can be written");
    }
    assert!(
        written == document,
        "docs/fidelity.md does not say what the code does; run: \
         UPDATE_DOCS=1 cargo nextest run --release --workspace -E 'test(fidelity)' --test-threads 1"
    );
}

/// RFC 7386, but that a list or a `null` replaces.
fn merge(body: &mut Value, patch: &Value) {
    match (body, patch) {
        (Value::Object(body), Value::Object(patch)) => {
            for (name, value) in patch {
                merge(body.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (body, patch) => *body = patch.clone(),
    }
}
