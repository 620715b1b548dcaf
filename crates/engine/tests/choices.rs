//! Several answers to one call, on the real model.

#![allow(clippy::unwrap_used, reason = "a panic here is the report")]

mod support;

use std::sync::LazyLock;

use engine::{Config, Engine};
use futures_util::StreamExt;
use message::{Chat, Completion, Event, FinishReason};
use support::{begin, chat, complete, config, model_path, text, until};

/// Calls follow one another in it, so that nobody's company changes a rounding.
fn narrow() -> Engine {
    static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
        Engine::load(&model_path(), "smollm2", Config { slots: 1, ..config() }).expect("the model loads")
    });
    ENGINE.clone()
}

fn seeded(seed: i64, choices: u32) -> Chat {
    let mut chat = chat("Tell me a story about a fox.", 12);
    chat.sampling.temperature = Some(1.into());
    chat.sampling.seed = Some(seed);
    chat.choices = choices;
    chat
}

#[tokio::test]
async fn several_answers_are_those_of_the_seeds_and_cost_one_prompt() {
    let engine = narrow();
    let mut alone = Vec::new();
    for seed in 5..8 {
        alone.push(complete(&engine, seeded(seed, 1)).await.unwrap());
    }
    let before = engine.stats();
    let together = complete(&engine, seeded(5, 3)).await.unwrap();
    let after = engine.stats();
    let all: Vec<&Completion> = std::iter::once(&together).chain(&together.others).collect();
    assert_eq!(
        all.iter().map(|answer| text(answer)).collect::<Vec<_>>(),
        alone.iter().map(text).collect::<Vec<_>>()
    );
    assert!(all.iter().all(|answer| answer.finish == Some(FinishReason::MaxTokens)));
    assert_eq!(together.usage.total_input(), alone[0].usage.total_input(), "the prompt counts once");
    assert_eq!(together.usage.total_output(), 3 * alone[0].usage.total_output());
    let computed = after.prefilled_tokens - before.prefilled_tokens;
    assert!(computed < alone[0].usage.total_input(), "what was known is shared: {computed} computed");
    assert_eq!(after.completed - before.completed, 3);
}

#[tokio::test]
async fn who_leaves_leaves_all_answers() {
    let engine = Engine::load(&model_path(), "smollm2", Config { slots: 2, ..config() }).unwrap();
    let mut asked = seeded(1, 4);
    asked.sampling.max_tokens = Some(400);
    asked.sampling.extensions.ignore_eos = true;
    let mut events = begin(&engine, asked).await.unwrap().events;
    let mut spoke = [false; 4];
    // Two have slots and two wait: both of the first are heard before anybody leaves.
    while spoke.iter().filter(|spoke| **spoke).count() < 2 {
        match events.next().await.unwrap().unwrap() {
            Event::Choice { index, .. } => spoke[index as usize] = true,
            Event::Usage(_) => {}
            _ => spoke[0] = true,
        }
    }
    drop(events);
    until(&engine, |stats| stats.cancelled == 4).await;
    assert_eq!((engine.stats().busy, engine.stats().completed), (0, 0));
}

#[tokio::test]
async fn too_many_answers_are_refused() {
    let failure = complete(&narrow(), seeded(1, 17)).await.unwrap_err();
    assert_eq!((failure.kind, failure.param.as_deref()), (message::ErrorKind::Unsupported, Some("n")));
}
