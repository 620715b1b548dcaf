//! Language models of the Llama and Qwen families: settings and tensors by llama.cpp's
//! names (its `conversion/llama.py`, `qwen.py` and `gguf-py`, read 2026-11-23).

use super::config::{Config, Family, Scaling};
use super::conversion::{Conversion, Origin, Tensor};
use super::folder::Folder;
use super::safetensors::{Stored, Weights};
use super::{Precision, tokenizer};
use crate::gguf::{Planned, TensorType, Value};

/// Reads a model that will be called `name`.
///
/// # Errors
/// What is wrong with its files, or not understood, in words.
pub(super) fn convert(
    folder: &Folder,
    config: &[u8],
    precision: Precision,
    name: &str,
) -> Result<Conversion, String> {
    let config = Config::read(config)?;
    let weights = folder.weights()?;
    let tensors = Tensors { config: &config, weights: &weights, precision, found: Vec::new() }.all()?;
    let kinds = tensors.iter().filter(|tensor| tensor.planned.shape.len() > 1);
    let file_type = kinds.map(|tensor| file_type(tensor.planned.kind)).max().unwrap_or_default();
    let mut settings = settings(&config, name, file_type)?;
    settings.extend(folder.license().map(|license| ("general.license".to_owned(), Value::from(&*license))));
    settings.extend(tokenizer::settings(folder, &config)?);
    Conversion::new(&settings, tensors, weights)
}

/// llama.cpp's LLAMA_FTYPE of a file whose matrices are mostly of a type.
const fn file_type(kind: TensorType) -> u32 {
    match kind {
        TensorType::F16 => 1,
        TensorType::Q8_0 => 7,
        TensorType::BF16 => 32,
        _ => 0,
    }
}

fn settings(config: &Config, name: &str, file_type: u32) -> Result<Vec<(String, Value)>, String> {
    let own = |key: &str| format!("{}.{key}", config.family.name());
    let size = |value: u64| {
        u32::try_from(value).map(Value::from).map_err(|_| "config.json: a size is too large".to_owned())
    };
    let mut settings: Vec<(String, Value)> = vec![
        ("general.architecture".into(), config.family.name().into()),
        ("general.type".into(), "model".into()),
        ("general.name".into(), name.into()),
        ("general.file_type".into(), file_type.into()),
        ("general.quantization_version".into(), 2.into()),
        (own("block_count"), config.layers.into()),
        (own("context_length"), size(config.context)?),
        (own("embedding_length"), size(config.hidden)?),
        (own("feed_forward_length"), size(config.inner)?),
        (own("attention.head_count"), size(config.heads)?),
        (own("attention.head_count_kv"), size(config.kv_heads)?),
        (own("attention.layer_norm_rms_epsilon"), config.norm_epsilon.into()),
        (own("rope.freq_base"), config.rope.base.into()),
        (own("vocab_size"), size(config.vocabulary)?),
    ];
    if config.family == Family::Llama {
        settings.push((own("rope.dimension_count"), size(config.head_dim)?));
    }
    if config.head_dim_given {
        settings.push((own("attention.key_length"), size(config.head_dim)?));
        settings.push((own("attention.value_length"), size(config.head_dim)?));
    }
    match config.rope.scaling {
        // Llama 3's factors are a tensor.
        Scaling::None | Scaling::Llama3 { .. } => {}
        Scaling::Linear { factor } => {
            settings.push((own("rope.scaling.type"), "linear".into()));
            settings.push((own("rope.scaling.factor"), factor.into()));
        }
        Scaling::Yarn { factor, original } => {
            settings.push((own("rope.scaling.type"), "yarn".into()));
            settings.push((own("rope.scaling.factor"), factor.into()));
            settings.push((own("rope.scaling.original_context_length"), size(original)?));
        }
    }
    Ok(settings)
}

/// The tensors as they are found.
struct Tensors<'a> {
    config: &'a Config,
    weights: &'a Weights,
    precision: Precision,
    /// Those found, and the names they had.
    found: Vec<(String, Tensor)>,
}

