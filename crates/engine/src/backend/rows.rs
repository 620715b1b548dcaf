//! A piece of a step that is rows of images and no tokens: the crate's batches hold only
//! tokens, so llama.cpp's own is filled here.

use std::fmt::Debug;
use std::ptr::NonNull;

use llama_cpp_2::context::LlamaContext;
use llama_cpp_sys_2 as sys;

use super::{BatchToken, LoadedModel, StepError};
use crate::vision::Gallery;

/// Computes rows of images with a model's context.
pub(super) struct Rows {
    context: NonNull<sys::llama_context>,
    rows: Vec<f32>,
}

impl Rows {
    /// For this context, which must outlive it. `None`: the crate does not tell where it is.
    pub(super) fn new(context: &LlamaContext<'_>, model: &LoadedModel) -> Option<Self> {
        let context = NonNull::new(address(context)? as *mut sys::llama_context)?;
        // SAFETY: the address is the one that the crate shows for its context, which lives.
        let of = unsafe { sys::llama_get_model(context.as_ptr()) };
        std::ptr::eq(of, model.pointer()).then_some(Self { context, rows: Vec::new() })
    }

    /// Computes a piece of which every token is an image's row that hangs in the gallery.
    pub(super) fn compute(&mut self, piece: &[BatchToken], gallery: &Gallery) -> Result<(), StepError> {
        const NO_ROW: i32 = -3;
        if !gallery.copy_rows(piece.iter().map(|entry| entry.token), &mut self.rows) {
            return Err(StepError::Failed(NO_ROW));
        }
        let mut positions: Vec<_> = piece.iter().map(|entry| entry.position.cast_signed()).collect();
        let mut sequences: Vec<_> = piece.iter().map(|entry| entry.sequence.cast_signed()).collect();
        let mut of: Vec<_> = sequences.iter_mut().map(std::ptr::from_mut).collect();
        let mut counts = vec![1; piece.len()];
        let mut logits: Vec<i8> = piece.iter().map(|entry| entry.logits.into()).collect();
        let batch = sys::llama_batch {
            n_tokens: i32::try_from(piece.len()).unwrap_or(i32::MAX),
            token: std::ptr::null_mut(),
            embd: self.rows.as_mut_ptr(),
            pos: positions.as_mut_ptr(),
            n_seq_id: counts.as_mut_ptr(),
            seq_id: of.as_mut_ptr(),
            logits: logits.as_mut_ptr(),
        };
        // SAFETY: all arrays have `n_tokens` entries, the rows that many of the width that
        // the gallery was made for, the model's own; llama.cpp copies what it keeps.
        match unsafe { sys::llama_decode(self.context.as_ptr(), batch) } {
            0 => Ok(()),
            1 => Err(StepError::NoRoom),
            code => Err(StepError::Failed(code)),
        }
    }
}

/// The pointer within a wrapper of `llama-cpp-2` 0.1.160, which it shows in no other way than
/// by its debug text. (Formatting a pointer exposes it, so that it may be made again.)
fn address(wrapper: &impl Debug) -> Option<usize> {
    let shown = format!("{wrapper:?}");
    let digits = shown.split_once("0x")?.1;
    let end = digits.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(digits.len());
    usize::from_str_radix(&digits[..end], 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_it_is_shown() {
        #[derive(Debug)]
        struct Wrapper {
            #[allow(dead_code, reason = "read by its debug text")]
            context: NonNull<u8>,
        }
        let mut byte = 1;
        let context = NonNull::from(&mut byte);
        assert_eq!(address(&Wrapper { context }), Some(context.as_ptr() as usize));
        assert_eq!(address(&"nothing"), None);
    }
}
