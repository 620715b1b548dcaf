//! Plain generation on the real model: text, limits, stops, counts, errors.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic here is the report")]

mod support;

use message::{Completion, ErrorKind, Event, FinishReason, Operation, Service};
use support::{chat, complete, engine, events, text};

const FRANCE: &str = "What is the capital of France? Answer in one word.";

#[tokio::test]
async fn an_answer_has_text_usage_and_a_reason() {
    let answer = complete(&engine(), chat(FRANCE, 40)).await.unwrap();
    assert!(text(&answer).contains("Paris"), "{answer:?}");
    assert_eq!(answer.finish, Some(FinishReason::EndTurn));
    assert!(answer.usage.input_tokens > 30, "the template's own words count: {:?}", answer.usage);
    assert!(answer.usage.output_tokens > 1);
}

#[tokio::test]
async fn events_come_in_their_order() {
    let events = events(&engine(), chat(FRANCE, 40)).await.unwrap();
    assert!(matches!(events[0], Event::Start { .. }));
    assert!(matches!(&events[1], Event::Usage(usage) if usage.input_tokens > 0));
    assert!(matches!(events[2], Event::BlockStart { index: 0, .. }));
    assert!(matches!(events.last(), Some(Event::Finish { .. })));
    let deltas = events.iter().filter(|event| matches!(event, Event::Delta { .. })).count();
    assert!(deltas > 1, "text comes in pieces");
}

#[tokio::test]
async fn max_tokens_is_exact() {
    let answer = complete(&engine(), chat("Count from one to fifty.", 7)).await.unwrap();
    assert_eq!(answer.finish, Some(FinishReason::MaxTokens));
    assert_eq!(answer.usage.output_tokens, 7);
}

#[tokio::test]
async fn a_stop_string_ends_the_answer_and_is_told() {
    let mut asked = chat("Count: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10. Repeat the numbers.", 60);
    let whole = text(&complete(&engine(), asked.clone()).await.unwrap());
    // A string that really comes, and that begins within a token.
    let at = whole.char_indices().nth(whole.chars().count() / 2).unwrap().0;
    let stop: String = whole[at..].chars().take(4).collect();
    asked.sampling.stop = vec!["never seen".into(), stop.clone()];
    let answer = complete(&engine(), asked).await.unwrap();
    assert_eq!(answer.finish, Some(FinishReason::StopSequence));
    assert_eq!(answer.stop_sequence.as_deref(), Some(stop.as_str()));
    assert_eq!(text(&answer), whole[..whole.find(&stop).unwrap()]);
}

#[tokio::test]
async fn counting_equals_what_an_answer_reports() {
    let engine = engine();
    let asked = chat(FRANCE, 1);
    let reply = engine.call(support::call(Operation::CountTokens, asked.clone())).await.unwrap();
    let mut counted = Completion::default();
    futures_util::StreamExt::collect::<Vec<_>>(reply.events)
        .await
        .into_iter()
        .for_each(|event| counted.push(event.unwrap()));
    let answer = complete(&engine, asked).await.unwrap();
    assert_eq!(counted.usage.input_tokens, answer.usage.input_tokens);
    assert_eq!(counted.usage.output_tokens, 0);
}

#[tokio::test]
async fn overflow_is_refused_before_any_work_and_says_the_numbers() {
    let engine = engine();
    let failure = complete(&engine, chat(FRANCE, 8192)).await.unwrap_err();
    assert_eq!(failure.kind, ErrorKind::ContextOverflow);
    assert!(failure.message.contains("8192") && failure.message.contains("tokens"), "{}", failure.message);
    let failure = complete(&engine, chat(&"word ".repeat(9000), 1)).await.unwrap_err();
    assert_eq!(failure.kind, ErrorKind::ContextOverflow);
    // Far too long: refused without cutting it into tokens.
    let failure = complete(&engine, chat(&"x".repeat(20_000_000), 1)).await.unwrap_err();
    assert_eq!(failure.kind, ErrorKind::ContextOverflow);
    assert!(failure.message.contains("at least"), "{}", failure.message);
}

#[tokio::test]
async fn control_tokens_in_a_users_words_stay_words() {
    let engine = engine();
    let count = async |words: &str| {
        let reply = engine.call(support::call(Operation::CountTokens, chat(words, 1))).await.unwrap();
        let events = futures_util::StreamExt::collect::<Vec<_>>(reply.events).await;
        events.into_iter().find_map(|event| match event {
            Ok(Event::Usage(usage)) => Some(usage.input_tokens),
            _ => None,
        })
    };
    let (plain, imitation) = (count("x").await.unwrap(), count("x<|im_end|>").await.unwrap());
    assert!(imitation > plain + 2, "one control token would be one token: {plain} {imitation}");
}

#[tokio::test]
async fn a_strict_call_is_refused_rather_than_answered_to_less() {
    let engine = engine();
    let mut asked = chat(FRANCE, 4);
    asked.extra.insert("store".to_owned(), true.into());
    let mut strict = support::call(Operation::Chat, asked.clone());
    strict.strict = true;
    let failure = engine.call(strict).await.unwrap_err();
    assert_eq!((failure.kind, failure.param.as_deref()), (ErrorKind::Unsupported, Some("store")));
    let reply = engine.call(support::call(Operation::Chat, asked)).await.unwrap();
    assert_eq!(reply.dropped[0].path, "store");
    let mut plain = support::call(Operation::Chat, chat(FRANCE, 4));
    plain.strict = true;
    assert!(engine.call(plain).await.is_ok(), "nothing is lost");
}
