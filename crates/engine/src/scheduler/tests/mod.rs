//! The scheduler over a scripted backend: deterministic, no model, no thread, no clock.

use message::{Event, FinishReason};

mod guesses;
mod model;
mod sharing;
mod turns;

use model::{Model, alphabet, of_everything};

use super::pace::Stretch;
use super::*;
use crate::grammar::Rules;
use crate::outlet::{Inlet, Outlet};
use crate::output::Writer;
use crate::sampler::{Sampler, SamplingParams};
use crate::vocabulary::Token;

fn vocabulary() -> Arc<Vocabulary> {
    let mut vocabulary = Vocabulary::default();
    (b'a'..=b'z').for_each(|letter| vocabulary.push(&[letter], false));
    vocabulary.push(b"", true);
    Arc::new(vocabulary)
}

fn scheduler(cells: usize, slots: u32) -> Scheduler<Model> {
    scheduler_of(Model::new(cells, alphabet), slots)
}

fn scheduler_of(model: Model, slots: u32) -> Scheduler<Model> {
    let cache =
        CacheLimits { sequences: slots + 8, kept_cells: model.cells(), saved_bytes: 1 << 20, sharing: true };
    let limits = Limits {
        slots,
        prefill_tokens: 8,
        inter_token: None,
        longest_step: Duration::from_secs(1),
        stalled_reader: Duration::from_secs(10),
        speculate: true,
        cache,
    };
    Scheduler::new(model, vocabulary(), limits, Arc::default())
}

fn origin(principal: &str) -> Origin {
    let root = Root { domain: principal.into(), adapter: "".into() };
    Origin { principal: principal.into(), root, adapter: 0, batch: false, deadline: None }
}

/// A call with a prompt of letters, all `a` but the last.
fn call(length: usize, last: u8, max_tokens: usize) -> (NewSequence, Inlet) {
    call_with_room(length, last, max_tokens, 64)
}

fn call_with_room(length: usize, last: u8, max_tokens: usize, room: usize) -> (NewSequence, Inlet) {
    let (events, items) = Outlet::pair(room);
    let mut tokens = vec![0; length];
    tokens[length - 1] = Token::from(last - b'a');
    let new = NewSequence {
        pictures: Vec::new(),
        origin: origin("somebody"),
        sampler: Sampler::new(SamplingParams::default(), &tokens),
        tokens,
        max_tokens,
        at_max: FinishReason::MaxTokens,
        logprobs: None,
        turn_stops: Vec::new(),
        one_tool_call: false,
        rules: Rules::Free,
        thinking: None,
        writer: Writer::new(Vec::new(), None),
        events,
    };
    (new, items)
}

/// What a client has received so far: text, and how it ended.
fn received(items: &mut Inlet) -> (String, Option<Result<FinishReason, Failure>>) {
    let (mut text, mut end) = (String::new(), None);
    while let Some(item) = items.try_recv() {
        let events = match item {
            Ok(events) => events,
            Err(failure) => {
                end = Some(Err(failure));
                continue;
            }
        };
        for event in events {
            match event {
                Event::Delta { delta: message::Delta::Text { text: more, .. }, .. } => text.push_str(&more),
                Event::Finish { reason, .. } => end = Some(Ok(reason)),
                _ => {}
            }
        }
    }
    (text, end)
}

fn run(scheduler: &mut Scheduler<Model>) -> usize {
    let now = Instant::now();
    (0..10_000).take_while(|_| scheduler.step(now) == Progress::Worked).count()
}

fn steps(scheduler: &mut Scheduler<Model>, steps: usize) {
    for _ in 0..steps {
        scheduler.step(Instant::now());
    }
}

#[test]
fn a_call_runs_to_its_end() {
    let mut scheduler = scheduler(100, 4);
    let (new, mut items) = call(3, b'w', 10);
    scheduler.add(new);
    run(&mut scheduler);
    assert_eq!(received(&mut items), ("xyz".into(), Some(Ok(FinishReason::EndTurn))));
    assert!(scheduler.is_idle());
    assert_eq!(scheduler.backend.used(), 0, "less than a block is not kept");
}

#[test]
fn calls_share_every_step() {
    let mut scheduler = scheduler(100, 4);
    let calls: Vec<_> = (0..4).map(|_| call(1, b'a', 5)).collect();
    let mut readers = Vec::new();
    for (new, items) in calls {
        scheduler.add(new);
        readers.push(items);
    }
    assert_eq!(run(&mut scheduler), 5, "five tokens each, in five steps for all");
    for mut items in readers {
        assert_eq!(received(&mut items), ("bcdef".into(), Some(Ok(FinishReason::MaxTokens))));
    }
}

#[test]
fn a_long_prompt_does_not_stop_those_who_decode() {
    let mut scheduler = scheduler(100, 4);
    let (short, mut short_items) = call(1, b'a', 20);
    scheduler.add(short);
    scheduler.step(Instant::now());
    let (long, mut long_items) = call(20, b'a', 2);
    scheduler.add(long);
    for _ in 0..5 {
        scheduler.step(Instant::now());
        let batch = scheduler.backend.batches.last().unwrap();
        let (short, long): (Vec<&BatchToken>, Vec<&BatchToken>) =
            batch.iter().partition(|entry| entry.sequence == 0);
        assert_eq!(short.len(), 1, "one of the decoder");
        assert!((1..=2).contains(&long.len()), "a small bite: the step takes no more than twice as long");
    }
    assert_eq!(received(&mut short_items).0, "bcdefg");
    run(&mut scheduler);
    assert_eq!(received(&mut long_items).0, "bc");
}

