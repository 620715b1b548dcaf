//! The engine against llama.cpp's own plain loop, on the same weights and kernels:
//! prompt in one batch, then token by token with llama.cpp's greedy sampler (as its
//! `examples/simple` does). What differs is all ours: batches, cache, sampler, text.

use futures_util::StreamExt;
use llama_cpp_2::sampling::LlamaSampler;
use message::Completion;

use super::*;
use crate::vision::{Part, Pixels, Projector};
use crate::vocabulary::Tokenize;
use crate::{Config, Engine};

#[path = "../../tests/support/model.rs"]
#[allow(clippy::panic, unreachable_pub, reason = "a panic here is the report")]
pub(super) mod model;
#[path = "../../tests/support/projector.rs"]
#[allow(unreachable_pub, reason = "shared with the tests of the engine")]
mod projector;

const TOKENS: usize = 32;

const PROMPTS: [&str; 20] = [
    "The capital of France is",
    "Once upon a time, in a small village,",
    "def fibonacci(n):\n",
    "The three laws of motion are",
    "Dear Sir or Madam,\n\nI am writing to",
    "Water boils at",
    "The mitochondria is",
    "1, 2, 3, 4, 5,",
    "In 1969, humans first",
    "To bake bread, you need",
    "Question: What is the largest planet?\nAnswer:",
    "The opposite of hot is",
    "Roses are red,",
    "import numpy as np\n",
    "SELECT name FROM users WHERE",
    "A good friend is someone who",
    "The theory of evolution explains",
    "Les oiseaux chantent",
    "{\"name\": \"Alice\", \"age\":",
    "The quick brown fox",
];

