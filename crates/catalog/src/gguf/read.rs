//! Reads a file's head. Nobody vouches for the file: no count or length in it is believed
//! before it has been compared with the bytes that are there, and what is kept in memory
//! is never much more than what was read.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use super::{ALIGNMENT, TensorInfo, TensorType, Value};

/// The versions llama.cpp reads.
const VERSIONS: std::ops::RangeInclusive<u32> = 2..=3;
/// Longest head, in bytes: the largest vocabularies take a tenth of it.
const MAX_HEAD_BYTES: u64 = 256 << 20;
/// Most settings: models have fewer than a hundred.
const MAX_SETTINGS: u64 = 65_536;
/// Most tensors: the largest models have a few thousand.
const MAX_TENSORS: u64 = 65_536;
/// Longest key, in bytes, as the specification has it.
const MAX_KEY_BYTES: u64 = 65_535;
/// Longest tensor name, in bytes: ggml's `GGML_MAX_NAME`, less the zero at its end.
const MAX_NAME_BYTES: u64 = 63;
/// Most sides of a tensor: `GGML_MAX_DIMS`.
const MAX_SIDES: u32 = 4;
/// Widest alignment, in bytes: a large page, which is more than anything asks for.
const MAX_ALIGNMENT: u64 = 2 << 20;
/// Bytes read at once.
const BUFFER_BYTES: usize = 256 << 10;

/// A file's head.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Gguf {
    settings: Vec<(String, Value)>,
    tensors: Vec<TensorInfo>,
    /// The file's size.
    pub(crate) file_bytes: u64,
}

impl Gguf {
    /// Reads the head of the file at `path`.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        let file = File::open(path).map_err(|error| format!("it cannot be read: {error}"))?;
        let bytes = file.metadata().map_err(|error| format!("it cannot be read: {error}"))?.len();
        Self::read(BufReader::with_capacity(BUFFER_BYTES, file), bytes)
    }

    /// Reads the head of a file of `file_bytes` bytes.
    pub(crate) fn read(source: impl Read, file_bytes: u64) -> Result<Self, String> {
        let mut cursor = Cursor { source, at: 0, file_bytes };
        let (tensor_count, setting_count) = counts(&mut cursor)?;
        let settings = settings(&mut cursor, setting_count)?;
        let alignment = alignment(&settings)?;
        let mut tensors = Vec::new();
        let mut names = HashSet::new();
        for _ in 0..tensor_count {
            let tensor = tensor(&mut cursor)?;
            if !names.insert(tensor.name.clone()) {
                return Err(format!("it has two tensors {}", tensor.name));
            }
            tensors.push(tensor);
        }
        place(&mut tensors, cursor.at, alignment, file_bytes)?;
        Ok(Self { settings, tensors, file_bytes })
    }

    /// The settings, in the file's order.
    pub(crate) fn settings(&self) -> &[(String, Value)] {
        &self.settings
    }

    /// The setting of that key.
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.settings.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The tensors, in the file's order.
    pub(crate) fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }
}

fn counts(cursor: &mut Cursor<impl Read>) -> Result<(u64, u64), String> {
    let magic = cursor.array::<4>()?;
    if magic != *b"GGUF" {
        let page = magic.trim_ascii_start().starts_with(b"<");
        return Err(if page { "it is a web page".into() } else { "it does not begin with GGUF".into() });
    }
    let version = cursor.u32()?;
    if !VERSIONS.contains(&version) {
        let swapped = VERSIONS.contains(&version.swap_bytes());
        return Err(if swapped {
            "it is big-endian; this machine needs a little-endian file".into()
        } else {
            format!("it is GGUF version {version}; versions 2 and 3 are read")
        });
    }
    let (tensors, settings) = (cursor.u64()?, cursor.u64()?);
    if tensors == 0 {
        return Err("it holds no tensors (a vocabulary or a split's head)".into());
    }
    if tensors > MAX_TENSORS || settings > MAX_SETTINGS {
        return Err(format!("its head counts {tensors} tensors and {settings} settings, which no model has"));
    }
    Ok((tensors, settings))
}

fn settings(cursor: &mut Cursor<impl Read>, count: u64) -> Result<Vec<(String, Value)>, String> {
    let mut settings = Vec::new();
    let mut keys = HashSet::new();
    for _ in 0..count {
        let key = cursor.text("a setting's name", MAX_KEY_BYTES)?;
        let value = Value::read(cursor).map_err(|why| format!("its setting {key:?}: {why}"))?;
        if key.is_empty() || !keys.insert(key.clone()) {
            return Err(format!("its setting {key:?} has no name, or another's"));
        }
        settings.push((key, value));
    }
    Ok(settings)
}

