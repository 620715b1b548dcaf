//! Values → bytes, without a way to fail: memory takes every byte, and what is written
//! here has only strings for keys.
//!
//! Not `Value::to_string`, which writes the same through `fmt` at three times the cost.

use bytes::Bytes;
use serde::Serialize;

/// Appends a value.
///
/// # Panics
/// If a map's keys are no strings: a mistake in the type.
pub(crate) fn write<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(out, value)
        .expect("memory takes every byte, and these types have only string keys");
}

/// A value as a body.
///
/// # Panics
/// As [`write`].
pub(crate) fn bytes<T: Serialize + ?Sized>(value: &T) -> Bytes {
    let mut out = Vec::with_capacity(512);
    write(&mut out, value);
    out.into()
}
