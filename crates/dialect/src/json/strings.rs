//! The inside of a JSON string, skipped as fast as memory allows.
//!
//! A prompt is one long string, so this loop is where a large body's time goes. Blocks
//! of [`BLOCK`] bytes are tested without branches, which the compiler turns into vector
//! instructions of whatever width the target has; the word that stopped the loop is
//! then looked at with the classic zero-byte trick.

/// Bytes tested per step: two AVX2 registers, four SSE2 or NEON ones.
const BLOCK: usize = 64;

/// Words looked at before the blocks: most strings, and most runs between two escapes
/// of source code, end within them.
const WORDS_FIRST: usize = 3;

/// Index, at or after `from`, of the first byte that a string cannot simply contain: a
/// quote, a backslash or a control character. `text.len()` if there is none.
#[inline]
pub(super) fn skip_plain(text: &[u8], from: usize) -> usize {
    let Some(mut rest) = text.get(from..) else { return text.len() };
    let mut at = from;
    for _ in 0..WORDS_FIRST {
        let Some((word, after)) = rest.split_first_chunk() else { break };
        if let Some(found) = first_special(u64::from_le_bytes(*word)) {
            return at + found;
        }
        (rest, at) = (after, at + size_of::<u64>());
    }
    skip_long(text, at)
}

fn skip_long(text: &[u8], from: usize) -> usize {
    let mut rest = &text[from..];
    let mut at = from;
    while let Some((block, after)) = rest.split_first_chunk::<BLOCK>() {
        if block.iter().fold(false, |found, &byte| found | is_special(byte)) {
            break;
        }
        (rest, at) = (after, at + BLOCK);
    }
    while let Some((word, after)) = rest.split_first_chunk() {
        if let Some(found) = first_special(u64::from_le_bytes(*word)) {
            return at + found;
        }
        (rest, at) = (after, at + size_of::<u64>());
    }
    at + rest.iter().position(|&byte| is_special(byte)).unwrap_or(rest.len())
}

const fn is_special(byte: u8) -> bool {
    (byte == b'"') | (byte == b'\\') | (byte < 0x20)
}

/// Index of the first special byte of a little-endian word.
///
/// Each test sets the high bit of a byte that matches. A borrow can set it in a higher
/// byte that does not, but never below a true match, and only the lowest is asked for.
const fn first_special(word: u64) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    const fn zero_bytes(word: u64) -> u64 {
        word.wrapping_sub(ONES) & !word
    }
    let quotes = zero_bytes(word ^ (ONES * b'"' as u64));
    let backslashes = zero_bytes(word ^ (ONES * b'\\' as u64));
    let controls = word.wrapping_sub(ONES * 0x20) & !word;
    let found = (quotes | backslashes | controls) & HIGHS;
    if found == 0 { None } else { Some(found.trailing_zeros() as usize / 8) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_every_byte_at_every_place() {
        for length in [1, 7, 8, 9, 63, 64, 65, 130] {
            for at in 0..length {
                for byte in 0..=255_u8 {
                    let mut text = vec![0xe9; length];
                    text[at] = byte;
                    let expected = if is_special(byte) { at } else { length };
                    assert_eq!(skip_plain(&text, 0), expected, "byte {byte:#x} at {at} of {length}");
                }
            }
        }
    }

    #[test]
    fn starts_where_told() {
        assert_eq!(skip_plain(b"\"abc\"", 1), 4);
        assert_eq!(skip_plain(b"abc", 3), 3);
        assert_eq!(skip_plain(b"abc", 9), 3);
    }

    #[test]
    fn the_lowest_special_byte_wins() {
        let mut text = [b'a'; 80];
        text[70] = b'\\';
        text[71] = 0;
        text[79] = b'"';
        assert_eq!(skip_plain(&text, 0), 70);
    }
}
