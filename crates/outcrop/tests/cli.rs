//! The command line as a script meets it: exit codes, JSON, and messages that help.

#![allow(clippy::unwrap_used)] // a panic is the report

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn outcrop(home: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_outcrop"))
        .args(arguments)
        .env("OUTCROP_HOME", home)
        .env_remove("OUTCROP_CONFIG")
        .env_remove("OUTCROP_API_KEY")
        .current_dir(home)
        .output()
        .unwrap()
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn error(output: &Output, code: i32) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{text}");
    text
}

#[test]
fn help_has_examples_and_no_command_is_a_usage_error() {
    let home = tempfile::tempdir().unwrap();
    let help = outcrop(home.path(), &["serve", "--help"]);
    assert!(help.status.success());
    assert!(String::from_utf8_lossy(&help.stdout).contains("outcrop serve --model"));
    error(&outcrop(home.path(), &[]), 2);
    error(&outcrop(home.path(), &["keys", "frobnicate"]), 2);
}

#[test]
fn devices_are_listed_with_the_processor_among_them() {
    let home = tempfile::tempdir().unwrap();
    let listed = json(&outcrop(home.path(), &["devices", "--json"]));
    let devices = listed["devices"].as_array().unwrap();
    let cpu = devices.iter().find(|device| device["kind"] == "cpu").unwrap();
    assert!(cpu["name"] == "CPU" && cpu["total_bytes"].as_u64().unwrap() > 0, "{listed}");
    assert!(listed["threads"].as_u64().unwrap() > 0);
    let table = outcrop(home.path(), &["devices"]);
    assert!(String::from_utf8_lossy(&table.stdout).starts_with("NAME"));
}

/// As `outcrop models | head -1` does it; the reader is gone before the first line.
#[test]
#[cfg(unix)]
fn a_reader_that_goes_away_ends_a_command_quietly() {
    use std::os::unix::process::ExitStatusExt as _;
    const SIGPIPE: i32 = 13;
    let home = tempfile::tempdir().unwrap();
    let made = outcrop(home.path(), &["keys", "create", "--name", "ci"]);
    assert!(made.status.success());
    for arguments in [&["models"][..], &["models", "--json"], &["providers", "list"], &["keys", "list"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ended = Command::new(env!("CARGO_BIN_EXE_outcrop"))
            .args(arguments)
            .env("OUTCROP_HOME", home.path())
            .env_remove("OUTCROP_CONFIG")
            .current_dir(home.path())
            .stdout(writer)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!((ended.status.signal(), &*said), (Some(SIGPIPE), ""), "{arguments:?}");
    }
}

#[test]
fn a_key_lives_from_create_to_revoke() {
    let home = tempfile::tempdir().unwrap();
    let made = json(&outcrop(home.path(), &["keys", "create", "--name", "ci", "--expires", "30d", "--json"]));
    let (id, bearer) = (made["id"].as_str().unwrap(), made["bearer"].as_str().unwrap());
    assert!(bearer.starts_with("ock_") && made["access_key_id"].as_str().unwrap().starts_with("OCAK"));

    let listed = outcrop(home.path(), &["keys", "list", "--json"]);
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(!text.contains(bearer) && !text.contains(made["secret_access_key"].as_str().unwrap()));
    assert_eq!(json(&listed)[0]["state"], "active");

    assert_eq!(json(&outcrop(home.path(), &["keys", "revoke", id, "--json"]))["state"], "revoked");
    assert_eq!(json(&outcrop(home.path(), &["keys", "list", "--json"]))[0]["state"], "revoked");
}

#[test]
fn what_is_not_there_is_exit_code_3() {
    let home = tempfile::tempdir().unwrap();
    error(&outcrop(home.path(), &["keys", "revoke", "key_nonsense"]), 3);
    let text = error(&outcrop(home.path(), &["pull", "smollm2-135m-instrukt"]), 3);
    assert!(text.contains("smollm2-135m-instruct"), "{text}");
    error(&outcrop(home.path(), &["serve", "--model", "./absent.gguf"]), 3);
}

#[test]
fn a_wrong_configuration_is_exit_code_2_and_says_where() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("outcrop.toml"), "[aliases]\nfast = \"nowhere/x\"\n").unwrap();
    let text = error(&outcrop(home.path(), &["check"]), 2);
    assert!(text.contains("aliases.fast") && text.contains("[providers.nowhere]"), "{text}");
    error(&outcrop(home.path(), &["check", "--config", "absent.toml"]), 2);
    error(&outcrop(home.path(), &["serve", "--dev", "--listen", "0.0.0.0:0"]), 2);
}

