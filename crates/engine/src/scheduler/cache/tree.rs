//! A tree over blocks of tokens: the texts whose keys and values are in the KV cache, will
//! be, or were and are kept elsewhere. A block's place in the tree stands for all tokens
//! before it, so that one lookup per block finds how much of a prompt is known.
//!
//! Knows no backend: what holds a block's cells is for `cache/mod.rs` to keep true.

use std::collections::HashMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::saved::State;
use crate::backend::{Holders, SequenceId};
use crate::vocabulary::Token;

/// Tokens of a block. Small, since what is left over of a shared prefix is computed again
/// or borrowed from a sibling; large enough that a long prompt is not thousands of nodes.
pub(super) const BLOCK: usize = 16;

/// A block's tokens.
pub(super) type Block = [Token; BLOCK];

/// A place in any tree of this model: stands for a root and all tokens up to a block's end.
pub(super) type Key = u128;

/// A node's number; numbers are used again.
pub(super) type NodeId = u32;

/// What keeps one text apart from the same text: calls of different roots share nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Root {
    /// Who may share; see [`Sharing`](crate::config::Sharing).
    pub(crate) domain: Arc<str>,
    /// The adapter that changes what tokens become; empty for none.
    pub(crate) adapter: Arc<str>,
}

/// One block.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) tokens: Block,
    pub(super) key: Key,
    pub(super) parent: NodeId,
    /// Blocks before it.
    pub(super) depth: u32,
    pub(super) children: Vec<NodeId>,
    /// The sequences whose cells these are; none: it is not in the cache.
    pub(super) holders: Holders,
    /// The sequence that is about to compute it.
    pub(super) pending: Option<SequenceId>,
    /// Its keys and values, kept elsewhere.
    pub(super) saved: Option<State>,
    /// How much its place is worth; see `Worth`.
    pub(super) worth: f64,
    /// Times it was found.
    pub(super) found: u32,
    root: Option<Root>,
}

/// All blocks.
#[derive(Debug, Default)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    free: Vec<NodeId>,
    roots: HashMap<Root, NodeId>,
    index: HashMap<(NodeId, Block), NodeId>,
}

impl Tree {
    /// The node that stands for no tokens at all.
    pub(super) fn root(&mut self, root: &Root) -> NodeId {
        if let Some(&id) = self.roots.get(root) {
            return id;
        }
        let key = digest(&[root.domain.as_bytes(), &[0], root.adapter.as_bytes()]);
        let id = self.put(Node { root: Some(root.clone()), key, ..Node::new([0; BLOCK], NodeId::MAX, 0) });
        self.roots.insert(root.clone(), id);
        id
    }

