//! What a model's layers take on a GPU, from its file's head: weights by the sizes of
//! tensors, and the cells of the KV cache. An estimate that errs on the large side: what a
//! model with a sliding window or recurrent layers saves is not known here.

use std::ffi::{CStr, CString};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;

use llama_cpp_sys_2 as sys;

use crate::Config;

/// Bytes of a number in the KV cache (f16).
const CELL_BYTES: u64 = 2;
/// What a driver takes for itself and for the buffers of a step, beside logits: an
/// allowance, not a measurement.
const BESIDE_BYTES: u64 = 192 << 20;
/// The most files a model may lie in: a name may claim any number.
const MAX_FILES: u32 = 1000;

/// What a model takes, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Need {
    /// Each layer's weights and cells, from the first; the last is the output's.
    pub(super) layers: Vec<u64>,
    /// What each GPU takes beside.
    pub(super) beside: u64,
}

impl Need {
    /// What the last so many layers take: llama.cpp leaves the first ones to the processor.
    pub(super) fn of_last(&self, layers: usize) -> u64 {
        self.layers.iter().rev().take(layers).fold(0, |sum, layer| sum.saturating_add(*layer))
    }
}

/// What a head tells.
#[derive(Debug, Default)]
struct Head {
    blocks: u64,
    /// Heads of keys and values: one number for all layers, or one for each.
    kv_heads: Vec<u64>,
    /// Numbers in a key and a value of one head.
    key: u64,
    value: u64,
    vocabulary: u64,
    /// It makes embeddings, and keeps no cells.
    pools: bool,
    /// Names and bytes.
    tensors: Vec<(String, u64)>,
}

/// What the model at `path` takes; `None`: its head cannot be read, or tells too little.
pub(super) fn of(path: &Path, config: &Config) -> Option<Need> {
    let mut head = read(path)?;
    for part in other_parts(path) {
        head.tensors.extend(Gguf::open(&part)?.tensors());
    }
    need(&head, config)
}

fn need(head: &Head, config: &Config) -> Option<Need> {
    let blocks = usize::try_from(head.blocks).ok().filter(|blocks| (1..=10_000).contains(blocks))?;
    let cells = if head.pools { 0 } else { u64::from(config.context_tokens) };
    let mut layers: Vec<u64> = (0..blocks)
        .map(|layer| {
            let heads = head.kv_heads.get(layer).or(head.kv_heads.last()).copied().unwrap_or_default();
            let numbers = heads.saturating_mul(head.key.saturating_add(head.value));
            cells.saturating_mul(numbers).saturating_mul(CELL_BYTES)
        })
        .collect();
    let (mut embedding, mut output) = (0, 0);
    for (name, bytes) in &head.tensors {
        let block = name.strip_prefix("blk.").and_then(|rest| rest.split('.').next()?.parse::<usize>().ok());
        match block.and_then(|block| layers.get_mut(block)) {
            Some(layer) => *layer = layer.saturating_add(*bytes),
            None if name == "token_embd.weight" => embedding = *bytes,
            None if name.starts_with("output") => output += bytes,
            None => {}
        }
    }
    // The embedding stays with the processor, and is the output's matrix, too, where the
    // file has no other: then it is copied.
    let own = head.tensors.iter().any(|(name, _)| name == "output.weight");
    layers.push(if own { output } else { output + embedding });
    let logits = head.vocabulary.saturating_mul(u64::from(super::super::MICRO_BATCH) * 4);
    Some(Need { layers, beside: logits.saturating_add(BESIDE_BYTES) })
}

fn read(path: &Path) -> Option<Head> {
    let file = Gguf::open(path)?;
    let architecture = file.text("general.architecture")?;
    let numbers = |key: &str| file.numbers(&format!("{architecture}.{key}"));
    let number = |key: &str| numbers(key)?.first().copied();
    let heads = number("attention.head_count").unwrap_or(1).max(1);
    let of_head = number("embedding_length")? / heads;
    Some(Head {
        blocks: number("block_count")?,
        kv_heads: numbers("attention.head_count_kv").unwrap_or_else(|| vec![heads]),
        key: number("attention.key_length").unwrap_or(of_head),
        value: number("attention.value_length").unwrap_or(of_head),
        vocabulary: number("vocab_size").or_else(|| file.length("tokenizer.ggml.tokens")).unwrap_or_default(),
        pools: number("pooling_type").is_some_and(|pooling| pooling > 0),
        tensors: file.tensors(),
    })
}

