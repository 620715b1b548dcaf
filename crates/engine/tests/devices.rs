//! The real model on every chip that is here: whole, in part, and on the processor alone.
//!
//! In a plain build that is the processor. A build for a GPU runs this on it; without one
//! a software driver will do (docs/hardware.md).

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic here is the report")]

mod support;

use engine::{Config, Engine, LoadError};
use futures_util::StreamExt;
use message::Completion;
use support::{model_path, text};

fn load(config: Config) -> Result<Engine, LoadError> {
    Engine::load(&model_path(), "default", Config { context_tokens: 1024, slots: 4, ..config })
}

fn computed_on(engine: &Engine) -> String {
    engine.model().unwrap().computed_on.clone()
}

/// A greedy continuation that any precision finds.
async fn answers(engine: &Engine) -> String {
    let mut events = engine.continue_greedily("The capital of France is", 8).await.unwrap();
    let mut completion = Completion::default();
    while let Some(event) = events.next().await {
        completion.push(event.unwrap());
    }
    text(&completion)
}

fn gpus() -> Vec<engine::Device> {
    let here = engine::devices(&Config::default()).unwrap();
    here.into_iter().filter(engine::Device::is_gpu).collect()
}

#[tokio::test]
async fn the_processor_alone_answers_in_any_build() {
    for config in [
        Config { devices: Some(Vec::new()), ..Config::default() },
        Config { gpu_layers: Some(0), ..Config::default() },
    ] {
        let engine = load(config).unwrap();
        assert_eq!(computed_on(&engine), "the processor");
        assert!(answers(&engine).await.contains("Paris"));
    }
}

#[tokio::test]
async fn a_model_is_computed_by_the_gpu_that_is_here() {
    let engine = load(Config::default()).unwrap();
    let on = computed_on(&engine);
    match gpus().first() {
        Some(gpu) => assert!(on.starts_with("all 31 layers on ") && on.contains(&gpu.name), "{on}"),
        None => assert_eq!(on, "the processor"),
    }
    let answer = answers(&engine).await;
    assert!(answer.contains("Paris"), "{on}: {answer}");
}

#[tokio::test]
async fn what_does_not_fit_stays_with_the_processor() {
    // Of 135 MiB of weights: some layers, and the buffers of a step.
    let tight = Config { gpu_memory_mib: Some(360), ..Config::default() };
    let told = Config { gpu_layers: Some(10), ..Config::default() };
    for (config, count) in [(tight, None), (told, Some(10))] {
        let engine = load(config).unwrap();
        let on = computed_on(&engine);
        if gpus().is_empty() {
            assert_eq!(on, "the processor");
        } else {
            let layers: u32 = on.split(' ').next().unwrap().parse().unwrap();
            assert!((1..31).contains(&layers) && count.is_none_or(|count| count == layers), "{on}");
        }
        let answer = answers(&engine).await;
        assert!(answer.contains("Paris"), "{on}: {answer}");
    }
}

#[test]
fn a_chip_that_is_not_here_is_an_error_that_lists_those_that_are() {
    let error = load(Config { devices: Some(vec!["Abacus0".to_owned()]), ..Config::default() }).unwrap_err();
    let told = error.to_string();
    assert!(told.contains("no `Abacus0` here") && told.contains("CPU ("), "{told}");
}
