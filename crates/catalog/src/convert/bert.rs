//! BERT as sentence-transformers publishes it: a model that makes embeddings, or one that
//! scores a text against a query (a cross-encoder). What differs is in [`pooling`].

mod pooling;

use pooling::Pooling;
use serde::Deserialize;

use super::Conversion;
use super::conversion::{Origin, Tensor};
use super::safetensors::{ReadSeek, Weights};
use crate::gguf::{Planned, TensorType, Value};

/// The files of a folder.
pub(crate) struct Parts<'a> {
    /// `config.json`.
    pub(crate) config: &'a [u8],
    /// `1_Pooling/config.json`, which a cross-encoder does not have.
    pub(crate) pooling: Option<&'a [u8]>,
    /// `vocab.txt`.
    pub(crate) vocabulary: &'a [u8],
    /// `model.safetensors`.
    pub(crate) weights: Box<dyn ReadSeek>,
}

#[derive(Deserialize)]
struct Config {
    model_type: String,
    hidden_act: String,
    /// Left out by transformers 5, which knows no other.
    position_embedding_type: Option<String>,
    hidden_size: u64,
    intermediate_size: u64,
    num_attention_heads: u32,
    num_hidden_layers: u32,
    max_position_embeddings: u64,
    type_vocab_size: u64,
    vocab_size: u64,
    layer_norm_eps: f32,
}

/// Most layers of a model: BERT-large has 24.
const MAX_LAYERS: u32 = 128;
/// The tokens with a meaning of their own.
const CONTROL: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

/// Whether a configuration is one of BERT.
pub(super) fn is(config: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Named {
        model_type: String,
    }
    serde_json::from_slice(config).is_ok_and(|named: Named| named.model_type == "bert")
}

/// Reads a model that will be called `name`.
///
/// # Errors
/// What is wrong with its files, in words.
pub(crate) fn convert(parts: Parts<'_>, name: &str, license: &str) -> Result<Conversion, String> {
    let config: Config =
        serde_json::from_slice(parts.config).map_err(|error| format!("config.json: {error}"))?;
    let pooling = Pooling::of(parts.config, parts.pooling)?;
    let absolute = config.position_embedding_type.as_deref().is_none_or(|kind| kind == "absolute");
    if (&*config.model_type, &*config.hidden_act, absolute) != ("bert", "gelu", true)
        || config.num_hidden_layers > MAX_LAYERS
    {
        return Err("config.json: only plain BERT is understood".into());
    }
    let vocabulary = std::str::from_utf8(parts.vocabulary).map_err(|_| "vocab.txt is no UTF-8".to_owned())?;
    let words: Vec<&str> = vocabulary.lines().collect();
    if words.len() as u64 != config.vocab_size {
        return Err(format!("vocab.txt has {} words, not {}", words.len(), config.vocab_size));
    }
    let mut weights = Weights::default();
    weights.add(parts.weights).map_err(|error| format!("model.safetensors: {error}"))?;
    let tensors =
        tensors(&config, pooling, &weights).map_err(|error| format!("model.safetensors: {error}"))?;
    Conversion::new(&settings(&config, pooling, &words, name, license)?, tensors, weights)
}

