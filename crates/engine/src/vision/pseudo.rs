//! What stands for an image in a prompt: a number for each of its rows, above every
//! vocabulary and derived from the image's bytes.
//!
//! So the prefix cache, which compares tokens, shares what was computed of an image with every
//! call that shows the same one in the same place, also after a restart. A number has 31 bits:
//! a block of the cache that holds `n` rows is taken for another's by chance once in 2^(31 n)
//! pairs of images. The rows themselves are never found by such a number alone; see the
//! [gallery](super::Gallery).

use sha2::{Digest as _, Sha256};

use crate::vocabulary::Token;

/// Bits of a token that no vocabulary has (llama.cpp's tokens are positive `int32`).
const ABOVE: Token = 1 << 31;

/// What tells an image, as one projector shows it, from all others.
pub(crate) type Digest = [u8; 32];

/// Whether a token stands for a row of an image.
pub(crate) const fn is_pseudo(token: Token) -> bool {
    token & ABOVE != 0
}

/// The digest of an image's bytes, shown by this projector.
pub(crate) fn digest(projector: &[u8], bytes: &[u8]) -> Digest {
    // The length keeps the two apart.
    let length = (projector.len() as u64).to_le_bytes();
    Sha256::new().chain_update(length).chain_update(projector).chain_update(bytes).finalize().into()
}

/// The pseudo-tokens of an image of so many rows; another `attempt` gives others.
pub(crate) fn pseudo(image: &Digest, attempt: u32, rows: usize) -> Vec<Token> {
    let seed = Sha256::new().chain_update(image).chain_update(attempt.to_le_bytes());
    let token = |row: u64| {
        let digest = seed.clone().chain_update(row.to_le_bytes()).finalize();
        Token::from_le_bytes([digest[0], digest[1], digest[2], digest[3]]) | ABOVE
    };
    (0..rows as u64).map(token).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_has_its_own_numbers_and_always_the_same() {
        let (one, other) = (digest(b"p", b"one"), digest(b"p", b"other"));
        assert_eq!(pseudo(&one, 0, 100), pseudo(&digest(b"p", b"one"), 0, 100));
        assert_eq!(pseudo(&one, 0, 100)[..40], pseudo(&one, 0, 40), "a row's number is its own");
        let both: Vec<_> = pseudo(&one, 0, 100).into_iter().zip(pseudo(&other, 0, 100)).collect();
        assert!(both.iter().all(|(a, b)| a != b), "already the first row differs");
        assert_ne!(pseudo(&one, 0, 4), pseudo(&one, 1, 4));
        assert!(both.iter().all(|&(a, b)| is_pseudo(a) && is_pseudo(b)));
        assert!(!is_pseudo(0) && !is_pseudo(i32::MAX as Token));
    }

    #[test]
    fn another_projector_shows_another_image() {
        assert_ne!(digest(b"p", b"one"), digest(b"q", b"one"));
        assert_ne!(digest(b"po", b"ne"), digest(b"p", b"one"));
    }
}
