//! What a model's file tells of it: `outcrop models show`. Only the head is read, so it
//! takes as long for a large model as for a small one.

mod memory;
mod template;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::catalog::is_id;
use crate::derive::DERIVED_FROM;
use crate::gguf::{Gguf, Value};
use crate::{Capability, Catalog, Digest, LocalModel, PullError, local};

pub use memory::{Memory, SlidingWindow};
pub use template::Template;

/// A model, as its file tells.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Details {
    /// The name it is called by, where it lies in the models folder.
    pub id: Option<String>,
    /// Its human name.
    pub name: Option<String>,
    /// The file.
    pub path: PathBuf,
    /// The file's size.
    pub size_bytes: u64,
    /// The file's hash, where it was taken when the file came.
    pub sha256: Option<Digest>,
    /// Where the file came from.
    pub source: Option<String>,
    /// The hash of the file it was derived from.
    pub derived_from: Option<String>,
    /// What was derived from it for this machine, and is run in its place.
    pub derived: Option<LocalModel>,
    /// Its licence.
    pub license: Option<String>,
    /// The family of networks it belongs to (`llama`, `qwen3` …).
    pub architecture: String,
    /// Numbers in its tensors.
    pub parameters: u64,
    /// How the tensors are stored, most bytes first.
    pub quantization: Vec<Stored>,
    /// Layers.
    pub layers: Option<u64>,
    /// Tokens it was trained to hold in mind.
    pub context_length: Option<u64>,
    /// How its sense of place was stretched beyond that training.
    pub rope_scaling: Option<RopeScaling>,
    /// What its context takes of memory; `None`: it keeps none, or the file does not tell.
    pub memory: Option<Memory>,
    /// What it can do, as far as the file tells.
    pub capabilities: Vec<Capability>,
    /// Its vision is in a second file (`mmproj`), which local models here do not take yet.
    pub vision_needs_mmproj: bool,
    /// Its words.
    pub tokenizer: Option<Tokenizer>,
    /// How a conversation is written down for it.
    pub chat_template: Option<Template>,
}

/// Tensors that are stored the same way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stored {
    /// The type (`Q4_K`).
    #[serde(rename = "type")]
    pub kind: String,
    /// How many tensors.
    pub tensors: u64,
    /// Their size.
    pub bytes: u64,
}

/// A stretched rotary embedding.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RopeScaling {
    /// `linear`, `yarn`, `longrope`, or `llama3`.
    #[serde(rename = "type")]
    pub kind: String,
    /// How far.
    pub factor: Option<f64>,
    /// The context it was trained with before.
    pub original_context_length: Option<u64>,
}

/// How text becomes tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tokenizer {
    /// The algorithm, by llama.cpp's name (`gpt2`: byte-level BPE).
    pub model: String,
    /// How text is cut before that.
    pub pre: Option<String>,
    /// How many tokens there are.
    pub tokens: Option<u64>,
    /// A token is put before every text.
    pub adds_bos: Option<bool>,
}

/// Architectures whose vision is published as a second file.
const WITH_VISION: [&str; 8] =
    ["qwen2vl", "qwen3vl", "qwen3vlmoe", "gemma3", "gemma3n", "llama4", "mistral3", "cogvlm"];
/// llama.cpp's pooling types.
const POOLING_RANK: u64 = 4;

/// Reads what a model's file tells: the model of that id in the folder, or a GGUF file.
///
/// # Errors
/// [`PullError::Absent`], [`PullError::UnknownModel`], or [`PullError::NotAModel`].
pub fn details(models_dir: &Path, catalog: &Catalog, id_or_path: &str) -> Result<Details, PullError> {
    let Some(path) = local::find(models_dir, id_or_path) else {
        let path = Path::new(id_or_path);
        if id_or_path.contains('/') || id_or_path.ends_with(".gguf") {
            let why = if path.exists() { "its name does not end in .gguf" } else { "it is not there" };
            return Err(PullError::NotAModel { path: path.into(), why: why.into() });
        }
        return Err(match catalog.find(id_or_path) {
            Ok(model) => PullError::Absent { id: model.id.clone() },
            Err(unknown) => unknown,
        });
    };
    let gguf = Gguf::open(&path).map_err(|why| PullError::NotAModel { path: path.clone(), why })?;
    let mut details = of(&gguf, &path);
    if is_id(id_or_path) && path == local::file(models_dir, id_or_path) {
        let record = local::record(models_dir, id_or_path);
        let known = catalog.get(id_or_path);
        details.id = Some(id_or_path.into());
        details.name = known.map(|model| model.name.clone()).or(details.name);
        let recorded = record.as_ref().and_then(|record| record.license.clone());
        details.license = known.map(|model| model.license.clone()).or(recorded).or(details.license);
        details.derived = local::derived(models_dir, id_or_path);
        details.source = record.as_ref().map(|record| record.source.clone());
        details.sha256 = record.map(|record| record.sha256);
    }
    Ok(details)
}

