//! Rankings: a query and documents in, the documents' places by how well they answer out,
//! by models made for it (cross-encoders: BERT and its kin with a classifier on top).
//!
//! Each document makes one input, a pair with the query; the thread and the batches are
//! those of embeddings ([`embed`](crate::embed)).

mod pairs;

pub(crate) use pairs::Pairs;

use message::Ranked;

/// The documents of a ranking, best first, those alike in their own order.
///
/// What comes of a pair is a logit. Its sigmoid is what the training's loss took for the
/// probability that the document answers, and what hosted rerankers give: a score between
/// 0 and 1. (text-embeddings-inference does the same; llama.cpp's server gives the logit.)
pub(crate) fn ranking(outputs: &[Vec<f32>], top_n: Option<usize>) -> Vec<Ranked> {
    let score = |logits: &Vec<f32>| logits.first().map_or(0.0, |logit| sigmoid(f64::from(*logit)));
    let mut ranking: Vec<_> =
        (0..).zip(outputs).map(|(index, logits)| Ranked { index, score: score(logits) }).collect();
    ranking.sort_by(|one, other| other.score.total_cmp(&one.score));
    ranking.truncate(top_n.unwrap_or(usize::MAX));
    ranking
}

fn sigmoid(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_come_first_and_equals_stay_in_order() {
        let outputs = [-1.0, 2.0, 0.0, 2.0].map(|logit| vec![logit]);
        let places =
            |top_n| ranking(&outputs, top_n).into_iter().map(|ranked| ranked.index).collect::<Vec<_>>();
        assert_eq!(places(None), [1, 3, 2, 0]);
        assert_eq!(places(Some(2)), [1, 3]);
        assert_eq!(places(Some(9)).len(), 4);
        assert_eq!(ranking(&outputs, None)[2].score, 0.5);
    }

    #[test]
    fn scores_stay_between_0_and_1() {
        for ranked in ranking(&[vec![f32::MIN], vec![f32::MAX], vec![100.0], vec![-100.0]], None) {
            assert!((0.0..=1.0).contains(&ranked.score), "{ranked:?}");
        }
    }
}
