//! Single into half precision (IEEE 754 binary16), to the nearest, ties to even.

/// The half-precision number nearest to `value`.
pub(super) fn half(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = ((bits >> 16) & 0x8000) as u16;
    let exponent = ((bits >> 23) & 0xff) as i32 - 127;
    let fraction = bits & 0x007f_ffff;
    match exponent {
        128 if fraction != 0 => sign | 0x7e00,
        16.. => sign | 0x7c00,
        -14..=15 => {
            let whole = (((exponent + 15) as u32) << 23 | fraction) as u64;
            sign | rounded(whole, 13)
        }
        // Below the smallest normal number the leading one is written out.
        -25..=-15 => sign | rounded(u64::from(fraction | 0x0080_0000), (-1 - exponent) as u32),
        _ => sign,
    }
}

/// Drops the lowest bits; a carry runs into the exponent, as it should.
fn rounded(value: u64, drop: u32) -> u16 {
    let kept = value >> drop;
    let rest = value & ((1 << drop) - 1);
    let middle = 1 << (drop - 1);
    let up = rest > middle || (rest == middle && kept & 1 == 1);
    (kept + u64::from(up)) as u16
}

#[cfg(test)]
mod tests {
    use super::half;

    #[test]
    fn well_known_numbers() {
        for (value, bits) in [
            (0.0, 0x0000),
            (-0.0, 0x8000),
            (1.0, 0x3c00),
            (-2.0, 0xc000),
            (0.5, 0x3800),
            (65504.0, 0x7bff),
            (65519.9, 0x7bff),
            (65520.0, 0x7c00),
            (1e9, 0x7c00),
            (f32::NEG_INFINITY, 0xfc00),
            (6.103_515_6e-5, 0x0400),
            (5.960_464_5e-8, 0x0001),
            (2.980_232_2e-8, 0x0000),
            (3.0e-8, 0x0001),
            (6.097_555e-5, 0x03ff),
            (1.0 + 1.0 / 2048.0, 0x3c00),
            (1.0 + 3.0 / 2048.0, 0x3c02),
            (1e-10, 0x0000),
            (0.1, 0x2e66),
        ] {
            assert_eq!(half(value), bits, "{value}");
        }
        assert!(half(f32::NAN) & 0x7c00 == 0x7c00 && half(f32::NAN) & 0x03ff != 0);
    }
}
