//! Who has which cells of the KV cache, and which texts are in it: the prefix cache.
//!
//! A call takes a [`Lease`]: a sequence of the KV cache that already holds as much of its
//! tokens as any other sequence has computed, running or ended, without copying a number
//! (cells belong to several sequences). What it computes can be shared block by block from
//! the step on in which it was computed. When it ends, its sequence is kept until the cells
//! are needed, and what is then evicted is saved to memory, from where it is restored for a
//! thousandth of what computing it costs.
//!
//! Invariant: a block of the `tree` that is resident has its cells once, and every sequence
//! in its `holders` holds these very cells and those of all blocks above it. So what is
//! resident is closed towards the root, and eviction goes from the leaves.

mod disk;
mod saved;
mod tree;

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::backend::{Backend, Holders, SequenceId};
use crate::vision::is_pseudo;
use crate::vocabulary::Token;
pub(crate) use disk::Disk;
use saved::Saved;
pub(crate) use tree::Root;
use tree::{BLOCK, Block, NodeId, Tree};

/// Siblings looked at for the beginning of a block.
const MAX_SIBLINGS: usize = 64;

/// Bounds of the cache.
#[derive(Debug, Clone)]
pub(crate) struct CacheLimits {
    /// Sequences of the KV cache.
    pub(crate) sequences: u32,
    /// Most cells kept for texts that nobody is working on.
    pub(crate) kept_cells: usize,
    /// Most bytes of evicted texts kept in memory.
    pub(crate) saved_bytes: usize,
    /// Whether anything is shared at all.
    pub(crate) sharing: bool,
}

/// What has been done, since the beginning.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct CacheTally {
    /// Tokens that a call found computed, those restored included.
    pub(super) reused: u64,
    /// Tokens restored from memory.
    pub(super) restored: u64,
}

/// A call's sequence in the KV cache.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) id: SequenceId,
    /// Tokens whose keys and values it holds.
    pub(super) computed: usize,
    root: Root,
    /// The blocks of its tokens: those it holds, then those it has announced.
    path: Vec<NodeId>,
    /// How many it holds.
    ready: usize,
}

/// The KV cache's books.
pub(super) struct PrefixCache {
    limits: CacheLimits,
    cells: usize,
    tree: Tree,
    free: Vec<SequenceId>,
    /// Sequences of calls that have ended, kept for what they hold.
    kept: Holders,
    /// The blocks of each kept sequence.
    paths: Vec<Vec<NodeId>>,
    /// Blocks in the cache.
    resident: usize,
    /// Cells of leases that are in no block.
    tails: usize,
    saved: Saved,
    /// What the last block evicted was worth: what is found later is worth more (GreedyDual).
    inflation: f64,
    pub(super) tally: CacheTally,
}

impl PrefixCache {
    pub(super) fn new<B: Backend>(backend: &B, limits: CacheLimits) -> Self {
        let sharing = limits.sharing && backend.shares();
        Self {
            cells: backend.cells(),
            free: (0..limits.sequences).rev().collect(),
            paths: vec![Vec::new(); limits.sequences as usize],
            saved: Saved::new(limits.saved_bytes),
            limits: CacheLimits { sharing, ..limits },
            tree: Tree::default(),
            kept: Holders::default(),
            resident: 0,
            tails: 0,
            inflation: 0.0,
            tally: CacheTally::default(),
        }
    }

    /// Keeps evicted texts on disk, too, and finds those that an earlier worker left there.
    pub(super) fn attach(&mut self, disk: Disk) {
        if self.limits.sharing {
            self.saved.attach(&mut self.tree, disk);
        }
    }

    /// Leaves what it has on disk for the next worker, until `enough` says so: first what
    /// stands at the beginning of texts.
    pub(super) fn leave<B: Backend>(&mut self, backend: &mut B, enough: impl Fn() -> bool) {
        // What was there before and is worth less makes room, but nothing is written twice over.
        let Some(mut room) = self.saved.disk_bytes() else { return };
        let mut all: Vec<NodeId> = self.tree.ids().collect();
        all.sort_by_key(|&id| self.tree.node(id).depth);
        for id in all {
            let node = self.tree.node(id);
            let (positions, holder) = (node.positions(), node.holders.first());
            let state = holder.filter(|_| node.saved.is_none()).and_then(|id| backend.save(id, positions));
            room = room.saturating_sub(self.saved.leave(&mut self.tree, id, state));
            if room == 0 || enough() {
                return;
            }
        }
    }

