//! GGUF, the format of model files (ggml's GGUF specification, version 3, read
//! 2026-11-22): reading a file that nobody vouches for, and writing one.
//!
//! ```text
//! magic, version, two counts · settings (key, type, value) · table of tensors
//!                            · padding · tensors, each from a multiple of the alignment on
//! ```
//!
//! [`read`] takes in the head, [`value`] is a setting, [`tensor`] a type and a line of the
//! table, [`write`] makes a head of them again.

mod read;
mod tensor;
mod value;
mod write;

use std::path::Path;

pub(crate) use read::Gguf;
pub(crate) use tensor::{TensorInfo, TensorType};
pub(crate) use value::Value;
pub(crate) use write::{Head, Planned, pad};

/// Where tensors begin unless a file says otherwise, in bytes.
pub(crate) const ALIGNMENT: u64 = 32;

/// Checks that a file is a whole model: its head makes sense and every tensor lies in it.
///
/// # Errors
/// What is wrong with it, in words.
pub(crate) fn check(path: &Path) -> Result<(), String> {
    Gguf::open(path).map(drop)
}

#[cfg(test)]
pub(crate) mod tests;
