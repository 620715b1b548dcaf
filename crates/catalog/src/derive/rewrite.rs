//! Writes a model again with some of its tensors as Q8_0; all else is copied as it is.

use std::io::{Read, Seek, SeekFrom, Write};

use super::Wish;
use super::machine::is_slow;
use crate::gguf::{Gguf, Head, Planned, TensorInfo, TensorType, Value, pad};
use crate::quantize::recode;
use crate::{Digest, Unconverted};

/// Blocks of a tensor read at once: a few MB.
const PIECE_BLOCKS: u64 = 1 << 16;
/// llama.cpp's LLAMA_FTYPE_MOSTLY_Q8_0.
const FILE_TYPE_Q8_0: u32 = 7;
/// ggml's GGML_QNT_VERSION, which says how blocks are to be understood.
const QUANTIZATION_VERSION: u32 = 2;
/// The setting that tells of what a file was made: a sha256.
pub(crate) const DERIVED_FROM: &str = "outcrop.derived_from";

/// A file to be written, and where its tensors come from.
pub(super) struct Rewrite<'a> {
    head: Head,
    tensors: Vec<(&'a TensorInfo, TensorType)>,
}

impl<'a> Rewrite<'a> {
    /// # Errors
    /// In words, if the model cannot be rewritten.
    pub(super) fn plan(model: &'a Gguf, wish: Wish, sha256: Digest) -> Result<Self, String> {
        if model.get("split.count").and_then(Value::as_u64).is_some_and(|count| count > 1) {
            return Err("it is one piece of a split model; join the pieces first".into());
        }
        let tensors: Vec<_> = model.tensors().iter().map(|tensor| (tensor, wish.kind(tensor))).collect();
        let planned: Vec<_> = tensors
            .iter()
            .map(|(from, kind)| Planned { name: from.name.clone(), shape: from.shape.clone(), kind: *kind })
            .collect();
        // The alignment is ours; the rest of these is said anew.
        let ours = ["general.alignment", "general.file_type", "general.quantization_version", DERIVED_FROM];
        let mut settings: Vec<_> =
            model.settings().iter().filter(|(key, _)| !ours.contains(&&**key)).cloned().collect();
        settings.push(("general.file_type".into(), FILE_TYPE_Q8_0.into()));
        settings.push(("general.quantization_version".into(), QUANTIZATION_VERSION.into()));
        settings.push((DERIVED_FROM.into(), Value::from(&*sha256.to_string())));
        Ok(Self { head: Head::new(&settings, &planned)?, tensors })
    }

    /// How many tensors change.
    pub(super) fn changes(&self) -> usize {
        self.tensors.iter().filter(|(from, kind)| from.kind != *kind).count()
    }

    /// Size of the file to be.
    pub(super) fn file_bytes(&self) -> u64 {
        self.head.file_bytes()
    }

    /// Writes the whole file.
    ///
    /// # Errors
    /// [`Unconverted`].
    pub(super) fn write(
        &self,
        mut source: impl Read + Seek,
        out: &mut impl Write,
    ) -> Result<(), Unconverted> {
        let unread = |error: std::io::Error| Unconverted::Files(format!("it cannot be read: {error}"));
        self.head.write(&mut *out)?;
        let mut piece = Vec::new();
        for (from, kind) in &self.tensors {
            source.seek(SeekFrom::Start(from.start)).map_err(unread)?;
            let piece_bytes = PIECE_BLOCKS * from.kind.block().1;
            let (mut left, mut written) = (from.bytes, 0);
            while left > 0 {
                piece.resize(piece_bytes.min(left) as usize, 0);
                source.read_exact(&mut piece).map_err(unread)?;
                let recoded =
                    recode(&piece, from.kind, *kind).map_err(|why| format!("{}: {why}", from.name))?;
                out.write_all(&recoded)?;
                left -= piece.len() as u64;
                written += recoded.len() as u64;
            }
            pad(written, &mut *out)?;
        }
        out.flush()?;
        Ok(())
    }
}

impl Wish {
    /// What becomes of a tensor.
    fn kind(self, tensor: &TensorInfo) -> TensorType {
        use TensorType::{BF16, F16, Q8_0};
        let matrix = tensor.shape.len() > 1 && Q8_0.bytes(tensor.shape[0]).is_some();
        let (in_block, _) = tensor.kind.block();
        let rewritten = match self {
            Self::Fastest => is_slow(tensor.kind),
            // What is in single precision is so for a reason: it is small, or it decides.
            Self::Q8_0 => in_block > 1 || matches!(tensor.kind, F16 | BF16),
        };
        if matrix && rewritten { Q8_0 } else { tensor.kind }
    }
}
