//! Tiny models of each family, written as hubs publish them and read back as GGUF.

use std::fs;
use std::path::PathBuf;

use serde_json::{Map, Value as Json, json};
use tempfile::TempDir;

use super::*;
use crate::gguf::{Gguf, TensorType, Value};
use crate::quantize::{decode, encode};

const HIDDEN: u64 = 32;
const HEADS: u64 = 2;
const KV_HEADS: u64 = 1;
const HEAD_DIM: u64 = 16;
const INNER: u64 = 64;
const TOKENS: u64 = 6;

/// A folder that is changed before it is converted.
struct Published {
    folder: TempDir,
    config: Json,
    tokenizer: Json,
    tokenizer_config: Json,
    weights: Vec<(String, Vec<u64>)>,
    kind: TensorType,
}

impl Published {
    fn new(architecture: &str) -> Self {
        let layer = "model.layers.0";
        let mut weights: Vec<(String, Vec<u64>)> = vec![
            ("model.embed_tokens.weight".into(), vec![TOKENS, HIDDEN]),
            ("model.norm.weight".into(), vec![HIDDEN]),
            ("lm_head.weight".into(), vec![TOKENS, HIDDEN]),
        ];
        for (name, shape) in [
            ("input_layernorm", vec![HIDDEN]),
            ("self_attn.q_proj", vec![HEADS * HEAD_DIM, HIDDEN]),
            ("self_attn.k_proj", vec![KV_HEADS * HEAD_DIM, HIDDEN]),
            ("self_attn.v_proj", vec![KV_HEADS * HEAD_DIM, HIDDEN]),
            ("self_attn.o_proj", vec![HIDDEN, HEADS * HEAD_DIM]),
            ("post_attention_layernorm", vec![HIDDEN]),
            ("mlp.gate_proj", vec![INNER, HIDDEN]),
            ("mlp.up_proj", vec![INNER, HIDDEN]),
            ("mlp.down_proj", vec![HIDDEN, INNER]),
        ] {
            weights.push((format!("{layer}.{name}.weight"), shape));
        }
        match architecture {
            "Qwen2ForCausalLM" => {
                for (name, rows) in [("q", HEADS), ("k", KV_HEADS), ("v", KV_HEADS)] {
                    weights.push((format!("{layer}.self_attn.{name}_proj.bias"), vec![rows * HEAD_DIM]));
                }
            }
            "Qwen3ForCausalLM" => {
                for name in ["q_norm", "k_norm"] {
                    weights.push((format!("{layer}.self_attn.{name}.weight"), vec![HEAD_DIM]));
                }
            }
            _ => {}
        }
        Self {
            folder: tempfile::tempdir().unwrap(),
            config: json!({
                "architectures": [architecture], "hidden_size": HIDDEN, "intermediate_size": INNER,
                "num_hidden_layers": 1, "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS,
                "head_dim": HEAD_DIM, "max_position_embeddings": 2048, "vocab_size": TOKENS,
                "rms_norm_eps": 1e-5, "rope_theta": 500_000.0, "hidden_act": "silu", "eos_token_id": 4,
            }),
            tokenizer: json!({
                "normalizer": null,
                "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
                    {"type": "Digits", "individual_digits": true},
                    {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true}]},
                "post_processor": {"type": "TemplateProcessing", "single": [
                    {"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]},
                "added_tokens": [{"id": 3, "content": "<s>", "special": true},
                    {"id": 4, "content": "<|end|>", "special": false}],
                "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]},
            }),
            tokenizer_config: json!({"bos_token": "<s>", "eos_token": {"content": "<|end|>"},
                "chat_template": "{{ messages }}"}),
            weights,
            kind: TensorType::F32,
        }
    }

    /// The numbers of a tensor: such that every one is another.
    fn numbers(name: &str, shape: &[u64]) -> Vec<f32> {
        let seed = name.bytes().map(u64::from).sum::<u64>();
        (0..shape.iter().product::<u64>()).map(|n| ((seed + n) as f32).sin()).collect()
    }

    fn safetensors(&self, weights: &[(String, Vec<u64>)]) -> Vec<u8> {
        let (mut header, mut data) = (Map::new(), Vec::new());
        for (name, shape) in weights {
            let from = data.len();
            data.extend(encode(self.kind, &Self::numbers(name, shape)).unwrap());
            let dtype = self.kind.name();
            header.insert(
                name.clone(),
                json!({"dtype": dtype, "shape": shape, "data_offsets": [from, data.len()]}),
            );
        }
        let header = serde_json::to_vec(&header).unwrap();
        [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self) {
        for (name, json) in [
            ("config.json", &self.config),
            ("tokenizer.json", &self.tokenizer),
            ("tokenizer_config.json", &self.tokenizer_config),
        ] {
            fs::write(self.path(name), json.to_string()).unwrap();
        }
        fs::write(self.path("model.safetensors"), self.safetensors(&self.weights)).unwrap();
    }

    fn converted(&self, precision: Precision) -> Result<(Gguf, Vec<u8>), String> {
        let conversion = published(self.folder.path(), precision, "tiny")?;
        let (expected, mut file) = (conversion.file_bytes(), Vec::new());
        conversion.write(&mut file).map_err(|why| format!("{why:?}"))?;
        assert_eq!(file.len() as u64, expected);
        Ok((Gguf::read(&*file, expected).unwrap(), file))
    }

    fn convert(&self) -> Result<(Gguf, Vec<u8>), String> {
        self.write();
        self.converted(Precision::F32)
    }

    fn refused(&self) -> String {
        self.convert().unwrap_err()
    }
}

/// A tensor's numbers in a file.
fn stored((gguf, file): &(Gguf, Vec<u8>), name: &str) -> Vec<f32> {
    let info = gguf.tensors().iter().find(|tensor| tensor.name == name).unwrap_or_else(|| panic!("{name}"));
    let mut numbers = vec![0.0; info.elements() as usize];
    decode(info.kind, &file[info.start as usize..][..info.bytes as usize], &mut numbers).unwrap();
    numbers
}

#[test]
fn a_llama_becomes_a_gguf() {
    let published = Published::new("LlamaForCausalLM");
    let made = published.convert().unwrap();
    let gguf = &made.0;
    let number = |key: &str| gguf.get(key).and_then(Value::as_f64);
    for (key, value) in [
        ("llama.block_count", 1.0),
        ("llama.context_length", 2048.0),
        ("llama.attention.head_count_kv", 1.0),
        ("llama.attention.key_length", 16.0),
        ("llama.rope.dimension_count", 16.0),
        ("llama.rope.freq_base", 500_000.0),
        ("llama.vocab_size", 6.0),
        ("tokenizer.ggml.bos_token_id", 3.0),
        ("tokenizer.ggml.eos_token_id", 4.0),
    ] {
        assert_eq!(number(key), Some(value), "{key}");
    }
    let flag = |key: &str| gguf.get(key).and_then(Value::as_bool);
    assert_eq!(flag("tokenizer.ggml.add_bos_token"), Some(true));
    assert_eq!(flag("tokenizer.ggml.add_eos_token"), Some(false));
    let text = |key: &str| gguf.get(key).and_then(Value::as_str);
    assert_eq!(text("tokenizer.ggml.pre"), Some("smollm"));
    assert_eq!(text("tokenizer.chat_template"), Some("{{ messages }}"));
    let tokens: Vec<_> = gguf.get("tokenizer.ggml.tokens").unwrap().texts().unwrap().collect();
    assert_eq!(tokens, [&b"a"[..], b"b", b"ab", b"<s>", b"<|end|>", b"[PAD5]"]);
    assert_eq!(gguf.get("tokenizer.ggml.token_type").unwrap().as_u64s(), Some(vec![1, 1, 1, 3, 3, 5]));

    let value = "model.layers.0.self_attn.v_proj.weight";
    assert_eq!(stored(&made, "blk.0.attn_v.weight"), Published::numbers(value, &[16, 32]));
    // Row 2i of a head is row i of its first half, row 2i + 1 is row i of its second.
    let query = Published::numbers("model.layers.0.self_attn.q_proj.weight", &[32, 32]);
    let turned = stored(&made, "blk.0.attn_q.weight");
    for row in 0..32 {
        let (head, within) = (row / 16, row % 16);
        let from = head * 16 + within % 2 * 8 + within / 2;
        assert_eq!(turned[row * 32..][..32], query[from * 32..][..32], "row {row}");
    }
    let shape = &gguf.tensors().iter().find(|tensor| tensor.name == "blk.0.ffn_down.weight").unwrap().shape;
    assert_eq!(shape[..], [INNER, HIDDEN], "fastest first");
}

#[test]
fn qwens_are_not_turned_and_keep_what_is_theirs() {
    for (architecture, extra, from, shape) in [
        ("Qwen2ForCausalLM", "blk.0.attn_k.bias", "self_attn.k_proj.bias", 16),
        ("Qwen3ForCausalLM", "blk.0.attn_q_norm.weight", "self_attn.q_norm.weight", 16),
    ] {
        let made = Published::new(architecture).convert().unwrap();
        let query = "model.layers.0.self_attn.q_proj.weight";
        assert_eq!(stored(&made, "blk.0.attn_q.weight"), Published::numbers(query, &[32, 32]));
        assert_eq!(stored(&made, extra), Published::numbers(&format!("model.layers.0.{from}"), &[shape]));
    }
}

#[test]
fn a_bias_of_a_llama_is_turned_too() {
    let mut published = Published::new("LlamaForCausalLM");
    let name = "model.layers.0.self_attn.k_proj.bias";
    published.weights.push((name.into(), vec![16]));
    let (bias, made) = (Published::numbers(name, &[16]), published.convert().unwrap());
    let expected: Vec<_> = (0..8).flat_map(|pair| [bias[pair], bias[pair + 8]]).collect();
    assert_eq!(stored(&made, "blk.0.attn_k.bias"), expected);
}

#[test]
fn weights_are_stored_as_asked() {
    let mut published = Published::new("LlamaForCausalLM");
    published.kind = TensorType::BF16;
    published.write();
    for (precision, kind, file_type) in [
        (Precision::AsPublished, TensorType::BF16, 32),
        (Precision::F32, TensorType::F32, 0),
        (Precision::F16, TensorType::F16, 1),
        (Precision::Q8_0, TensorType::Q8_0, 7),
    ] {
        let made = published.converted(precision).unwrap();
        for tensor in made.0.tensors() {
            let expected = if tensor.shape.len() == 1 { TensorType::F32 } else { kind };
            assert_eq!(tensor.kind, expected, "{}", tensor.name);
        }
        assert_eq!(made.0.get("general.file_type").unwrap().as_u64(), Some(file_type));
    }
    published.kind = TensorType::F32;
    published.write();
    let made = published.converted(Precision::AsPublished).unwrap().0;
    assert_eq!(made.tensors()[0].kind, TensorType::F16);
}

#[test]
fn tied_embeddings_and_weights_in_pieces() {
    let mut published = Published::new("LlamaForCausalLM");
    let whole = published.convert().unwrap().1;
    let (first, second) = published.weights.split_at(5);
    fs::write(published.path("a.safetensors"), published.safetensors(first)).unwrap();
    fs::write(published.path("b.safetensors"), published.safetensors(second)).unwrap();
    let index = |a: &str| {
        let map = json!({"weight_map": {"x": a, "y": "b.safetensors"}});
        fs::write(published.path("model.safetensors.index.json"), map.to_string()).unwrap();
    };
    index("a.safetensors");
    assert!(published.converted(Precision::F32).unwrap().1 == whole);
    index("../a.safetensors");
    assert!(published.converted(Precision::F32).unwrap_err().contains("no file of this folder"));
    index("c.safetensors");
    assert!(published.converted(Precision::F32).unwrap_err().contains("c.safetensors"));
    fs::remove_file(published.path("model.safetensors.index.json")).unwrap();

    published.config["tie_word_embeddings"] = true.into();
    let tied = published.convert().unwrap().0;
    assert!(tied.tensors().iter().all(|tensor| tensor.name != "output.weight"));
}

#[test]
fn rope_scaling_is_kept() {
    let scaled = |rope: Json| {
        let mut published = Published::new("LlamaForCausalLM");
        published.config["rope_scaling"] = rope;
        published.convert()
    };
    let yarn =
        json!({"rope_type": "yarn", "type": "yarn", "factor": 4.0, "original_max_position_embeddings": 512});
    let (yarn, _) = scaled(yarn).unwrap();
    assert_eq!(yarn.get("llama.rope.scaling.type").unwrap().as_str(), Some("yarn"));
    assert_eq!(yarn.get("llama.rope.scaling.factor").unwrap().as_f64(), Some(4.0));
    assert_eq!(yarn.get("llama.rope.scaling.original_context_length").unwrap().as_u64(), Some(512));
    let (linear, _) = scaled(json!({"type": "linear", "factor": 2.0})).unwrap();
    assert_eq!(linear.get("llama.rope.scaling.type").unwrap().as_str(), Some("linear"));

    let llama3 = json!({"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192});
    let factors = stored(&scaled(llama3).unwrap(), "rope_freqs.weight");
    // Of a head of 16 at base 500,000: short waves, one between, long ones; computed apart.
    let expected = [1.0, 1.0, 1.0, 1.0, 3.292_262, 32.0, 32.0, 32.0];
    for (factor, expected) in factors.iter().zip(expected) {
        assert!((factor - expected).abs() < 1e-4, "{factors:?}");
    }
    assert!(scaled(json!({"rope_type": "longrope"})).unwrap_err().contains("longrope"));
    assert!(scaled(json!({"rope_type": "yarn", "factor": 4.0})).unwrap_err().contains("original_max"));
    assert!(scaled(json!({"rope_type": "linear"})).unwrap_err().contains("factor"));
}

#[test]
fn an_embedding_model_is_known_by_its_configuration() {
    let (files, expected) = tiny("tiny");
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let folder = folder.path().join("a_b/model");
    fs::write(folder.join("README.md"), "---\nlicense: MIT\n---\n").unwrap();
    let mut file = Vec::new();
    published(&folder, Precision::default(), "tiny").unwrap().write(&mut file).unwrap();
    assert!(file == expected);
    assert!(published(&folder, Precision::Q8_0, "tiny").err().unwrap().contains("F16"));
}

#[test]
fn the_licence_is_kept() {
    let published = Published::new("LlamaForCausalLM");
    let licensed = |card: &str| {
        fs::write(published.path("README.md"), card).unwrap();
        published.convert().unwrap().0.get("general.license").and_then(Value::as_str).map(str::to_owned)
    };
    assert_eq!(
        licensed("---\nlibrary: x\nlicense: \"apache-2.0\"\n---\n# Tiny").as_deref(),
        Some("apache-2.0")
    );
    assert_eq!(licensed("# Tiny\n---\nlicense: mit\n"), None);
    assert_eq!(licensed("---\nlicense: \u{1b}[31m\n---\n"), None);
}

#[test]
fn several_ends_and_templates() {
    let mut published = Published::new("LlamaForCausalLM");
    published.tokenizer_config["chat_template"] =
        json!([{"name": "default", "template": "d"}, {"name": "tool_use", "template": "t"}]);
    // llama.cpp knows this one by its text, and for what it is.
    let known = json!({"id": 5, "content": "<|eot_id|>", "special": true});
    published.tokenizer["added_tokens"].as_array_mut().unwrap().push(known);
    fs::write(
        published.path("generation_config.json"),
        json!({"eos_token_id": [4, 2, 5, 1, 99]}).to_string(),
    )
    .unwrap();
    let (gguf, _) = published.convert().unwrap();
    let number = |key: &str| gguf.get(&format!("tokenizer.ggml.{key}_token_id")).and_then(Value::as_u64);
    assert_eq!((number("eos"), number("eom"), number("eot")), (Some(4), Some(2), Some(1)));
    let text = |key: &str| gguf.get(key).and_then(Value::as_str).map(str::to_owned);
    assert_eq!(text("tokenizer.chat_template").as_deref(), Some("d"));
    assert_eq!(text("tokenizer.chat_template.tool_use").as_deref(), Some("t"));

    fs::write(published.path("chat_template.jinja"), "from a file").unwrap();
    let (gguf, _) = published.convert().unwrap();
    assert_eq!(gguf.get("tokenizer.chat_template").unwrap().as_str(), Some("from a file"));
}

#[test]
fn what_is_not_understood_is_refused_in_words() {
    type Change = fn(&mut Published);
    let cases: [(Change, &str); 20] = [
        (|p| p.config["architectures"] = json!(["MambaForCausalLM"]), "MambaForCausalLM cannot be converted"),
        (|p| p.config = json!({}), "none named"),
        (|p| p.config["hidden_act"] = "gelu".into(), "silu"),
        (|p| p.config["quantization_config"] = json!({"quant_method": "gptq"}), "quantized already"),
        (|p| p.config["num_attention_heads"] = 0.into(), "without heads"),
        (|p| p.config["num_key_value_heads"] = 0.into(), "heads"),
        (|p| p.config["head_dim"] = 15.into(), "15"),
        (|p| p.config["hidden_size"] = u64::MAX.into(), "shape"),
        (|p| p.config["head_dim"] = (1_u64 << 63).into(), "too large"),
        (|p| p.config["num_hidden_layers"] = 2.into(), "model.layers.1"),
        (|p| p.config["num_hidden_layers"] = 100_000.into(), "too many"),
        (|p| p.config["vocab_size"] = 7.into(), "shape"),
        (|p| p.weights.push(("model.layers.0.extra.weight".into(), vec![1])), "extra.weight"),
        (|p| p.weights.retain(|(name, _)| name != "lm_head.weight"), "lm_head"),
        (|p| p.tokenizer["model"]["type"] = "Unigram".into(), "SentencePiece"),
        (|p| p.tokenizer["model"]["byte_fallback"] = true.into(), "SentencePiece"),
        (|p| p.tokenizer["model"]["vocab"]["c"] = 6.into(), "the number 6"),
        (|p| p.tokenizer["model"]["vocab"]["c"] = 2.into(), "two tokens"),
        (|p| p.tokenizer["pre_tokenizer"] = json!({"type": "Metaspace"}), "Metaspace"),
        (|p| p.tokenizer["normalizer"] = json!({"type": "Lowercase"}), "Lowercase"),
    ];
    for (change, why) in cases {
        let mut published = Published::new("LlamaForCausalLM");
        change(&mut published);
        let error = published.refused();
        assert!(error.contains(why), "{why}: {error}");
    }
    let published = Published::new("LlamaForCausalLM");
    published.write();
    fs::rename(published.path("tokenizer.json"), published.path("tokenizer.model")).unwrap();
    assert!(published.converted(Precision::F32).unwrap_err().contains("SentencePiece"));
    fs::remove_file(published.path("model.safetensors")).unwrap();
    assert!(published.converted(Precision::F32).unwrap_err().contains("pytorch_model.bin is not read"));
    fs::remove_file(published.path("config.json")).unwrap();
    assert!(published.converted(Precision::F32).unwrap_err().contains("no config.json"));
}

/// A folder may be trained on and converted again; another model's name is not taken.
#[test]
fn a_folder_is_pulled_as_often_as_asked() {
    use crate::{PullError, Request, Settings, details, find, pull};
    let (published, home) = (Published::new("Qwen3ForCausalLM"), tempfile::tempdir().unwrap());
    published.write();
    let settings = Settings { free_space: |_| Ok(u64::MAX), ..Settings::from_env() };
    let fetch = |id: &str, from: &Path, precision| {
        let request = Request::folder(from, Some(id), precision).unwrap();
        pull(&request, home.path(), &settings, &mut ())
    };
    let first = fetch("tiny", published.folder.path(), Precision::F16).unwrap();
    let second = fetch("tiny", published.folder.path(), Precision::Q8_0).unwrap();
    assert!(second.size_bytes < first.size_bytes);
    assert_eq!(find(home.path(), "tiny"), Some(second.path));
    let catalog = crate::Catalog::load(home.path()).unwrap();
    assert_eq!(details(home.path(), &catalog, "tiny").unwrap().architecture, "qwen3");

    let other = Published::new("LlamaForCausalLM");
    other.write();
    let taken = fetch("tiny", other.folder.path(), Precision::F16).unwrap_err();
    assert!(matches!(taken, PullError::Taken { .. }), "{taken}");
    fs::write(other.path("config.json"), "{}").unwrap();
    let refused = fetch("other", other.folder.path(), Precision::F16).unwrap_err();
    assert!(matches!(refused, PullError::NotConverted { .. }), "{refused}");
    assert!(Request::folder(other.folder.path(), Some("../x"), Precision::F16).is_err());
    let small = Settings { free_space: |_| Ok(10), ..Settings::from_env() };
    let request = Request::folder(published.folder.path(), Some("full"), Precision::F16).unwrap();
    let full = pull(&request, home.path(), &small, &mut ()).unwrap_err();
    assert!(matches!(full, PullError::DiskFull { .. }), "{full}");
    assert_eq!(find(home.path(), "full"), None);
}
