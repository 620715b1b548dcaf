//! The engine against llama.cpp's own plain loop, on the same weights and kernels:
//! prompt in one batch, then token by token with llama.cpp's greedy sampler (as its
//! `examples/simple` does). What differs is all ours: batches, cache, sampler, text.

use futures_util::StreamExt;
use llama_cpp_2::sampling::LlamaSampler;
use message::Completion;

use super::llama::llama_cpp;
use super::*;
use crate::vocabulary::Tokenize;
use crate::{Config, Engine};

#[path = "../../tests/support/model.rs"]
#[allow(clippy::panic, unreachable_pub, reason = "a panic here is the report")]
mod model;

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
    let mut context = model.raw().new_context(llama_cpp(), params.with_n_threads_batch(1)).unwrap();
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
    let model = LoadedModel::open(&path, &config, |_| ()).unwrap();
    let expected: Vec<String> = PROMPTS.iter().map(|prompt| plain_loop(&model, prompt)).collect();
    let engine = Engine::load(&path, "greedy", config).unwrap();
    for (prompt, expected) in PROMPTS.iter().zip(&expected) {
        assert_eq!(&ours(&engine, prompt).await, expected, "{prompt:?}");
    }
}
