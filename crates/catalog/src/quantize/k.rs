//! The K types: 256 numbers under one scale, in groups of 16 or 32 whose own scales are
//! a few bits each.

use super::half_at;

/// Two bits a number; groups of 16 with a scale and a minimum of four bits.
pub(super) fn q2_k(block: &[u8; 84], numbers: &mut [f32; 256]) {
    let (scales, packed) = block[..80].split_at(16);
    let (scale, least) = (half_at(block, 80), half_at(block, 82));
    for (index, number) in numbers.iter_mut().enumerate() {
        let group = scales[index / 16];
        let (half, shift, place) = halves(index);
        let number_here = packed[half * 32 + place] >> shift & 3;
        *number = scale * f32::from(group & 15) * f32::from(number_here) - least * f32::from(group >> 4);
    }
}

/// Three bits a number, the third apart; groups of 16 with a signed scale of six bits.
pub(super) fn q3_k(block: &[u8; 110], numbers: &mut [f32; 256]) {
    let (third, rest) = block.split_at(32);
    let (packed, scales) = rest.split_at(64);
    let scale = half_at(block, 108);
    for (index, number) in numbers.iter_mut().enumerate() {
        // A scale's low four bits lie two to a byte, its high two bits four to a byte.
        let group = index / 16;
        let low = scales[group % 8] >> (group / 8 * 4) & 15;
        let high = scales[8 + group % 4] >> (group / 4 * 2) & 3;
        let group_scale = i32::from(low | high << 4) - 32;
        let (half, shift, place) = halves(index);
        let low = i32::from(packed[half * 32 + place] >> shift & 3);
        let high = third[place] >> (half * 4 + shift / 2) & 1;
        let number_here = low - if high == 1 { 0 } else { 4 };
        *number = scale * group_scale as f32 * number_here as f32;
    }
}

/// Four bits a number; groups of 32 with a scale and a minimum of six bits.
pub(super) fn q4_k(block: &[u8; 144], numbers: &mut [f32; 256]) {
    let (scale, least) = (half_at(block, 0), half_at(block, 2));
    let (scales, packed) = block[4..].split_at(12);
    for (group, numbers) in numbers.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let (group_scale, group_least) = six_bits(scales, group);
        let (scale, least) = (scale * f32::from(group_scale), least * f32::from(group_least));
        for (j, number) in numbers.iter_mut().enumerate() {
            let number_here = packed[group / 2 * 32 + j] >> (group % 2 * 4) & 15;
            *number = scale * f32::from(number_here) - least;
        }
    }
}

/// As [`q4_k`], with a fifth bit apart.
pub(super) fn q5_k(block: &[u8; 176], numbers: &mut [f32; 256]) {
    let (scale, least) = (half_at(block, 0), half_at(block, 2));
    let (scales, rest) = block[4..].split_at(12);
    let (fifth, packed) = rest.split_at(32);
    for (group, numbers) in numbers.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let (group_scale, group_least) = six_bits(scales, group);
        let (scale, least) = (scale * f32::from(group_scale), least * f32::from(group_least));
        for (j, number) in numbers.iter_mut().enumerate() {
            let low = packed[group / 2 * 32 + j] >> (group % 2 * 4) & 15;
            let number_here = low | (fifth[j] >> group & 1) << 4;
            *number = scale * f32::from(number_here) - least;
        }
    }
}

/// Six bits a number, the upper two apart; groups of 16 with a signed scale of eight bits.
pub(super) fn q6_k(block: &[u8; 210], numbers: &mut [f32; 256]) {
    let (low, rest) = block.split_at(128);
    let (high, scales) = rest.split_at(64);
    let scale = half_at(block, 208);
    for (index, number) in numbers.iter_mut().enumerate() {
        let (half, shift, place) = halves(index);
        // Of a half's four rows of 32, the first two lie in the bytes' low bits.
        let (row, low_shift) = (shift / 2 % 2, shift / 4 * 4);
        let low = low[half * 64 + row * 32 + place] >> low_shift & 15;
        let high = high[half * 32 + place] >> shift & 3;
        let number_here = i32::from(low | high << 4) - 32;
        *number = scale * f32::from(scales[index / 16].cast_signed()) * number_here as f32;
    }
}

/// Where number `index` lies among two-bit numbers: which half of 128, how far its row of
/// 32 is shifted in the byte, and its place in the row.
const fn halves(index: usize) -> (usize, usize, usize) {
    (index / 128, index % 128 / 32 * 2, index % 32)
}

/// A group's scale and minimum, of six bits each: those of groups 4 to 7 have their upper
/// two bits in the bytes of groups 0 to 3.
fn six_bits(scales: &[u8], group: usize) -> (u8, u8) {
    if group < 4 {
        return (scales[group] & 63, scales[group + 4] & 63);
    }
    let both = scales[group + 4];
    (both & 15 | scales[group - 4] >> 6 << 4, both >> 4 | scales[group] >> 6 << 4)
}
