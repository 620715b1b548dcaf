//! A tiny model as it is published, and what it becomes.

use std::io::Cursor;

use serde_json::{Map, json};

use super::*;
use crate::gguf::Gguf;
use crate::quantize::decode;

/// A model of one layer, two numbers wide.
fn weights() -> Vec<u8> {
    safetensors(encoder())
}

/// The names and shapes of its tensors.
fn encoder() -> Vec<(String, Vec<u64>)> {
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
    all
}

fn safetensors(all: Vec<(String, Vec<u64>)>) -> Vec<u8> {
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
        pooling: Some(pooling.as_bytes()),
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
        pooling: Some(POOLING.as_bytes()),
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

/// The same encoder with a classifier of so many labels on top.
fn classifier(labels: u64) -> Vec<u8> {
    let mut all: Vec<_> =
        encoder().into_iter().map(|(name, shape)| (format!("bert.{name}"), shape)).collect();
    for (name, shape) in [
        ("bert.pooler.dense.weight", vec![2, 2]),
        ("bert.pooler.dense.bias", vec![2]),
        ("classifier.weight", vec![labels, 2]),
        ("classifier.bias", vec![labels]),
    ] {
        all.push((name.into(), shape));
    }
    safetensors(all)
}

fn classified(labels: &str, weights: Vec<u8>) -> Result<Vec<u8>, String> {
    let named = format!(r#"{{"architectures": ["BertForSequenceClassification"], {labels}"#);
    let config = CONFIG.replacen('{', &named, 1);
    let parts = Parts {
        config: config.as_bytes(),
        pooling: None,
        vocabulary: WORDS.as_bytes(),
        weights: Box::new(Cursor::new(weights)),
    };
    let mut file = Vec::new();
    convert(parts, "Tiny", "MIT")?.write(&mut file).unwrap();
    Ok(file)
}

#[test]
fn a_cross_encoder_keeps_its_encoder_and_its_head() {
    let read = |file: Vec<u8>| (Gguf::read(&*file, file.len() as u64).unwrap(), file);
    let numbers = |(gguf, file): &(Gguf, Vec<u8>), name: &str| {
        let tensor = gguf.tensors().iter().find(|tensor| tensor.name == name).unwrap();
        let mut numbers = vec![0.0; tensor.elements() as usize];
        decode(tensor.kind, &file[tensor.start as usize..][..tensor.bytes as usize], &mut numbers).unwrap();
        (tensor.kind, tensor.shape.clone(), numbers)
    };
    let embeds = read(converted(CONFIG, POOLING, WORDS, &weights()).unwrap());
    let ranks = read(classified(r#""id2label": {"0": "LABEL_0"},"#, classifier(1)).unwrap());
    assert_eq!(ranks.0.get("bert.pooling_type").and_then(Value::as_u64), Some(4));
    assert_eq!(ranks.0.tensors().len(), embeds.0.tensors().len() + 4);
    for tensor in embeds.0.tensors() {
        assert_eq!(numbers(&embeds, &tensor.name), numbers(&ranks, &tensor.name), "{}", tensor.name);
    }
    for (name, shape, expected) in [
        ("cls.weight", vec![2, 2], vec![0.0, 1.0, 2.0, 3.0]),
        ("cls.bias", vec![2], vec![0.0, 1.0]),
        ("cls.output.weight", vec![2, 1], vec![0.0, 1.0]),
        ("cls.output.bias", vec![1], vec![0.0]),
    ] {
        assert_eq!(numbers(&ranks, name), (TensorType::F32, shape, expected), "{name}");
    }
}

#[test]
fn classifiers_that_do_not_rank_are_refused_in_words() {
    for (labels, weights, why) in [
        (r#""id2label": {"0": "no", "1": "maybe", "2": "yes"},"#, classifier(3), "3 labels"),
        ("", classifier(2), "2 labels"),
        (r#""id2label": {"0": "LABEL_0"},"#, classifier(2), "classifier.weight has the shape [2, 2]"),
        (r#""id2label": {"0": "LABEL_0"},"#, weights(), "no bert.embeddings"),
    ] {
        let error = classified(labels, weights).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
    let parts = Parts {
        config: CONFIG.as_bytes(),
        pooling: None,
        vocabulary: WORDS.as_bytes(),
        weights: Box::new(Cursor::new(weights())),
    };
    assert!(convert(parts, "Tiny", "MIT").err().unwrap().contains("1_Pooling"));
}
