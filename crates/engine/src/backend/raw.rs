//! A context made through llama.cpp's own interface, for models that compute whole texts:
//! `llama-cpp-2` 0.1.160 cannot ask to be called back while llama.cpp computes.

use std::marker::PhantomData;
use std::ptr::NonNull;

use llama_cpp_2::model::LlamaModel;
use llama_cpp_sys_2 as sys;

use super::StepError;
use super::pooled::Input;

/// Belongs to one thread.
pub(super) struct RawContext<'m> {
    context: NonNull<sys::llama_context>,
    /// Numbers that come of one input.
    outputs: usize,
    model: PhantomData<&'m LlamaModel>,
}

impl<'m> RawContext<'m> {
    /// Makes it; `None`: llama.cpp's log says why not.
    ///
    /// # Safety
    /// The callback in `params` can be called, with its data, while the context lives.
    pub(super) unsafe fn new(model: &'m LlamaModel, params: sys::llama_context_params) -> Option<Self> {
        const { assert!(size_of::<LlamaModel>() == size_of::<*mut sys::llama_model>()) };
        // SAFETY: `LlamaModel` of the pinned version is `repr(transparent)` over a pointer
        // to the model. It lives longer than the context, which only its one thread makes.
        let context = unsafe {
            let model = std::mem::transmute_copy::<LlamaModel, *mut sys::llama_model>(model);
            NonNull::new(sys::llama_init_from_model(model, params))?
        };
        // SAFETY: it was made right above.
        let ranks = unsafe { sys::llama_pooling_type(context.as_ptr()) } == sys::LLAMA_POOLING_TYPE_RANK;
        let outputs = if ranks { model.n_cls_out() } else { model.n_embd_out().unsigned_abs() };
        Some(Self { context, outputs: outputs as usize, model: PhantomData })
    }

    /// Computes these inputs, each a sequence of its own: its place among them.
    pub(super) fn compute(&mut self, inputs: &[&Input]) -> Result<(), StepError> {
        let sequences =
            (0..).zip(inputs).flat_map(|(sequence, input)| input.tokens.iter().map(move |_| sequence));
        let mut sequences: Vec<sys::llama_seq_id> = sequences.collect();
        let mut tokens: Vec<_> =
            inputs.iter().flat_map(|input| &input.tokens).map(|token| token.cast_signed()).collect();
        let mut positions: Vec<sys::llama_pos> =
            inputs.iter().flat_map(|input| (0..).zip(&input.tokens).map(|(position, _)| position)).collect();
        let mut counts = vec![1; tokens.len()];
        let mut wanted = vec![1; tokens.len()];
        let mut places: Vec<*mut sys::llama_seq_id> = sequences.iter_mut().map(std::ptr::from_mut).collect();
        let batch = sys::llama_batch {
            n_tokens: i32::try_from(tokens.len()).map_err(|_| StepError::NoRoom)?,
            token: tokens.as_mut_ptr(),
            embd: std::ptr::null_mut(),
            pos: positions.as_mut_ptr(),
            n_seq_id: counts.as_mut_ptr(),
            seq_id: places.as_mut_ptr(),
            logits: wanted.as_mut_ptr(),
        };
        let context = self.context.as_ptr();
        // SAFETY: the context is alive and used by this thread alone. Every list of the
        // batch is as long as it says, and llama.cpp copies them before it returns.
        let code = unsafe {
            // Encoders keep no cache; of others every batch begins anew.
            sys::llama_memory_clear(sys::llama_get_memory(context), true);
            sys::llama_decode(context, batch)
        };
        if code == 0 { Ok(()) } else { Err(StepError::Failed(code)) }
    }

    /// What came of the input at this place.
    pub(super) fn output(&self, place: usize) -> Result<Vec<f32>, StepError> {
        let sequence = i32::try_from(place).unwrap_or(i32::MAX);
        // SAFETY: the context is alive; llama.cpp gives null for what it did not compute,
        // and else so many numbers, which stay until the next batch.
        let numbers = unsafe {
            let numbers = sys::llama_get_embeddings_seq(self.context.as_ptr(), sequence);
            numbers.as_ref().map(|first| std::slice::from_raw_parts(first, self.outputs))
        };
        numbers.map(<[f32]>::to_vec).ok_or(StepError::Failed(-2))
    }
}

impl Drop for RawContext<'_> {
    fn drop(&mut self) {
        // SAFETY: it was made by llama.cpp, and nobody has it any more.
        unsafe { sys::llama_free(self.context.as_ptr()) };
    }
}
