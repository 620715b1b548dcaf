//! Small embedding models that are published as sentence-transformers folders (weights
//! in safetensors, words in `vocab.txt`), written as GGUF.
//!
//! The mapping of names and settings is llama.cpp's own (its `conversion/bert.py`, read
//! 2026-11-22): matrices in half precision, everything else as it is. The result is the
//! same bytes on every machine, so its hash can stand in the catalog.

mod bert;
mod half;
mod safetensors;
mod writer;

pub(crate) use bert::{Parts, convert};

#[cfg(test)]
pub(crate) use bert::tests::tiny;
