//! Whose turn it is: principals, batch and interactive, deadlines.

use super::*;

fn from(principal: &str, length: usize, max_tokens: usize) -> (NewSequence, Inlet) {
    let (new, items) = call_with_room(length, b'a', max_tokens, 1024);
    // No two alike: none waits for another.
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed) as Token;
    let tokens = new.tokens.iter().zip(0..).map(|(token, at)| token + (number >> (at % 8) & 1)).collect();
    (NewSequence { origin: origin(principal), tokens, ..new }, items)
}

/// A server flooded by one principal.
fn flooded(slots: u32) -> (Scheduler<Model>, Vec<Inlet>) {
    let mut scheduler = scheduler_of(Model::new(20_000, of_everything), slots);
    let mut readers = Vec::new();
    for _ in 0..100 {
        let (new, items) = from("heavy", 20, 200);
        scheduler.add(new);
        readers.push(items);
    }
    steps(&mut scheduler, 200);
    (scheduler, readers)
}

#[test]
fn who_asks_for_little_does_not_wait_behind_a_flood() {
    let (mut scheduler, _readers) = flooded(8);
    let (light, mut items) = from("light", 20, 5);
    scheduler.add(light);
    let mut steps = 0;
    while received(&mut items).0.is_empty() {
        scheduler.step(Instant::now());
        steps += 1;
        assert!(steps < 100);
    }
    assert!(steps <= 3, "{steps} steps to the first token");
    assert_eq!(scheduler.counters.preempted.load(Ordering::Relaxed), 1, "one of the flood gave way");
}

#[test]
fn two_who_ask_for_much_get_half_each() {
    let (mut scheduler, _heavy) = flooded(8);
    let mut readers = Vec::new();
    for _ in 0..100 {
        let (new, items) = from("other", 20, 200);
        scheduler.add(new);
        readers.push(items);
    }
    let served = |scheduler: &Scheduler<Model>, who: &str| scheduler.fair.served(who);
    steps(&mut scheduler, 300);
    let before = (served(&scheduler, "heavy"), served(&scheduler, "other"));
    steps(&mut scheduler, 2000);
    let heavy = served(&scheduler, "heavy") - before.0;
    let other = served(&scheduler, "other") - before.1;
    let share = heavy as f64 / (heavy + other) as f64;
    assert!((0.45..=0.55).contains(&share), "{share}");
}

#[test]
fn a_flood_that_stands_alone_gets_everything() {
    let (mut scheduler, _readers) = flooded(8);
    scheduler.step(Instant::now());
    assert_eq!(scheduler.running.len(), 8);
    assert_eq!(scheduler.counters.preempted.load(Ordering::Relaxed), 0);
}

#[test]
fn batch_calls_take_what_is_left() {
    let mut scheduler = scheduler_of(Model::new(20_000, of_everything), 2);
    let mut batch = Vec::new();
    for _ in 0..4 {
        let (mut new, items) = from("nightly", 20, 50);
        new.origin.batch = true;
        scheduler.add(new);
        batch.push(items);
    }
    steps(&mut scheduler, 20);
    let (first, mut first_items) = from("nightly", 20, 10);
    let (second, mut second_items) = from("nightly", 20, 10);
    scheduler.add(first);
    scheduler.add(second);
    scheduler.step(Instant::now());
    assert!(scheduler.running.iter().all(|call| !call.origin().batch), "both places are taken at once");
    run(&mut scheduler);
    assert_eq!(received(&mut first_items).0.len(), 10);
    assert_eq!(received(&mut second_items).0.len(), 10);
    for mut items in batch {
        assert_eq!(received(&mut items).0.len(), 50, "and nothing is lost of those that gave way");
    }
}

#[test]
fn an_interactive_call_does_not_wait_for_a_batch_call_to_compute_its_beginning() {
    let mut scheduler = scheduler_of(Model::new(20_000, of_everything), 4);
    let (mut leader, _leader_items) = call_with_room(400, b'a', 5, 64);
    leader.origin.batch = true;
    scheduler.add(leader);
    scheduler.step(Instant::now());
    let (follower, _items) = call_with_room(400, b'a', 5, 64);
    scheduler.add(follower);
    scheduler.step(Instant::now());
    assert_eq!(scheduler.running.len(), 2);
}

#[test]
fn who_waited_too_long_is_told_so() {
    let mut scheduler = scheduler(100, 1);
    let began = Instant::now();
    let (first, _first_items) = call(1, b'a', 20);
    let (mut second, mut items) = call(1, b'a', 20);
    second.origin.deadline = Some(began + Duration::from_secs(5));
    scheduler.add(first);
    scheduler.add(second);
    scheduler.step(began);
    assert!(received(&mut items).1.is_none());
    scheduler.step(began + Duration::from_secs(5));
    assert_eq!(received(&mut items).1.unwrap().unwrap_err().kind, ErrorKind::Timeout);
}
