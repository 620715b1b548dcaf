//! What becomes of a text's tokens at the end: one vector, or one score.
//!
//! A cross-encoder is `BertForSequenceClassification` with a single label: the first
//! token's vector goes through the pooler (a layer and tanh) and the classifier (Hugging
//! Face's `modeling_bert.py`, read 2026-11-23). llama.cpp names the two `cls` and
//! `cls.output`, and calls such a model one that ranks.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::convert::conversion::{Origin, Tensor};
use crate::convert::safetensors::Weights;
use crate::gguf::{Planned, TensorType};

/// How tokens are pooled; the values are llama.cpp's `LLAMA_POOLING_TYPE_`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pooling {
    Mean = 1,
    Cls = 2,
    Rank = 4,
}

/// What `config.json` says of a classifier.
#[derive(Deserialize)]
struct Classifier {
    #[serde(default)]
    architectures: Vec<String>,
    id2label: Option<BTreeMap<String, IgnoredAny>>,
}

/// `1_Pooling/config.json`.
#[derive(Deserialize)]
struct Modes {
    pooling_mode_cls_token: bool,
    pooling_mode_mean_tokens: bool,
}

impl Pooling {
    /// What a model's files say: its `config.json`, and `1_Pooling/config.json` if it has one.
    pub(super) fn of(config: &[u8], modes: Option<&[u8]>) -> Result<Self, String> {
        let classifier: Classifier =
            serde_json::from_slice(config).map_err(|error| format!("config.json: {error}"))?;
        if classifier.architectures.iter().any(|name| name == "BertForSequenceClassification") {
            // Transformers' own default is two.
            return match classifier.id2label.map_or(2, |labels| labels.len()) {
                1 => Ok(Self::Rank),
                labels => Err(format!(
                    "config.json: a classifier of {labels} labels cannot be converted; one of a single label, \
                     which scores a text against a query (a cross-encoder), can"
                )),
            };
        }
        let modes = modes.ok_or(
            "there is no 1_Pooling/config.json, and config.json names no BertForSequenceClassification: \
             it is neither a model for embeddings nor a cross-encoder",
        )?;
        let modes: Modes =
            serde_json::from_slice(modes).map_err(|error| format!("1_Pooling/config.json: {error}"))?;
        match (modes.pooling_mode_mean_tokens, modes.pooling_mode_cls_token) {
            (true, false) => Ok(Self::Mean),
            (false, true) => Ok(Self::Cls),
            _ => Err("1_Pooling/config.json: only mean and CLS pooling are understood".into()),
        }
    }

    pub(super) fn number(self) -> u32 {
        self as u32
    }

    /// What is before the names of the encoder's tensors.
    pub(super) fn base(self) -> &'static str {
        match self {
            Self::Rank => "bert.",
            Self::Mean | Self::Cls => "",
        }
    }

    /// The tensors that make the score. They are small, and every bit of it passes
    /// through them: they stay in single precision.
    pub(super) fn head(self, wide: u64, weights: &Weights) -> Result<Vec<Tensor>, String> {
        if self != Self::Rank {
            return Ok(Vec::new());
        }
        let tensor = |(name, from, shape): (&str, &str, &[u64])| {
            let (name, shape_here) = (name.to_owned(), shape.iter().rev().copied().collect());
            let planned = Planned { name, shape: shape_here, kind: TensorType::F32 };
            Ok(Tensor { planned, origin: Origin::Stored(weights.get(from, shape)?) })
        };
        [
            ("cls.weight", "bert.pooler.dense.weight", &[wide, wide][..]),
            ("cls.bias", "bert.pooler.dense.bias", &[wide]),
            ("cls.output.weight", "classifier.weight", &[1, wide]),
            ("cls.output.bias", "classifier.bias", &[1]),
        ]
        .into_iter()
        .map(tensor)
        .collect()
    }
}
