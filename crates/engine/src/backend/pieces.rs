//! How a step is cut for the CPU, so that what is computed around a call does not change
//! what is computed for it.
//!
//! Up to 63 tokens at once, each is computed as if it stood alone: bit for bit the same
//! logits (SmolLM2, one thread, up to 8 calls). From 64 tokens on ggml's attention goes in
//! tiles, several times faster where it looks far back, and rounds otherwise; one rounding
//! error is enough to change a greedy answer. So a long stretch of a prompt goes by itself,
//! and everything else in groups below that. With `exact` there are no long stretches.

use std::ops::Range;

use super::{BatchToken, LONG_STRETCH};

/// Cuts a batch into what is computed at once, in order.
pub(super) fn pieces(batch: &[BatchToken], exact: bool) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    let mut group = 0..0;
    for stretch in batch.chunk_by(|a, b| a.sequence == b.sequence) {
        let end = group.end + stretch.len();
        if stretch.len() >= LONG_STRETCH && !exact {
            cut(&group, &mut pieces);
            pieces.push(group.end..end);
            group = end..end;
        } else {
            group.end = end;
        }
    }
    cut(&group, &mut pieces);
    pieces
}

fn cut(group: &Range<usize>, pieces: &mut Vec<Range<usize>>) {
    const MOST: usize = LONG_STRETCH - 1;
    pieces.extend(group.clone().step_by(MOST).map(|start| start..group.end.min(start + MOST)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(stretches: &[usize]) -> Vec<BatchToken> {
        let of = |(sequence, &length): (u32, &usize)| {
            (0..length as u32).map(move |position| BatchToken { token: 0, position, sequence, logits: false })
        };
        (0..).zip(stretches).flat_map(of).collect()
    }

    /// Where the pieces of a batch end.
    fn ends(stretches: &[usize], exact: bool) -> Vec<usize> {
        let pieces = pieces(&batch(stretches), exact);
        let starts = pieces.iter().map(|piece| piece.start);
        assert!(starts.skip(1).eq(pieces.iter().map(|piece| piece.end).take(pieces.len().saturating_sub(1))));
        pieces.iter().map(|piece| piece.end).collect()
    }

    #[test]
    fn short_ones_go_together_and_long_ones_alone() {
        assert_eq!(ends(&[1, 1, 40], false), [42]);
        assert_eq!(ends(&[1, 100, 1, 1], false), [1, 101, 103]);
        assert_eq!(ends(&[64, 63, 64], false), [64, 127, 191]);
        assert_eq!(ends(&[512], false), [512]);
        assert!(ends(&[], false).is_empty());
    }

    #[test]
    fn never_are_there_so_many_that_attention_goes_in_tiles() {
        assert_eq!(ends(&[1; 100], false), [63, 100]);
        assert_eq!(ends(&[40, 40], false), [63, 80]);
        assert_eq!(ends(&[1, 100], true), [63, 101]);
    }
}
