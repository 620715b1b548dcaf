//! Embeddings: texts in, one vector each out, by models made for it (BERT and its kin,
//! and decoders whose file says how to pool their tokens).
//!
//! Calls share batches: the thread that owns the model takes inputs of waiting calls in
//! their order and computes as many at once as one batch holds. Rerankers share the
//! thread's code ([`rerank`](crate::rerank)): their inputs are pairs, and what comes of one
//! is a score.

mod inputs;
mod thread;
mod wanted;
mod words;

pub(crate) use inputs::{Inputs, dropped};
pub(crate) use thread::{Job, run};
pub(crate) use wanted::Wanted;
pub(crate) use words::Words;
