//! Many calls at once: same answers as alone, everybody is served, nobody lingers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic here is the report")]

mod support;

use engine::{Config, Engine};
use futures_util::StreamExt;
use futures_util::future::join_all;
use message::{Chat, Completion, ErrorKind, Event, FinishReason, OutputFormat};
use support::{begin, chat, complete, config, engine, model_path, text, until};

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

/// A seed shared between calls would never give the same answer again.
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
    for _ in 0..2 {
        let company = [seeded(5), seeded(6), seeded(5), seeded(7)].map(|asked| complete(&engine, asked));
        let texts: Vec<String> =
            join_all(company).await.into_iter().map(|answer| text(&answer.unwrap())).collect();
        assert!(texts[0] == alone && texts[2] == alone, "{texts:?} for {alone:?}");
        assert!(texts[1] != alone && texts[3] != alone, "other seeds draw otherwise");
    }
}

/// A call that can only say `words`. Greedy answers may differ by a rounding error from
/// one company to another (see `backend/llama.rs`); these show for certain that nothing
/// is lost, doubled or mixed up.
fn saying(words: &str) -> Chat {
    let mut asked = chat("Say it.", 400);
    let schema = serde_json::json!({ "const": words });
    asked.output = OutputFormat::JsonSchema { name: None, description: None, schema, strict: None };
    asked
}

#[tokio::test]
async fn thirty_two_streams_complete_and_half_gone_the_rest_finish() {
    let engine = engine();
    let streams = (0..32).map(|number| {
        let engine = engine.clone();
        async move {
            let words = format!("Stream {number} says {}, and nothing else.", number * 7919);
            let mut stream = begin(&engine, saying(&words)).await.unwrap().events;
            let mut completion = Completion::default();
            while let Some(event) = stream.next().await {
                completion.push(event.unwrap());
                // Every second client leaves midway.
                if number % 2 == 1 && text(&completion).len() > 8 {
                    return 0;
                }
            }
            assert_eq!(completion.finish, Some(FinishReason::EndTurn));
            assert_eq!(text(&completion), format!("\"{words}\""));
            1
        }
    });
    let finished: i32 = join_all(streams).await.into_iter().sum();
    assert_eq!(finished, 16);
    until(&engine, |stats| stats.busy == 0 && stats.queued == 0).await;
}

/// A call that cannot end by itself soon: its answer must be a list of a thousand.
fn endless() -> Chat {
    let mut asked = chat("Go on.", 2000);
    let schema = serde_json::json!({ "type": "array", "items": { "const": 1 }, "minItems": 1000 });
    asked.output = OutputFormat::JsonSchema { name: None, description: None, schema, strict: None };
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
async fn a_batch_call_gives_way_and_goes_on() {
    let engine = own(|config| config.slots = 1);
    let batch = Chat { priority: Some(message::Priority::Batch), ..endless() };
    let reply = begin(&engine, batch).await.unwrap();
    assert_eq!(reply.priority, message::Priority::Batch);
    let (mut events, mut late) = (reply.events, Completion::default());
    late.push(events.next().await.unwrap().unwrap());
    assert!(complete(&engine, chat("Hi", 4)).await.is_ok());
    let stats = engine.stats();
    assert_eq!((stats.preempted, stats.completed), (1, 1), "who is waited for is first: {stats:?}");
    while text(&late).matches('1').count() < 100 {
        late.push(events.next().await.unwrap().unwrap());
    }
    assert!(text(&late).chars().all(|char| "[1, \n\t".contains(char)), "it went on where it was: {late:?}");
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
    let message::Retry::After(first) = failure.retry else { panic!("{failure:?}") };
    assert!(failure.message.contains(&format!("try again in {} s", first.as_secs())), "{failure}");
    let failure = begin(&engine, chat("Hi", 4)).await.unwrap_err();
    let message::Retry::After(second) = failure.retry else { panic!("{failure:?}") };
    assert!(second > first, "the next one is told to come after: {first:?}, {second:?}");
    drop(running);
    assert!(waiting.await.unwrap().is_ok(), "the one that waited is served");
}

#[tokio::test]
async fn more_calls_than_the_cache_holds_are_all_answered() {
    // Each needs about 40 + 100 cells; six of them need more than 512.
    let engine = own(|config| config.context_tokens = 512);
    let words =
        |number: usize| (0..40).map(|word| (word * 37 + number * 11).to_string() + " ").collect::<String>();
    let answers = join_all((0..6).map(|number| complete(&engine, saying(&words(number))))).await;
    for (number, answer) in answers.into_iter().enumerate() {
        assert_eq!(text(&answer.unwrap()), format!("\"{}\"", words(number)));
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
    assert!(before <= 40 + 8, "the slow one paused when its buffer was full: {before}");
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