    /// The same, if anything stands below it.
    pub(super) fn known_root(&self, root: &Root) -> Option<NodeId> {
        self.roots.get(root).copied()
    }

    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id as usize]
    }

    pub(super) fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id as usize]
    }

    /// The block of these tokens below a node.
    pub(super) fn child(&self, parent: NodeId, block: &Block) -> Option<NodeId> {
        self.index.get(&(parent, *block)).copied()
    }

    /// The same, made if there is none.
    pub(super) fn child_or_new(&mut self, parent: NodeId, block: &Block) -> NodeId {
        if let Some(id) = self.child(parent, block) {
            return id;
        }
        let depth = match self.node(parent).root {
            Some(_) => 0,
            None => self.node(parent).depth + 1,
        };
        let mut text = [0; BLOCK * 4];
        text.as_chunks_mut().0.iter_mut().zip(block).for_each(|(bytes, token)| *bytes = token.to_le_bytes());
        let key = digest(&[&self.node(parent).key.to_le_bytes(), &text]);
        let id = self.put(Node { key, ..Node::new(*block, parent, depth) });
        self.index.insert((parent, *block), id);
        self.node_mut(parent).children.push(id);
        id
    }

    /// Takes a node out that nothing needs, and those above it that only led to it.
    pub(super) fn prune(&mut self, mut id: NodeId) {
        while self.node(id).is_needless() {
            let parent = self.node(id).parent;
            let node = std::mem::replace(self.node_mut(id), Node::new([0; BLOCK], NodeId::MAX, 0));
            self.free.push(id);
            match node.root {
                Some(root) => {
                    self.roots.remove(&root);
                    return;
                }
                None => {
                    self.index.remove(&(parent, node.tokens));
                    self.node_mut(parent).children.retain(|&child| child != id);
                }
            }
            id = parent;
        }
    }

    /// The root above a node.
    pub(super) fn root_of(&self, mut id: NodeId) -> Root {
        loop {
            match &self.node(id).root {
                Some(root) => return root.clone(),
                None => id = self.node(id).parent,
            }
        }
    }

    /// All nodes in use but roots.
    pub(super) fn ids(&self) -> impl Iterator<Item = NodeId> {
        self.index.values().copied()
    }

    fn put(&mut self, node: Node) -> NodeId {
        match self.free.pop() {
            Some(id) => {
                self.nodes[id as usize] = node;
                id
            }
            None => {
                self.nodes.push(node);
                (self.nodes.len() - 1) as NodeId
            }
        }
    }
}

impl Node {
    fn new(tokens: Block, parent: NodeId, depth: u32) -> Self {
        Self {
            tokens,
            key: 0,
            parent,
            depth,
            children: Vec::new(),
            holders: Holders::default(),
            pending: None,
            saved: None,
            worth: 0.0,
            found: 0,
            root: None,
        }
    }

    /// Its keys and values are in the cache.
    pub(super) fn resident(&self) -> bool {
        !self.holders.is_empty()
    }

    /// Where its tokens stand in a text.
    pub(super) fn positions(&self) -> std::ops::Range<u32> {
        let from = self.depth * BLOCK as u32;
        from..from + BLOCK as u32
    }

    fn is_needless(&self) -> bool {
        self.children.is_empty() && !self.resident() && self.pending.is_none() && self.saved.is_none()
    }
}

fn digest(parts: &[&[u8]]) -> Key {
    let mut digest = Sha256::new();
    parts.iter().for_each(|part| digest.update(part));
    let digest: [u8; 32] = digest.finalize().into();
    Key::from_le_bytes(*digest.first_chunk().expect("32 bytes hold 16"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(domain: &str) -> Root {
        Root { domain: domain.into(), adapter: "".into() }
    }

    #[test]
    fn a_text_is_found_below_its_own_root_only() {
        let mut tree = Tree::default();
        let (ours, theirs) = (tree.root(&root("a")), tree.root(&root("b")));
        let first = tree.child_or_new(ours, &[1; BLOCK]);
        let second = tree.child_or_new(first, &[2; BLOCK]);
        assert_eq!(tree.child(ours, &[1; BLOCK]), Some(first));
        assert_eq!(tree.child(theirs, &[1; BLOCK]), None);
        assert_eq!(tree.child(ours, &[2; BLOCK]), None, "a place stands for what is before it");
        assert_eq!(tree.node(second).positions(), 16..32);
    }

    #[test]
    fn what_nothing_needs_leaves_with_all_that_led_to_it() {
        let mut tree = Tree::default();
        let top = tree.root(&root("a"));
        let first = tree.child_or_new(top, &[1; BLOCK]);
        let second = tree.child_or_new(first, &[2; BLOCK]);
        let other = tree.child_or_new(first, &[3; BLOCK]);
        tree.node_mut(other).saved = Some(State::File(0));
        tree.prune(second);
        assert_eq!(tree.ids().count(), 2, "the other one still needs the way");
        tree.node_mut(other).saved = None;
        tree.prune(other);
        assert_eq!(tree.ids().count(), 0);
        assert!(tree.known_root(&root("a")).is_none());
    }
}
