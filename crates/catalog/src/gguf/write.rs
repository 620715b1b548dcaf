//! Makes the head of a file. The tensors' numbers follow it, in order, each filled up to
//! a multiple of the alignment ([`pad`]); whoever has them writes them.

use std::io::{self, Write};

use super::{ALIGNMENT, TensorType, Value};

const VERSION: u32 = 3;

/// A tensor that will be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Planned {
    /// Its name.
    pub(crate) name: String,
    /// Its lengths, fastest first.
    pub(crate) shape: Vec<u64>,
    /// How its numbers will be stored.
    pub(crate) kind: TensorType,
}

impl Planned {
    /// Its size, in bytes.
    ///
    /// # Errors
    /// In words, if the type cannot store the shape.
    pub(crate) fn bytes(&self) -> Result<u64, String> {
        let row = self.shape.first().copied().unwrap_or(1);
        let elements = self.shape.iter().try_fold(1_u64, |all, side| all.checked_mul(*side));
        let bytes = self.kind.bytes(row).and(elements).and_then(|elements| self.kind.bytes(elements));
        bytes.ok_or_else(|| format!("{} of the shape {:?} cannot be {}", self.name, self.shape, self.kind))
    }
}

/// A file's head, ready to be written.
pub(crate) struct Head {
    bytes: Vec<u8>,
    data_bytes: u64,
}

impl Head {
    /// Lays the tensors out one behind the other.
    ///
    /// # Errors
    /// In words, if a tensor cannot be.
    pub(crate) fn new(settings: &[(impl AsRef<str>, Value)], tensors: &[Planned]) -> Result<Self, String> {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend((tensors.len() as u64).to_le_bytes());
        bytes.extend((settings.len() as u64).to_le_bytes());
        for (key, value) in settings {
            text(key.as_ref(), &mut bytes);
            value.write(&mut bytes);
        }
        let mut data_bytes = 0_u64;
        for tensor in tensors {
            text(&tensor.name, &mut bytes);
            bytes.extend((tensor.shape.len() as u32).to_le_bytes());
            tensor.shape.iter().for_each(|side| bytes.extend(side.to_le_bytes()));
            bytes.extend((tensor.kind as u32).to_le_bytes());
            bytes.extend(data_bytes.to_le_bytes());
            let end = data_bytes.checked_add(tensor.bytes()?);
            data_bytes = end
                .and_then(|end| end.checked_next_multiple_of(ALIGNMENT))
                .ok_or("the tensors are larger than any file")?;
        }
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT as usize), 0);
        Ok(Self { bytes, data_bytes })
    }

    /// Size of the whole file, in bytes.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.bytes.len() as u64 + self.data_bytes
    }

    /// Writes the head, up to where the first tensor begins.
    pub(crate) fn write(&self, mut out: impl Write) -> io::Result<()> {
        out.write_all(&self.bytes)
    }
}

/// Fills up behind a tensor of `bytes` bytes.
pub(crate) fn pad(bytes: u64, mut out: impl Write) -> io::Result<()> {
    let zeros = [0; ALIGNMENT as usize];
    out.write_all(&zeros[..(bytes.next_multiple_of(ALIGNMENT) - bytes) as usize])
}

fn text(text: &str, head: &mut Vec<u8>) {
    head.extend((text.len() as u64).to_le_bytes());
    head.extend(text.as_bytes());
}
