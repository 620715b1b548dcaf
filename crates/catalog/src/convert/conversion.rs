//! A conversion, ready to be written: the settings, and for every tensor where its
//! numbers come from. Weights stream through in pieces; none is held whole.

use std::io::{self, Write};

use super::safetensors::{Stored, Weights};
use crate::gguf::{Head, Planned, TensorType, Value, pad};
use crate::quantize::{encode, recode};

/// Bytes read at once.
const PIECE_BYTES: u64 = 8 << 20;

/// Why a model could not be written.
#[derive(Debug)]
pub(crate) enum Unconverted {
    /// Its files are at fault, in words.
    Files(String),
    /// The disk written to is at fault.
    Disk(io::Error),
}

impl From<String> for Unconverted {
    fn from(why: String) -> Self {
        Self::Files(why)
    }
}

impl From<io::Error> for Unconverted {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

/// A tensor to be written.
pub(super) struct Tensor {
    pub(super) planned: Planned,
    pub(super) origin: Origin,
}

/// Where a tensor's numbers come from.
pub(super) enum Origin {
    /// The weights, as they are.
    Stored(Stored),
    /// The weights, of whose heads the first and second halves of rows are interleaved:
    /// llama.cpp's rotary embedding turns neighbours, the published one turns halves.
    Interleaved {
        /// The weights.
        stored: Stored,
        /// Rows of one head.
        head_rows: u64,
    },
    /// They were computed.
    Made(Vec<f32>),
}

/// Settings and tensors, and the files these are in.
pub(crate) struct Conversion {
    head: Head,
    tensors: Vec<Tensor>,
    weights: Weights,
}

impl Conversion {
    /// # Errors
    /// In words, where a tensor cannot have the type planned for it.
    pub(super) fn new(
        settings: &[(impl AsRef<str>, Value)],
        tensors: Vec<Tensor>,
        weights: Weights,
    ) -> Result<Self, String> {
        let planned: Vec<_> = tensors.iter().map(|tensor| tensor.planned.clone()).collect();
        Ok(Self { head: Head::new(settings, &planned)?, tensors, weights })
    }

    /// Size of the whole file, in bytes.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.head.file_bytes()
    }

    /// Writes the whole file.
    ///
    /// # Errors
    /// [`Unconverted`].
    pub(crate) fn write(mut self, out: &mut dyn Write) -> Result<(), Unconverted> {
        self.head.write(&mut *out)?;
        for tensor in &self.tensors {
            let kind = tensor.planned.kind;
            let written = match &tensor.origin {
                Origin::Stored(stored) => stream(stored, kind, &mut self.weights, out)?,
                Origin::Interleaved { stored, head_rows } => {
                    interleave(stored, *head_rows, kind, &mut self.weights, out)?
                }
                Origin::Made(numbers) => write(&encode(kind, numbers)?, out)?,
            };
            pad(written, &mut *out)?;
        }
        out.flush()?;
        Ok(())
    }
}

fn stream(
    stored: &Stored,
    kind: TensorType,
    weights: &mut Weights,
    out: &mut dyn Write,
) -> Result<u64, Unconverted> {
    let (mut done, mut written) = (0, 0);
    while done < stored.bytes {
        let count = PIECE_BYTES.min(stored.bytes - done);
        let piece = weights.read(stored, done, count)?;
        written += write(&recode(&piece, stored.kind, kind)?, out)?;
        done += count;
    }
    Ok(written)
}

/// Head by head.
fn interleave(
    stored: &Stored,
    head_rows: u64,
    kind: TensorType,
    weights: &mut Weights,
    out: &mut dyn Write,
) -> Result<u64, Unconverted> {
    let rows = stored.shape.first().copied().unwrap_or(0);
    if head_rows == 0 || !head_rows.is_multiple_of(2) || !rows.is_multiple_of(head_rows) {
        return Err(format!("{rows} rows are no whole number of heads of {head_rows}").into());
    }
    let row_bytes = (stored.bytes / rows) as usize;
    let head_bytes = head_rows * row_bytes as u64;
    let (mut done, mut written) = (0, 0);
    while done < stored.bytes {
        let head = weights.read(stored, done, head_bytes)?;
        let (first, second) = head.split_at(head.len() / 2);
        let pairs = first.chunks(row_bytes).zip(second.chunks(row_bytes));
        let turned: Vec<u8> = pairs.flat_map(|(first, second)| [first, second]).flatten().copied().collect();
        written += write(&recode(&turned, stored.kind, kind)?, out)?;
        done += head_bytes;
    }
    Ok(written)
}

fn write(bytes: &[u8], out: &mut dyn Write) -> Result<u64, Unconverted> {
    out.write_all(bytes)?;
    Ok(bytes.len() as u64)
}