    /// Cells in use, kept ones included.
    pub(super) fn used(&self) -> usize {
        self.resident * BLOCK + self.tails
    }

    /// Cells that are free.
    pub(super) fn free(&self) -> usize {
        self.cells.saturating_sub(self.used())
    }

    /// Cells that could be in use by others, if everything kept were evicted.
    pub(super) fn evictable(&self) -> usize {
        let only_kept = |&id: &NodeId| {
            let holders = &self.tree.node(id).holders;
            !holders.is_empty() && holders.within(&self.kept)
        };
        self.tree.ids().filter(only_kept).count() * BLOCK
    }

    /// The running call that is about to compute what this one needs next.
    pub(super) fn in_flight(&self, root: &Root, tokens: &[Token]) -> Option<SequenceId> {
        let top = self.tree.known_root(root)?;
        let known = self.known(top, tokens);
        let at = known.last().copied().unwrap_or(top);
        let next = blocks(tokens).take(shareable(tokens)).nth(known.len())?;
        self.tree.node(self.tree.child(at, next)?).pending
    }

    /// Gives a call a sequence that holds what is known of its tokens, all but the last at
    /// most, and leaves `spare` cells besides those it still needs. `None`: there is no room.
    pub(super) fn begin<B: Backend>(
        &mut self,
        backend: &mut B,
        root: &Root,
        tokens: &[Token],
        spare: usize,
    ) -> Option<Lease> {
        let id = self.sequence(backend)?;
        let mut lease = Lease { id, computed: 0, root: root.clone(), path: Vec::new(), ready: 0 };
        if !self.limits.sharing {
            return self.make_room(backend, tokens.len() + spare).then_some(lease).or_else(|| {
                self.free.push(id);
                None
            });
        }
        let top = self.tree.root(root);
        let known = self.known(top, tokens);
        let resident = known.iter().take_while(|&&node| self.tree.node(node).resident()).count();
        if let Some(holder) = resident.checked_sub(1).and_then(|last| self.holder(known[last])) {
            backend.copy(holder, id, 0..(resident * BLOCK) as u32);
        }
        for &node in &known[..resident] {
            self.tree.node_mut(node).holders.insert(id);
        }
        lease.path.extend_from_slice(&known[..resident]);
        lease.ready = resident;
        lease.computed = resident * BLOCK;
        if !self.make_room(backend, tokens.len() - lease.computed + spare) {
            self.end(backend, lease, false);
            return None;
        }
        self.restore(backend, &mut lease, &known[resident..]);
        for at in 0..lease.ready {
            self.note_found(lease.path[at]);
        }
        self.borrow_beginning(backend, &mut lease, tokens);
        self.announce(&mut lease, tokens);
        self.tally.reused += lease.computed as u64;
        self.drop_redundant(backend);
        Some(lease)
    }

    /// The call has computed its tokens up to `upto`: whole blocks can be shared from now on.
    pub(super) fn computed<B: Backend>(
        &mut self,
        backend: &mut B,
        lease: &mut Lease,
        tokens: &[Token],
        upto: usize,
    ) {
        self.tails += upto;
        self.tails -= lease.computed;
        lease.computed = upto;
        if !self.limits.sharing {
            return;
        }
        while (lease.ready + 1) * BLOCK <= upto {
            let Some(block) = blocks(tokens).nth(lease.ready) else { return };
            let node = match lease.path.get(lease.ready) {
                Some(&announced) => announced,
                None => {
                    let parent = self.last_of(lease);
                    let node = self.tree.child_or_new(parent, block);
                    lease.path.push(node);
                    node
                }
            };
            self.hold(backend, lease.id, node);
            lease.ready += 1;
            self.tails -= BLOCK;
        }
    }

    /// The call has ended, or gives way. With `keep`, what it computed stays until the
    /// cells are needed.
    pub(super) fn end<B: Backend>(&mut self, backend: &mut B, mut lease: Lease, keep: bool) {
        self.tails -= lease.computed - lease.ready * BLOCK;
        for node in lease.path.drain(lease.ready..).rev() {
            if self.tree.node(node).pending == Some(lease.id) {
                self.tree.node_mut(node).pending = None;
                self.tree.prune(node);
            }
        }
        self.paths[lease.id as usize] = lease.path;
        let wanted = self.paths[lease.id as usize].last().is_some_and(|&last| self.is_only_holder(last));
        if keep && wanted {
            backend.remove(lease.id, (lease.ready * BLOCK) as u32..u32::MAX);
            self.kept.insert(lease.id);
            self.drop_redundant(backend);
        } else {
            self.forget(backend, lease.id);
        }
        let kept = self.evictable();
        if kept > self.limits.kept_cells {
            self.evict(backend, kept - self.limits.kept_cells);
        }
    }