fn of(gguf: &Gguf, path: &Path) -> Details {
    let text = |key: &str| gguf.get(key).and_then(Value::as_str).map(str::to_owned);
    let architecture = text("general.architecture").unwrap_or_else(|| "unknown".into());
    let own = |key: &str| gguf.get(&format!("{architecture}.{key}"));
    let number = |key: &str| own(key).and_then(Value::as_u64);
    let chat_template = text("tokenizer.chat_template").map(|text| Template::of(&text));
    Details {
        id: None,
        name: text("general.name"),
        path: path.canonicalize().unwrap_or_else(|_| path.into()),
        size_bytes: gguf.file_bytes,
        sha256: None,
        source: None,
        derived_from: text(DERIVED_FROM),
        derived: None,
        license: text("general.license"),
        parameters: gguf.tensors().iter().map(|tensor| tensor.elements()).sum(),
        quantization: quantization(gguf),
        layers: number("block_count"),
        context_length: number("context_length"),
        rope_scaling: rope_scaling(gguf, &architecture),
        memory: Memory::of(gguf, &architecture),
        capabilities: capabilities(gguf, &architecture, chat_template.as_ref()),
        vision_needs_mmproj: WITH_VISION.contains(&&*architecture),
        tokenizer: text("tokenizer.ggml.model").map(|model| Tokenizer {
            model,
            pre: text("tokenizer.ggml.pre"),
            tokens: gguf.get("tokenizer.ggml.tokens").and_then(Value::len),
            adds_bos: gguf.get("tokenizer.ggml.add_bos_token").and_then(Value::as_bool),
        }),
        chat_template,
        architecture,
    }
}

fn quantization(gguf: &Gguf) -> Vec<Stored> {
    let mut kinds = BTreeMap::new();
    for tensor in gguf.tensors() {
        let (tensors, bytes) = kinds.entry(tensor.kind).or_insert((0, 0));
        *tensors += 1;
        *bytes += tensor.bytes;
    }
    let mut stored: Vec<_> = kinds
        .into_iter()
        .map(|(kind, (tensors, bytes))| Stored { kind: kind.to_string(), tensors, bytes })
        .collect();
    stored.sort_by_key(|stored| std::cmp::Reverse(stored.bytes));
    stored
}

fn rope_scaling(gguf: &Gguf, architecture: &str) -> Option<RopeScaling> {
    let own = |key: &str| gguf.get(&format!("{architecture}.rope.scaling.{key}"));
    let kind = match own("type").and_then(Value::as_str) {
        Some(kind) if kind != "none" => kind.to_owned(),
        // Llama 3's factors are a tensor; nothing in the settings tells of them.
        _ if gguf.tensors().iter().any(|tensor| tensor.name == "rope_freqs.weight") => "llama3".into(),
        _ => return None,
    };
    Some(RopeScaling {
        kind,
        factor: own("factor").and_then(Value::as_f64),
        original_context_length: own("original_context_length").and_then(Value::as_u64),
    })
}

fn capabilities(gguf: &Gguf, architecture: &str, template: Option<&Template>) -> Vec<Capability> {
    let pooling = gguf.get(&format!("{architecture}.pooling_type")).and_then(Value::as_u64);
    match pooling {
        Some(POOLING_RANK) => return vec![Capability::Rerank],
        Some(pooling) if pooling > 0 => return vec![Capability::Embedding],
        _ if architecture.contains("bert") => return vec![Capability::Embedding],
        _ => {}
    }
    let Some(template) = template else { return vec![Capability::Completion] };
    let mut capabilities = vec![Capability::Chat];
    if template.tools {
        capabilities.push(Capability::Tools);
    }
    if template.thinks {
        capabilities.push(Capability::Reasoning);
    }
    capabilities
}

#[cfg(test)]
mod tests;
