//! Embedding models: every input of a batch becomes one vector, pooled over its tokens
//! as the model's file says.

use std::num::NonZeroU32;

use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::{LlamaContextParams, LlamaPoolingType};
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::token::LlamaToken;

use super::StepError;
use super::llama::LoadedModel;
use crate::vocabulary::Token;
use crate::{Config, LoadError};

/// Most inputs computed at once: more would not be faster on any hardware here.
const MAX_INPUTS: usize = 64;

/// A context that makes embeddings. Belongs to one thread.
pub(crate) struct Pooled<'m> {
    context: LlamaContext<'m>,
    batch: LlamaBatch<'static>,
    tokens: usize,
}

impl<'m> Pooled<'m> {
    /// Makes the context; one batch holds at most `tokens` tokens.
    pub(crate) fn new(model: &'m LoadedModel, config: &Config, tokens: u32) -> Result<Self, LoadError> {
        let threads = i32::try_from(config.threads()).unwrap_or(i32::MAX);
        let params = LlamaContextParams::default()
            .with_n_ctx(NonZeroU32::new(tokens))
            // Attention that sees the whole input needs it whole.
            .with_n_batch(tokens)
            .with_n_ubatch(tokens)
            .with_n_seq_max(MAX_INPUTS as u32)
            .with_n_threads(threads)
            .with_n_threads_batch(threads)
            .with_embeddings(true)
            .with_kv_unified(true)
            .with_no_perf(true);
        let params = match model.pooling() {
            Some(_) => params,
            // An encoder whose file does not say: sentence-transformers' default.
            None => params.with_pooling_type(LlamaPoolingType::Mean),
        };
        let context = model.context(params, tokens)?;
        let batch = LlamaBatch::new(tokens as usize, 1);
        Ok(Self { context, batch, tokens: tokens as usize })
    }

    /// How many of these inputs, from the first on, fit into one batch: at least one, if
    /// each is as short as it must be.
    pub(crate) fn fitting<'t>(&self, inputs: impl Iterator<Item = &'t [Token]>) -> usize {
        let mut tokens = 0;
        let fits = |input: &&[Token]| {
            tokens += input.len();
            tokens <= self.tokens
        };
        inputs.take(MAX_INPUTS).take_while(fits).count()
    }

    /// The vectors of a batch of inputs.
    pub(crate) fn embed(&mut self, inputs: &[&[Token]]) -> Result<Vec<Vec<f32>>, StepError> {
        self.batch.clear();
        // Encoders keep no cache; of others every batch begins anew.
        let _ = self.context.clear_kv_cache_seq(None, None, None);
        for (sequence, input) in (0..).zip(inputs) {
            for (position, &token) in (0..).zip(*input) {
                let token = LlamaToken(token.cast_signed());
                self.batch.add(token, position, &[sequence], true).map_err(|_| StepError::NoRoom)?;
            }
        }
        self.context.decode(&mut self.batch).map_err(|_| StepError::Failed(-1))?;
        (0..)
            .zip(inputs)
            .map(|(sequence, _)| {
                let vector = self.context.embeddings_seq_ith(sequence).map_err(|_| StepError::Failed(-2))?;
                Ok(vector.to_vec())
            })
            .collect()
    }
}
