//! Reads safetensors files: a length, a JSON of names and places, and the numbers (its
//! README's "Format", read 2026-11-22). A model may be cut into several.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};

use serde::Deserialize;
use serde_json::Value;

use crate::gguf::TensorType;

/// Longest table of contents, in bytes (the format's own limit is 100 MB, and a model of
/// a thousand tensors takes a hundredth of this).
const MAX_HEADER_BYTES: u64 = 16 << 20;

/// Something weights are read from: a file, or memory.
pub(crate) trait ReadSeek: Read + Seek {}

impl<T: Read + Seek> ReadSeek for T {}

/// The tensors of a model, in all its files.
#[derive(Default)]
pub(super) struct Weights {
    files: Vec<Box<dyn ReadSeek>>,
    entries: BTreeMap<String, Stored>,
}

/// Where a tensor lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    file: usize,
    start: u64,
    /// How its numbers are stored.
    pub(super) kind: TensorType,
    /// Its lengths, slowest first, as safetensors has them.
    pub(super) shape: Vec<u64>,
    /// Its size, in bytes.
    pub(super) bytes: u64,
}

#[derive(Debug, Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

impl Weights {
    /// Takes in the table of one more file.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(super) fn add(&mut self, mut file: Box<dyn ReadSeek>) -> Result<(), String> {
        let unread = |error: std::io::Error| format!("it cannot be read: {error}");
        let file_bytes = file.seek(SeekFrom::End(0)).map_err(unread)?;
        file.rewind().map_err(unread)?;
        let mut length = [0; 8];
        file.read_exact(&mut length).map_err(|_| "it is cut short")?;
        let length = u64::from_le_bytes(length);
        let data_bytes = file_bytes.checked_sub(8).and_then(|rest| rest.checked_sub(length));
        let Some(data_bytes) = data_bytes.filter(|_| length <= MAX_HEADER_BYTES) else {
            return Err("its table of contents is too long".into());
        };
        let mut header = Vec::new();
        file.by_ref().take(length).read_to_end(&mut header).map_err(unread)?;
        let mut fields: BTreeMap<String, Value> =
            serde_json::from_slice(&header).map_err(|error| format!("its table of contents: {error}"))?;
        fields.remove("__metadata__");
        for (name, entry) in fields {
            let entry =
                serde_json::from_value(entry).map_err(|error| format!("its entry {name}: {error}"))?;
            let Some(mut stored) = stored(&entry, data_bytes).map_err(|why| format!("{name} {why}"))? else {
                continue;
            };
            stored.file = self.files.len();
            stored.start += 8 + length;
            if self.entries.insert(name.clone(), stored).is_some() {
                return Err(format!("{name} is in two files"));
            }
        }
        self.files.push(file);
        Ok(())
    }

    /// Whether there is a tensor of that name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// A tensor, which must have the shape.
    ///
    /// # Errors
    /// In words, where it is missing or another.
    pub(super) fn get(&self, name: &str, shape: &[u64]) -> Result<Stored, String> {
        let stored = self.entries.get(name).ok_or_else(|| format!("the weights have no {name}"))?;
        if stored.shape != shape {
            return Err(format!("{name} has the shape {:?}, not {shape:?}", stored.shape));
        }
        Ok(stored.clone())
    }

    /// The names of all tensors.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Reads `count` bytes of a tensor, from byte `from` of it on.
    ///
    /// # Errors
    /// In words, where the file cannot be read.
    pub(super) fn read(&mut self, stored: &Stored, from: u64, count: u64) -> Result<Vec<u8>, String> {
        let file = self.files.get_mut(stored.file).ok_or("the file is not open")?;
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(stored.start + from))
            .and_then(|_| file.take(count).read_to_end(&mut bytes))
            .map_err(|error| format!("the weights cannot be read: {error}"))?;
        if bytes.len() as u64 == count { Ok(bytes) } else { Err("the weights became shorter".into()) }
    }
}

/// `None`: it holds integers, which are positions or masks that the program had at hand, and
/// no weights.
fn stored(entry: &Entry, data_bytes: u64) -> Result<Option<Stored>, String> {
    let kind = match &*entry.dtype {
        "F32" => TensorType::F32,
        "F16" => TensorType::F16,
        "BF16" => TensorType::BF16,
        "BOOL" | "I8" | "I16" | "I32" | "I64" | "U8" | "U16" | "U32" | "U64" => return Ok(None),
        other => return Err(format!("is {other}; weights in F32, F16 and BF16 are understood")),
    };
    let [from, to] = entry.data_offsets;
    if to > data_bytes {
        return Err("lies beyond its file's end".into());
    }
    let elements = entry.shape.iter().try_fold(1_u64, |all, side| all.checked_mul(*side));
    let wanted = elements.and_then(|elements| kind.bytes(elements));
    let bytes = to.checked_sub(from).filter(|bytes| Some(*bytes) == wanted);
    let bytes = bytes.ok_or_else(|| format!("has the place {from} to {to}, which is not its size"))?;
    Ok(Some(Stored { file: 0, start: from, kind, shape: entry.shape.clone(), bytes }))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
    }

    fn read(file: Vec<u8>) -> Result<Weights, String> {
        let mut weights = Weights::default();
        weights.add(Box::new(Cursor::new(file))).map(|()| weights)
    }

    #[test]
    fn what_is_asked_for_must_be_there_as_expected() {
        let header = r#"{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},
            "c":{"dtype":"BF16","shape":[2,1],"data_offsets":[2,6]}}"#;
        let mut weights = read(file(header, &[1, 2, 3, 4, 5, 6, 7, 8])).unwrap();
        let a = weights.get("a", &[2]).unwrap();
        assert_eq!(weights.read(&a, 0, 8).unwrap(), [1, 2, 3, 4, 5, 6, 7, 8]);
        let c = weights.get("c", &[2, 1]).unwrap();
        assert_eq!((c.kind, weights.read(&c, 2, 2).unwrap()), (TensorType::BF16, vec![5, 6]));
        assert!(weights.get("a", &[1]).unwrap_err().contains("shape"));
        assert!(weights.get("b", &[1]).unwrap_err().contains("no b"));
        assert!(weights.add(Box::new(Cursor::new(file(header, &[0; 8])))).unwrap_err().contains("two files"));
    }

    #[test]
    fn integers_are_passed_over() {
        let header = r#"{"positions":{"dtype":"I64","shape":[1,1],"data_offsets":[0,8]}}"#;
        let weights = read(file(header, &[0; 8])).unwrap();
        assert!(!weights.has("positions") && weights.get("positions", &[1, 1]).is_err());
    }

    #[test]
    fn nonsense_is_refused() {
        let entry = |dtype: &str, shape: &str, place: &str| {
            let text = format!(r#"{{"a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{place}}}}}"#);
            file(&text, &[0; 8])
        };
        for (bytes, why) in [
            (vec![], "cut short"),
            (b"1234567".to_vec(), "cut short"),
            (u64::MAX.to_le_bytes().to_vec(), "too long"),
            (file("{", b""), "table"),
            (file("{\"a\":1}", b""), "entry a"),
            (entry("F32", "[9]", "[0,36]"), "beyond"),
            (entry("F32", "[2]", "[8,0]"), "not its size"),
            (entry("F32", "[18446744073709551615,2]", "[0,8]"), "not its size"),
            (entry("F32", "[-1]", "[0,8]"), "entry a"),
            (entry("F8_E4M3", "[8]", "[0,8]"), "F8_E4M3"),
        ] {
            let error = read(bytes).err().unwrap();
            assert!(error.contains(why), "{error}");
        }
    }
}
