//! The dice: SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number
//! generators", OOPSLA 2014). Written out because a seed's answers must not change when
//! a dependency does; one draw per token, so that batching cannot shift the sequence.

/// A seeded sequence of draws.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    /// Starts the sequence of `seed`.
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next draw, at least 0 and below 1.
    pub(super) fn next_unit(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        // The top 24 bits fill an f32 exactly, so the result never rounds up to 1.
        (z >> 40) as f32 / (1u32 << 24) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_the_published_sequence() {
        // First outputs for seed 1234567 as published with the reference code:
        // 6457827717110365317, 3203168211198807973.
        let mut random = Random::new(1_234_567);
        let expected = [6_457_827_717_110_365_317_u64, 3_203_168_211_198_807_973];
        for output in expected {
            assert_eq!(random.next_unit(), (output >> 40) as f32 / (1u32 << 24) as f32);
        }
    }
}
