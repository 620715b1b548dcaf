//! What calls share of the KV cache, and that it changes no answer.

use proptest::prelude::*;

use super::*;

/// A call of these tokens.
fn call_of(principal: &str, tokens: Vec<Token>, max_tokens: usize) -> (NewSequence, Inlet) {
    let (new, items) = call_with_room(1, b'a', max_tokens, 1024);
    (NewSequence { origin: origin(principal), tokens, ..new }, items)
}

/// What the model says to these tokens, without any cache.
fn said(tokens: &[Token], max_tokens: usize) -> String {
    let mut tokens = tokens.to_vec();
    let before = tokens.len();
    (0..max_tokens).for_each(|_| tokens.push(of_everything(&tokens)));
    tokens[before..].iter().map(|&token| char::from(b'a' + token as u8)).collect()
}

/// A text of its own kind.
fn text(seed: u32, length: usize) -> Vec<Token> {
    (0..length as u32).map(|at| (at * 7 + seed * 11 + at / 5) % 16).collect()
}

fn prefilled(scheduler: &Scheduler<Model>) -> u64 {
    scheduler.counters.prefilled.load(Ordering::Relaxed)
}

#[test]
fn one_beginning_that_comes_many_times_at_once_is_computed_once() {
    let mut scheduler = scheduler_of(Model::new(4000, of_everything), 8);
    let calls: Vec<Vec<Token>> = (0..8).map(|end| [text(1, 500), text(end, 10)].concat()).collect();
    let mut readers = Vec::new();
    for tokens in &calls {
        let (new, items) = call_of("a", tokens.clone(), 5);
        scheduler.add(new);
        readers.push(items);
    }
    run(&mut scheduler);
    for (items, tokens) in readers.iter_mut().zip(&calls) {
        assert_eq!(received(items).0, said(tokens, 5));
    }
    let computed = prefilled(&scheduler);
    assert!(computed < 500 + 8 * 26, "{computed}: the beginning once, and what follows it");
}

#[test]
fn what_was_computed_for_another_is_found_while_it_still_runs() {
    let mut scheduler = scheduler_of(Model::new(4000, of_everything), 8);
    let (first, mut first_items) = call_of("a", text(1, 200), 1000);
    scheduler.add(first);
    while received(&mut first_items).0.is_empty() {
        scheduler.step(Instant::now());
    }
    let before = prefilled(&scheduler);
    let tokens = [text(1, 200), text(2, 5)].concat();
    let (second, mut items) = call_of("a", tokens.clone(), 3);
    scheduler.add(second);
    steps(&mut scheduler, 20);
    assert_eq!(received(&mut items).0, said(&tokens, 3));
    assert!(prefilled(&scheduler) - before <= 20);
}

#[test]
fn the_next_turn_finds_the_answer_before_it() {
    let mut scheduler = scheduler_of(Model::new(4000, of_everything), 8);
    let mut tokens = text(1, 100);
    let (first, _items) = call_of("a", tokens.clone(), 60);
    scheduler.add(first);
    run(&mut scheduler);
    for _ in 0..60 {
        tokens.push(of_everything(&tokens));
    }
    tokens.extend(text(3, 4));
    let before = prefilled(&scheduler);
    let (second, mut items) = call_of("a", tokens.clone(), 3);
    scheduler.add(second);
    run(&mut scheduler);
    assert_eq!(received(&mut items).0, said(&tokens, 3));
    assert!(prefilled(&scheduler) - before <= 4 + 16);
}

#[test]
fn strangers_share_nothing() {
    let mut scheduler = scheduler_of(Model::new(4000, of_everything), 8);
    let (first, _items) = call_of("a", text(1, 100), 1);
    scheduler.add(first);
    run(&mut scheduler);
    assert_eq!(prefilled(&scheduler), 99);
    let (stranger, _items) = call_of("b", text(1, 100), 1);
    scheduler.add(stranger);
    run(&mut scheduler);
    assert_eq!(prefilled(&scheduler), 2 * 99);
    let (again, _items) = call_of("a", text(1, 100), 1);
    scheduler.add(again);
    run(&mut scheduler);
    assert_eq!(prefilled(&scheduler), 2 * 99 + 3, "all but what is no whole block");
}

#[test]
fn a_leader_that_leaves_lets_its_followers_go_on() {
    let mut scheduler = scheduler_of(Model::new(4000, of_everything), 8);
    let (leader, leader_items) = call_of("a", text(1, 300), 1);
    let (follower, mut items) = call_of("a", text(1, 300), 4);
    scheduler.add(leader);
    scheduler.add(follower);
    steps(&mut scheduler, 3);
    drop(leader_items);
    run(&mut scheduler);
    assert_eq!(received(&mut items).0, said(&text(1, 300), 4));
}

