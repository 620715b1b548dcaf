//! Which of two texts a token belongs to: BERT was taught to tell a question from a passage
//! by a vector added to each token's own ("token types": 0 for the first text, 1 for the
//! second), and a cross-encoder scores otherwise without.
//!
//! llama.cpp's graph of BERT adds the vector of the first text to every token ("token types
//! are hardcoded to zero", `src/models/bert.cpp` of the pinned version). But while it
//! computes, it asks its caller which results are to be seen (`cb_eval`), and waits. Here
//! that very sum is asked for, and in the rows of second texts the difference between
//! the two vectors is added before anything reads it. That this happened is checked with
//! every batch: where the graph changes, there is an error and no wrong score.

use std::ffi::{CStr, c_void};
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use llama_cpp_sys_2 as sys;

use super::pooled::Input;

/// The tensor of the vectors, one for each kind of text.
const KINDS: &CStr = c"token_types.weight";

/// What the next batch's second texts are.
#[derive(Default)]
pub(super) struct Segments(Mutex<State>);

#[derive(Default)]
struct State {
    /// The rows of second texts.
    second: Vec<Range<usize>>,
    /// They were changed.
    done: bool,
}

impl Segments {
    /// To be called before a batch of these inputs, one after the other, is computed.
    pub(super) fn expect(&self, inputs: &[&Input]) {
        let mut row = 0;
        let second = inputs.iter().map(|input| {
            let start = row + input.first;
            row += input.tokens.len();
            start..row
        });
        *self.state() = State { second: second.collect(), done: false };
    }

    /// Whether the last batch's second texts were told from the first ones.
    pub(super) fn done(&self) -> bool {
        self.state().done
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Called by llama.cpp for every node of its graph: first whether it is to be seen (`ask`),
/// then, if so, once it is computed.
///
/// # Safety
/// `node` is one of a graph being computed, and `segments` a [`Segments`].
pub(super) unsafe extern "C" fn watch(node: *mut sys::ggml_tensor, ask: bool, segments: *mut c_void) -> bool {
    // SAFETY: llama.cpp passes a node that lives as long as the graph, and what `cb_eval`
    // was given as its data, which outlives the context (`Pooled` keeps both).
    let (seen, segments) = unsafe { (&*node, &*segments.cast::<Segments>()) };
    let Some(kinds) = kinds(seen) else { return !ask };
    if !ask {
        let mut state = segments.state();
        // SAFETY: `kinds` has at least two rows of the node's width, both of them F32.
        unsafe { tell_apart(node, kinds, &state.second) };
        state.done = true;
    }
    true
}

/// The vectors for the kinds of texts, if this node is where the first of them is added.
fn kinds(node: &sys::ggml_tensor) -> Option<&sys::ggml_tensor> {
    // SAFETY: operands of a node, and what they look into, live as long as its graph.
    let (row, kinds) = unsafe {
        let row = node.src[1].as_ref()?;
        (row, row.view_src.as_ref()?)
    };
    // SAFETY: a tensor's name ends with NUL.
    let named = || unsafe { CStr::from_ptr(kinds.name.as_ptr()) } == KINDS;
    let numbers = (node.type_, kinds.type_) == (sys::GGML_TYPE_F32, sys::GGML_TYPE_F32);
    let fit = kinds.ne[0] == node.ne[0] && kinds.ne[1] >= 2;
    (node.op == sys::GGML_OP_ADD && row.op == sys::GGML_OP_VIEW && numbers && fit && named()).then_some(kinds)
}

/// Adds to these rows of `node` what the second row of `kinds` has more than the first.
///
/// # Safety
/// Both are F32, of one width, without gaps, and computed; `kinds` has two rows.
unsafe fn tell_apart(node: *mut sys::ggml_tensor, kinds: &sys::ggml_tensor, rows: &[Range<usize>]) {
    let width = usize::try_from(kinds.ne[0]).unwrap_or_default();
    let row_bytes = width * size_of::<f32>();
    let mut both = vec![0_f32; 2 * width];
    // SAFETY: as the caller says; the buffer has room for two rows.
    unsafe { sys::ggml_backend_tensor_get(kinds, both.as_mut_ptr().cast(), 0, 2 * row_bytes) };
    let (first, second) = both.split_at(width);
    let more: Vec<f32> = first.iter().zip(second).map(|(first, second)| second - first).collect();
    for rows in rows {
        let (start, bytes) = (rows.start * row_bytes, rows.len() * row_bytes);
        let mut numbers = vec![0_f32; rows.len() * width];
        // SAFETY: the rows are those of the batch, whose tokens the node has one row each for.
        unsafe { sys::ggml_backend_tensor_get(node, numbers.as_mut_ptr().cast(), start, bytes) };
        numbers.chunks_mut(width).flat_map(|row| row.iter_mut().zip(&more)).for_each(|(x, more)| *x += more);
        // SAFETY: as above.
        unsafe { sys::ggml_backend_tensor_set(node, numbers.as_ptr().cast(), start, bytes) };
    }
}
