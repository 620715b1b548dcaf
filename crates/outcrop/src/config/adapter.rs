//! Fine-tuned variants of local models: LoRA adapters, each served by a name of its own.
//!
//! ```toml
//! [adapters.legal]
//! model = "smollm2-135m-instruct"
//! path = "legal.gguf"
//! ```

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// A table of `[adapters]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Adapter {
    /// The id of the model in `models` that it was trained on.
    pub(crate) model: String,
    /// Its GGUF file, relative to the configuration file.
    pub(crate) path: PathBuf,
    /// How strongly it is applied; 1 is as it was trained.
    #[serde(default = "as_trained")]
    pub(crate) scale: f32,
}

fn as_trained() -> f32 {
    1.0
}

impl Adapter {
    /// In the engine's terms: served as `name`, its file found from `folder`.
    pub(crate) fn served_as(&self, name: &str, folder: &Path) -> engine::Adapter {
        engine::Adapter { name: name.to_owned(), path: folder.join(&self.path), scale: self.scale }
    }
}
