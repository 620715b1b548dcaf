//! Where an image stands in the text that a chat template writes.
//!
//! A slot is a mark and the image's number, all in Unicode noncharacters, which no template
//! trims, escapes or writes itself, and which cannot come in from outside: the template's
//! guard replaces them in everything that clients say.

use std::ops::RangeInclusive;

/// Begins and ends a slot.
const EDGE: char = '\u{FDD1}';
/// Sixteen digits.
const ZERO: u32 = 0xFDE0;

/// All characters that slots are made of.
pub(crate) const RESERVED: RangeInclusive<char> = '\u{FDD1}'..='\u{FDEF}';

/// A piece of text with slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// Words.
    Text(&'a str),
    /// The image of this number.
    Image(usize),
}

/// The slot of the image of this number.
pub(crate) fn slot(number: usize) -> String {
    let digits = format!("{number:x}");
    let digit = |c: char| char::from_u32(ZERO + c.to_digit(16)?);
    std::iter::once(EDGE).chain(digits.chars().filter_map(digit)).chain([EDGE]).collect()
}

/// Text cut at its slots.
pub(crate) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    // Outside and inside take turns.
    for (at, part) in text.split(EDGE).enumerate() {
        if at % 2 == 1 {
            let digit = |number: usize, c: char| {
                let digit = u32::from(c).checked_sub(ZERO).filter(|digit| *digit < 16)?;
                Some(number.saturating_mul(16).saturating_add(digit as usize))
            };
            // What a template made of a slot is no image's; that one is then found missing.
            pieces.push(Piece::Image(part.chars().try_fold(0, digit).unwrap_or(usize::MAX)));
        } else if !part.is_empty() {
            pieces.push(Piece::Text(part));
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_found_again() {
        let text = format!("a{}{}b{}", slot(0), slot(31), slot(256));
        let expected =
            [Piece::Text("a"), Piece::Image(0), Piece::Image(31), Piece::Text("b"), Piece::Image(256)];
        assert_eq!(pieces(&text), expected);
        assert_eq!(pieces("no image"), [Piece::Text("no image")]);
        assert!(slot(0xabc).chars().all(|c| RESERVED.contains(&c)));
    }

    #[test]
    fn a_broken_slot_is_no_image_of_anybody() {
        assert_eq!(pieces("\u{FDD1}x\u{FDD1}"), [Piece::Image(usize::MAX)]);
    }
}
