//! Numbers into blocks: the types that are written.

use half::{bf16, f16};

use crate::gguf::TensorType;

/// Encodes numbers; they fill whole blocks.
///
/// # Errors
/// In words, for a type that is not written.
pub(crate) fn encode(kind: TensorType, numbers: &[f32]) -> Result<Vec<u8>, String> {
    Ok(match kind {
        TensorType::F32 => numbers.iter().flat_map(|number| number.to_le_bytes()).collect(),
        TensorType::F16 => numbers.iter().flat_map(|number| f16::from_f32(*number).to_le_bytes()).collect(),
        TensorType::BF16 => numbers.iter().flat_map(|number| bf16::from_f32(*number).to_le_bytes()).collect(),
        TensorType::Q8_0 => numbers.as_chunks().0.iter().flat_map(q8_0).collect(),
        other => return Err(format!("{other} is not written; F32, F16, BF16 and Q8_0 are")),
    })
}

/// A scale, and 32 numbers as the nearest multiples of it from -127 to 127.
fn q8_0(numbers: &[f32; 32]) -> [u8; 34] {
    let largest = numbers.iter().fold(0.0_f32, |largest, number| largest.max(number.abs()));
    let scale = largest / 127.0;
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    let mut block = [0; 34];
    block[..2].copy_from_slice(&f16::from_f32(scale).to_le_bytes());
    for (byte, number) in block[2..].iter_mut().zip(numbers) {
        // `as` saturates, and takes what is no number as 0.
        *byte = ((number * inverse).round() as i8).cast_unsigned();
    }
    block
}
