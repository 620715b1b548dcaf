//! Files of several families, and what is told of them.

use std::fs;

use super::*;
use crate::gguf::TensorType;
use crate::gguf::tests::file;

fn catalog() -> Catalog {
    Catalog::load(Path::new("/nonexistent")).unwrap()
}

fn told(settings: &[(&str, Value)], tensors: &[(&str, &[u64], TensorType)]) -> Details {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.gguf");
    fs::write(&path, file(settings, tensors)).unwrap();
    details(folder.path(), &catalog(), path.to_str().unwrap()).unwrap()
}

#[test]
fn a_chat_model_is_told_of() {
    let template = "{% if tools %}{{ tools }}{% endif %}\n\n<think>\u{1b}[31m\nx\ny\nz";
    let told = told(
        &[
            ("general.architecture", "qwen3".into()),
            ("general.name", "Q".into()),
            ("general.license", "apache-2.0".into()),
            ("qwen3.block_count", 2.into()),
            ("qwen3.context_length", 32768.into()),
            ("qwen3.embedding_length", 64.into()),
            ("qwen3.attention.head_count", 4.into()),
            ("qwen3.attention.head_count_kv", 2.into()),
            ("qwen3.attention.key_length", 32.into()),
            ("qwen3.attention.value_length", 16.into()),
            ("qwen3.rope.scaling.type", "yarn".into()),
            ("qwen3.rope.scaling.factor", 4.0.into()),
            ("qwen3.rope.scaling.original_context_length", 8192.into()),
            ("tokenizer.ggml.model", "gpt2".into()),
            ("tokenizer.ggml.pre", "qwen2".into()),
            ("tokenizer.ggml.tokens", ["a", "b"][..].into()),
            ("tokenizer.chat_template", template.into()),
            (DERIVED_FROM, "00ff".into()),
        ],
        &[
            ("a.weight", &[32, 10], TensorType::Q4_1),
            ("b.weight", &[32, 2], TensorType::Q8_0),
            ("c.weight", &[3], TensorType::F32),
        ],
    );
    assert_eq!((told.architecture.as_str(), told.parameters), ("qwen3", 320 + 64 + 3));
    let mix: Vec<_> = told.quantization.iter().map(|mix| (&*mix.kind, mix.tensors, mix.bytes)).collect();
    assert_eq!(mix, [("Q4_1", 1, 200), ("Q8_0", 1, 68), ("F32", 1, 12)]);
    // Two layers of two heads, of 32 and 16 numbers, of two bytes.
    assert_eq!(told.memory.unwrap().bytes_per_1000_tokens, 2 * 2 * 48 * 2 * 1000);
    assert_eq!(told.capabilities, [Capability::Chat, Capability::Tools, Capability::Reasoning]);
    let scaling = told.rope_scaling.unwrap();
    assert_eq!(
        (scaling.kind.as_str(), scaling.factor, scaling.original_context_length),
        ("yarn", Some(4.0), Some(8192))
    );
    let template = told.chat_template.unwrap();
    assert_eq!((template.lines, template.head.len()), (6, 3));
    assert_eq!(template.head[1], "<think> [31m", "nothing that a terminal would obey");
    assert_eq!(told.derived_from.as_deref(), Some("00ff"));
    assert_eq!((told.id, told.sha256), (None, None));
}

#[test]
fn families_differ() {
    let one: &[(&str, &[u64], TensorType)] =
        &[("a.weight", &[8], TensorType::F32), ("b", &[8], TensorType::F32)];
    let bert = told(&[("general.architecture", "bert".into()), ("bert.pooling_type", 1.into())], one);
    assert_eq!((bert.capabilities, bert.memory), (vec![Capability::Embedding], None));
    let rank = told(&[("general.architecture", "bert".into()), ("bert.pooling_type", 4.into())], one);
    assert_eq!(rank.capabilities, [Capability::Rerank]);

    let heads = |counts: Value| {
        told(
            &[
                ("general.architecture", "gemma3".into()),
                ("gemma3.block_count", 2.into()),
                ("gemma3.embedding_length", 8.into()),
                ("gemma3.attention.head_count", 2.into()),
                ("gemma3.attention.head_count_kv", counts),
                ("gemma3.attention.sliding_window", 512.into()),
            ],
            one,
        )
    };
    let gemma = heads([2, 0][..].into());
    assert_eq!(gemma.capabilities, [Capability::Completion]);
    assert!(gemma.vision_needs_mmproj);
    let memory = gemma.memory.unwrap();
    // One layer caches: two heads of four numbers, twice.
    assert_eq!((memory.bytes_per_1000_tokens, memory.layers), (2 * 8 * 2 * 1000, 1));
    assert_eq!(memory.sliding_window, Some(SlidingWindow { tokens: 512, layers: None }));
    assert_eq!(heads([1][..].into()).memory.unwrap().layers, 2);
    assert_eq!(heads([-1, 2][..].into()).memory.unwrap().layers, 2, "nonsense is as if it were not there");

    let scaled =
        told(&[("general.architecture", "llama".into())], &[("rope_freqs.weight", &[8], TensorType::F32)]);
    assert_eq!((scaled.rope_scaling.unwrap().kind, scaled.memory), ("llama3".into(), None));
}

#[test]
fn numbers_that_make_no_sense_break_nothing() {
    let huge = told(
        &[
            ("general.architecture", "llama".into()),
            ("llama.block_count", u32::MAX.into()),
            ("llama.embedding_length", u32::MAX.into()),
            ("llama.attention.head_count", 0.into()),
        ],
        &[("a", &[8], TensorType::F32)],
    );
    assert_eq!(huge.memory, None);
}

#[test]
fn what_is_not_there_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let error = |named: &str| details(folder.path(), &catalog(), named).unwrap_err();
    assert!(matches!(error("qwen3-0.6b"), PullError::Absent { .. }));
    assert!(matches!(error("qwen3-0.6"), PullError::UnknownModel { .. }));
    assert!(error("./none.gguf").to_string().contains("not there"));
    fs::write(folder.path().join("x.gguf"), b"GGUF\x03\0\0\0 and then nothing of use").unwrap();
    assert!(matches!(error(folder.path().join("x.gguf").to_str().unwrap()), PullError::NotAModel { .. }));
}
