//! Numbers into blocks and back: what a tensor's bytes mean, type by type.
//!
//! [`decode`] understands the types in everyday use (those whose blocks are formulas, not
//! tables); [`encode`] writes the few that lose little. The layouts are ggml's
//! (`ggml-common.h`, read 2026-11-23); results are bit for bit those of its reference
//! code (`fixtures/`). [`recode`] does both, on every core.

mod decode;
mod encode;
mod k;

use std::num::NonZero;
use std::thread;

use crate::gguf::TensorType;

pub(crate) use decode::decode;
pub(crate) use encode::encode;

/// Numbers one thread takes at a time: whole blocks of every type, and too little to be
/// felt in memory.
const PIECE_ELEMENTS: usize = 1 << 18;

/// The bytes of a tensor, or of whole blocks of one, as another type.
///
/// # Errors
/// In words, if one of the types is not understood.
pub(crate) fn recode(bytes: &[u8], from: TensorType, to: TensorType) -> Result<Vec<u8>, String> {
    if from == to {
        return Ok(bytes.to_vec());
    }
    let (in_block, block_bytes) = from.block();
    let piece_bytes = PIECE_ELEMENTS / in_block as usize * block_bytes as usize;
    let one = |piece: &[u8]| {
        let mut numbers = vec![0.0; piece.len() / block_bytes as usize * in_block as usize];
        decode(from, piece, &mut numbers)?;
        encode(to, &numbers)
    };
    let mut pieces = bytes.chunks(piece_bytes);
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let mut recoded = Vec::new();
    loop {
        let turn: Vec<_> = pieces.by_ref().take(cores).collect();
        match turn.as_slice() {
            [] => return Ok(recoded),
            [alone] => recoded.extend(one(alone)?),
            turn => thread::scope(|scope| {
                let threads: Vec<_> = turn.iter().map(|piece| scope.spawn(move || one(piece))).collect();
                threads.into_iter().try_for_each(|thread| {
                    let done = thread.join().map_err(|_| "a thread that recodes has died".to_owned())?;
                    recoded.extend(done?);
                    Ok::<_, String>(())
                })
            })?,
        }
    }
}

/// Runs over blocks of `B` bytes and `N` numbers.
fn blocks<const B: usize, const N: usize>(
    bytes: &[u8],
    numbers: &mut [f32],
    one: impl Fn(&[u8; B], &mut [f32; N]),
) {
    let blocks = bytes.as_chunks::<B>().0.iter();
    blocks.zip(numbers.as_chunks_mut::<N>().0).for_each(|(block, numbers)| one(block, numbers));
}

/// The half-precision number at the place.
fn half_at(bytes: &[u8], at: usize) -> f32 {
    half::f16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f32()
}

#[cfg(test)]
mod tests;
