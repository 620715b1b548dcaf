//! Models that make one thing of a whole text, pooled over its tokens as the model's file
//! says: a vector, or of a pair of texts how well they go together.

use llama_cpp_sys_2 as sys;

use super::llama::LoadedModel;
use super::raw::RawContext;
use super::segments::{Segments, watch};
use super::{StepError, log};
use crate::vocabulary::Token;
use crate::{Config, LoadError};

/// Most inputs computed at once: more would not be faster on any hardware here.
const MAX_INPUTS: usize = 64;

/// A text, or two, in tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Input {
    /// All of them.
    pub(crate) tokens: Vec<Token>,
    /// How many belong to the first text.
    pub(crate) first: usize,
}

impl Input {
    /// Of one text.
    pub(crate) fn one(tokens: Vec<Token>) -> Self {
        Self { first: tokens.len(), tokens }
    }
}

/// A context that pools. Belongs to one thread.
pub(crate) struct Pooled<'m> {
    context: RawContext<'m>,
    /// For models that were taught to tell two texts apart. llama.cpp knows its address,
    /// so it is dropped after the context.
    segments: Option<Box<Segments>>,
    tokens: usize,
}

impl<'m> Pooled<'m> {
    /// Makes the context; one batch holds at most `tokens` tokens.
    pub(crate) fn new(model: &'m LoadedModel, config: &Config, tokens: u32) -> Result<Self, LoadError> {
        let segments = model.tells_segments().then(|| Box::new(Segments::default()));
        let threads = i32::try_from(config.threads()).unwrap_or(i32::MAX);
        // SAFETY: it only fills in numbers.
        let mut params = unsafe { sys::llama_context_default_params() };
        params.n_ctx = tokens;
        // Attention that sees the whole input needs it whole.
        (params.n_batch, params.n_ubatch) = (tokens, tokens);
        params.n_seq_max = MAX_INPUTS as u32;
        (params.n_threads, params.n_threads_batch) = (threads, threads);
        (params.embeddings, params.kv_unified, params.no_perf) = (true, true, true);
        if model.pooling().is_none() {
            // An encoder whose file does not say: sentence-transformers' default.
            params.pooling_type = sys::LLAMA_POOLING_TYPE_MEAN;
        }
        if let Some(segments) = &segments {
            params.cb_eval = Some(watch);
            params.cb_eval_user_data = std::ptr::from_ref(&**segments).cast_mut().cast();
        }
        log::clear_last_error();
        let failed = |reason| LoadError::Context { context_tokens: tokens, reason };
        // SAFETY: the callback only reads its data, which is boxed and outlives the context.
        let context = unsafe { RawContext::new(model.raw(), params) };
        let context = context.ok_or_else(|| failed(log::last_error()))?;
        let mut pooled = Self { context, segments, tokens: tokens as usize };
        if pooled.segments.is_some() {
            // Where llama.cpp's graph is not as expected, this is the time to hear of it.
            let pair = Input { tokens: vec![0; 3], first: 2 };
            pooled.compute(&[&pair]).map_err(|error| failed(format!("its first batch failed: {error}")))?;
        }
        Ok(pooled)
    }

    /// How many of these inputs, from the first on, fit into one batch: at least one, if
    /// each is as short as it must be.
    pub(crate) fn fitting<'t>(&self, inputs: impl Iterator<Item = &'t Input>) -> usize {
        let mut tokens = 0;
        let fits = |input: &&Input| {
            tokens += input.tokens.len();
            tokens <= self.tokens
        };
        inputs.take(MAX_INPUTS).take_while(fits).count()
    }

    /// What comes of each of a batch of inputs: a vector's numbers, or a score.
    pub(crate) fn compute(&mut self, inputs: &[&Input]) -> Result<Vec<Vec<f32>>, StepError> {
        if let Some(segments) = &self.segments {
            segments.expect(inputs);
        }
        self.context.compute(inputs)?;
        if self.segments.as_ref().is_some_and(|segments| !segments.done()) {
            return Err(StepError::Segments);
        }
        (0..inputs.len()).map(|place| self.context.output(place)).collect()
    }
}