/// llama.cpp's answer: context, loop and sampler are its own.
fn plain_loop(model: &LoadedModel, prompt: &str) -> String {
    use llama_cpp_2::context::params::LlamaContextParams;
    use llama_cpp_2::llama_batch::LlamaBatch;
    use llama_cpp_2::token::LlamaToken;

    let params = LlamaContextParams::default().with_n_ctx(std::num::NonZeroU32::new(512)).with_n_threads(1);
    let mut context = model.context(params.with_n_threads_batch(1), 512).unwrap();
    let mut sampler = LlamaSampler::chain_simple([LlamaSampler::greedy()]);
    let mut batch = LlamaBatch::new(512, 1);
    let tokens = model.tokenize(prompt, true);
    let last = tokens.len() - 1;
    for (place, &token) in tokens.iter().enumerate() {
        batch.add(LlamaToken(token.cast_signed()), place as i32, &[0], place == last).unwrap();
    }
    let mut bytes = Vec::new();
    for place in tokens.len()..tokens.len() + TOKENS {
        context.decode(&mut batch).unwrap();
        let token = sampler.sample(&context, batch.n_tokens() - 1);
        if model.vocabulary().ends_turn(token.0.cast_unsigned()) {
            break;
        }
        bytes.extend_from_slice(model.vocabulary().piece(token.0.cast_unsigned()));
        batch.clear();
        batch.add(token, place as i32, &[0], true).unwrap();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn ours(engine: &Engine, prompt: &str) -> String {
    let mut events = engine.continue_greedily(prompt, TOKENS).await.unwrap();
    let mut completion = Completion::default();
    while let Some(event) = events.next().await {
        completion.push(event.unwrap());
    }
    completion.content.iter().filter_map(|block| block.as_text()).collect()
}

#[tokio::test]
async fn greedy_output_equals_llama_cpps_own_for_twenty_prompts() {
    let path = model::model_path();
    let config = Config { threads: Some(1), context_tokens: 2048, ..Config::default() };
    let model = LoadedModel::open(&path, &config, &[], |_| ()).unwrap();
    let expected: Vec<String> = PROMPTS.iter().map(|prompt| plain_loop(&model, prompt)).collect();
    let engine = Engine::load(&path, "greedy", config).unwrap();
    for (prompt, expected) in PROMPTS.iter().zip(&expected) {
        assert_eq!(&ours(&engine, prompt).await, expected, "{prompt:?}");
    }
}

/// A text of six blocks of sixteen tokens and a bit.
fn text(model: &LoadedModel) -> Vec<Token> {
    let words =
        "The harbour town lay between two hills, and everybody knew the sound of the bell. ".repeat(9);
    let mut tokens = model.tokenize(&words, false);
    tokens.truncate(6 * 16 + 5);
    tokens
}

fn compute(llama: &mut Llama<'_>, sequence: SequenceId, tokens: &[Token], from: usize) -> Vec<f32> {
    let last = tokens.len() - 1;
    let entry = |position: usize| BatchToken {
        token: tokens[position],
        position: position as u32,
        sequence,
        adapter: 0,
        logits: position == last,
    };
    let mut logits = Vec::new();
    // In steps of sixteen at most, so that no other way of computing is chosen.
    for start in (from..tokens.len()).step_by(16) {
        let batch: Vec<BatchToken> = (start..tokens.len().min(start + 16)).map(entry).collect();
        llama.step(&batch).unwrap();
        if start + 16 > last {
            logits = llama.logits(batch.len() - 1).to_vec();
        }
    }
    logits
}

fn farthest(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn what_is_copied_saved_and_restored_is_the_same_text() {
    let config = Config { threads: Some(1), context_tokens: 512, slots: 4, ..Config::default() };
    let model = LoadedModel::open(&model::model_path(), &config, &[], |_| ()).unwrap();
    let mut llama = Llama::new(&model, &config).unwrap();
    assert!(llama.shares());
    let tokens = text(&model);
    let blocks: Vec<Positions> = (0..6).map(|block| block * 16..block * 16 + 16).collect();
    let computed = compute(&mut llama, 0, &tokens, 0);

    llama.copy(0, 1, 0..96);
    assert_eq!(farthest(&computed, &compute(&mut llama, 1, &tokens, 96)), 0.0, "copied");

    let states: Vec<Vec<u8>> =
        blocks.iter().map(|block| llama.save(0, block.clone()).expect("a state")).collect();
    llama.release(0);
    llama.release(1);
    for (block, state) in blocks.iter().zip(&states) {
        assert!(llama.restore(2, block.clone(), state));
    }
    assert_eq!(farthest(&computed, &compute(&mut llama, 2, &tokens, 96)), 0.0, "restored");

    // The same text, but its cells lie the other way round: another order of the same sums.
    llama.release(2);
    for (block, state) in blocks.iter().zip(&states).rev() {
        assert!(llama.restore(3, block.clone(), state));
    }
    let reversed = farthest(&computed, &compute(&mut llama, 3, &tokens, 96));
    assert!(reversed < 1.0, "the logits moved by {reversed}: that is no rounding");

    // Another text would be heard.
    llama.release(3);
    for (block, state) in blocks.iter().zip(&states).skip(1) {
        assert!(llama.restore(4, block.clone(), state));
    }
    let without = farthest(&computed, &compute(&mut llama, 4, &tokens, 96));
    eprintln!("the other way round: {reversed}; without its first block: {without}");
    assert!(without > 3.0 * reversed, "{without} against {reversed}");
}

#[test]
fn no_bit_changes_with_what_is_computed_and_forgotten_around_a_text() {
    let config = Config { threads: Some(1), context_tokens: 1024, slots: 8, ..Config::default() };
    let model = LoadedModel::open(&model::model_path(), &config, &[], |_| ()).unwrap();
    let tokens = text(&model);
    let mut llama = Llama::new(&model, &config).unwrap();
    let expected: Vec<Vec<f32>> = (40..tokens.len())
        .map(|last| compute(&mut llama, 0, &tokens[..=last], if last == 40 { 0 } else { last }))
        .collect();
    llama.release(0);

    // Eight texts begin and end at different times; now and then one shares a beginning.
    let mut lengths = [0usize; 8];
    let mut moved = 0;
    for turn in 0..300 {
        let sequence = (turn * 5 + turn / 7) % 8;
        if lengths[sequence] == tokens.len() {
            llama.release(sequence as u32);
            lengths[sequence] = 0;
        } else if lengths[sequence] == 0 && turn % 3 == 0 {
            let from = (sequence + 3) % 8;
            lengths[sequence] = lengths[from].min(32);
            llama.copy(from as u32, sequence as u32, 0..lengths[sequence] as u32);
        }
        let start = lengths[sequence];
        let end = if start < 40 { 41 } else { (start + 1 + turn % 2).min(tokens.len()) };
        let cells = llama.cells_in_use();
        let logits = compute(&mut llama, sequence as u32, &tokens[..end], start);
        moved += usize::from(llama.cells_in_use() < cells);
        assert!(logits == expected[end - 41], "turn {turn}, text {sequence} at {end}");
        lengths[sequence] = end;
    }
    assert!(moved > 1, "{moved}");
}

/// A picture and the words around it by llama.cpp's own pipeline: the logits after the last.
fn own_pipeline(model: &LoadedModel, projector: &str, pixels: &Pixels, words: [&str; 2]) -> Vec<f32> {
    use llama_cpp_2::mtmd::{MtmdBitmap, MtmdContext, MtmdContextParams, MtmdInputText, mtmd_default_marker};
    let params = MtmdContextParams { use_gpu: false, n_threads: 1, ..MtmdContextParams::default() };
    let mut mtmd = MtmdContext::init_from_file(projector, model.raw(), &params).unwrap();
    let bitmap = MtmdBitmap::from_image_data(pixels.width(), pixels.height(), pixels.as_raw()).unwrap();
    let text = format!("{}{}{}", words[0], mtmd_default_marker(), words[1]);
    let text = MtmdInputText { text, add_special: false, parse_special: true };
    let chunks = mtmd.tokenize(text, &[&bitmap]).unwrap();
    let params = llama_cpp_2::context::params::LlamaContextParams::default()
        .with_n_ctx(std::num::NonZeroU32::new(512))
        .with_n_threads(1)
        .with_n_threads_batch(1);
    let mut context = model.context(params, 512).unwrap();
    chunks.eval_chunks(&mut mtmd, &mut context, 0, 0, 16, true).unwrap();
    context.get_logits_ith(-1).to_vec()
}

#[test]
fn an_image_is_computed_as_by_llama_cpps_own_pipeline() {
    let folder = tempfile::tempdir().unwrap();
    let path = projector::projector(folder.path());
    let config = Config { threads: Some(1), context_tokens: 512, slots: 4, ..Config::default() };
    let model = std::sync::Arc::new(LoadedModel::open(&model::model_path(), &config, &[], |_| ()).unwrap());
    let mut mtmd = Mtmd::open(&path, &model, &config).unwrap();
    let mut llama = Llama::new(&model, &config).unwrap();
    let words = ["<|im_start|>user\nLook at this: ", " What is it?<|im_end|>\n<|im_start|>assistant\n"];
    let mut seen: Vec<Vec<f32>> = Vec::new();
    for number in 0..3u8 {
        let colour =
            |x: u32, y: u32| image::Rgb([(x * 5) as u8, (y * 3 + x * u32::from(number)) as u8, 90 * number]);
        let pixels = Pixels::from_fn(50, 70, colour);
        let parts = mtmd.parts(&pixels).unwrap();
        assert_eq!(parts, [Part::Rows(projector::ROWS as usize)]);
        let rows = mtmd.rows().unwrap();
        let picture = model.gallery().hang([number; 32], &parts, rows);
        let mut tokens = model.tokenize(words[0], true);
        tokens.extend(&picture.tokens);
        tokens.extend(model.tokenize(words[1], true));
        let ours = compute(&mut llama, 0, &tokens, 0);
        let theirs = own_pipeline(&model, path.to_str().unwrap(), &pixels, words);
        assert_eq!(farthest(&ours, &theirs), 0.0, "picture {number}");
        assert!(seen.iter().all(|other| farthest(&ours, other) > 0.1), "another picture, other logits");
        seen.push(ours);
        llama.release(0);
    }
}