#[test]
fn what_was_evicted_comes_back_from_memory() {
    let mut scheduler = scheduler_of(Model::new(200, of_everything), 2);
    assert_eq!(answer_of(&mut scheduler, text(1, 150)), said(&text(1, 150), 4));
    assert_eq!(answer_of(&mut scheduler, text(2, 150)), said(&text(2, 150), 4));
    let before = prefilled(&scheduler);
    assert_eq!(answer_of(&mut scheduler, text(1, 150)), said(&text(1, 150), 4));
    assert!(prefilled(&scheduler) - before < 16);
    assert!(scheduler.counters.restored.load(Ordering::Relaxed) > 0);
}

fn disk(folder: &tempfile::TempDir, limit: u64) -> Disk {
    Disk::open(folder.path(), limit).unwrap()
}

fn answer_of(scheduler: &mut Scheduler<Model>, tokens: Vec<Token>) -> String {
    let (new, mut items) = call_of("a", tokens, 4);
    scheduler.add(new);
    run(scheduler);
    received(&mut items).0
}

#[test]
fn the_next_worker_goes_on_with_what_the_last_one_computed() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = scheduler_of(Model::new(400, of_everything), 2);
    first.attach(disk(&folder, 1 << 20));
    let expected = answer_of(&mut first, text(1, 150));
    first.leave(Duration::from_secs(60));

    let mut next = scheduler_of(Model::new(400, of_everything), 2);
    next.attach(disk(&folder, 1 << 20));
    assert_eq!(answer_of(&mut next, text(1, 150)), expected);
    assert!(prefilled(&next) < 16, "{}", prefilled(&next));
    let (new, mut items) = call_of("b", text(1, 150), 4);
    next.add(new);
    run(&mut next);
    assert_eq!(received(&mut items).0, expected);
    assert!(prefilled(&next) > 150, "others do not share it");
}

#[test]
fn what_memory_has_no_room_for_goes_to_disk_up_to_its_bound() {
    let folder = tempfile::tempdir().unwrap();
    let files =
        || std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().metadata().unwrap().len());
    let mut scheduler = scheduler_of(Model::new(200, of_everything), 2);
    let limits = CacheLimits { saved_bytes: 0, ..scheduler.limits.cache.clone() };
    scheduler.cache = PrefixCache::new(&scheduler.backend, limits);
    scheduler.attach(disk(&folder, 4000));
    for seed in 0..6 {
        answer_of(&mut scheduler, text(seed, 150));
        assert!(files().sum::<u64>() <= 4000);
    }
    let (kept, before) = (files().count(), prefilled(&scheduler));
    assert!(kept > 4, "{kept}");
    for seed in [4, 5, 4] {
        assert_eq!(answer_of(&mut scheduler, text(seed, 150)), said(&text(seed, 150), 4));
    }
    assert!(scheduler.counters.restored.load(Ordering::Relaxed) > 0);
    assert!(prefilled(&scheduler) - before < 3 * 150);
}

#[test]
fn a_damaged_file_is_computed_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = scheduler_of(Model::new(400, of_everything), 2);
    first.attach(disk(&folder, 1 << 20));
    let expected = answer_of(&mut first, text(1, 150));
    first.leave(Duration::from_secs(60));
    let mut files: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    for path in files.iter().step_by(2) {
        let mut bytes = std::fs::read(path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(path, bytes).unwrap();
    }
    let mut next = scheduler_of(Model::new(400, of_everything), 2);
    next.attach(disk(&folder, 1 << 20));
    assert_eq!(answer_of(&mut next, text(1, 150)), expected);
    assert!(prefilled(&next) > 16);
}

#[test]
fn nothing_is_kept_that_was_not_asked_for() {
    let mut scheduler = scheduler_of(Model::new(400, of_everything), 2);
    scheduler.cache = PrefixCache::new(
        &scheduler.backend,
        CacheLimits { kept_cells: 64, saved_bytes: 0, ..scheduler.limits.cache.clone() },
    );
    for seed in 0..4 {
        scheduler.add(call_of("a", text(seed, 150), 4).0);
        run(&mut scheduler);
    }
    assert!(scheduler.backend.used() <= 64, "{}", scheduler.backend.used());
    assert_eq!(scheduler.backend.used(), scheduler.cache.used());
}

