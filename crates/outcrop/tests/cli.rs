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
