//! A greedy answer is the same whatever the engine does around it: chunks of the prompt,
//! other calls in the batch, a beginning from the prefix cache, one restored from memory.
//!
//! All of them to the last token, on a CPU: rows of a batch are computed as if they stood
//! alone (`backend/llama.rs`), and a text's cells lie in the order of its tokens
//! (`backend/cells.rs`). Only prompts of 64 tokens and more that are computed in tiles
//! (`exact` is not set) may be answered otherwise; then the test wants to see that the two
//! tokens were nearly as likely.
//!
//! Six prompts, or as many as `OUTCROP_SAME_PROMPTS` says (there are fifty).

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a panic here is the report")]

mod support;

use engine::{Config, Engine, Sharing};
use futures_util::future::join_all;
use message::TokenLogprob;
use support::same::{answer as answer_of, compare};
use support::{config, model_path};

/// Tokens of each answer.
const TOKENS: u64 = 24;

const BEGINNING: &str = "The harbour town lay between two hills, and everybody who lived there knew the \
    sound of the bell that called the boats home when the fog came in from the sea. ";
const SUBJECTS: [&str; 10] = [
    "The baker",
    "An old sailor",
    "Her sister",
    "The mayor",
    "A stranger",
    "The lighthouse keeper",
    "My uncle",
    "The youngest child",
    "A travelling doctor",
    "The blacksmith",
];
const DEEDS: [&str; 5] = [
    "once told me that",
    "never understood why",
    "counted the ships: one, two, three,",
    "wrote a letter that began",
    "always said that the capital of France is",
];

fn prompts() -> Vec<String> {
    let wanted = std::env::var("OUTCROP_SAME_PROMPTS").ok().and_then(|text| text.parse().ok()).unwrap_or(6);
    let all = SUBJECTS.iter().flat_map(|subject| DEEDS.iter().map(move |deed| (subject, deed)));
    // Half of them begin alike.
    let text = |(number, (subject, deed)): (usize, (&&str, &&str))| {
        if number % 2 == 0 { format!("{BEGINNING}{subject} {deed}") } else { format!("{subject} {deed}") }
    };
    all.enumerate().map(text).take(wanted).collect()
}

async fn answer(engine: &Engine, prompt: &str) -> Vec<TokenLogprob> {
    answer_of(engine, prompt, TOKENS).await
}

async fn one_by_one(engine: &Engine, prompts: &[String]) -> Vec<Vec<TokenLogprob>> {
    let mut answers = Vec::new();
    for prompt in prompts {
        answers.push(answer(engine, prompt).await);
    }
    answers
}

fn load(change: impl FnOnce(&mut Config)) -> Engine {
    let mut config = Config { sharing: Sharing::Nobody, context_tokens: 4096, ..config() };
    change(&mut config);
    Engine::load(&model_path(), "same", config).unwrap()
}

#[tokio::test]
async fn nothing_around_a_call_changes_its_answer() {
    let prompts = prompts();
    let expected = one_by_one(
        &load(|config| {
            config.slots = 1;
            config.speculate = false;
        }),
        &prompts,
    )
    .await;

    let chunks = load(|config| config.prefill_tokens = 7);
    compare("in chunks of seven", true, &expected, &one_by_one(&chunks, &prompts).await);
    drop(chunks);

    let batched = load(|config| config.slots = 16);
    let together = join_all(prompts.iter().map(|prompt| answer(&batched, prompt))).await;
    compare("all at once", true, &expected, &together);
    drop(batched);

    let shared = load(|config| config.sharing = Sharing::Everyone);
    one_by_one(&shared, &prompts).await;
    let reused = shared.stats().reused_tokens;
    compare("from the prefix cache", true, &expected, &one_by_one(&shared, &prompts).await);
    assert!(shared.stats().reused_tokens > reused);
    drop(shared);

    let small = load(|config| {
        config.sharing = Sharing::Everyone;
        config.context_tokens = 128;
        config.kept_tokens = Some(16);
    });
    one_by_one(&small, &prompts).await;
    compare("restored from memory", true, &expected, &one_by_one(&small, &prompts).await);
    assert!(small.stats().restored_tokens > 0);
    drop(small);

    let folder = tempfile::tempdir().unwrap();
    let lasting = || {
        load(|config| {
            config.sharing = Sharing::Everyone;
            config.saved_disk_mib = 64;
            config.saved_folder = Some(folder.path().to_owned());
        })
    };
    one_by_one(&lasting(), &prompts).await;
    let next = lasting();
    compare("from disk, by the next worker", true, &expected, &one_by_one(&next, &prompts).await);
    assert!(next.stats().restored_tokens > 0);
    drop(next);

    let all = load(|config| {
        config.sharing = Sharing::Everyone;
        config.context_tokens = 512;
        config.prefill_tokens = 9;
    });
    for round in ["everything at once", "everything at once, again"] {
        let together = join_all(prompts.iter().map(|prompt| answer(&all, prompt))).await;
        compare(round, true, &expected, &together);
    }
    drop(all);

    // Longer than what several threads share among them (512), and than a tile.
    let long: Vec<String> =
        prompts.iter().take(2).map(|prompt| format!("{}{prompt}", BEGINNING.repeat(15))).collect();
    let expected = one_by_one(&load(|config| config.threads = Some(1)), &long).await;
    let chunks = load(|config| config.prefill_tokens = 7);
    compare("long ones, in chunks of seven", true, &expected, &one_by_one(&chunks, &long).await);
    drop(chunks);
    let two = |prefill_tokens| {
        load(|config| {
            config.threads = Some(2);
            config.prefill_tokens = prefill_tokens;
        })
    };
    let by_two = one_by_one(&two(512), &long).await;
    let together = two(7);
    let together = join_all(long.iter().map(|prompt| answer(&together, prompt))).await;
    compare("long ones, by two threads", true, &by_two, &together);
    let tiles = load(|config| config.exact = false);
    compare("long ones, in tiles", false, &expected, &one_by_one(&tiles, &long).await);
}

/// Answers that repeat their prompt, with several tokens a step and without.
#[tokio::test]
async fn guesses_change_no_answer() {
    let list = "apple, pear, plum, fig, quince, medlar, cherry, lemon, lime, orange";
    let prompts: Vec<String> =
        [list, "1 2 3 4 5 6 7 8 9 10 11 12", "He said no. She said yes. They said nothing."]
            .iter()
            .map(|text| format!("Once more: {text}. Once more: {text}. Once more: {text}. Once more:"))
            .collect();
    let expected = one_by_one(&load(|config| config.speculate = false), &prompts).await;
    let guessing = load(|_| ());
    compare("with guesses, one by one", true, &expected, &one_by_one(&guessing, &prompts).await);
    let together = join_all(prompts.iter().map(|prompt| answer(&guessing, prompt))).await;
    compare("with guesses, all at once", true, &expected, &together);
    let stats = guessing.stats();
    eprintln!("{} of {} guesses were right", stats.confirmed_tokens, stats.guessed_tokens);
    assert!(stats.guessed_tokens > 0);
}
