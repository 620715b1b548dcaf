//! `config.json` of a language model: the families that are understood, and what of it
//! must be known.

use serde::Deserialize;
use serde_json::Value as Json;

/// Most layers: the largest dense models have 126.
const MAX_LAYERS: u32 = 512;

/// A family of networks whose layers have the same form but for a few differences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// Llama, and what is built the same: SmolLM2, Mistral.
    Llama,
    /// Qwen2 and Qwen2.5: biases where queries, keys and values are made.
    Qwen2,
    /// Qwen3, dense: norms on queries and keys.
    Qwen3,
}

impl Family {
    const KNOWN: [(&str, Self); 4] = [
        ("LlamaForCausalLM", Self::Llama),
        ("MistralForCausalLM", Self::Llama),
        ("Qwen2ForCausalLM", Self::Qwen2),
        ("Qwen3ForCausalLM", Self::Qwen3),
    ];

    /// llama.cpp's name, before the settings' names.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
        }
    }

    fn of(architectures: &[String]) -> Result<Self, String> {
        let known =
            |(name, family): &(&str, Self)| architectures.iter().any(|a| a == name).then_some(*family);
        Self::KNOWN.iter().find_map(known).ok_or_else(|| {
            let names: Vec<_> = Self::KNOWN.iter().map(|(name, _)| *name).collect();
            format!(
                "config.json: the architecture {} cannot be converted; {} and sentence-transformers \
                 of BERT can; look for a GGUF of the model",
                if architectures.is_empty() { "(none named)".into() } else { architectures.join(", ") },
                names.join(", ")
            )
        })
    }
}

/// What a configuration says, its defaults filled in.
#[derive(Debug)]
pub(super) struct Config {
    pub(super) family: Family,
    pub(super) hidden: u64,
    pub(super) inner: u64,
    pub(super) layers: u32,
    pub(super) heads: u64,
    pub(super) kv_heads: u64,
    pub(super) head_dim: u64,
    /// It differs from `hidden / heads`, or is written out.
    pub(super) head_dim_given: bool,
    pub(super) context: u64,
    pub(super) vocabulary: u64,
    pub(super) norm_epsilon: f32,
    pub(super) tied: bool,
    pub(super) rope: Rope,
    /// Ids of special tokens, which the tokenizer's own settings may overrule.
    pub(super) token_ids: TokenIds,
}

/// The rotary embedding.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rope {
    pub(super) base: f32,
    pub(super) scaling: Scaling,
}

/// How the embedding is stretched beyond the trained context.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scaling {
    None,
    Linear { factor: f32 },
    Yarn { factor: f32, original: u64 },
    Llama3 { factor: f64, low: f64, high: f64, original: u64 },
}

/// Special tokens by number.
#[derive(Debug, Default, Deserialize)]
pub(super) struct TokenIds {
    #[serde(default)]
    pub(super) bos_token_id: Option<Json>,
    #[serde(default)]
    pub(super) eos_token_id: Option<Json>,
    #[serde(default)]
    pub(super) pad_token_id: Option<Json>,
}

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    architectures: Vec<String>,
    hidden_size: u64,
    intermediate_size: u64,
    num_hidden_layers: u32,
    num_attention_heads: u64,
    num_key_value_heads: Option<u64>,
    head_dim: Option<u64>,
    max_position_embeddings: u64,
    vocab_size: u64,
    rms_norm_eps: Option<f32>,
    hidden_act: Option<String>,
    tie_word_embeddings: Option<bool>,
    sliding_window: Option<u64>,
    use_sliding_window: Option<bool>,
    partial_rotary_factor: Option<f64>,
    quantization_config: Option<Json>,
    rope_theta: Option<f32>,
    rope_scaling: Option<RawRope>,
    rope_parameters: Option<RawRope>,
    original_max_position_embeddings: Option<u64>,
    #[serde(flatten)]
    token_ids: TokenIds,
}

#[derive(Deserialize, Default)]
struct RawRope {
    rope_type: Option<String>,
    /// What older files call it; newer ones have both.
    #[serde(rename = "type")]
    kind: Option<String>,
    rope_theta: Option<f32>,
    factor: Option<f64>,
    low_freq_factor: Option<f64>,
    high_freq_factor: Option<f64>,
    original_max_position_embeddings: Option<u64>,
}