fn alignment(settings: &[(String, Value)]) -> Result<u64, String> {
    let Some((_, value)) = settings.iter().find(|(key, _)| key == "general.alignment") else {
        return Ok(ALIGNMENT);
    };
    let given = value.as_u64();
    given
        .filter(|alignment| alignment.is_power_of_two() && *alignment <= MAX_ALIGNMENT)
        .ok_or_else(|| format!("its general.alignment is {given:?}, which is no power of two up to 2 MiB"))
}

/// A line of the table. The place is still that within the data.
fn tensor(cursor: &mut Cursor<impl Read>) -> Result<TensorInfo, String> {
    let name = cursor.text("a tensor's name", MAX_NAME_BYTES)?;
    let wrong = |why: String| format!("its tensor {name:?}: {why}");
    let sides = cursor.u32()?;
    if sides > MAX_SIDES {
        return Err(wrong(format!("{sides} sides; at most {MAX_SIDES} are known")));
    }
    let shape = (0..sides).map(|_| cursor.u64()).collect::<Result<Vec<_>, _>>()?;
    let id = cursor.u32()?;
    let start = cursor.u64()?;
    let kind = TensorType::of(id)
        .ok_or_else(|| wrong(format!("the type {id} is not known; a newer Outcrop may know it")))?;
    let row = shape.first().copied().unwrap_or(1);
    let elements = shape.iter().try_fold(1_u64, |all, side| all.checked_mul(*side));
    let bytes = kind.bytes(row).and(elements).and_then(|elements| kind.bytes(elements));
    let bytes = bytes
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| wrong(format!("a {kind} of the shape {shape:?} cannot be")))?;
    Ok(TensorInfo { name, shape, kind, start, bytes })
}

/// Turns places within the data into places in the file. Every tensor must follow the one
/// before it, as llama.cpp has it; so none lies over another.
fn place(tensors: &mut [TensorInfo], head_bytes: u64, alignment: u64, file_bytes: u64) -> Result<(), String> {
    let data = head_bytes.next_multiple_of(alignment);
    let mut next = data;
    for tensor in tensors {
        let start = data.checked_add(tensor.start);
        if start != Some(next) {
            return Err(format!("its tensor {:?} does not begin where the one before it ends", tensor.name));
        }
        tensor.start = next;
        let end = next.checked_add(tensor.bytes).filter(|end| *end <= file_bytes).ok_or_else(|| {
            format!(
                "it is cut short: the tensor {:?} goes on after the file's {file_bytes} bytes",
                tensor.name
            )
        })?;
        next = end.checked_next_multiple_of(alignment).ok_or("it is longer than any file")?;
    }
    Ok(())
}

/// A place in the head that is being read.
pub(super) struct Cursor<R> {
    source: R,
    at: u64,
    file_bytes: u64,
}

impl<R: Read> Cursor<R> {
    /// Reads `count` bytes behind what is in `into`; allocates no more than is there.
    pub(super) fn append(&mut self, count: u64, into: &mut Vec<u8>) -> Result<(), String> {
        let left = self.file_bytes.saturating_sub(self.at);
        if count > left {
            return Err(format!("it is cut short: {count} bytes are missing {left} bytes before its end"));
        }
        if self.at.saturating_add(count) > MAX_HEAD_BYTES {
            return Err(format!("its head is longer than {MAX_HEAD_BYTES} bytes"));
        }
        let read = self.source.by_ref().take(count).read_to_end(into);
        let read = read.map_err(|error| format!("it cannot be read: {error}"))?;
        self.at += count;
        if read as u64 == count { Ok(()) } else { Err("it became shorter while it was read".into()) }
    }

    /// Appends a text, its length before it.
    pub(super) fn append_text(&mut self, into: &mut Vec<u8>) -> Result<(), String> {
        let length = self.array::<8>()?;
        into.extend(length);
        self.append(u64::from_le_bytes(length), into)
    }

    fn text(&mut self, what: &str, most: u64) -> Result<String, String> {
        let length = self.u64()?;
        if length > most {
            return Err(format!("{what} has {length} bytes; {most} are the most there can be"));
        }
        let mut bytes = Vec::new();
        self.append(length, &mut bytes)?;
        String::from_utf8(bytes).map_err(|_| format!("{what} is no UTF-8"))
    }

    pub(super) fn u32(&mut self) -> Result<u32, String> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, String> {
        self.array().map(u64::from_le_bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        if self.file_bytes.saturating_sub(self.at) < N as u64 || self.at >= MAX_HEAD_BYTES {
            return Err("it is cut short, or its head is too long".into());
        }
        let mut bytes = [0; N];
        self.source.read_exact(&mut bytes).map_err(|error| format!("it cannot be read: {error}"))?;
        self.at += N as u64;
        Ok(bytes)
    }
}