/// The other files of a model that lies in several: `m-00001-of-00003.gguf` is its first.
fn other_parts(path: &Path) -> Vec<PathBuf> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let split = || {
        let (stem, count) = name.strip_suffix(".gguf")?.rsplit_once("-of-")?;
        let (stem, number) = stem.rsplit_once('-')?;
        let (count, number) = (count.parse::<u32>().ok()?, number.parse::<u32>().ok()?);
        Some((stem, count.min(MAX_FILES), number))
    };
    let Some((stem, count, number)) = split() else { return Vec::new() };
    let others = (1..=count).filter(|other| *other != number);
    others.map(|other| path.with_file_name(format!("{stem}-{other:05}-of-{count:05}.gguf"))).collect()
}

/// The head of a GGUF file, as ggml reads it.
struct Gguf(NonNull<sys::gguf_context>);

impl Gguf {
    fn open(path: &Path) -> Option<Self> {
        let name = CString::new(path.as_os_str().as_encoded_bytes()).ok()?;
        let parameters = sys::gguf_init_params { no_alloc: true, ctx: std::ptr::null_mut() };
        // SAFETY: the name is NUL-terminated and lives during the call; a file that cannot be
        // read is a null pointer.
        NonNull::new(unsafe { sys::gguf_init_from_file(name.as_ptr(), parameters) }).map(Self)
    }

    fn key(&self, key: &str) -> Option<i64> {
        let key = CString::new(key).ok()?;
        // SAFETY: the context is alive, the key NUL-terminated.
        let id = unsafe { sys::gguf_find_key(self.0.as_ptr(), key.as_ptr()) };
        (id >= 0).then_some(id)
    }

    fn text(&self, key: &str) -> Option<String> {
        let id = self.key(key)?;
        // SAFETY: the key is there and its type is looked at first; the text lives as long
        // as the context.
        unsafe {
            let is_text = sys::gguf_get_kv_type(self.0.as_ptr(), id) == sys::GGUF_TYPE_STRING;
            is_text.then(|| CStr::from_ptr(sys::gguf_get_val_str(self.0.as_ptr(), id)).to_str().ok())?
        }
        .map(str::to_owned)
    }

    /// A whole number, or a list of them; `None`: there is none, or something else.
    fn numbers(&self, key: &str) -> Option<Vec<u64>> {
        let (file, id) = (self.0.as_ptr(), self.key(key)?);
        // SAFETY: the key is there, and its type is looked at before its value: ggml aborts
        // on another. A list of that type has so many numbers of four bytes.
        unsafe {
            Some(match sys::gguf_get_kv_type(file, id) {
                sys::GGUF_TYPE_UINT32 => vec![u64::from(sys::gguf_get_val_u32(file, id))],
                sys::GGUF_TYPE_INT32 => vec![u64::try_from(sys::gguf_get_val_i32(file, id)).ok()?],
                sys::GGUF_TYPE_UINT64 => vec![sys::gguf_get_val_u64(file, id)],
                sys::GGUF_TYPE_ARRAY => {
                    let kind = sys::gguf_get_arr_type(file, id);
                    if kind != sys::GGUF_TYPE_UINT32 && kind != sys::GGUF_TYPE_INT32 {
                        return None;
                    }
                    let data = sys::gguf_get_arr_data(file, id).cast::<u32>();
                    let count = sys::gguf_get_arr_n(file, id);
                    (0..count).map(|at| u64::from(data.add(at).read_unaligned())).collect()
                }
                _ => return None,
            })
        }
    }

    /// How long a list is.
    fn length(&self, key: &str) -> Option<u64> {
        let id = self.key(key)?;
        // SAFETY: the key is there, and its type is looked at before its length.
        unsafe {
            let is_list = sys::gguf_get_kv_type(self.0.as_ptr(), id) == sys::GGUF_TYPE_ARRAY;
            is_list.then(|| sys::gguf_get_arr_n(self.0.as_ptr(), id) as u64)
        }
    }

    /// The names and bytes of all tensors.
    fn tensors(&self) -> Vec<(String, u64)> {
        // SAFETY: the numbers are below the count; names live as long as the context.
        unsafe {
            let count = sys::gguf_get_n_tensors(self.0.as_ptr());
            let tensor = |id| {
                let name = CStr::from_ptr(sys::gguf_get_tensor_name(self.0.as_ptr(), id));
                let bytes = sys::gguf_get_tensor_size(self.0.as_ptr(), id) as u64;
                (name.to_string_lossy().into_owned(), bytes)
            };
            (0..count).map(tensor).collect()
        }
    }
}

impl Drop for Gguf {
    fn drop(&mut self) {
        // SAFETY: it was made by `gguf_init_from_file`, and is freed once.
        unsafe { sys::gguf_free(self.0.as_ptr()) }
    }
}

#[cfg(test)]
mod tests;
