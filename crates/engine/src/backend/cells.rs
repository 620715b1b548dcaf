//! Who holds which cell of the KV cache, in llama.cpp's order: so that a text's cells lie
//! in the order of its tokens, whatever was computed or forgotten around it.
//!
//! Attention sums a text's cells as they lie, and another order of the same sums rounds
//! otherwise: enough to change an answer. llama.cpp would put new tokens into the lowest
//! cells that are free, before the older ones of their text. So nothing is freed here at
//! once ([`Llama`](super::Llama) moves it to a sequence of its own): new tokens come after
//! all others, and when too much is dead, [`compact`](Cells::compact) says what to move
//! down over it.
//!
//! It knows no kernels, only what was done with them.

use std::collections::HashMap;

use super::{Holders, Positions, SequenceId};

/// Dead cells cost a little of every step, since attention looks whether they are meant:
/// they may be one in so many of the whole cache, or half of those alive.
const DEAD: usize = 32;

/// Cells moved at once, so that the room for it is bounded.
const MOVED: usize = 512;

/// The cells, from the first to the last that was used.
#[derive(Debug)]
pub(super) struct Cells {
    cells: Vec<Cell>,
    alive: usize,
    size: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cell {
    position: u32,
    holders: Holders,
}

/// Cells with the same holders and positions that follow each other, moved together: taken
/// from where they are, put into the lowest free cells.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// Who holds them, at least one.
    pub(super) holders: Holders,
    /// Their places in each of these sequences.
    pub(super) positions: Positions,
}

impl Cells {
    /// A cache of so many cells, all of them free.
    pub(super) fn new(size: usize) -> Self {
        Self { cells: Vec::new(), alive: 0, size }
    }

    /// Whether so many new cells follow the last one.
    pub(super) fn fit(&self, cells: usize) -> bool {
        self.in_use() + cells <= self.size
    }

    /// Whether it is worth the while to move cells.
    pub(super) fn wasteful(&self) -> bool {
        self.dead() > (self.size / DEAD).max(self.alive / 2)
    }

    /// Cells from the first to the last, held or not.
    pub(super) fn in_use(&self) -> usize {
        self.cells.len()
    }

    /// Those of them that nobody holds.
    pub(super) fn dead(&self) -> usize {
        self.in_use() - self.alive
    }

    /// Nobody holds any: they can all be free.
    pub(super) fn all_dead(&self) -> bool {
        self.alive == 0
    }

    /// All are free.
    pub(super) fn clear(&mut self) {
        self.cells.clear();
        self.alive = 0;
    }

    /// The next cell has the token at this place of a sequence.
    pub(super) fn push(&mut self, sequence: SequenceId, position: u32) {
        let mut holders = Holders::default();
        holders.insert(sequence);
        self.cells.push(Cell { position, holders });
        self.alive += 1;
    }

    /// `to` holds a stretch of `from`'s cells, too.
    pub(super) fn copy(&mut self, from: SequenceId, to: SequenceId, positions: &Positions) {
        for cell in self.cells.iter_mut().filter(|cell| cell.is(from, positions)) {
            cell.holders.insert(to);
        }
    }

    /// A sequence does not hold a stretch of its cells any more.
    pub(super) fn remove(&mut self, sequence: SequenceId, positions: &Positions) {
        for cell in self.cells.iter_mut().filter(|cell| cell.is(sequence, positions)) {
            cell.holders.remove(sequence);
            self.alive -= usize::from(!cell.alive());
        }
    }

    /// Takes a stretch out of a sequence, if it is what was put there last and nobody else holds
    /// it; tells whether it was. What comes next may have its cells.
    pub(super) fn pop(&mut self, sequence: SequenceId, positions: &Positions) -> bool {
        let own = |cell: &&Cell| cell.is(sequence, positions) && cell.holders.len() == 1;
        let kept = self.in_use() - self.cells.iter().rev().take_while(own).count();
        let all = kept < self.in_use() && !self.cells[..kept].iter().any(|cell| cell.is(sequence, positions));
        if all {
            self.alive -= self.in_use() - kept;
            self.cells.truncate(kept);
        }
        all
    }

    /// What is to be moved, in this order, so that no cell in use is dead; every text's
    /// cells keep their order. Counts as done.
    ///
    /// A group goes to the lowest free cells, which are below its own or among them. What
    /// follows it in a text lies, and so begins, behind where it was.
    pub(super) fn compact(&mut self) -> Vec<Group> {
        let dense = self.cells.iter().take_while(|cell| cell.alive()).count();
        let mut groups: Vec<(Holders, Positions, Vec<usize>)> = Vec::new();
        let mut open: HashMap<Holders, usize> = HashMap::new();
        for (place, cell) in self.cells.iter().enumerate().skip(dense).filter(|(_, cell)| cell.alive()) {
            if let Some((_, positions, places)) = open.get(&cell.holders).map(|&group| &mut groups[group])
                && positions.end == cell.position
                && places.len() < MOVED
            {
                positions.end += 1;
                places.push(place);
            } else {
                open.insert(cell.holders, groups.len());
                groups.push((cell.holders, cell.position..cell.position + 1, vec![place]));
            }
        }
        let mut lowest = dense;
        for (holders, positions, places) in &groups {
            for &place in places {
                self.cells[place].holders = Holders::default();
            }
            lowest = lowest.min(places[0]);
            for position in positions.clone() {
                while self.cells[lowest].alive() {
                    lowest += 1;
                }
                self.cells[lowest] = Cell { position, holders: *holders };
            }
        }
        self.cells.truncate(self.alive);
        groups.into_iter().map(|(holders, positions, _)| Group { holders, positions }).collect()
    }
}

