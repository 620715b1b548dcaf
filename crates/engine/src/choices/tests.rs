//! Answers that are made up, to see how they are merged; the real model gives several in
//! `tests/choices.rs`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::{FutureExt, StreamExt, stream};
use message::{Delta, Dialect, FinishReason};

use super::*;

type Item = Result<Event, Failure>;

fn text(text: &str) -> Item {
    Ok(Event::Delta { index: 0, delta: Delta::text(text) })
}

fn used(input_tokens: u64, cache_read_tokens: u64, output_tokens: u64) -> Item {
    Ok(Event::Usage(Usage { input_tokens, cache_read_tokens, output_tokens, ..Usage::default() }))
}

fn finish() -> Item {
    Ok(Event::Finish { reason: FinishReason::EndTurn, stop_sequence: None })
}

/// Begins answers that say these, each at once.
fn begin(answers: Vec<Vec<Item>>) -> Result<Choices, Failure> {
    let answers = answers.into_iter().map(|items| {
        let events: EventStream = Box::pin(stream::iter(items));
        std::future::ready(Ok(events))
    });
    Choices::begin(answers).now_or_never().expect("nothing is waited for")
}

fn all(choices: Choices) -> Vec<Item> {
    choices.collect().now_or_never().expect("nothing is waited for")
}

#[test]
fn answers_are_told_apart_and_counted_together() {
    let first = vec![used(0, 9, 1), text("a"), used(0, 9, 2), finish()];
    let second = vec![used(9, 0, 1), text("b"), used(9, 0, 3), finish()];
    let further = |item: Item| item.map(|event| Event::Choice { index: 1, event: Box::new(event) });
    let said = all(begin(vec![first, second]).unwrap());
    let expected = [
        used(0, 9, 1),
        used(9, 0, 2),
        text("a"),
        further(text("b")),
        used(9, 0, 3),
        used(9, 0, 5),
        finish(),
        further(finish()),
    ];
    assert_eq!(said, expected, "the prompt once, as it was computed, and every token said");
}

#[test]
fn one_failure_is_the_calls_and_ends_the_others() {
    let failure = || Failure::new(ErrorKind::Timeout, "too late");
    let early = begin(vec![vec![Err(failure())], vec![text("b"), finish()]]);
    assert_eq!(early.err(), Some(failure()), "before anything was said: the call's own");
    let said = all(begin(vec![vec![text("a"), finish()], vec![Err(failure())]]).unwrap());
    assert_eq!(said, [text("a"), Err(failure())]);
}

#[test]
fn an_answer_that_was_cut_does_not_pass_for_a_whole_one() {
    let said = all(begin(vec![vec![text("a"), finish()], vec![]]).unwrap());
    assert_eq!(said, [text("a"), Err(cut())]);
}

#[test]
fn dropping_it_drops_every_answer() {
    let alive = Arc::new(());
    let answers = (0..3).map(|_| {
        let alive = Arc::clone(&alive);
        async move {
            let events: EventStream =
                Box::pin(stream::unfold(alive, |alive| async { Some((text("a"), alive)) }));
            Ok(events)
        }
    });
    let choices = Choices::begin(answers).now_or_never().expect("at once").unwrap();
    assert_eq!(Arc::strong_count(&alive), 4);
    drop(choices);
    assert_eq!(Arc::strong_count(&alive), 1);
}

#[test]
fn answers_that_wait_keep_nobody_from_speaking() {
    let polled = Arc::new(AtomicUsize::new(0));
    let waits = Arc::clone(&polled);
    let answers = (0..2).map(|choice| {
        let waits = Arc::clone(&waits);
        async move {
            if choice == 0 {
                waits.fetch_add(1, Ordering::Relaxed);
                std::future::pending::<()>().await;
            }
            let events: EventStream = Box::pin(stream::iter([text("b"), finish()]));
            Ok(events)
        }
    });
    let mut choices = Choices::begin(answers).now_or_never().expect("the second speaks").unwrap();
    assert!(matches!(choices.next().now_or_never(), Some(Some(Ok(Event::Choice { index: 1, .. })))));
    assert!(matches!(choices.next().now_or_never(), Some(Some(Ok(Event::Choice { index: 1, .. })))));
    assert!(choices.next().now_or_never().is_none(), "the first is still to come");
    assert_eq!(polled.load(Ordering::Relaxed), 1);
}

#[test]
fn a_seed_decides_every_answer() {
    let mut chat = Chat::new(Dialect::OpenAiChat);
    chat.sampling.seed = Some(i64::MAX);
    assert!(matches!(one(&chat, 0), Cow::Borrowed(_)), "the usual call is not copied");
    chat.choices = 3;
    let seeds = [0, 1, 2].map(|choice| one(&chat, choice).sampling.seed);
    assert_eq!(seeds, [Some(i64::MAX), Some(i64::MIN), Some(i64::MIN + 1)]);
    assert_eq!(one(&chat, 1).choices, 1);
    chat.sampling.seed = None;
    assert_eq!(one(&chat, 1).sampling.seed, None);
}

#[test]
fn more_than_there_is_room_for_is_refused() {
    assert_eq!(check(16, 100), Ok(()));
    let refused = |wanted, places| check(wanted, places).unwrap_err();
    assert_eq!(refused(17, 100).kind, ErrorKind::Unsupported);
    assert_eq!(refused(17, 100).param.as_deref(), Some("n"));
    assert!(refused(3, 2).message.contains("at most 2"), "{}", refused(3, 2).message);
}
