//! Models that are published as safetensors, written as GGUF.
//!
//! * [`bert`]: small embedding models and cross-encoders in sentence-transformers folders;
//! * [`decoder`]: language models of the Llama and Qwen families, out of a [`folder`]:
//!   [`config`] is read, [`tokenizer`] becomes settings;
//! * [`conversion`]: what both make, ready to be written; [`safetensors`] has the weights.
//!
//! The mapping of names and settings is llama.cpp's own (its `conversion/`, read
//! 2026-11-22). The result is the same bytes on every machine, so its hash can stand in
//! the catalog.

mod bert;
mod config;
mod conversion;
mod decoder;
mod folder;
mod safetensors;
mod tokenizer;

use std::path::Path;

pub(crate) use bert::{Parts, convert};
pub(crate) use conversion::{Conversion, Unconverted};
use folder::Folder;

/// How a converted model's matrices are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// As they were published, in 16 bits at most: BF16 stays BF16, F32 becomes F16.
    #[default]
    AsPublished,
    /// Single precision.
    F32,
    /// Half precision.
    F16,
    /// Single precision's range in half its bits.
    Bf16,
    /// Eight bits and a scale for every 32: half the size of 16 bits, next to no loss.
    Q8_0,
}

/// Reads a folder as model hubs publish them; the model will be called `name`.
///
/// # Errors
/// What is wrong with its files, or not understood, in words.
pub(crate) fn published(folder: &Path, precision: Precision, name: &str) -> Result<Conversion, String> {
    let folder = Folder(folder.to_owned());
    let config = folder.config()?;
    if !bert::is(&config) {
        return decoder::convert(&folder, &config, precision, name);
    }
    if !matches!(precision, Precision::AsPublished | Precision::F16) {
        return Err("models of the BERT family are stored in F16".into());
    }
    let (pooling, vocabulary) = (folder.optional("1_Pooling/config.json")?, folder.required("vocab.txt")?);
    let weights = Box::new(folder.open("model.safetensors")?);
    let parts = Parts { config: &config, pooling: pooling.as_deref(), vocabulary: &vocabulary, weights };
    convert(parts, name, &folder.license().unwrap_or_default())
}

#[cfg(test)]
pub(crate) use bert::tests::tiny;

#[cfg(test)]
mod tests;
