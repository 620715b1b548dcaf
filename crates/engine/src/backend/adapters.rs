//! A model's LoRA adapters, of which a context applies one at a time.

use std::sync::{Mutex, PoisonError};

use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::model::{LlamaLoraAdapter, LlamaModel};

use super::{StepError, log};
use crate::LoadError;
use crate::adapter::{Adapter, AdapterId};

/// The adapters of a loaded model, in order. llama.cpp frees them with it.
pub(super) struct Adapters(Mutex<Vec<(LlamaLoraAdapter, f32)>>);

impl Adapters {
    /// Reads the adapters' files.
    ///
    /// # Errors
    /// The first that cannot be used, and why.
    pub(super) fn load(model: &mut LlamaModel, adapters: &[Adapter]) -> Result<Self, LoadError> {
        let load = |adapter: &Adapter| {
            let refused = |reason| LoadError::Adapter {
                name: adapter.name.clone(),
                path: adapter.path.clone(),
                reason,
            };
            if !adapter.scale.is_finite() {
                return Err(refused("its scale is no number".to_owned()));
            }
            std::fs::File::open(&adapter.path).map_err(|error| refused(error.to_string()))?;
            log::clear_last_error();
            let loaded = model.lora_adapter_init(&adapter.path);
            loaded.map(|loaded| (loaded, adapter.scale)).map_err(|_| refused(log::last_error()))
        };
        Ok(Self(Mutex::new(adapters.iter().map(load).collect::<Result<_, _>>()?)))
    }

    /// Has the context compute with one of them, or with none, from now on.
    pub(super) fn apply(&self, context: &mut LlamaContext<'_>, id: AdapterId) -> Result<(), StepError> {
        let mut adapters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = |_| StepError::Failed(-3);
        match id.checked_sub(1) {
            Some(at) => {
                let (adapter, scale) = adapters.get_mut(at as usize).ok_or(StepError::Failed(-3))?;
                context.lora_adapter_set(adapter, *scale).map_err(failed)
            }
            // Removes all; where there are none, none was ever applied.
            None => adapters.first_mut().map_or(Ok(()), |(any, _)| {
                context.lora_adapter_remove(any).map_err(|_| StepError::Failed(-3))
            }),
        }
    }
}