    /// Evicts until so many cells are free; tells whether they are.
    pub(super) fn make_room<B: Backend>(&mut self, backend: &mut B, cells: usize) -> bool {
        let free = self.free();
        free >= cells || self.evict(backend, cells - free)
    }

    /// The blocks of these tokens that are resident or saved, from the first on.
    fn known(&self, top: NodeId, tokens: &[Token]) -> Vec<NodeId> {
        let mut known: Vec<NodeId> = Vec::new();
        for block in blocks(tokens).take(shareable(tokens)) {
            let Some(child) = self.tree.child(known.last().copied().unwrap_or(top), block) else { break };
            let node = self.tree.node(child);
            if !node.resident() && node.saved.is_none() {
                break;
            }
            known.push(child);
        }
        known
    }

    fn restore<B: Backend>(&mut self, backend: &mut B, lease: &mut Lease, saved: &[NodeId]) {
        for &node in saved {
            // It may have made room meanwhile.
            if self.tree.node(node).saved.is_none() {
                return;
            }
            let positions = self.tree.node(node).positions();
            let state = self.saved.state(self.tree.node(node));
            if !state.is_some_and(|state| backend.restore(lease.id, positions, &state)) {
                self.saved.forget(&mut self.tree, node);
                self.tree.prune(node);
                return;
            }
            self.tree.node_mut(node).holders.insert(lease.id);
            self.resident += 1;
            lease.path.push(node);
            lease.ready += 1;
            lease.computed += BLOCK;
            self.tally.restored += BLOCK as u64;
        }
    }

    /// A block that begins as a known one does and ends otherwise: the beginning is shared.
    fn borrow_beginning<B: Backend>(&mut self, backend: &mut B, lease: &mut Lease, tokens: &[Token]) {
        let rest = &tokens[lease.computed..tokens.len() - 1];
        let last = self.last_of(lease);
        let siblings = &self.tree.node(last).children;
        let common = |&node: &NodeId| {
            let node = self.tree.node(node);
            // A row of an image is known by few bits: one alone is not enough to be trusted.
            let same = node.tokens.iter().zip(rest).take_while(|(a, b)| a == b && !is_pseudo(**a)).count();
            Some((same, node.holders.first()?))
        };
        let best = siblings.iter().rev().take(MAX_SIBLINGS).filter_map(common).max();
        if let Some((same, holder)) = best.filter(|(same, _)| *same > 0) {
            let from = lease.computed as u32;
            backend.copy(holder, lease.id, from..from + same as u32);
            lease.computed += same;
            // These cells are the sibling's, too; counted here again, room is never overrated.
            self.tails += same;
        }
    }

    /// Tells others what this call will compute, so that they wait for it.
    fn announce(&mut self, lease: &mut Lease, tokens: &[Token]) {
        for block in blocks(tokens).skip(lease.ready) {
            let parent = self.last_of(lease);
            let node = self.tree.child_or_new(parent, block);
            let entry = self.tree.node_mut(node);
            if entry.resident() || entry.pending.is_some() {
                return;
            }
            entry.pending = Some(lease.id);
            lease.path.push(node);
        }
    }

    /// A sequence has computed a block. If another one had, too, they share that one's cells.
    fn hold<B: Backend>(&mut self, backend: &mut B, id: SequenceId, node: NodeId) {
        let entry = self.tree.node_mut(node);
        if entry.pending == Some(id) {
            entry.pending = None;
        }
        let (positions, holder) = (entry.positions(), entry.holders.first());
        entry.holders.insert(id);
        match holder {
            Some(holder) => {
                backend.remove(id, positions.clone());
                backend.copy(holder, id, positions);
            }
            None => self.resident += 1,
        }
        self.note_found(node);
    }

    /// What a place is worth rises each time it is found, the more so the farther back in a
    /// text it stands: attention makes those tokens dearer to compute.
    fn note_found(&mut self, node: NodeId) {
        const POSITIONS_OF_DOUBLE_COST: f64 = 4096.0;
        let inflation = self.inflation;
        let node = self.tree.node_mut(node);
        node.found = node.found.saturating_add(1);
        let cost = 1.0 + f64::from(node.depth) * BLOCK as f64 / POSITIONS_OF_DOUBLE_COST;
        node.worth = inflation + f64::from(node.found) * cost;
    }