#[test]
fn a_model_that_cannot_share_answers_all_the_same() {
    let model = Model::new(300, of_everything).that_cannot_share();
    let mut scheduler = scheduler_of(model, 4);
    let mut readers = Vec::new();
    for _ in 0..6 {
        let (new, items) = call_of("a", text(1, 90), 20);
        scheduler.add(new);
        readers.push(items);
    }
    run(&mut scheduler);
    for items in &mut readers {
        assert_eq!(received(items).0, said(&text(1, 90), 20));
    }
    assert_eq!(scheduler.backend.used(), 0);
}

/// Something that happens.
#[derive(Debug, Clone)]
enum Happening {
    Call {
        principal: bool,
        batch: bool,
        adapter: u32,
        seed: u32,
        shared: usize,
        own: usize,
        max_tokens: usize,
    },
    Leave(usize),
    Steps(usize),
    Full,
}

fn happening() -> impl Strategy<Value = Happening> {
    let call = (any::<bool>(), any::<bool>(), 0..3u32, 0..3u32, 0..60usize, 1..20usize, 1..30usize);
    prop_oneof![
        5 => call.prop_map(|(principal, batch, adapter, seed, shared, own, max_tokens)| {
            Happening::Call { principal, batch, adapter, seed, shared, own, max_tokens }
        }),
        1 => (0..20usize).prop_map(Happening::Leave),
        4 => (1..30usize).prop_map(Happening::Steps),
        1 => Just(Happening::Full),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Whatever comes, goes, waits, gives way or is evicted: every answer is what the model
    /// says to those tokens, and no cell is lost.
    #[test]
    fn no_answer_depends_on_what_else_happens(
        happenings in proptest::collection::vec(happening(), 1..40),
        cells in 130..400usize,
        slots in 1..6u32,
        saved in prop_oneof![Just(0), Just(100), Just(10_000usize)],
        flat in any::<bool>(),
        on_disk in prop_oneof![4 => Just(None), 1 => Just(Some(2000)), 1 => Just(Some(100_000))],
    ) {
        let model = Model::new(cells, of_everything);
        let mut scheduler = scheduler_of(if flat { model.that_is_flat() } else { model }, slots);
        let limits = CacheLimits { saved_bytes: saved, kept_cells: cells / 2, ..scheduler.limits.cache.clone() };
        scheduler.cache = PrefixCache::new(&scheduler.backend, limits);
        let folder = tempfile::tempdir().unwrap();
        if let Some(limit) = on_disk {
            scheduler.attach(disk(&folder, limit));
        }
        let mut answers: Vec<(Option<Inlet>, Vec<Token>, usize)> = Vec::new();
        for happening in happenings {
            match happening {
                Happening::Call { principal, batch, adapter, seed, shared, own, max_tokens } => {
                    let tokens = [text(seed, shared), text(answers.len() as u32 % 4, own)].concat();
                    let (mut new, items) = call_of(if principal { "a" } else { "b" }, tokens.clone(), max_tokens);
                    new.origin.batch = batch;
                    new.origin.adapter = adapter;
                    new.origin.root.adapter = adapter.to_string().into();
                    scheduler.add(new);
                    answers.push((Some(items), tokens, max_tokens));
                }
                Happening::Leave(at) => {
                    if let Some((items, ..)) = answers.get_mut(at) {
                        *items = None;
                    }
                }
                Happening::Steps(steps) => {
                    for _ in 0..steps {
                        scheduler.step(Instant::now());
                        prop_assert!(scheduler.backend.used() <= scheduler.cache.used(), "no cell is overlooked");
                    }
                }
                Happening::Full => scheduler.backend.outcomes.push_back(StepError::NoRoom),
            }
        }
        scheduler.backend.outcomes.clear();
        run(&mut scheduler);
        prop_assert!(scheduler.is_idle());
        for (items, tokens, max_tokens) in answers {
            if let Some(mut items) = items {
                let (text, end) = received(&mut items);
                match end {
                    Some(Ok(_)) => prop_assert_eq!(text, said(&tokens, max_tokens)),
                    // A step that fails for want of room with one call alone ends it.
                    other => prop_assert!(matches!(other, Some(Err(_))), "it has an end"),
                }
            }
        }
        // Blocks that begin alike share those cells, which the books count for each of them.
        prop_assert!(scheduler.backend.used() <= scheduler.cache.used());
        prop_assert!(scheduler.cache.used() <= cells / 2);
        if let Some(limit) = on_disk {
            scheduler.leave(Duration::from_secs(60));
            let mut next = scheduler_of(Model::new(cells, of_everything), slots);
            next.attach(disk(&folder, limit));
            for seed in 0..3 {
                let tokens = [text(seed, 50), text(seed, 9)].concat();
                prop_assert_eq!(answer_of(&mut next, tokens.clone()), said(&tokens, 4));
            }
        }
    }
}
