//! Answers that repeat what was said before.

use super::*;

/// After any ten letters come the first ten again: a text that goes in circles.
fn circles(tokens: &[Token]) -> Token {
    tokens[tokens.len() - 10]
}

fn ask(scheduler: &mut Scheduler<Model>, max_tokens: usize) -> Inlet {
    let (mut new, items) = call_with_room(10, b'a', max_tokens, 1000);
    new.tokens = (0..10).collect();
    new.sampler = Sampler::new(SamplingParams::default(), &new.tokens);
    scheduler.add(new);
    items
}

fn expected(max_tokens: usize) -> String {
    (0..10u8).cycle().take(max_tokens).map(|letter| char::from(b'a' + letter)).collect()
}

fn counted(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

#[test]
fn what_is_repeated_comes_in_fewer_steps() {
    let mut scheduler = scheduler_of(Model::new(400, circles).that_is_flat(), 2);
    let mut items = ask(&mut scheduler, 200);
    let steps = run(&mut scheduler);
    assert_eq!(received(&mut items), (expected(200), Some(Ok(FinishReason::MaxTokens))));
    assert!(steps < 60, "{steps} steps for 200 tokens");
    assert_eq!(counted(&scheduler.counters.decoded), 200);
    assert_eq!(counted(&scheduler.counters.guessed), counted(&scheduler.counters.confirmed));
    assert_eq!(scheduler.backend.used(), scheduler.cache.used());
}

#[test]
fn where_a_row_costs_what_it_brings_little_is_guessed() {
    let mut scheduler = scheduler_of(Model::new(400, circles), 2);
    let mut items = ask(&mut scheduler, 200);
    run(&mut scheduler);
    assert_eq!(received(&mut items).0, expected(200));
    let guessed = counted(&scheduler.counters.guessed);
    assert!((1..=20).contains(&guessed), "only to see what it costs: {guessed}");
}

#[test]
fn nothing_is_guessed_that_was_not_wished() {
    let mut scheduler = scheduler_of(Model::new(400, circles).that_is_flat(), 2);
    scheduler.limits.speculate = false;
    let mut items = ask(&mut scheduler, 50);
    run(&mut scheduler);
    assert_eq!((received(&mut items).0, counted(&scheduler.counters.guessed)), (expected(50), 0));
}

#[test]
fn wrong_guesses_leave_no_trace() {
    // Every tenth letter is another than last time.
    fn nearly(tokens: &[Token]) -> Token {
        match tokens.len() % 10 {
            0 => (tokens.len() / 10 % 10) as Token + 10,
            _ => circles(tokens),
        }
    }
    let answer = |model: Model| {
        let mut scheduler = scheduler_of(model, 2);
        let mut items = ask(&mut scheduler, 350);
        run(&mut scheduler);
        assert_eq!(scheduler.backend.used(), scheduler.cache.used());
        (received(&mut items).0, counted(&scheduler.counters.guessed), counted(&scheduler.counters.confirmed))
    };
    let (plain, ..) = answer(Model::new(400, nearly));
    let (guessed, made, right) = answer(Model::new(400, nearly).that_is_flat());
    assert_eq!(guessed, plain);
    assert!(right > 50 && made > right, "{right} of {made}");
}
