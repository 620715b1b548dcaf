//! The short way out of a constrained answer: what would finish it from where it stands.
//!
//! A model may ramble inside a string until its tokens are spent, and what it leaves is no
//! document. So, as its tokens run out, the way to the end is looked for from the place
//! that each next token would lead to, and a token from which there is none is not taken.
//!
//! The search is by bytes and never goes back: closing brackets and quotes first, then
//! whatever was used least. It finds an end, not always the nearest.

use std::collections::HashMap;

use llguidance::Matcher;
use llguidance::toktrie::TokTrie;

use crate::vocabulary::Token;

/// Longest way out looked for, in bytes. What needs more than this to be finished is
/// left to its model.
const MAX_BYTES: usize = 2048;
/// Outside of strings, what is tried first: what closes or, where that may not be yet,
/// leads on to what is missing; then the shortest of values, and what opens more last.
const OUTSIDE: &[u8] = b"}],0\"ntf1-";
/// The same within a number, where one zero after the other might never be enough (0 < x).
const AFTER_ZERO: &[u8] = b"}],10";
/// Inside a string that may not end yet, and in texts that are not JSON.
const INSIDE: &[u8] = b"a0A@.:-/ZT_";

/// The order in which bytes are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// As JSON is closed.
    Json,
    /// The least used first.
    Any,
}

/// Whether JSON text stands inside a string.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Place {
    in_string: bool,
    escaped: bool,
}

impl Place {
    /// Takes in the text that follows.
    pub(super) fn pass(&mut self, text: &[u8]) {
        for &byte in text {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_string => self.escaped = true,
                b'"' => self.in_string = !self.in_string,
                _ => {}
            }
        }
    }
}

/// The tokens that finish the answer from here, at most `most` of them: none if nothing
/// more is needed. The matcher is where it was afterwards.
pub(super) fn way_out(matcher: &mut Matcher, place: Place, most: usize) -> Option<Vec<Token>> {
    [Order::Json, Order::Any].into_iter().find_map(|order| search(matcher, place, order, most))
}

fn search(matcher: &mut Matcher, mut place: Place, order: Order, most: usize) -> Option<Vec<Token>> {
    let environment = matcher.tok_env().ok()?;
    let trie = environment.tok_trie();
    let (mut bytes, mut steps, mut uses) = (Vec::new(), 0, HashMap::new());
    let ends = loop {
        if matcher.is_stopped() {
            break Some(false);
        }
        if matcher.is_accepting().ok()? {
            break Some(true);
        }
        if bytes.len() >= MAX_BYTES {
            break None;
        }
        let mut next = matcher.compute_ff_bytes();
        if next.is_empty() {
            next = candidates(place, order, &uses, bytes.last());
            match next.iter().position(|&byte| take(matcher, trie, byte)) {
                Some(at) => next = vec![next[at]],
                None => break None,
            }
        } else if !next.iter().all(|&byte| take(matcher, trie, byte)) {
            break None;
        }
        steps += next.len();
        next.iter().for_each(|&byte| *uses.entry(byte).or_insert(0u32) += 1);
        place.pass(&next);
        bytes.extend_from_slice(&next);
    };
    matcher.rollback(steps).ok()?;
    let mut tokens = trie.greedy_tokenize(&bytes);
    if ends? {
        tokens.push(trie.eos_token());
    }
    (tokens.len() <= most).then_some(tokens)
}

fn take(matcher: &mut Matcher, trie: &TokTrie, byte: u8) -> bool {
    trie.token_id(&[byte])
        .is_some_and(|token| matcher.try_consume_tokens(&[token]).is_ok_and(|taken| taken == 1))
}

/// All bytes, the most promising first.
fn candidates(place: Place, order: Order, uses: &HashMap<u8, u32>, last: Option<&u8>) -> Vec<u8> {
    let (first, then): (&[u8], &[u8]) = match order {
        Order::Json if place.in_string => (b"\"", INSIDE),
        Order::Json if matches!(last, Some(b'0' | b'.')) => (AFTER_ZERO, b""),
        Order::Json => (OUTSIDE, b""),
        Order::Any => (b"", INSIDE),
    };
    let mut rest: Vec<u8> =
        then.iter().copied().chain(b' '..=b'~').chain([b'\n', b'\t']).chain(0x80..=0xF4).collect();
    // Stable, so that of those used alike the more promising stay first.
    rest.sort_by_key(|byte| uses.get(byte).copied().unwrap_or(0));
    [first, &rest].concat()
}
