//! BERT as sentence-transformers publishes it.

use serde::Deserialize;

use super::Conversion;
use super::conversion::{Origin, Tensor};
use super::safetensors::{ReadSeek, Weights};
use crate::gguf::{Planned, TensorType, Value};

/// The files of a folder.
pub(crate) struct Parts<'a> {
    /// `config.json`.
    pub(crate) config: &'a [u8],
    /// `1_Pooling/config.json`.
    pub(crate) pooling: &'a [u8],
    /// `vocab.txt`.
    pub(crate) vocabulary: &'a [u8],
    /// `model.safetensors`.
    pub(crate) weights: Box<dyn ReadSeek>,
}

#[derive(Deserialize)]
struct Config {
    model_type: String,
    hidden_act: String,
    position_embedding_type: String,
    hidden_size: u64,
    intermediate_size: u64,
    num_attention_heads: u32,
    num_hidden_layers: u32,
    max_position_embeddings: u64,
    type_vocab_size: u64,
    vocab_size: u64,
    layer_norm_eps: f32,
}

#[derive(Deserialize)]
struct Pooling {
    pooling_mode_cls_token: bool,
    pooling_mode_mean_tokens: bool,
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
    let pooling: Pooling =
        serde_json::from_slice(parts.pooling).map_err(|error| format!("1_Pooling/config.json: {error}"))?;
    if (&*config.model_type, &*config.hidden_act, &*config.position_embedding_type)
        != ("bert", "gelu", "absolute")
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
    let tensors = tensors(&config, &weights).map_err(|error| format!("model.safetensors: {error}"))?;
    Conversion::new(&settings(&config, &pooling, &words, name, license)?, tensors, weights)
}

