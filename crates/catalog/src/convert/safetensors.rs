//! Reads a safetensors file: a length, a JSON of names and places, and the numbers
//! (its README's "Format", read 2026-11-22). Only `F32` is known.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// Longest table of contents, in bytes (the format's own limit is 100 MB).
const MAX_HEADER_BYTES: u64 = 4 << 20;

/// The tensors of a file.
#[derive(Debug)]
pub(super) struct Tensors<'a> {
    entries: BTreeMap<String, Entry>,
    data: &'a [u8],
}

#[derive(Debug, Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [usize; 2],
}

impl<'a> Tensors<'a> {
    pub(super) fn read(file: &'a [u8]) -> Result<Self, String> {
        let (length, rest) = file.split_first_chunk::<8>().ok_or("it is cut short")?;
        let length = u64::from_le_bytes(*length);
        if length > MAX_HEADER_BYTES || length > rest.len() as u64 {
            return Err("its table of contents is too long".into());
        }
        let (header, data) = rest.split_at(length as usize);
        let mut fields: BTreeMap<String, Value> =
            serde_json::from_slice(header).map_err(|error| format!("its table of contents: {error}"))?;
        fields.remove("__metadata__");
        let entries = fields
            .into_iter()
            .map(|(name, entry)| match serde_json::from_value(entry) {
                Ok(entry) => Ok((name, entry)),
                Err(error) => Err(format!("its entry {name}: {error}")),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { entries, data })
    }

    /// A tensor's shape and numbers, little-endian.
    pub(super) fn get(&self, name: &str, shape: &[u64]) -> Result<&'a [u8], String> {
        let entry = self.entries.get(name).ok_or_else(|| format!("it has no {name}"))?;
        if entry.dtype != "F32" || entry.shape != shape {
            return Err(format!("{name} is {} {:?}, not F32 {shape:?}", entry.dtype, entry.shape));
        }
        let [from, to] = entry.data_offsets;
        let bytes = self.data.get(from..to).ok_or_else(|| format!("{name} lies beyond its end"))?;
        let wanted = shape.iter().try_fold(4u64, |bytes, &length| bytes.checked_mul(length));
        if wanted != Some(bytes.len() as u64) {
            return Err(format!("{name} has {} bytes", bytes.len()));
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
    }

    #[test]
    fn what_is_asked_for_must_be_there_as_expected() {
        let header = r#"{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},
            "b":{"dtype":"F32","shape":[9],"data_offsets":[8,44]},"c":{"dtype":"F16","shape":[2],"data_offsets":[0,4]},
            "d":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#;
        let file = file(header, &[1, 2, 3, 4, 5, 6, 7, 8]);
        let tensors = Tensors::read(&file).unwrap();
        assert_eq!(tensors.get("a", &[2]).unwrap(), [1, 2, 3, 4, 5, 6, 7, 8]);
        for (name, shape) in [("a", 3), ("b", 9), ("c", 2), ("d", 2), ("e", 1)] {
            assert!(tensors.get(name, &[shape]).is_err(), "{name}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for bytes in [&b""[..], b"1234567", &u64::MAX.to_le_bytes(), &file("{", b""), &file("{\"a\":1}", b"")]
        {
            assert!(Tensors::read(bytes).is_err());
        }
    }
}