#[test]
fn a_prompt_alone_takes_large_chunks() {
    let mut scheduler = scheduler(100, 4);
    scheduler.add(call(20, b'a', 1).0);
    let (new, _items) = call(20, b'a', 1);
    scheduler.add(new);
    scheduler.step(Instant::now());
    assert_eq!(scheduler.backend.batches[0].len(), 8);
    scheduler.limits.prefill_tokens = 512;
    scheduler.pace = Pace::new(None, Duration::from_millis(100));
    let stretch = Stretch { position: 0, tokens: 8 };
    (0..3).for_each(|_| scheduler.pace.observe(0, &[stretch], Duration::from_millis(80)));
    scheduler.step(Instant::now());
    assert_eq!(scheduler.backend.batches[1].len(), 10, "as much as there is time for");
}

#[test]
fn who_leaves_is_gone_before_the_next_step() {
    let mut scheduler = scheduler(100, 1);
    let (first, items) = call(1, b'a', 20);
    let (second, mut second_items) = call(1, b'x', 20);
    scheduler.add(first);
    scheduler.add(second);
    scheduler.step(Instant::now());
    drop(items);
    scheduler.step(Instant::now());
    assert_eq!(received(&mut second_items).0, "y", "the slot went to the next in the same step");
    assert_eq!(scheduler.counters.cancelled.load(Ordering::Relaxed), 1);
}

#[test]
fn when_the_cache_is_full_the_youngest_gives_way_and_loses_nothing() {
    let mut scheduler = scheduler(16, 4);
    let mut readers = Vec::new();
    for _ in 0..3 {
        let (new, items) = call(2, b'a', 10);
        scheduler.add(new);
        readers.push(items);
    }
    run(&mut scheduler);
    for mut items in readers {
        assert_eq!(received(&mut items), ("bcdefghijk".into(), Some(Ok(FinishReason::MaxTokens))));
    }
    assert!(scheduler.counters.preempted.load(Ordering::Relaxed) > 0);
}

#[test]
fn the_backend_running_out_of_room_is_survived() {
    let mut scheduler = scheduler(100, 4);
    let (first, mut first_items) = call(1, b'a', 3);
    let (second, mut second_items) = call(1, b'a', 3);
    scheduler.add(first);
    scheduler.add(second);
    scheduler.backend.outcomes.push_back(StepError::NoRoom);
    run(&mut scheduler);
    assert_eq!(received(&mut first_items).0, "bcd");
    assert_eq!(received(&mut second_items).0, "bcd");
}

#[test]
fn a_failed_step_ends_its_calls_and_not_the_engine() {
    let mut scheduler = scheduler(100, 4);
    let (first, mut items) = call(1, b'a', 3);
    scheduler.add(first);
    scheduler.backend.outcomes.push_back(StepError::Failed(-3));
    scheduler.step(Instant::now());
    let (_, end) = received(&mut items);
    assert_eq!(end.unwrap().unwrap_err().kind, ErrorKind::Internal);
    let (next, mut items) = call(1, b'a', 3);
    scheduler.add(next);
    run(&mut scheduler);
    assert_eq!(received(&mut items).0, "bcd");
}

#[test]
fn a_reader_that_stops_pauses_its_call_alone_and_not_for_ever() {
    let mut scheduler = scheduler(100, 4);
    let (slow, mut slow_items) = call_with_room(1, b'a', 20, 3);
    let (quick, mut quick_items) = call(1, b'a', 20);
    scheduler.add(slow);
    scheduler.add(quick);
    let began = Instant::now();
    while scheduler.step(began) == Progress::Worked {}
    assert_eq!(received(&mut quick_items).0.len(), 20);
    assert_eq!(scheduler.step(began), Progress::Stalled);
    // Reading lets it go on.
    assert_eq!(received(&mut slow_items).0, "bc");
    assert_eq!(scheduler.step(began), Progress::Worked);
    while scheduler.step(began) == Progress::Worked {}
    // Not reading for ten seconds ends it.
    let later = began + Duration::from_secs(11);
    assert_eq!(scheduler.step(later), Progress::Idle);
    assert_eq!(received(&mut slow_items).1.unwrap().unwrap_err().kind, ErrorKind::Timeout);
}

#[test]
fn failing_all_tells_the_waiting_too() {
    let mut scheduler = scheduler(100, 1);
    let (first, mut first_items) = call(1, b'a', 20);
    let (second, mut second_items) = call(1, b'a', 20);
    scheduler.add(first);
    scheduler.add(second);
    scheduler.step(Instant::now());
    scheduler.fail_all(&Failure::new(ErrorKind::Unavailable, "closing"));
    for items in [&mut first_items, &mut second_items] {
        assert_eq!(received(items).1.unwrap().unwrap_err().kind, ErrorKind::Unavailable);
    }
    assert!(scheduler.is_idle());
}
