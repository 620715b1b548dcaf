//! Bare prompts, on the real model: continued as they are, without a template.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic here is the report")]

mod support;

use futures_util::StreamExt;
use message::{Block, BlockKind, Completion, ErrorKind, Media, MediaSource, Operation, Service};
use support::{call, chat, complete, engine, text};

#[tokio::test]
async fn a_bare_prompt_is_continued_as_it_is() {
    let engine = engine();
    let prompt = "The capital of France is";
    let mut raw = chat(prompt, 12);
    raw.raw = true;
    let answer = text(&complete(&engine, raw.clone()).await.unwrap());
    let mut events = engine.continue_greedily(prompt, 12).await.unwrap();
    let mut bare = Completion::default();
    while let Some(event) = events.next().await {
        bare.push(event.unwrap());
    }
    assert_eq!(answer, text(&bare));
    let as_turn = text(&complete(&engine, chat(prompt, 12)).await.unwrap());
    assert_ne!(answer, as_turn, "the template would have made it a question");
}

#[tokio::test]
async fn control_tokens_of_a_bare_prompt_are_the_clients_to_write() {
    let engine = engine();
    let turn = "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n\
                <|im_start|>user\nName three colours.<|im_end|>\n<|im_start|>assistant\n";
    let mut raw = chat(turn, 16);
    raw.raw = true;
    let written_out = complete(&engine, raw).await.unwrap();
    let templated = complete(&engine, chat("Name three colours.", 16)).await.unwrap();
    assert_eq!(text(&written_out), text(&templated));
    assert_eq!(written_out.usage.total_input(), templated.usage.total_input());
}

#[tokio::test]
async fn only_text_can_be_continued() {
    let mut raw = chat("Look:", 4);
    raw.raw = true;
    let source = MediaSource::Url("https://example.com/x.png".into());
    let media = Media { media_type: None, name: None, source };
    raw.messages[0].content.push(Block::new(BlockKind::Image(media)));
    let failure = engine().call(call(Operation::Chat, raw)).await.unwrap_err();
    assert_eq!((failure.kind, failure.param.as_deref()), (ErrorKind::Unsupported, Some("prompt")));
}
