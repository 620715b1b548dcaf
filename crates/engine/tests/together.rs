//! Many calls at once: same answers as alone, everybody is served, nobody lingers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic here is the report")]

mod support;

use std::time::Duration;

use engine::{Config, Engine};
use futures_util::StreamExt;
use futures_util::future::join_all;
use message::{Chat, Completion, ErrorKind, Event, FinishReason};
use support::{begin, chat, complete, config, engine, model_path, text};

const QUESTIONS: [&str; 8] = [
    "Name three colours.",
    "Write a short poem about rain.",
    "What is two plus two?",
    "Who wrote Hamlet?",
    "Explain gravity to a child.",
    "List the days of the week.",
    "What do cows eat?",
    "Translate 'good morning' to French.",
];

/// Waits until the engine's figures are as wanted, or fails.
async fn until(engine: &Engine, wanted: impl Fn(engine::Stats) -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while !wanted(engine.stats()) {
        assert!(tokio::time::Instant::now() < deadline, "still {:?}", engine.stats());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn greedy_answers_are_the_same_alone_and_in_a_batch_of_eight() {
    let engine = engine();
    let mut alone = Vec::new();
    for question in QUESTIONS {
        alone.push(text(&complete(&engine, chat(question, 24)).await.unwrap()));
    }
    let together = join_all(QUESTIONS.map(|question| complete(&engine, chat(question, 24)))).await;
    let together: Vec<String> = together.into_iter().map(|answer| text(&answer.unwrap())).collect();
    assert_eq!(alone, together);
}

#[tokio::test]
async fn a_seed_gives_the_same_answer_also_in_company() {
    let engine = engine();
    let seeded = |seed: i64| {
        let mut asked = chat("Tell me a story about a fox.", 24);
        asked.sampling.temperature = serde_json::Number::from_f64(1.0);
        asked.sampling.seed = Some(seed);
        asked
    };
    let alone = text(&complete(&engine, seeded(5)).await.unwrap());
    let company =
        join_all([seeded(5), seeded(6), seeded(5), seeded(7)].map(|asked| complete(&engine, asked))).await;
    let texts: Vec<String> = company.into_iter().map(|answer| text(&answer.unwrap())).collect();
    assert_eq!(texts[0], alone);
    assert_eq!(texts[2], alone);
    assert!(texts[1] != alone || texts[3] != alone);
}

#[tokio::test]
async fn thirty_two_streams_complete_and_half_gone_the_rest_finish() {
    let engine = engine();
    let streams = (0..32).map(|number| {
        let engine = engine.clone();
        async move {
            let asked = chat(QUESTIONS[number % 8], 16);
            let mut stream = begin(&engine, asked).await.unwrap().events;
            let mut completion = Completion::default();
            while let Some(event) = stream.next().await {
                completion.push(event.unwrap());
                // Every second client leaves midway.
                if number % 2 == 1
                    && completion
                        .content
                        .first()
                        .and_then(|block| block.as_text())
                        .is_some_and(|text| text.len() > 8)
                {
                    return None;
                }
            }
            Some((number, completion))
        }
    });
    let finished: Vec<(usize, Completion)> = join_all(streams).await.into_iter().flatten().collect();
    assert!(finished.iter().filter(|(number, _)| number % 2 == 0).count() == 16);
    for (number, completion) in &finished {
        let alike = finished.iter().find(|(other, _)| other % 8 == number % 8).unwrap();
        assert_eq!(completion.content, alike.1.content, "answers are not mixed up");
    }
    until(&engine, |stats| stats.busy == 0 && stats.queued == 0).await;
}

fn endless() -> Chat {
    let mut asked = chat("Count from one to one thousand, in words.", 2000);
    asked.sampling.frequency_penalty = None;
    asked
}

/// An engine of its own, for tests that look at its figures.
fn own(change: impl FnOnce(&mut Config)) -> Engine {
    let mut config = Config { context_tokens: 4096, ..config() };
    change(&mut config);
    Engine::load(&model_path(), "own", config).unwrap()
}

#[tokio::test]
async fn a_client_that_leaves_frees_its_slot_within_a_step() {
    let engine = own(|_| {});
    let mut stream = begin(&engine, endless()).await.unwrap().events;
    stream.next().await.unwrap().unwrap();
    assert_eq!(engine.stats().busy, 1);
    drop(stream);
    let steps = engine.stats().decoded_tokens;
    until(&engine, |stats| stats.busy == 0).await;
    let stats = engine.stats();
    assert!(stats.decoded_tokens <= steps + 2, "{stats:?}");
    assert_eq!((stats.cancelled, stats.queued), (1, 0));
}

#[tokio::test]
async fn a_full_queue_turns_away_with_advice() {
    let engine = own(|config| (config.slots, config.queue) = (1, 1));
    let mut running = begin(&engine, endless()).await.unwrap().events;
    running.next().await.unwrap().unwrap();
    let waiting = tokio::spawn({
        let engine = engine.clone();
        async move { complete(&engine, chat("Hi", 4)).await }
    });
    until(&engine, |stats| stats.queued == 1).await;
    let failure = begin(&engine, chat("Hi", 4)).await.unwrap_err();
    assert_eq!(failure.kind, ErrorKind::Overloaded);
    assert!(matches!(failure.retry, message::Retry::After(_)));
    drop(running);
    assert!(waiting.await.unwrap().is_ok(), "the one that waited is served");
}

#[tokio::test]
async fn more_calls_than_the_cache_holds_are_all_answered() {
    // Each needs about 40 + 100 cells; six of them need more than 512.
    let engine = own(|config| config.context_tokens = 512);
    let asked = || {
        let mut asked = chat("Tell me a long story about the sea.", 100);
        asked.sampling.stop = Vec::new();
        asked
    };
    let alone = complete(&engine, asked()).await.unwrap();
    let answers = join_all((0..6).map(|_| complete(&engine, asked()))).await;
    for answer in answers {
        assert_eq!(answer.unwrap().content, alone.content);
    }
    assert!(engine.stats().preempted > 0, "{:?}", engine.stats());
}

#[tokio::test]
async fn a_slow_reader_does_not_stall_the_others() {
    let engine = own(|config| config.event_buffer = 4);
    let mut slow = begin(&engine, endless()).await.unwrap().events;
    slow.next().await.unwrap().unwrap();
    let answer = complete(&engine, chat("Count from one to fifty.", 40)).await.unwrap();
    assert_eq!(answer.finish, Some(FinishReason::MaxTokens));
    until(&engine, |stats| stats.busy == 1).await;
    let before = engine.stats().decoded_tokens;
    assert!(before < 40 + 20, "the slow one paused: {before}");
    // Reading again lets it go on.
    let mut texts = 0;
    while texts < 30 {
        texts += usize::from(matches!(slow.next().await, Some(Ok(Event::Delta { .. }))));
    }
}

#[tokio::test]
async fn shutting_down_ends_calls_with_a_word() {
    let engine = own(|_| {});
    let mut stream = begin(&engine, endless()).await.unwrap().events;
    stream.next().await.unwrap().unwrap();
    let handle = engine.clone();
    tokio::task::spawn_blocking(move || handle.shutdown()).await.unwrap();
    let last = stream.collect::<Vec<_>>().await.pop().unwrap();
    assert_eq!(last.unwrap_err().kind, ErrorKind::Unavailable);
    assert_eq!(begin(&engine, chat("Hi", 1)).await.unwrap_err().kind, ErrorKind::Unavailable);
    assert!(!engine.is_alive());
}
