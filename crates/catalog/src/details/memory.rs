//! What a token of context takes of memory: its key and its value in every layer.

use serde::Serialize;

use crate::gguf::{Gguf, Value};

/// Bytes of a number in the KV cache: half precision, which the engine uses.
const CACHE_NUMBER_BYTES: u64 = 2;

/// What context takes of memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Bytes for a thousand tokens, all layers together.
    pub bytes_per_1000_tokens: u64,
    /// Layers that keep keys and values; others keep a state of fixed size, or nothing.
    pub layers: u64,
    /// Some layers look only so far back. The engine keeps all of their tokens all the same.
    pub sliding_window: Option<SlidingWindow>,
}

/// Layers that do not look at the whole context.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SlidingWindow {
    /// How far back they look.
    pub tokens: u64,
    /// How many they are, where the file tells.
    pub layers: Option<u64>,
}

impl Memory {
    /// `None` where there is no cache (an encoder), or where the file does not tell.
    pub(super) fn of(gguf: &Gguf, architecture: &str) -> Option<Self> {
        let own = |key: &str| gguf.get(&format!("{architecture}.{key}"));
        let number = |key: &str| own(key).and_then(Value::as_u64);
        if own("attention.causal").and_then(Value::as_bool) == Some(false) || architecture.contains("bert") {
            return None;
        }
        let layers = usize::try_from(number("block_count")?).ok()?;
        let heads = own("attention.head_count")?.as_u64s()?;
        let kv_heads =
            own("attention.head_count_kv").and_then(Value::as_u64s).unwrap_or_else(|| heads.clone());
        // One number stands for all layers; a list has one for each.
        let at = |list: &[u64], layer: usize| {
            if list.len() == 1 { list.first().copied() } else { list.get(layer).copied() }
        };
        let width =
            |key: &str| number(key).or_else(|| number("embedding_length")?.checked_div(*heads.iter().max()?));
        let per_head = width("attention.key_length")?.checked_add(width("attention.value_length")?)?;
        let (mut numbers, mut caching) = (0_u64, 0);
        // A list bounds the loop by its own length; a count is compared with the tensors.
        for layer in 0..layers.min(gguf.tensors().len()) {
            let kv_heads = at(&kv_heads, layer)?;
            caching += u64::from(kv_heads > 0);
            numbers = numbers.checked_add(kv_heads.checked_mul(per_head)?)?;
        }
        let bytes_per_1000_tokens = numbers.checked_mul(CACHE_NUMBER_BYTES * 1000)?;
        let pattern = own("attention.sliding_window_pattern").and_then(Value::as_bools);
        let sliding_window =
            number("attention.sliding_window").filter(|tokens| *tokens > 0).map(|tokens| SlidingWindow {
                tokens,
                layers: pattern.map(|layers| layers.iter().filter(|slides| **slides).count() as u64),
            });
        Some(Self { bytes_per_1000_tokens, layers: caching, sliding_window })
    }
}