#[test]
fn check_lists_what_would_be_served() {
    let home = tempfile::tempdir().unwrap();
    let text = "models = []\n[providers.lab]\ndialect = \"openai-chat\"\nbase_url = \"http://127.0.0.1:9/v1\"\n\
                models = [\"large\"]\n[aliases]\nbig = \"lab/large\"\nbigger = \"big\"\n";
    std::fs::write(home.path().join("outcrop.toml"), text).unwrap();
    let report = json(&outcrop(home.path(), &["check", "--json"]));
    assert_eq!(report["serves"], serde_json::json!(["lab/large", "big", "bigger"]));
    assert_eq!(report["missing"], serde_json::json!([]));
}

#[test]
fn models_lists_the_catalog_with_its_state() {
    let home = tempfile::tempdir().unwrap();
    let models = json(&outcrop(home.path(), &["models", "--json"]));
    let default = models.as_array().unwrap().iter().find(|m| m["id"] == "smollm2-135m-instruct").unwrap();
    assert_eq!(default["state"]["status"], "absent");
    assert_eq!(default["license"], "Apache-2.0");
}

#[test]
fn trust_prints_exports_that_a_shell_can_read() {
    let home = tempfile::tempdir().unwrap();
    let report = json(&outcrop(home.path(), &["trust", "--json"]));
    assert!(Path::new(report["ca"].as_str().unwrap()).is_file());
    let script = String::from_utf8(outcrop(home.path(), &["trust"]).stdout).unwrap();
    let shell =
        Command::new("sh").arg("-c").arg(format!("{script}\nprintf %s \"$AWS_CA_BUNDLE\"")).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&shell.stdout), report["ca"].as_str().unwrap());
}

