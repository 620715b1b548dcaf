//! Models that are published as safetensors, written as GGUF.
//!
//! [`bert`]: small embedding models in sentence-transformers folders. The mapping of names
//! and settings is llama.cpp's own (its `conversion/`, read 2026-11-22). The result is the
//! same bytes on every machine, so its hash can stand in the catalog.

mod bert;
mod conversion;
mod safetensors;

pub(crate) use bert::{Parts, convert};
pub(crate) use conversion::{Conversion, Unconverted};

#[cfg(test)]
pub(crate) use bert::tests::tiny;
