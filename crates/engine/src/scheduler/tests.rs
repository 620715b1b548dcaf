//! The scheduler over a scripted backend: deterministic, no model, no thread, no clock.

use message::{Event, FinishReason};

use super::*;
use crate::grammar::Rules;
use crate::outlet::{Inlet, Outlet};
use crate::output::Writer;
use crate::sampler::{Sampler, SamplingParams};
use crate::vocabulary::Token;

/// The letters, and a token that ends a turn.
const VOCABULARY: usize = 27;

/// A model that continues the alphabet: after token n comes n + 1, after `z` the end.
/// Remembers its batches and what its cache holds, and fails or is full when told to.
struct Alphabet {
    cells: usize,
    cached: Vec<Vec<Token>>,
    batches: Vec<Vec<BatchToken>>,
    outcomes: VecDeque<StepError>,
    logits: Vec<Vec<f32>>,
}

impl Alphabet {
    fn new(cells: usize, slots: usize) -> Self {
        let (cached, batches) = (vec![Vec::new(); slots], Vec::new());
        Self { cells, cached, batches, outcomes: VecDeque::new(), logits: Vec::new() }
    }
}

impl Backend for Alphabet {
    fn cells(&self) -> usize {
        self.cells
    }

    fn step(&mut self, batch: &[BatchToken]) -> Result<(), StepError> {
        if let Some(error) = self.outcomes.pop_front() {
            return Err(error);
        }
        self.logits.clear();
        for entry in batch {
            let cached = &mut self.cached[entry.sequence as usize];
            assert_eq!(cached.len(), entry.position as usize, "tokens come in order, none twice");
            cached.push(entry.token);
            let mut logits = vec![0.0; VOCABULARY];
            logits[(entry.token as usize + 1).min(26)] = 9.0;
            self.logits.push(logits);
        }
        assert!(self.cached.iter().map(Vec::len).sum::<usize>() <= self.cells, "the cache holds no more");
        self.batches.push(batch.to_vec());
        Ok(())
    }

    fn logits(&self, index: usize) -> &[f32] {
        &self.logits[index]
    }

    fn release(&mut self, sequence: SequenceId) {
        self.cached[sequence as usize].clear();
    }
}

fn vocabulary() -> Arc<Vocabulary> {
    let mut vocabulary = Vocabulary::default();
    (b'a'..=b'z').for_each(|letter| vocabulary.push(&[letter], false));
    vocabulary.push(b"", true);
    Arc::new(vocabulary)
}

fn scheduler(cells: usize, slots: u32) -> Scheduler<Alphabet> {
    let limits = Limits {
        slots,
        prefill_tokens: 8,
        shared_prefill_tokens: 2,
        stalled_reader: Duration::from_secs(10),
    };
    Scheduler::new(Alphabet::new(cells, slots as usize), vocabulary(), limits, Arc::default())
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

fn run(scheduler: &mut Scheduler<Alphabet>) -> usize {
    let now = Instant::now();
    (0..10_000).take_while(|_| scheduler.step(now) == Progress::Worked).count()
}

#[test]
fn a_call_runs_to_its_end() {
    let mut scheduler = scheduler(100, 4);
    let (new, mut items) = call(3, b'w', 10);
    scheduler.add(new);
    run(&mut scheduler);
    assert_eq!(received(&mut items), ("xyz".into(), Some(Ok(FinishReason::EndTurn))));
    assert!(scheduler.is_idle());
    assert!(scheduler.backend.cached.iter().all(Vec::is_empty), "its cells are free again");
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
        assert_eq!(batch.iter().filter(|entry| entry.sequence == 0).count(), 1, "one of the decoder");
        assert_eq!(batch.iter().filter(|entry| entry.sequence == 1).count(), 2, "a small chunk");
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