fn settings(
    config: &Config,
    pooling: Pooling,
    words: &[&str],
    name: &str,
    license: &str,
) -> Result<Vec<(&'static str, Value)>, String> {
    // llama.cpp's numbers: LLAMA_FTYPE_MOSTLY_F16; LLAMA_TOKEN_TYPE_NORMAL and _CONTROL.
    let place = |word: &str| {
        let place = words.iter().position(|other| *other == word);
        place.map(|place| Value::from(place as u32)).ok_or_else(|| format!("vocab.txt has no {word}"))
    };
    let size =
        |value: u64| u32::try_from(value).map(Value::from).map_err(|_| "config.json: too large".to_owned());
    let marked: Vec<String> = words.iter().map(|word| phantom(word)).collect();
    let types: Vec<i32> = words.iter().map(|word| if CONTROL.contains(word) { 3 } else { 1 }).collect();
    Ok(vec![
        ("general.architecture", "bert".into()),
        ("general.name", name.into()),
        ("general.license", license.into()),
        ("general.file_type", 1.into()),
        ("bert.block_count", config.num_hidden_layers.into()),
        ("bert.context_length", size(config.max_position_embeddings)?),
        ("bert.embedding_length", size(config.hidden_size)?),
        ("bert.feed_forward_length", size(config.intermediate_size)?),
        ("bert.attention.head_count", config.num_attention_heads.into()),
        ("bert.attention.layer_norm_epsilon", config.layer_norm_eps.into()),
        ("bert.attention.causal", false.into()),
        ("bert.pooling_type", pooling.number().into()),
        ("tokenizer.ggml.model", "bert".into()),
        ("tokenizer.ggml.pre", "bert-bge".into()),
        ("tokenizer.ggml.token_type_count", size(config.type_vocab_size)?),
        ("tokenizer.ggml.tokens", marked[..].into()),
        ("tokenizer.ggml.token_type", types[..].into()),
        ("tokenizer.ggml.bos_token_id", place("[CLS]")?),
        ("tokenizer.ggml.eos_token_id", place("[SEP]")?),
        ("tokenizer.ggml.unknown_token_id", place("[UNK]")?),
        ("tokenizer.ggml.seperator_token_id", place("[SEP]")?),
        ("tokenizer.ggml.padding_token_id", place("[PAD]")?),
        ("tokenizer.ggml.cls_token_id", place("[CLS]")?),
        ("tokenizer.ggml.mask_token_id", place("[MASK]")?),
    ])
}

/// A word as llama.cpp's tokenizer wants it: what begins a word, and not what goes on
/// with one, is marked.
fn phantom(word: &str) -> String {
    match word.strip_prefix("##") {
        _ if CONTROL.contains(&word) => word.to_owned(),
        Some(rest) => rest.to_owned(),
        None => format!("\u{2581}{word}"),
    }
}

fn tensors(config: &Config, pooling: Pooling, weights: &Weights) -> Result<Vec<Tensor>, String> {
    let (wide, inner) = (config.hidden_size, config.intermediate_size);
    let mut tensors = Vec::new();
    let base = pooling.base();
    let mut add = |name: String, from: &str, shape: &[u64], half: bool| -> Result<(), String> {
        let kind = if half { TensorType::F16 } else { TensorType::F32 };
        let planned = Planned { name, shape: shape.iter().rev().copied().collect(), kind };
        let stored = weights.get(&format!("{base}{from}"), shape)?;
        tensors.push(Tensor { planned, origin: Origin::Stored(stored) });
        Ok(())
    };
    let words = "embeddings.word_embeddings.weight";
    add("token_embd.weight".into(), words, &[config.vocab_size, wide], true)?;
    let places = "embeddings.position_embeddings.weight";
    add("position_embd.weight".into(), places, &[config.max_position_embeddings, wide], false)?;
    let kinds = "embeddings.token_type_embeddings.weight";
    add("token_types.weight".into(), kinds, &[config.type_vocab_size, wide], false)?;
    add("token_embd_norm.weight".into(), "embeddings.LayerNorm.weight", &[wide], false)?;
    add("token_embd_norm.bias".into(), "embeddings.LayerNorm.bias", &[wide], false)?;
    for layer in 0..config.num_hidden_layers {
        for (here, there, shape) in [
            ("attn_q", "attention.self.query", vec![wide, wide]),
            ("attn_k", "attention.self.key", vec![wide, wide]),
            ("attn_v", "attention.self.value", vec![wide, wide]),
            ("attn_output", "attention.output.dense", vec![wide, wide]),
            ("attn_output_norm", "attention.output.LayerNorm", vec![wide]),
            ("ffn_up", "intermediate.dense", vec![inner, wide]),
            ("ffn_down", "output.dense", vec![wide, inner]),
            ("layer_output_norm", "output.LayerNorm", vec![wide]),
        ] {
            let (here, there) = (format!("blk.{layer}.{here}"), format!("encoder.layer.{layer}.{there}"));
            add(format!("{here}.weight"), &format!("{there}.weight"), &shape, shape.len() == 2)?;
            add(format!("{here}.bias"), &format!("{there}.bias"), &shape[..1], false)?;
        }
    }
    tensors.extend(pooling.head(wide, weights)?);
    Ok(tensors)
}

#[cfg(test)]
pub(crate) mod tests;