impl Config {
    /// # Errors
    /// In words: what it lacks, or what of it is not understood.
    pub(super) fn read(json: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Named {
            #[serde(default)]
            architectures: Vec<String>,
        }
        // Another family lacks other fields: that it is another is said first.
        let named: Named = serde_json::from_slice(json).map_err(|error| format!("config.json: {error}"))?;
        let family = Family::of(&named.architectures)?;
        let raw: Raw = serde_json::from_slice(json).map_err(|error| format!("config.json: {error}"))?;
        raw.check()?;
        let heads = raw.num_attention_heads;
        let head_dim = raw.head_dim.unwrap_or(match family {
            Family::Qwen3 => 128,
            Family::Llama | Family::Qwen2 => raw.hidden_size / heads,
        });
        let kv_heads = raw.num_key_value_heads.unwrap_or(heads);
        if head_dim == 0 || !head_dim.is_multiple_of(2) || kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
            return Err(format!("config.json: {heads} heads of {head_dim} over {kv_heads} cannot be"));
        }
        // Layers with a window are run with the whole context; within the window it is the same.
        let window = raw.sliding_window.filter(|_| raw.use_sliding_window != Some(false));
        Ok(Self {
            family,
            hidden: raw.hidden_size,
            inner: raw.intermediate_size,
            layers: raw.num_hidden_layers,
            heads,
            kv_heads,
            head_dim,
            head_dim_given: raw.head_dim.is_some() || head_dim.checked_mul(heads) != Some(raw.hidden_size),
            context: window.map_or(raw.max_position_embeddings, |w| w.min(raw.max_position_embeddings)),
            vocabulary: raw.vocab_size,
            norm_epsilon: raw.rms_norm_eps.unwrap_or(1e-6),
            tied: raw.tie_word_embeddings.unwrap_or(false),
            rope: raw.rope()?,
            token_ids: raw.token_ids,
        })
    }
}

impl Raw {
    fn check(&self) -> Result<(), String> {
        let not = |what: &str| Err(format!("config.json: {what} cannot be converted"));
        if self.architectures.len() > 1 {
            return not("more than one architecture");
        }
        if self.hidden_act.as_deref().is_some_and(|act| act != "silu") {
            return not("another activation than silu");
        }
        if self.quantization_config.as_ref().is_some_and(|config| !config.is_null()) {
            return not("a model that is quantized already (quantization_config); its original");
        }
        if self.partial_rotary_factor.is_some_and(|part| part != 1.0) {
            return not("a partial rotary embedding");
        }
        if self.num_attention_heads == 0 || self.num_hidden_layers == 0 || self.num_hidden_layers > MAX_LAYERS
        {
            return not("a model without heads or layers, or with too many,");
        }
        Ok(())
    }

    fn rope(&self) -> Result<Rope, String> {
        let none = RawRope::default();
        let raw = self.rope_parameters.as_ref().or(self.rope_scaling.as_ref()).unwrap_or(&none);
        let base = raw.rope_theta.or(self.rope_theta).unwrap_or(10_000.0);
        let original = raw.original_max_position_embeddings.or(self.original_max_position_embeddings);
        let lacks = |what: &str| format!("config.json: its rope scaling has no {what}");
        let factor = || raw.factor.filter(|factor| *factor >= 1.0).ok_or_else(|| lacks("factor"));
        let scaling = match raw.rope_type.as_deref().or(raw.kind.as_deref()) {
            None | Some("default") => Scaling::None,
            Some("linear") => Scaling::Linear { factor: factor()? as f32 },
            Some("yarn") => Scaling::Yarn {
                factor: factor()? as f32,
                original: original.ok_or_else(|| lacks("original_max_position_embeddings"))?,
            },
            Some("llama3") => Scaling::Llama3 {
                factor: factor()?,
                low: raw.low_freq_factor.unwrap_or(1.0),
                high: raw.high_freq_factor.unwrap_or(4.0),
                original: original.unwrap_or(8192),
            },
            Some(other) => {
                return Err(format!(
                    "config.json: the rope scaling {other} cannot be converted; linear, yarn and llama3 can"
                ));
            }
        };
        Ok(Rope { base, scaling })
    }
}

impl Scaling {
    /// Llama 3's factors, one for each pair of numbers of a head: long waves are
    /// stretched, short ones are not, and between them it goes over smoothly.
    pub(super) fn factors(self, base: f32, head_dim: u64) -> Option<Vec<f32>> {
        let Self::Llama3 { factor, low, high, original } = self else { return None };
        let (longest, shortest) = (original as f64 / low, original as f64 / high);
        let one = |pair: u64| {
            let frequency = f64::from(base).powf(-((2 * pair) as f64) / head_dim as f64);
            let wave = std::f64::consts::TAU / frequency;
            if wave < shortest {
                return 1.0;
            }
            if wave > longest {
                return factor as f32;
            }
            let smooth = (original as f64 / wave - low) / (high - low);
            (1.0 / ((1.0 - smooth) / factor + smooth)) as f32
        };
        Some((0..head_dim / 2).map(one).collect())
    }
}
