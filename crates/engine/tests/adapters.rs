//! Variants of a model by LoRA adapters: each says its own, but for rounding the same alone as
//! among others, from what is cached of it and of nothing else.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic here is the report")]

mod support;

use engine::{Adapter, Config, Engine, LoadError};
use futures_util::future::join_all;
use message::TokenLogprob;
use support::{chat, config, lora, model_path, same};

const PROMPT: &str = "The harbour town lay between two hills, and everybody who lived there knew the sound of \
    the bell that called the boats home when the fog came in from the sea. The old sailor";
const TOKENS: u64 = 16;

fn load(config: &Config, adapters: &[Adapter]) -> Result<Engine, LoadError> {
    Engine::load_with(&model_path(), "smollm2", config.clone(), adapters)
}

fn adapter(name: &str, path: std::path::PathBuf) -> Adapter {
    Adapter { name: name.to_owned(), path, scale: 1.0 }
}

async fn answer(engine: &Engine) -> Vec<TokenLogprob> {
    same::answer(engine, PROMPT, TOKENS).await
}

fn tokens(answer: &[TokenLogprob]) -> Vec<&[u8]> {
    answer.iter().map(|said| &*said.token).collect()
}

#[tokio::test]
async fn variants_share_a_model_and_its_steps_and_nothing_they_computed() {
    let folder = tempfile::tempdir().unwrap();
    let adapters = [
        adapter("nothing", lora::write(folder.path(), "nothing.gguf", 1, 0.0)),
        adapter("strong", lora::write(folder.path(), "strong.gguf", 2, 2.0)),
        adapter("other", lora::write(folder.path(), "other.gguf", 3, 2.0)),
        Adapter { scale: 0.0, ..adapter("silenced", lora::write(folder.path(), "s.gguf", 2, 2.0)) },
    ];
    let bare = load(&config(), &[]).unwrap();
    let plain = answer(&bare).await;
    bare.shutdown();

    let engine = load(&config(), &adapters).unwrap();
    assert!(engine.variant("unknown").is_none());
    let mut asked = vec![engine.clone()];
    asked.extend(adapters.iter().map(|adapter| engine.variant(&adapter.name).unwrap()));
    let mut alone = Vec::new();
    for engine in &asked {
        alone.push(answer(engine).await);
    }
    same::compare("the model itself", true, &[plain], &alone[..1]);
    let plain = tokens(&alone[0]);
    for nothing in [1, 4] {
        assert_eq!(tokens(&alone[nothing]), plain, "what changes nothing changes nothing");
    }
    let (strong, other) = (tokens(&alone[2]), tokens(&alone[3]));
    assert!(strong != plain && other != plain && strong != other, "{strong:?} {other:?}");
    assert_eq!(engine.stats().reused_tokens, 0, "the same words, computed by another adapter");

    // Three of each, in one batch; then once more, from the cache. ggml multiplies matrices in
    // single precision, as adapters' are, otherwise for one token than for several.
    for _ in 0..2 {
        let company = asked.iter().cycle().take(3 * asked.len());
        let answers = join_all(company.map(answer)).await;
        for (at, answer) in answers.into_iter().enumerate() {
            let of = at % asked.len();
            let exact = of == 0;
            same::compare(&format!("variant {of} in company"), exact, &alone[of..=of], &[answer]);
        }
    }
    assert!(engine.stats().reused_tokens > 0);
}

#[tokio::test]
async fn an_answer_says_which_variant_gave_it() {
    let folder = tempfile::tempdir().unwrap();
    let adapters = [adapter("legal", lora::write(folder.path(), "a.gguf", 1, 1.0))];
    let engine = load(&config(), &adapters).unwrap();
    let reply = support::begin(&engine.variant("legal").unwrap(), chat("Hello", 1)).await.unwrap();
    assert_eq!(&*reply.model, "legal");
}

#[test]
fn what_is_no_adapter_of_this_model_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |path| match load(&config(), &[adapter("legal", path)]) {
        Err(LoadError::Adapter { name, reason, .. }) if name == "legal" => reason,
        other => panic!("{other:?}"),
    };
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let whole = std::fs::read(lora::write(folder.path(), "whole.gguf", 1, 1.0)).unwrap();
    assert!(refused(folder.path().join("missing")).contains("No such file"));
    assert!(!refused(file("empty", b"")).is_empty());
    assert!(!refused(file("text", b"not a model at all")).is_empty());
    for cut in [10, 100, whole.len() / 2, whole.len() - 1] {
        assert!(!refused(file("cut", &whole[..cut])).is_empty(), "cut at {cut}");
    }
    assert!(refused(model_path()).contains("adapter"), "a whole model");
    let of = |architecture, width| lora::write_for(architecture, width, folder.path(), "w", 1, 1.0);
    assert!(refused(of("qwen2", 576)).contains("arch"));
    assert!(refused(of("llama", 512)).contains("shape"));
}