impl Cell {
    fn alive(&self) -> bool {
        !self.holders.is_empty()
    }

    fn is(&self, sequence: SequenceId, positions: &Positions) -> bool {
        positions.contains(&self.position) && self.holders.contains(sequence)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Does what llama.cpp does: the lowest free cells, looked for from its head on.
    #[derive(Default)]
    struct Peer {
        cells: Vec<Option<(u32, Holders)>>,
        head: usize,
    }

    impl Peer {
        fn put(&mut self, positions: Positions, holders: Holders) {
            for position in positions {
                while self.cells.get(self.head).is_some_and(Option::is_some) {
                    self.head += 1;
                }
                self.cells.resize(self.cells.len().max(self.head + 1), None);
                self.cells[self.head] = Some((position, holders));
            }
        }

        fn remove(&mut self, sequence: SequenceId, positions: &Positions) {
            for (place, slot) in self.cells.iter_mut().enumerate() {
                if let Some((position, holders)) = slot
                    && positions.contains(position)
                    && holders.contains(sequence)
                {
                    holders.remove(sequence);
                    if holders.is_empty() {
                        *slot = None;
                        self.head = self.head.min(place);
                    }
                }
            }
        }

        /// The positions of a sequence, as they lie.
        fn text(&self, sequence: SequenceId) -> Vec<u32> {
            let held = self.cells.iter().flatten().filter(|(_, holders)| holders.contains(sequence));
            held.map(|(position, _)| *position).collect()
        }
    }

    fn peer(cells: &Cells) -> Peer {
        let slots = cells.cells.iter().map(|cell| cell.alive().then_some((cell.position, cell.holders)));
        let slots: Vec<_> = slots.collect();
        let head = slots.iter().position(Option::is_none).unwrap_or(slots.len());
        Peer { cells: slots, head }
    }

    #[test]
    fn nothing_moves_while_nothing_is_dead() {
        let mut cells = Cells::new(8);
        (0..4).for_each(|position| cells.push(0, position));
        assert_eq!(cells.compact(), []);
        assert!(cells.fit(4) && !cells.fit(5));
        cells.remove(0, &(0..u32::MAX));
        assert!(cells.all_dead());
    }

    #[test]
    fn only_what_came_last_and_is_nobody_elses_is_free_at_once() {
        let mut cells = Cells::new(100);
        (0..4).for_each(|position| cells.push(1, position));
        (0..3).for_each(|position| cells.push(2, position));
        assert!(!cells.pop(1, &(2..u32::MAX)), "others came after it");
        assert!(!cells.pop(2, &(3..u32::MAX)), "there is nothing");
        assert!(cells.pop(2, &(1..u32::MAX)));
        assert_eq!((cells.in_use(), cells.dead()), (5, 0));
        cells.copy(2, 3, &(0..1));
        assert!(!cells.pop(2, &(0..u32::MAX)), "it is another's, too");
        cells.remove(2, &(0..u32::MAX));
        cells.push(1, 4);
        assert!(!cells.pop(1, &(3..u32::MAX)), "only a part of it came last");
    }

    #[test]
    fn what_is_shared_is_moved_once() {
        let mut cells = Cells::new(100);
        (0..4).for_each(|position| cells.push(9, position));
        (0..6).for_each(|position| cells.push(1, position));
        cells.copy(1, 200, &(0..3));
        cells.remove(9, &(0..u32::MAX));
        assert_eq!(cells.dead(), 4);
        let groups = cells.compact();
        let told: Vec<_> =
            groups.iter().map(|group| (group.holders.iter().collect(), &group.positions)).collect();
        assert_eq!(told, [(vec![1, 200], &(0..3)), (vec![1], &(3..6))]);
        assert_eq!((groups.len(), cells.dead(), cells.cells.len()), (2, 0, 6));
    }

    proptest! {
        /// Texts that grow side by side, share beginnings and end at any time.
        #[test]
        fn texts_keep_their_order_and_llama_cpp_would_do_as_told(
            deeds in proptest::collection::vec((0..5u32, 0..5u32, 1..9u32), 1..80),
        ) {
            let mut cells = Cells::new(10_000);
            let mut lengths = [0u32; 5];
            for (a, b, count) in deeds {
                match count {
                    8 => { cells.remove(a, &(0..u32::MAX)); lengths[a as usize] = 0; }
                    7 if lengths[b as usize] == 0 => {
                        let shared = lengths[a as usize] / 2;
                        cells.copy(a, b, &(0..shared));
                        lengths[b as usize] = shared;
                    }
                    count => for _ in 0..count {
                        cells.push(a, lengths[a as usize]);
                        lengths[a as usize] += 1;
                    },
                }
            }
            let mut peer = peer(&cells);
            for Group { holders, positions } in cells.compact() {
                holders.iter().for_each(|holder| peer.remove(holder, &positions));
                peer.put(positions, holders);
            }
            prop_assert_eq!(cells.dead(), 0);
            let found: Vec<_> = peer.cells.iter().flatten().copied().collect();
            let expected: Vec<_> = cells.cells.iter().map(|cell| (cell.position, cell.holders)).collect();
            prop_assert_eq!(found, expected);
            prop_assert!(peer.cells.iter().skip(cells.cells.len()).all(Option::is_none), "no holes");
            for (sequence, length) in (0..).zip(lengths) {
                prop_assert_eq!(peer.text(sequence), (0..length).collect::<Vec<_>>());
            }
        }
    }
}
