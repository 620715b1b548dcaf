//! A set of sequence numbers: who holds cells of the KV cache.

use super::{MAX_SEQUENCES, SequenceId};

const WORDS: usize = (MAX_SEQUENCES as usize).div_ceil(64);

/// A set of sequence numbers below [`MAX_SEQUENCES`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Holders([u64; WORDS]);

impl Holders {
    pub(crate) fn insert(&mut self, id: SequenceId) {
        self.0[id as usize / 64] |= 1 << (id % 64);
    }

    pub(crate) fn remove(&mut self, id: SequenceId) {
        self.0[id as usize / 64] &= !(1 << (id % 64));
    }

    pub(crate) fn contains(&self, id: SequenceId) -> bool {
        self.0[id as usize / 64] & (1 << (id % 64)) != 0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|&word| word == 0)
    }

    pub(crate) fn len(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// The lowest number in the set.
    pub(crate) fn first(&self) -> Option<SequenceId> {
        let word = self.0.iter().position(|&word| word != 0)?;
        Some(word as u32 * 64 + self.0[word].trailing_zeros())
    }

    /// All of them, lowest first.
    pub(crate) fn iter(self) -> impl Iterator<Item = SequenceId> {
        (0..MAX_SEQUENCES).filter(move |&id| self.contains(id))
    }

    /// Whether every member is in `other`, too.
    pub(crate) fn within(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(mine, theirs)| mine & !theirs == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_was_put_in() {
        let mut set = Holders::default();
        assert!(set.is_empty() && set.first().is_none());
        for id in [200, 3, 64] {
            set.insert(id);
        }
        assert_eq!(set.iter().collect::<Vec<_>>(), [3, 64, 200]);
        assert_eq!((set.len(), set.first()), (3, Some(3)));
        let mut more = set;
        more.insert(5);
        assert!(set.within(&more) && !more.within(&set));
        set.remove(3);
        assert!(!set.contains(3) && set.contains(64));
    }
}
