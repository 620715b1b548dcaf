//! Evicted blocks kept in memory, up to a number of bytes; those worth least go first.

use std::sync::Arc;

use super::tree::{Node, NodeId, Tree};

/// How full it is after it was full: not every block that comes must look for one to go.
const REFILL: f64 = 0.9;

/// The books of what is saved; the states themselves hang on the tree.
#[derive(Debug)]
pub(super) struct Saved {
    limit: usize,
    bytes: usize,
}

impl Saved {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, bytes: 0 }
    }

    /// Whether a block that is evicted should be saved.
    pub(super) fn wants(&self, node: &Node) -> bool {
        self.limit > 0 && node.saved.is_none()
    }

    /// Keeps a block's state.
    pub(super) fn keep(&mut self, tree: &mut Tree, node: NodeId, state: Vec<u8>) {
        if state.len() > self.limit {
            return;
        }
        self.bytes += state.len();
        tree.node_mut(node).saved = Some(Arc::from(state));
        if self.bytes > self.limit {
            self.shrink(tree, (self.limit as f64 * REFILL) as usize, node);
        }
    }

    /// Drops a block's state.
    pub(super) fn forget(&mut self, tree: &mut Tree, node: NodeId) {
        if let Some(state) = tree.node_mut(node).saved.take() {
            self.bytes -= state.len();
        }
    }

    /// Drops states until no more than `bytes` are left: first those whose block is in the
    /// cache as well, then from the leaves upwards. The newest one is spared.
    fn shrink(&mut self, tree: &mut Tree, bytes: usize, newest: NodeId) {
        while self.bytes > bytes {
            let droppable = |id: &NodeId| {
                let node = tree.node(*id);
                let leaf = || node.children.iter().all(|&child| tree.node(child).saved.is_none());
                *id != newest && node.saved.is_some() && (node.resident() || leaf())
            };
            let mut candidates: Vec<NodeId> = tree.ids().filter(droppable).collect();
            if candidates.is_empty() {
                return;
            }
            candidates.sort_unstable_by(|&a, &b| {
                let (a, b) = (tree.node(a), tree.node(b));
                b.resident().cmp(&a.resident()).then(a.worth.total_cmp(&b.worth))
            });
            for id in candidates {
                if self.bytes <= bytes {
                    return;
                }
                self.forget(tree, id);
                tree.prune(id);
            }
        }
    }
}