impl Tensors<'_> {
    fn all(mut self) -> Result<Vec<Tensor>, String> {
        let Config { hidden, inner, heads, kv_heads, head_dim, vocabulary, family, .. } = *self.config;
        let too_large = || "config.json: a size is too large".to_owned();
        let wide = heads.checked_mul(head_dim).ok_or_else(too_large)?;
        let kv_wide = kv_heads.checked_mul(head_dim).ok_or_else(too_large)?;
        self.add("token_embd.weight", "model.embed_tokens.weight", &[vocabulary, hidden])?;
        for layer in 0..self.config.layers {
            let turned = family == Family::Llama;
            for (here, there, shape, turned) in [
                ("attn_norm", "input_layernorm", vec![hidden], false),
                ("attn_q", "self_attn.q_proj", vec![wide, hidden], turned),
                ("attn_k", "self_attn.k_proj", vec![kv_wide, hidden], turned),
                ("attn_v", "self_attn.v_proj", vec![kv_wide, hidden], false),
                ("attn_output", "self_attn.o_proj", vec![hidden, wide], false),
                ("ffn_norm", "post_attention_layernorm", vec![hidden], false),
                ("ffn_gate", "mlp.gate_proj", vec![inner, hidden], false),
                ("ffn_up", "mlp.up_proj", vec![inner, hidden], false),
                ("ffn_down", "mlp.down_proj", vec![hidden, inner], false),
            ] {
                let (here, there) = (format!("blk.{layer}.{here}"), format!("model.layers.{layer}.{there}"));
                self.add_turned(&format!("{here}.weight"), &format!("{there}.weight"), &shape, turned)?;
                let bias = format!("{there}.bias");
                if self.weights.has(&bias) {
                    self.add_turned(&format!("{here}.bias"), &bias, &shape[..1], turned)?;
                }
            }
            if family == Family::Qwen3 {
                for (here, there) in [("attn_q_norm", "q_norm"), ("attn_k_norm", "k_norm")] {
                    let there = format!("model.layers.{layer}.self_attn.{there}.weight");
                    self.add(&format!("blk.{layer}.{here}.weight"), &there, &[head_dim])?;
                }
            }
        }
        self.add("output_norm.weight", "model.norm.weight", &[hidden])?;
        if !self.config.tied {
            self.add("output.weight", "lm_head.weight", &[vocabulary, hidden])?;
        }
        self.none_left()?;
        let mut tensors: Vec<_> = self.found.into_iter().map(|(_, tensor)| tensor).collect();
        if let Some(factors) = self.config.rope.scaling.factors(self.config.rope.base, head_dim) {
            let planned = Planned {
                name: "rope_freqs.weight".into(),
                shape: vec![head_dim / 2],
                kind: TensorType::F32,
            };
            tensors.push(Tensor { planned, origin: Origin::Made(factors) });
        }
        Ok(tensors)
    }

    fn add(&mut self, name: &str, from: &str, shape: &[u64]) -> Result<(), String> {
        self.add_turned(name, from, shape, false)
    }

    fn add_turned(&mut self, name: &str, from: &str, shape: &[u64], turned: bool) -> Result<(), String> {
        let stored = self.weights.get(from, shape)?;
        let kind = self.precision.kind(&stored);
        let planned = Planned { name: name.into(), shape: shape.iter().rev().copied().collect(), kind };
        let origin = if turned {
            Origin::Interleaved { stored, head_rows: self.config.head_dim }
        } else {
            Origin::Stored(stored)
        };
        self.found.push((from.to_owned(), Tensor { planned, origin }));
        Ok(())
    }

    /// A tensor that would be left out would make another model.
    fn none_left(&self) -> Result<(), String> {
        let known = |name: &str| {
            // The frequencies are computed; a tied output is the embedding once more.
            name.ends_with("rotary_emb.inv_freq")
                || (self.config.tied && name == "lm_head.weight")
                || self.found.iter().any(|(from, _)| from == name)
        };
        match self.weights.names().find(|name| !known(name)) {
            Some(name) => {
                Err(format!("the weights have {name}, which a {} has not", self.config.family.name()))
            }
            None => Ok(()),
        }
    }
}

impl Precision {
    /// How a tensor will be stored: vectors always in single precision, as llama.cpp has
    /// them; and matrices whose rows are no whole blocks in half.
    fn kind(self, stored: &Stored) -> TensorType {
        use TensorType::{BF16, F16, F32, Q8_0};
        if stored.shape.len() < 2 {
            return F32;
        }
        let row = stored.shape.last().copied().unwrap_or_default();
        match self {
            Self::AsPublished if stored.kind == F32 => F16,
            Self::AsPublished => stored.kind,
            Self::Q8_0 if Q8_0.bytes(row).is_some() => Q8_0,
            Self::Q8_0 | Self::F16 => F16,
            Self::Bf16 => BF16,
            Self::F32 => F32,
        }
    }
}