#[test]
fn providers_are_listed_and_tested() {
    let home = tempfile::tempdir().unwrap();
    let text = "models = []\n[providers.lab]\nkind = \"vllm\"\nbase_url = \"http://127.0.0.1:9/v1\"\n";
    std::fs::write(home.path().join("outcrop.toml"), text).unwrap();
    let listed = json(&outcrop(home.path(), &["providers", "list", "--json"]));
    assert_eq!(listed[0]["name"], "lab");
    assert_eq!(listed[0]["configured"], true);
    assert!(listed.as_array().unwrap().iter().any(|row| row["name"] == "bedrock"));

    let tested = outcrop(home.path(), &["providers", "test", "lab", "--json"]);
    assert_eq!(tested.status.code(), Some(4));
    let report: Value = serde_json::from_slice(&tested.stdout).unwrap();
    let last = report["steps"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((last["step"].as_str(), last["ok"].as_bool()), (Some("connection"), Some(false)));
    assert!(last["advice"].as_str().unwrap().contains("runs"));
    error(&outcrop(home.path(), &["providers", "test", "no-such"]), 3);
}

#[test]
fn an_open_provider_needs_no_list_of_models() {
    let home = tempfile::tempdir().unwrap();
    let text = "models = []\n[providers.lab]\nkind = \"vllm\"\nbase_url = \"http://127.0.0.1:9/v1\"\n\
                [aliases]\nbig = \"lab/large\"\n";
    std::fs::write(home.path().join("outcrop.toml"), text).unwrap();
    let report = json(&outcrop(home.path(), &["check", "--json"]));
    assert_eq!(report["serves"], serde_json::json!(["lab/large", "big"]));
}

/// A tiny Llama as model hubs publish one: every weight is 1.
fn published(folder: &Path) {
    let layer = |name: &str| format!("model.layers.0.{name}.weight");
    let shapes: Vec<(String, Vec<usize>)> = vec![
        ("model.embed_tokens.weight".into(), vec![4, 32]),
        ("model.norm.weight".into(), vec![32]),
        (layer("input_layernorm"), vec![32]),
        (layer("post_attention_layernorm"), vec![32]),
        (layer("self_attn.q_proj"), vec![32, 32]),
        (layer("self_attn.k_proj"), vec![32, 32]),
        (layer("self_attn.v_proj"), vec![32, 32]),
        (layer("self_attn.o_proj"), vec![32, 32]),
        (layer("mlp.gate_proj"), vec![64, 32]),
        (layer("mlp.up_proj"), vec![64, 32]),
        (layer("mlp.down_proj"), vec![32, 64]),
    ];
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, shape) in shapes {
        let from = data.len();
        data.extend((0..shape.iter().product()).flat_map(|_: usize| 1_f32.to_le_bytes()));
        let place = [from, data.len()];
        header.insert(name, serde_json::json!({"dtype": "F32", "shape": shape, "data_offsets": place}));
    }
    let header = serde_json::to_vec(&header).unwrap();
    let weights = [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat();
    std::fs::create_dir(folder).unwrap();
    std::fs::write(folder.join("model.safetensors"), weights).unwrap();
    let config = serde_json::json!({"architectures": ["LlamaForCausalLM"], "hidden_size": 32,
        "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 4,
        "max_position_embeddings": 128, "tie_word_embeddings": true});
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let tokenizer = serde_json::json!({"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
        "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "c": 3}, "merges": ["a b"]}});
    std::fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).unwrap();
}

#[test]
fn published_weights_are_converted_shown_derived_and_put_back() {
    let home = tempfile::tempdir().unwrap();
    published(&home.path().join("Tiny_1"));
    let run = |arguments: &[&str]| json(&outcrop(home.path(), &[arguments, &["--json"]].concat()));
    assert_eq!(run(&["models", "convert", "./Tiny_1"])["id"], "tiny_1");
    let shown = run(&["models", "show", "tiny_1"]);
    assert_eq!((&shown["architecture"], &shown["context_length"]), (&"llama".into(), &128.into()));
    assert_eq!(shown["quantization"][0]["type"], "F16");
    assert_eq!(shown["memory"]["bytes_per_1000_tokens"], 2 * 32 * 2 * 1000);
    assert_eq!(run(&["models", "derive", "tiny_1"]), Value::Null, "there is nothing to gain");

    let derived = run(&["models", "derive", "tiny_1", "--to", "q8_0"]);
    assert_eq!(derived["id"], "tiny_1.q8_0");
    assert_eq!(
        run(&["models", "show", derived["path"].as_str().unwrap()])["quantization"][0]["type"],
        "Q8_0"
    );
    let listed = |id: &str| {
        let models = run(&["models"]);
        models.as_array().unwrap().iter().find(|model| model["id"] == id).unwrap().clone()
    };
    assert_eq!(listed("tiny_1")["derived"]["path"], derived["path"]);
    let removed = outcrop(home.path(), &["models", "derive", "tiny_1", "--remove"]);
    assert!(removed.status.success() && listed("tiny_1").get("derived").is_none());

    error(&outcrop(home.path(), &["models", "show", "qwen3-0.6b"]), 3);
    let text = error(&outcrop(home.path(), &["bench", "qwen3-0.6b"]), 3);
    assert!(text.contains("outcrop pull qwen3-0.6b"), "{text}");
    error(&outcrop(home.path(), &["models", "derive", "qwen3-0.6b"]), 3);
    let text = error(&outcrop(home.path(), &["models", "convert", "."]), 1);
    assert!(text.contains("no config.json"), "{text}");
}
