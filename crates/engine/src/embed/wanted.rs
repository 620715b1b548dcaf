//! What a call wants of what was computed for it, and the answer it makes.

use message::{Event, FinishReason, Usage};

use crate::rerank;

/// What is to come of a call's inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// A vector each.
    Vectors {
        /// How many numbers each shall have, if not all.
        dimensions: Option<usize>,
        /// They shall have length 1.
        normalize: bool,
    },
    /// One ranking of all.
    Ranking {
        /// How many of the best, if not all.
        top_n: Option<usize>,
    },
}

impl Wanted {
    /// The events of an answer, from what came of each input.
    pub(super) fn events(self, outputs: Vec<Vec<f32>>, input_tokens: u64) -> Vec<Event> {
        let mut events = vec![Event::Start { id: None }];
        match self {
            Self::Vectors { dimensions, normalize } => {
                let vectors = outputs.into_iter().map(|vector| shape(vector, dimensions, normalize));
                events.extend(vectors.map(Event::Embedding));
            }
            Self::Ranking { top_n } => events.push(Event::Ranking(rerank::ranking(&outputs, top_n))),
        }
        events.push(Event::Usage(Usage { input_tokens, ..Usage::default() }));
        events.push(Event::Finish { reason: FinishReason::EndTurn, stop_sequence: None });
        events
    }
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
