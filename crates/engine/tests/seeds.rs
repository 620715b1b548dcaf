//! A seed's answer is the same alone and in company, on the real model.

#![allow(clippy::unwrap_used, reason = "a panic here is the report")]

mod support;

use futures_util::future::join_all;
use message::Chat;
use support::{chat, complete, engine, text};

fn seeded(words: &str, seed: i64) -> Chat {
    let mut chat = chat(words, 20);
    chat.sampling.temperature = Some(1.into());
    chat.sampling.seed = Some(seed);
    chat
}

#[tokio::test]
async fn the_same_seed_says_the_same_in_any_company() {
    let engine = engine();
    let asked = || seeded("Tell me about granite.", 7);
    let alone = text(&complete(&engine, asked()).await.unwrap());
    let mut calls = vec![asked(), asked()];
    calls.extend((0..5).map(|seed| seeded("Count to twenty, then say which numbers are even.", seed)));
    let answers = join_all(calls.into_iter().map(|chat| complete(&engine, chat))).await;
    for answer in &answers[..2] {
        assert_eq!(text(answer.as_ref().unwrap()), alone);
    }
    let other = text(&complete(&engine, seeded("Tell me about granite.", 8)).await.unwrap());
    assert_ne!(other, alone);
}
