//! Evicted blocks kept outside of the KV cache: in memory, and on disk what memory has no
//! room for, each up to a number of bytes; those worth least go first.

use std::collections::HashMap;
use std::sync::Arc;

use super::disk::{Disk, Entry, Head};
use super::tree::{Node, NodeId, Tree};

/// How full it is after it was full: not every block that comes must look for one to go.
const REFILL: f64 = 0.9;

/// Where a block's keys and values are kept.
#[derive(Debug, Clone)]
pub(super) enum State {
    /// In memory.
    Memory(Arc<[u8]>),
    /// In a file of so many bytes.
    File(u64),
}

/// The books of what is saved; the states themselves hang on the tree.
#[derive(Debug)]
pub(super) struct Saved {
    limit: usize,
    bytes: usize,
    disk: Option<Disk>,
}

impl Saved {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, bytes: 0, disk: None }
    }

    /// Keeps on disk, too, from now on, and takes in what is there.
    pub(super) fn attach(&mut self, tree: &mut Tree, mut disk: Disk) {
        let mut places = HashMap::new();
        for Entry { key, head, bytes } in disk.entries() {
            let top = tree.root(&head.root());
            let parent = if head.depth == 0 { Some(top) } else { places.get(&head.parent).copied() };
            let node = parent.map(|parent| tree.child_or_new(parent, &head.tokens));
            match node.filter(|&node| tree.node(node).key == key) {
                Some(id) => {
                    places.insert(key, id);
                    let node = tree.node_mut(id);
                    node.saved = Some(State::File(bytes));
                    node.found = head.found;
                    node.worth = f64::from(head.found);
                }
                // What was before it is gone, or it is not what its name says.
                None => {
                    disk.remove(key, bytes);
                    tree.prune(node.unwrap_or(top));
                }
            }
        }
        self.disk = Some(disk);
        self.shrink_disk(tree);
    }

    /// Whether a block that is evicted should be saved.
    pub(super) fn wants(&self, node: &Node) -> bool {
        (self.limit > 0 || self.disk.is_some()) && node.saved.is_none()
    }

    /// Keeps a block's state.
    pub(super) fn keep(&mut self, tree: &mut Tree, node: NodeId, state: Vec<u8>) {
        if state.len() > self.limit {
            self.write(tree, node, &state);
            return;
        }
        self.bytes += state.len();
        tree.node_mut(node).saved = Some(State::Memory(Arc::from(state)));
        if self.bytes > self.limit {
            self.shrink(tree, (self.limit as f64 * REFILL) as usize, node);
        }
    }

    /// A block's state; `None` if it cannot be had any more.
    pub(super) fn state(&self, node: &Node) -> Option<Arc<[u8]>> {
        match node.saved.as_ref()? {
            State::Memory(state) => Some(Arc::clone(state)),
            State::File(_) => self.disk.as_ref()?.read(node.key).map(Arc::from),
        }
    }

    /// Drops a block's state.
    pub(super) fn forget(&mut self, tree: &mut Tree, node: NodeId) {
        let node = tree.node_mut(node);
        match (node.saved.take(), &mut self.disk) {
            (Some(State::Memory(state)), _) => self.bytes -= state.len(),
            (Some(State::File(bytes)), Some(disk)) => disk.remove(node.key, bytes),
            _ => {}
        }
    }

    /// The bytes that there may be on disk; `None`: there is none to leave anything on.
    pub(super) fn disk_bytes(&self) -> Option<u64> {
        self.disk.as_ref().map(Disk::limit)
    }

    /// Writes a block for the next worker: what memory has of it, or else its state in the
    /// cache. How many bytes that were.
    pub(super) fn leave(&mut self, tree: &mut Tree, node: NodeId, state: Option<Vec<u8>>) -> u64 {
        let state = match &tree.node(node).saved {
            Some(State::File(_)) => return 0,
            Some(State::Memory(kept)) => Some(Arc::clone(kept)),
            None => state.map(Arc::from),
        };
        let Some(state) = state else { return 0 };
        self.forget(tree, node);
        self.write(tree, node, &state);
        state.len() as u64
    }

    fn write(&mut self, tree: &mut Tree, node: NodeId, state: &[u8]) {
        let Some(disk) = &mut self.disk else { return };
        let root = tree.root_of(node);
        let parent = tree.node(tree.node(node).parent).key;
        let entry = tree.node_mut(node);
        let head = Head::new(&root, parent, entry.depth, entry.tokens, entry.found);
        entry.saved = disk.write(entry.key, &head, state).map(State::File);
        if disk.excess() > 0 {
            self.shrink_disk(tree);
        }
    }

    /// Drops states from memory until no more than `bytes` are left: first those whose block
    /// is in the cache as well, then from the leaves upwards. The newest one is spared.
    fn shrink(&mut self, tree: &mut Tree, bytes: usize, newest: NodeId) {
        let in_memory = |node: &Node| matches!(node.saved, Some(State::Memory(_)));
        while self.bytes > bytes {
            let candidates = droppable(tree, in_memory, newest);
            if candidates.is_empty() {
                return;
            }
            for id in candidates {
                if self.bytes <= bytes {
                    return;
                }
                let state = tree.node(id).saved.clone();
                self.forget(tree, id);
                // What is in the cache as well is saved again when it is evicted.
                if let (Some(State::Memory(state)), false) = (state, tree.node(id).resident()) {
                    self.write(tree, id, &state);
                }
                tree.prune(id);
            }
        }
    }

    fn shrink_disk(&mut self, tree: &mut Tree) {
        let on_disk = |node: &Node| matches!(node.saved, Some(State::File(_)));
        let Some(disk) = &self.disk else { return };
        let mut excess = disk.excess();
        if excess > 0 {
            excess += (disk.limit() as f64 * (1.0 - REFILL)) as u64;
        }
        while excess > 0 {
            let candidates = droppable(tree, on_disk, NodeId::MAX);
            if candidates.is_empty() {
                return;
            }
            for id in candidates {
                if excess == 0 {
                    return;
                }
                if let Some(State::File(bytes)) = tree.node(id).saved {
                    excess = excess.saturating_sub(bytes);
                }
                self.forget(tree, id);
                tree.prune(id);
            }
        }
    }
}

/// The blocks whose state may be dropped, in the order in which they should be.
fn droppable(tree: &Tree, here: impl Fn(&Node) -> bool, newest: NodeId) -> Vec<NodeId> {
    let may = |id: &NodeId| {
        let node = tree.node(*id);
        let leaf = || !node.children.iter().any(|&child| here(tree.node(child)));
        *id != newest && here(node) && (node.resident() || leaf())
    };
    let mut candidates: Vec<NodeId> = tree.ids().filter(may).collect();
    candidates.sort_unstable_by(|&a, &b| {
        let (a, b) = (tree.node(a), tree.node(b));
        b.resident().cmp(&a.resident()).then(a.worth.total_cmp(&b.worth))
    });
    candidates
}
