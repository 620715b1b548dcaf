//! Machines whose steps cost what is said here, and what is made of it.

use super::*;

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// What a machine takes: for a step, for each call that decodes, for each token of a
/// prompt, and for each token that this one looks back at, in short stretches and long.
#[derive(Clone, Copy)]
struct Machine {
    step: f64,
    call: f64,
    token: f64,
    back: f64,
    back_at_once: f64,
}

/// One core, a model of 135 million parameters.
const CORE: Machine = Machine { step: 0.004, call: 0.0075, token: 0.0035, back: 11e-6, back_at_once: 3e-6 };
const GPU: Machine = Machine { step: 0.010, call: 1e-5, token: 1e-5, back: 1e-9, back_at_once: 1e-9 };

impl Machine {
    fn takes(&self, decoding: usize, prompts: &[Stretch]) -> Duration {
        let prompt = |stretch: &Stretch| {
            let back = if stretch.tokens < LONG_STRETCH { self.back } else { self.back_at_once };
            let middle = stretch.position as f64 + stretch.tokens as f64 / 2.0;
            stretch.tokens as f64 * (self.token + back * middle)
        };
        let sum: f64 = prompts.iter().map(prompt).sum();
        seconds(self.step + self.call * decoding as f64 + sum)
    }

    /// A prompt goes through beside so many calls; returns its stretches and their steps.
    fn serve(&self, pace: &mut Pace, decoding: usize, length: usize) -> Vec<(Stretch, Duration)> {
        let (mut position, mut steps) = (0, Vec::new());
        while position < length {
            let mut budget = pace.budget(decoding, 512);
            assert!((0..decoding).all(|_| budget.decode()), "those who decode do");
            let stretch = Stretch { position, tokens: budget.prompt(position, length - position) };
            let prompts = if stretch.tokens > 0 { &[stretch][..] } else { &[] };
            let took = self.takes(decoding, prompts);
            pace.observe(decoding, prompts, took);
            position += stretch.tokens;
            steps.push((stretch, took));
        }
        steps
    }

    /// A pace that knows this machine.
    fn known(&self, target: Option<Duration>) -> Pace {
        let mut pace = Pace::new(target, seconds(0.5));
        for step in 0..100 {
            let decoding = [1, 8, 3][step % 3];
            pace.observe(decoding, &[], self.takes(decoding, &[]));
        }
        self.serve(&mut pace, 0, 1000);
        pace
    }
}

#[test]
fn beside_those_who_decode_no_step_takes_twice_as_long() {
    let mut pace = CORE.known(None);
    let without = CORE.takes(8, &[]);
    let steps = CORE.serve(&mut pace, 8, 4000);
    let mut late: Vec<Duration> = steps.iter().map(|(_, took)| *took).collect();
    late.sort_unstable();
    assert!(late[late.len() * 95 / 100] < without * 2, "{:?} / {without:?}", late.last());
    assert!(late[late.len() / 2] > without * 3 / 2, "and the time there is is used");
}

#[test]
fn a_prompt_alone_goes_in_long_stretches() {
    let mut pace = CORE.known(None);
    let steps = CORE.serve(&mut pace, 0, 4000);
    let ended = |stretch: &Stretch| 4000 - stretch.position < LONG_STRETCH;
    assert!(steps.iter().all(|(stretch, _)| stretch.tokens >= LONG_STRETCH || ended(stretch)));
    let worst = steps.iter().map(|(_, took)| *took).max().unwrap();
    assert!(worst <= seconds(0.5 * LENIENCE + 0.05), "{worst:?}");
}

#[test]
fn where_tokens_cost_next_to_nothing_they_go_in_large_stretches() {
    let mut pace = GPU.known(None);
    let steps = GPU.serve(&mut pace, 8, 4000);
    assert!(steps.len() < 20, "{} steps", steps.len());
}

#[test]
fn a_target_is_kept() {
    let mut pace = CORE.known(Some(seconds(0.3)));
    for (_, took) in CORE.serve(&mut pace, 8, 2000).into_iter().rev().skip(1) {
        assert!((0.02..=0.36).contains(&took.as_secs_f64()), "{took:?}");
    }
    let mut late = CORE.known(Some(seconds(0.001)));
    assert!(CORE.serve(&mut late, 8, 5).len() >= 5, "a prompt always gets on, in the smallest bites");
}

#[test]
fn what_a_step_costs_without_prompts_is_looked_at_again() {
    let mut pace = CORE.known(None);
    let steps = CORE.serve(&mut pace, 8, 4000);
    let quiet = steps.iter().filter(|(stretch, _)| stretch.tokens == 0).count();
    assert!((steps.len() / 20..=steps.len() / 12).contains(&quiet), "{quiet} of {}", steps.len());
}

#[test]
fn the_first_step_tries_something() {
    let pace = Pace::new(None, seconds(0.5));
    assert_eq!(pace.budget(0, 512).prompt(0, 1000), FIRST);
    assert_eq!(pace.budget(4, 512).prompt(0, 1000), 0, "what answers cost alone is seen first");
    assert!(pace.budget(4, 512).decode());
}

#[test]
fn time_that_is_used_up_is_used_up() {
    let pace = CORE.known(None);
    let mut budget = pace.budget(2, 512);
    assert!(budget.prompt(0, 1000) > 0);
    assert!(!budget.decode(), "who is owed more may take it all");
    assert_eq!(budget.prompt(0, 1000), 0);
}

#[test]
fn beside_one_that_decodes_a_prompt_takes_what_nobody_notices() {
    let mut pace = CORE.known(None);
    let steps = CORE.serve(&mut pace, 1, 400);
    let longest = steps.iter().map(|(_, took)| *took).max().unwrap();
    assert!(longest < seconds(UNNOTICED_S * 1.2), "{longest:?}");
    assert!(steps.len() < 200, "{} steps", steps.len());
}

#[test]
fn answers_that_become_longer_are_noticed_beside_a_prompt() {
    let mut pace = CORE.known(None);
    let (mut position, mut late, mut steps) = (0, 0, 0);
    while position < 1500 {
        // Each call looks back at one token more in every step.
        let grown = Machine { call: CORE.call * (1.0 + f64::from(steps) / 300.0), ..CORE };
        let mut budget = pace.budget(8, 512);
        let stretch = Stretch { position, tokens: budget_of(&mut budget, 8, position) };
        let prompts = if stretch.tokens > 0 { &[stretch][..] } else { &[] };
        let (took, without) = (grown.takes(8, prompts), grown.takes(8, &[]));
        pace.observe(8, prompts, took);
        late += u32::from(took > without * 2);
        position += stretch.tokens;
        steps += 1;
    }
    assert!(late * 20 <= steps, "{late} of {steps} steps took twice as long");
    assert!(steps < 500, "{steps} steps: the time there is is used");
}

fn budget_of(budget: &mut Budget<'_>, decoding: usize, position: usize) -> usize {
    assert!((0..decoding).all(|_| budget.decode()));
    budget.prompt(position, 1500 - position)
}
