//! Blocks into numbers: floats, and the types with one scale for 32 numbers.
//!
//! In a block of 32 four-bit numbers byte `j` holds number `j` in its low half and
//! number `j + 16` in its high half; where there is a fifth bit, it is bit `j` of a word.

use half::{bf16, f16};

use super::{blocks, half_at, k};
use crate::gguf::TensorType;

/// Decodes whole blocks. `numbers` has as many as the blocks hold.
///
/// # Errors
/// In words, for a type that is not understood.
pub(crate) fn decode(kind: TensorType, bytes: &[u8], numbers: &mut [f32]) -> Result<(), String> {
    match kind {
        TensorType::F32 => blocks(bytes, numbers, |bytes, [number]| *number = f32::from_le_bytes(*bytes)),
        TensorType::F16 => {
            blocks(bytes, numbers, |bytes, [number]| *number = f16::from_le_bytes(*bytes).to_f32());
        }
        TensorType::BF16 => {
            blocks(bytes, numbers, |bytes, [number]| *number = bf16::from_le_bytes(*bytes).to_f32());
        }
        TensorType::Q4_0 => blocks(bytes, numbers, q4_0),
        TensorType::Q4_1 => blocks(bytes, numbers, q4_1),
        TensorType::Q5_0 => blocks(bytes, numbers, q5_0),
        TensorType::Q5_1 => blocks(bytes, numbers, q5_1),
        TensorType::Q8_0 => blocks(bytes, numbers, q8_0),
        TensorType::Q2_K => blocks(bytes, numbers, k::q2_k),
        TensorType::Q3_K => blocks(bytes, numbers, k::q3_k),
        TensorType::Q4_K => blocks(bytes, numbers, k::q4_k),
        TensorType::Q5_K => blocks(bytes, numbers, k::q5_k),
        TensorType::Q6_K => blocks(bytes, numbers, k::q6_k),
        other => return Err(format!("{other} tensors cannot be converted, only run")),
    }
    Ok(())
}

fn q4_0(block: &[u8; 18], numbers: &mut [f32; 32]) {
    let scale = half_at(block, 0);
    for j in 0..16 {
        let packed = block[2 + j];
        numbers[j] = (i32::from(packed & 15) - 8) as f32 * scale;
        numbers[j + 16] = (i32::from(packed >> 4) - 8) as f32 * scale;
    }
}

fn q4_1(block: &[u8; 20], numbers: &mut [f32; 32]) {
    let (scale, least) = (half_at(block, 0), half_at(block, 2));
    for j in 0..16 {
        let packed = block[4 + j];
        numbers[j] = f32::from(packed & 15) * scale + least;
        numbers[j + 16] = f32::from(packed >> 4) * scale + least;
    }
}

fn q5_0(block: &[u8; 22], numbers: &mut [f32; 32]) {
    let scale = half_at(block, 0);
    let fifth = u32::from_le_bytes([block[2], block[3], block[4], block[5]]);
    for j in 0..16 {
        let (low, high) = five(block[6 + j], fifth, j);
        numbers[j] = (i32::from(low) - 16) as f32 * scale;
        numbers[j + 16] = (i32::from(high) - 16) as f32 * scale;
    }
}

fn q5_1(block: &[u8; 24], numbers: &mut [f32; 32]) {
    let (scale, least) = (half_at(block, 0), half_at(block, 2));
    let fifth = u32::from_le_bytes([block[4], block[5], block[6], block[7]]);
    for j in 0..16 {
        let (low, high) = five(block[8 + j], fifth, j);
        numbers[j] = f32::from(low) * scale + least;
        numbers[j + 16] = f32::from(high) * scale + least;
    }
}

fn q8_0(block: &[u8; 34], numbers: &mut [f32; 32]) {
    let scale = half_at(block, 0);
    for (number, byte) in numbers.iter_mut().zip(&block[2..]) {
        *number = f32::from(byte.cast_signed()) * scale;
    }
}

/// The numbers `j` and `j + 16`, of five bits each.
fn five(packed: u8, fifth: u32, j: usize) -> (u8, u8) {
    let bit = |at: usize| ((fifth >> at & 1) as u8) << 4;
    (packed & 15 | bit(j), packed >> 4 | bit(j + 16))
}
