//! Embeddings: texts in, one vector each out, by models made for it (BERT and its kin,
//! and decoders whose file says how to pool their tokens).
//!
//! Calls share batches: the thread that owns the model takes inputs of waiting calls in
//! their order and computes as many at once as one batch holds.

mod inputs;
mod thread;

pub(crate) use inputs::{Inputs, dropped};
pub(crate) use thread::{Job, run};

use message::{Event, FinishReason, Usage};

/// The events of an answer.
fn events(vectors: impl Iterator<Item = Vec<f32>>, input_tokens: u64) -> Vec<Event> {
    let usage = Usage { input_tokens, ..Usage::default() };
    let finish = Event::Finish { reason: FinishReason::EndTurn, stop_sequence: None };
    std::iter::once(Event::Start { id: None })
        .chain(vectors.map(Event::Embedding))
        .chain([Event::Usage(usage), finish])
        .collect()
}

/// A vector as the client wants it: cut to its first `dimensions`, and of length 1.
fn shape(mut vector: Vec<f32>, dimensions: Option<usize>, normalize: bool) -> Vec<f32> {
    vector.truncate(dimensions.unwrap_or(vector.len()));
    if normalize {
        let length = vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
        // A vector of zeros has no direction to keep.
        if length > 0.0 {
            vector.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
        }
    }
    vector
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_cut_and_then_normalised() {
        assert_eq!(shape(vec![3.0, 4.0, 12.0], Some(2), true), [0.6, 0.8]);
        assert_eq!(shape(vec![3.0, 4.0], None, false), [3.0, 4.0]);
        assert_eq!(shape(vec![0.0, 0.0], None, true), [0.0, 0.0]);
    }
}