fn settings(
    config: &Config,
    pooling: &Pooling,
    words: &[&str],
    name: &str,
    license: &str,
) -> Result<Vec<(&'static str, Value)>, String> {
    // llama.cpp's numbers: LLAMA_POOLING_TYPE_MEAN and _CLS; LLAMA_FTYPE_MOSTLY_F16;
    // LLAMA_TOKEN_TYPE_NORMAL and _CONTROL.
    const MEAN: u32 = 1;
    const CLS: u32 = 2;
    let pooled = match (pooling.pooling_mode_mean_tokens, pooling.pooling_mode_cls_token) {
        (true, false) => MEAN,
        (false, true) => CLS,
        _ => return Err("1_Pooling/config.json: only mean and CLS pooling are understood".into()),
    };
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
        ("bert.pooling_type", pooled.into()),
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

fn tensors(config: &Config, weights: &Weights) -> Result<Vec<Tensor>, String> {
    let (wide, inner) = (config.hidden_size, config.intermediate_size);
    let mut tensors = Vec::new();
    let mut add = |name: String, from: &str, shape: &[u64], half: bool| -> Result<(), String> {
        let kind = if half { TensorType::F16 } else { TensorType::F32 };
        let planned = Planned { name, shape: shape.iter().rev().copied().collect(), kind };
        tensors.push(Tensor { planned, origin: Origin::Stored(weights.get(from, shape)?) });
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
    Ok(tensors)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Cursor;

    use serde_json::{Map, json};

    use super::*;

    /// A model of one layer, two numbers wide.
    fn weights() -> Vec<u8> {
        let shapes = [
            ("embeddings.word_embeddings.weight", vec![6, 2]),
            ("embeddings.position_embeddings.weight", vec![4, 2]),
            ("embeddings.token_type_embeddings.weight", vec![2, 2]),
            ("embeddings.LayerNorm.weight", vec![2]),
            ("embeddings.LayerNorm.bias", vec![2]),
        ];
        let mut all: Vec<(String, Vec<u64>)> =
            shapes.into_iter().map(|(name, shape)| (name.to_owned(), shape)).collect();
        for (name, shape) in [
            ("attention.self.query", vec![2, 2]),
            ("attention.self.key", vec![2, 2]),
            ("attention.self.value", vec![2, 2]),
            ("attention.output.dense", vec![2, 2]),
            ("attention.output.LayerNorm", vec![2]),
            ("intermediate.dense", vec![3, 2]),
            ("output.dense", vec![2, 3]),
            ("output.LayerNorm", vec![2]),
        ] {
            all.push((format!("encoder.layer.0.{name}.bias"), shape[..1].to_vec()));
            all.push((format!("encoder.layer.0.{name}.weight"), shape));
        }
        let (mut header, mut data) = (Map::new(), Vec::new());
        for (name, shape) in all {
            let from = data.len();
            (0..shape.iter().product()).for_each(|n: u64| data.extend((n as f32).to_le_bytes()));
            let entry = json!({ "dtype": "F32", "shape": shape, "data_offsets": [from, data.len()] });
            header.insert(name, entry);
        }
        // What transformers keeps beside the weights.
        let positions = json!({ "dtype": "I64", "shape": [1, 1], "data_offsets": [0, 8] });
        header.insert("embeddings.position_ids".to_owned(), positions);
        let header = serde_json::to_vec(&header).unwrap();
        [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat()
    }

    const CONFIG: &str = r#"{"model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute",
        "hidden_size": 2, "intermediate_size": 3, "num_attention_heads": 1, "num_hidden_layers": 1,
        "max_position_embeddings": 4, "type_vocab_size": 2, "vocab_size": 6, "layer_norm_eps": 1e-12}"#;
    const POOLING: &str = r#"{"pooling_mode_cls_token": false, "pooling_mode_mean_tokens": true}"#;
    const WORDS: &str = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n##ing\n";

    fn converted(config: &str, pooling: &str, words: &str, weights: &[u8]) -> Result<Vec<u8>, String> {
        let parts = Parts {
            config: config.as_bytes(),
            pooling: pooling.as_bytes(),
            vocabulary: words.as_bytes(),
            weights: Box::new(Cursor::new(weights.to_vec())),
        };
        let mut file = Vec::new();
        convert(parts, "Tiny", "MIT")?.write(&mut file).unwrap();
        Ok(file)
    }

    /// A folder of a tiny model, and what it becomes.
    pub(crate) fn tiny(name: &str) -> ([(&'static str, Vec<u8>); 4], Vec<u8>) {
        let weights = weights();
        let parts = Parts {
            config: CONFIG.as_bytes(),
            pooling: POOLING.as_bytes(),
            vocabulary: WORDS.as_bytes(),
            weights: Box::new(Cursor::new(weights.clone())),
        };
        let mut file = Vec::new();
        convert(parts, name, "MIT").unwrap().write(&mut file).unwrap();
        let folder = [
            ("a_b/model/config.json", CONFIG.into()),
            ("a_b/model/1_Pooling/config.json", POOLING.into()),
            ("a_b/model/vocab.txt", WORDS.into()),
            ("a_b/model/model.safetensors", weights.clone()),
        ];
        (folder, file)
    }

    #[test]
    fn a_model_becomes_a_gguf_always_the_same() {
        let file = converted(CONFIG, POOLING, WORDS, &weights()).unwrap();
        assert_eq!(file, converted(CONFIG, POOLING, WORDS, &weights()).unwrap());
        assert_eq!(&file[..8], b"GGUF\x03\0\0\0");
        assert_eq!((file[8], file[16]), (21, 24), "tensors and settings");
        assert_eq!(file.len() % 32, 0);
        let text = String::from_utf8_lossy(&file);
        for name in ["blk.0.ffn_down.weight", "bert.pooling_type", "position_embd.weight"] {
            assert!(text.contains(name), "{name}");
        }
    }

    #[test]
    fn words_within_words_lose_their_mark_and_others_get_one() {
        assert_eq!(phantom("##ing"), "ing");
        assert_eq!(phantom("go"), "\u{2581}go");
        assert_eq!(phantom("[CLS]"), "[CLS]");
    }

    #[test]
    fn other_models_and_damage_are_refused_in_words() {
        let good = weights();
        for (config, pooling, words, weights, why) in [
            (CONFIG.replace("gelu", "relu"), POOLING, WORDS, &good[..], "plain BERT"),
            (
                CONFIG.replace("\"num_hidden_layers\": 1", "\"num_hidden_layers\": 2"),
                POOLING,
                WORDS,
                &good,
                "encoder.layer.1",
            ),
            (CONFIG.replace("6", "7"), POOLING, WORDS, &good, "6 words"),
            ("{}".into(), POOLING, WORDS, &good, "config.json"),
            (
                CONFIG.into(),
                r#"{"pooling_mode_cls_token": false, "pooling_mode_mean_tokens": false}"#,
                WORDS,
                &good,
                "pooling",
            ),
            (CONFIG.into(), POOLING, "a\nb\nc\nd\ne\nf", &good, "[CLS]"),
            (CONFIG.into(), POOLING, WORDS, &good[..good.len() - 4], "beyond its file's end"),
        ] {
            let error = converted(&config, pooling, words, weights).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