    /// A free sequence, if need be one that was kept.
    fn sequence<B: Backend>(&mut self, backend: &mut B) -> Option<SequenceId> {
        if self.free.is_empty() {
            let worth = |id: &SequenceId| {
                let last = self.paths[*id as usize].last();
                last.map_or(0.0, |&node| self.tree.node(node).worth)
            };
            let least = self.kept.iter().min_by(|a, b| worth(a).total_cmp(&worth(b)))?;
            while let Some(&last) = self.paths[least as usize].last() {
                if self.is_only_holder(last) {
                    self.evict_block(backend, last);
                } else {
                    self.forget(backend, least);
                }
            }
        }
        self.free.pop()
    }

    /// Kept sequences that hold nothing others do not hold are of no use.
    fn drop_redundant<B: Backend>(&mut self, backend: &mut B) {
        for id in self.kept.iter() {
            let last = self.paths[id as usize].last();
            if last.is_none_or(|&last| !self.is_only_holder(last)) {
                self.forget(backend, id);
            }
        }
    }

    /// Takes a sequence out of the books and the cache, without saving anything.
    fn forget<B: Backend>(&mut self, backend: &mut B, id: SequenceId) {
        for node in std::mem::take(&mut self.paths[id as usize]).into_iter().rev() {
            self.tree.node_mut(node).holders.remove(id);
            if !self.tree.node(node).resident() {
                self.resident -= 1;
                self.tree.prune(node);
            }
        }
        self.kept.remove(id);
        backend.release(id);
        self.free.push(id);
    }

    /// Evicts kept blocks, those worth least first, until so many cells are free.
    fn evict<B: Backend>(&mut self, backend: &mut B, cells: usize) -> bool {
        let mut leaves: BinaryHeap<Cheapest> = self.tree.ids().filter_map(|id| self.leaf(id)).collect();
        let mut freed = 0;
        while freed < cells {
            let Some(Cheapest { worth, node }) = leaves.pop() else { return false };
            self.inflation = self.inflation.max(worth);
            let parent = self.tree.node(node).parent;
            self.evict_block(backend, node);
            freed += BLOCK;
            leaves.extend(self.leaf(parent));
        }
        true
    }

    /// A block that may be evicted: only kept sequences hold it, and none below it.
    fn leaf(&self, id: NodeId) -> Option<Cheapest> {
        let node = self.tree.node(id);
        let evictable = node.resident()
            && node.holders.within(&self.kept)
            && !node.children.iter().any(|&child| self.tree.node(child).resident());
        evictable.then_some(Cheapest { worth: node.worth, node: id })
    }

    fn evict_block<B: Backend>(&mut self, backend: &mut B, node: NodeId) {
        let positions = self.tree.node(node).positions();
        let holders = std::mem::take(&mut self.tree.node_mut(node).holders);
        if self.saved.wants(self.tree.node(node))
            && let Some(state) = holders.first().and_then(|id| backend.save(id, positions.clone()))
        {
            self.saved.keep(&mut self.tree, node, state);
        }
        for id in holders.iter() {
            let path = &mut self.paths[id as usize];
            path.pop();
            if path.is_empty() {
                self.kept.remove(id);
                backend.release(id);
                self.free.push(id);
            } else {
                backend.remove(id, positions.clone());
            }
        }
        self.resident -= 1;
        self.tree.prune(node);
    }

    fn last_of(&mut self, lease: &Lease) -> NodeId {
        lease.path.last().copied().unwrap_or_else(|| self.tree.root(&lease.root))
    }

    fn holder(&self, node: NodeId) -> Option<SequenceId> {
        self.tree.node(node).holders.first()
    }

    fn is_only_holder(&self, node: NodeId) -> bool {
        self.tree.node(node).holders.len() == 1
    }
}

/// The whole blocks of a text.
fn blocks(tokens: &[Token]) -> impl Iterator<Item = &Block> {
    tokens.as_chunks::<BLOCK>().0.iter()
}

/// How many blocks of a prompt may come from elsewhere: its last token must be computed,
/// since the answer begins with what follows it.
fn shareable(tokens: &[Token]) -> usize {
    tokens.len().saturating_sub(1) / BLOCK
}

/// A block in the order of eviction: the greatest is the one worth least.
struct Cheapest {
    worth: f64,
    node: NodeId,
}

impl Ord for Cheapest {
    fn cmp(&self, other: &Self) -> Ordering {
        other.worth.total_cmp(&self.worth).then(other.node.cmp(&self.node))
    }
}

impl PartialOrd for Cheapest {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Cheapest {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Cheapest {}
