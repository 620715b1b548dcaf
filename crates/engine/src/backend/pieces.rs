//! How a step is cut into what is computed at once.
//!
//! A context applies one adapter at a time, so the tokens of each go by themselves; and so do
//! the rows of images, which llama.cpp takes in another form than tokens.
//!
//! On a CPU attention goes in tiles from 64 tokens on, where keys and values are of one type:
//! several times faster where it looks far back, and with other roundings, which must not
//! reach the answers beside it. So a long stretch of a prompt goes by itself, and everything
//! else in groups below that; or, for exact answers, all in groups below that.

use std::ops::Range;

use super::{BatchToken, LONG_STRETCH};
use crate::vision::is_pseudo;

/// Where a step is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// Between adapters, and between tokens and images.
    Adapters,
    /// There, and so that nothing goes in tiles.
    Rows,
    /// There, and around what goes in tiles.
    Tiles,
}

/// Cuts a batch into what is computed at once, in order.
pub(super) fn pieces(batch: &[BatchToken], cut: Cut) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let alike =
        |a: &BatchToken, b: &BatchToken| a.adapter == b.adapter && is_pseudo(a.token) == is_pseudo(b.token);
    for alike in batch.chunk_by(alike) {
        match cut {
            Cut::Adapters => pieces.push(start..start + alike.len()),
            Cut::Rows => split(&(start..start + alike.len()), &mut pieces),
            Cut::Tiles => tiles(alike, start, &mut pieces),
        }
        start += alike.len();
    }
    pieces
}

fn tiles(batch: &[BatchToken], start: usize, pieces: &mut Vec<Range<usize>>) {
    let mut group = start..start;
    for stretch in batch.chunk_by(|a, b| a.sequence == b.sequence) {
        let end = group.end + stretch.len();
        if stretch.len() >= LONG_STRETCH {
            split(&group, pieces);
            pieces.push(group.end..end);
            group = end..end;
        } else {
            group.end = end;
        }
    }
    split(&group, pieces);
}

fn split(group: &Range<usize>, pieces: &mut Vec<Range<usize>>) {
    const MOST: usize = LONG_STRETCH - 1;
    pieces.extend(group.clone().step_by(MOST).map(|start| start..group.end.min(start + MOST)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(position: u32, sequence: u32, adapter: u32) -> BatchToken {
        BatchToken { token: 0, position, sequence, adapter, logits: false }
    }

    fn batch(stretches: &[usize]) -> Vec<BatchToken> {
        let of = |(sequence, &length): (u32, &usize)| {
            (0..length as u32).map(move |position| token(position, sequence, 0))
        };
        (0..).zip(stretches).flat_map(of).collect()
    }

    /// Where the pieces of a batch end.
    fn ends(stretches: &[usize]) -> Vec<usize> {
        let pieces = pieces(&batch(stretches), Cut::Tiles);
        let starts = pieces.iter().map(|piece| piece.start);
        assert!(starts.skip(1).eq(pieces.iter().map(|piece| piece.end).take(pieces.len().saturating_sub(1))));
        pieces.iter().map(|piece| piece.end).collect()
    }

    #[test]
    fn short_ones_go_together_and_long_ones_alone() {
        assert_eq!(ends(&[1, 1, 40]), [42]);
        assert_eq!(ends(&[1, 100, 1, 1]), [1, 101, 103]);
        assert_eq!(ends(&[64, 63, 64]), [64, 127, 191]);
        assert_eq!(ends(&[512]), [512]);
        assert!(ends(&[]).is_empty());
    }

    #[test]
    fn never_are_there_so_many_that_attention_goes_in_tiles() {
        assert_eq!(ends(&[1; 100]), [63, 100]);
        assert_eq!(ends(&[40, 40]), [63, 80]);
        assert_eq!(pieces(&batch(&[1, 100]), Cut::Rows), [0..63, 63..101]);
    }
    #[test]
    fn tokens_of_several_adapters_are_never_computed_at_once() {
        let batch: Vec<BatchToken> =
            [0, 0, 1, 1, 1, 2].iter().zip(0..).map(|(&adapter, at)| token(0, at, adapter)).collect();
        assert_eq!(pieces(&batch, Cut::Adapters), [0..2, 2..5, 5..6]);
        for cut in [Cut::Rows, Cut::Tiles] {
            assert_eq!(pieces(&batch, cut), [0..2, 2..5, 5..6]);
        }
        assert!(pieces(&[], Cut::Adapters).is_empty());
    }

    #[test]
    fn rows_of_images_and_tokens_are_never_computed_at_once() {
        let row = 1 << 31;
        let batch: Vec<BatchToken> = [1, 2, row, row + 1, 3]
            .into_iter()
            .zip(0..)
            .map(|(number, at)| BatchToken { token: number, ..token(at, 0, 0) })
            .collect();
        assert_eq!(pieces(&batch, Cut::Adapters), [0..2, 2..4, 4..5]);
        assert_eq!(pieces(&batch, Cut::Tiles), [0..2, 2..4, 4..5]);
    }
}
