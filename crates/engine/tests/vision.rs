//! Images, on the real language model and a projector with numbers by chance: what it says of
//! an image means nothing, but it must depend on the image, on all of it, and on nothing else.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic here is the report")]

#[path = "support/projector.rs"]
#[allow(unreachable_pub, reason = "shared with unit tests")]
mod projector;
mod support;

use std::sync::LazyLock;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use engine::{Config, Engine, LoadError};
use futures_util::StreamExt;
use futures_util::future::join_all;
use message::{
    Block, BlockKind, Chat, Completion, Delta, ErrorKind, Event, Media, MediaSource, Operation, Service,
    TokenLogprob,
};
use projector::ROWS;
use support::{chat, complete, config, events, model_path};

fn load(config: Config) -> Engine {
    static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());
    static PROJECTOR: LazyLock<std::path::PathBuf> = LazyLock::new(|| projector::projector(FOLDER.path()));
    Engine::load_seeing(&model_path(), Some(&PROJECTOR), "seeing", config).unwrap()
}

/// One for all tests that do not count what it did.
fn engine() -> Engine {
    static ENGINE: LazyLock<Engine> = LazyLock::new(|| load(config()));
    ENGINE.clone()
}

/// A picture as a file: bands of colours that depend on `seed`.
fn png(seed: u32) -> String {
    let picture = image::RgbImage::from_fn(60, 40, |x, y| {
        let wave = |times: u32| ((x * times + y * (seed % 7 + 1)).wrapping_mul(seed + 3) / 5 % 256) as u8;
        image::Rgb([wave(2), wave(3), (seed * 37 % 256) as u8])
    });
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    BASE64_STANDARD.encode(bytes.into_inner())
}

fn shown(source: MediaSource) -> Block {
    Block::new(BlockKind::Image(Media { media_type: Some("image/png".into()), name: None, source }))
}

/// A question about a picture, with logprobs so that the least difference shows.
fn about(seed: u32, question: &str) -> Chat {
    let mut chat = chat(question, 6);
    chat.messages[0].content.insert(0, shown(MediaSource::Base64(png(seed))));
    chat.sampling.logprobs = Some(5);
    chat
}

const WHAT: &str = "What do you see?";

/// What was said, to the bit.
async fn said(engine: &Engine, chat: Chat) -> (Vec<TokenLogprob>, Completion) {
    let events = events(engine, chat).await.unwrap();
    let mut completion = Completion::default();
    let mut logprobs = Vec::new();
    for event in events {
        if let Event::Delta { delta: Delta::Text { logprobs: some, .. }, .. } = &event {
            logprobs.extend(some.iter().cloned());
        }
        completion.push(event);
    }
    (logprobs, completion)
}

#[tokio::test]
async fn an_answer_depends_on_the_image_and_on_nothing_else() {
    let engine = engine();
    let (first, _) = said(&engine, about(1, WHAT)).await;
    assert!(!first.is_empty());
    let (other, _) = said(&engine, about(2, WHAT)).await;
    assert_ne!(first, other, "another image");
    let (again, _) = said(&engine, about(1, WHAT)).await;
    assert_eq!(first, again, "the first again, after the second");
    let mut none = chat(WHAT, 6);
    none.sampling.logprobs = Some(5);
    assert_ne!(first, said(&engine, none).await.0, "no image");
}

#[tokio::test]
async fn what_was_computed_of_an_image_is_not_computed_again() {
    let engine = load(config());
    let (first, fresh) = said(&engine, about(3, WHAT)).await;
    assert_eq!(fresh.usage.cache_read_tokens, 0);
    let (again, cached) = said(&engine, about(3, WHAT)).await;
    assert_eq!(first, again, "bit for bit");
    assert!(cached.usage.cache_read_tokens > ROWS, "the image's rows, too: {:?}", cached.usage);
    assert_eq!(
        cached.usage.input_tokens + cached.usage.cache_read_tokens,
        fresh.usage.input_tokens,
        "cached or not, they are the same tokens"
    );
    let (_, another) = said(&engine, about(4, WHAT)).await;
    assert!(another.usage.cache_read_tokens < ROWS, "no row of another image: {:?}", another.usage);
}

#[tokio::test]
async fn how_a_prompt_is_cut_changes_nothing() {
    let (whole, _) = said(&engine(), about(5, WHAT)).await;
    for prefill_tokens in [1, 7, 16] {
        let (pieces, _) = said(&load(Config { prefill_tokens, ..config() }), about(5, WHAT)).await;
        assert_eq!(whole, pieces, "in steps of {prefill_tokens}");
    }
}

#[tokio::test]
async fn company_changes_nothing() {
    let asked = || {
        let mut two = about(6, "Compare them.");
        two.messages[0].content.insert(1, shown(MediaSource::Base64(png(7))));
        let mut words = chat("Count from one to ten.", 6);
        words.sampling.logprobs = Some(5);
        vec![two, about(7, WHAT), words, about(8, "And this?"), about(6, WHAT)]
    };
    let mut alone = Vec::new();
    for chat in asked() {
        alone.push(said(&load(config()), chat).await.0);
    }
    let engine = load(config());
    let together = join_all(asked().into_iter().map(|chat| said(&engine, chat))).await;
    for (at, (alone, (together, _))) in alone.iter().zip(&together).enumerate() {
        assert_eq!(alone, together, "call {at}");
    }
}

#[tokio::test]
async fn images_that_lost_their_cells_are_computed_again() {
    // Room for one of the calls at a time, and memory for nothing that was evicted.
    let small = Config { context_tokens: 256, saved_mib: 0, images_mib: 0, ..config() };
    let engine = load(small);
    let mut expected = Vec::new();
    for seed in 20..24 {
        expected.push(said(&engine, about(seed, WHAT)).await.0);
    }
    let calls = (20..24).map(|seed| said(&engine, about(seed, WHAT)));
    for (expected, (said, _)) in expected.iter().zip(join_all(calls).await) {
        assert_eq!(*expected, said);
    }
}

#[tokio::test]
async fn rows_count_as_tokens_before_and_after() {
    let engine = engine();
    let count = async |chat: Chat| {
        let reply = engine.call(support::call(Operation::CountTokens, chat)).await.unwrap();
        let mut counted = Completion::default();
        reply.events.collect::<Vec<_>>().await.into_iter().for_each(|event| counted.push(event.unwrap()));
        counted.usage.input_tokens
    };
    let counted = count(about(9, WHAT)).await;
    let words = count(chat(WHAT, 1)).await;
    // Beside the rows, a line ends between the image and the words.
    assert!((words + ROWS..words + ROWS + 3).contains(&counted), "{counted} against {words}");
    let answer = complete(&engine, about(9, WHAT)).await.unwrap();
    assert_eq!(answer.usage.input_tokens + answer.usage.cache_read_tokens, counted);
}

#[tokio::test]
async fn what_cannot_be_seen_is_refused_and_says_why() {
    let engine = engine();
    let refused = async |source: MediaSource| {
        let mut chat = about(1, WHAT);
        chat.messages[0].content.push(shown(source));
        complete(&engine, chat).await.unwrap_err()
    };
    let url = refused(MediaSource::Url("https://example.com/cat.png".into())).await;
    assert_eq!(url.kind, ErrorKind::Unsupported);
    assert!(url.message.contains("messages.0.content.2") && url.message.contains("base64"), "{url:?}");
    for (what, says) in [("aGVsbG8=", "PNG, JPEG, WebP or GIF"), ("iVBORw0KGgo=", "damaged"), ("*", "base64")]
    {
        let failure = refused(MediaSource::Base64(what.into())).await;
        assert_eq!(failure.kind, ErrorKind::InvalidRequest);
        assert!(failure.message.contains(says), "{failure:?}");
    }
    let many = |count| {
        let mut chat = chat(WHAT, 1);
        chat.messages[0].content = (0..count).map(|_| shown(MediaSource::Base64(png(1)))).collect();
        chat
    };
    let failure = complete(&engine, many(101)).await.unwrap_err();
    assert!(failure.message.contains("at most 100 images"), "{failure:?}");
    let small = load(Config { context_tokens: 256, ..config() });
    let failure = complete(&small, many(20)).await.unwrap_err();
    assert_eq!(failure.kind, ErrorKind::ContextOverflow, "{failure:?}");
    let failure = complete(&support::engine(), about(1, WHAT)).await.unwrap_err();
    assert!(failure.message.contains("text only"), "a model without a projector: {failure:?}");
    complete(&engine, about(1, WHAT)).await.unwrap();
}

#[tokio::test]
async fn a_projector_of_another_model_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let load = |path: &std::path::Path| {
        Engine::load_seeing(&model_path(), Some(path), "m", config()).err().map(|error| error.to_string())
    };
    let other = projector::write(folder.path(), 512);
    let why = load(&other).unwrap();
    assert!(why.contains("mmproj-512.gguf") && why.contains("512"), "{why}");
    let cut = folder.path().join("cut.gguf");
    std::fs::write(&cut, &std::fs::read(&other).unwrap()[..2000]).unwrap();
    assert!(load(&cut).unwrap().contains("cut.gguf"));
    std::fs::write(&cut, "no projector").unwrap();
    let error = Engine::load_seeing(&model_path(), Some(&cut), "m", config()).unwrap_err();
    assert!(matches!(error, LoadError::NotGguf { .. }), "{error}");
    let why = load(&model_path()).unwrap();
    assert!(why.contains("cannot be used"), "a language model is no projector: {why}");
}

#[tokio::test]
async fn it_says_of_itself_that_it_sees() {
    assert!(engine().model().unwrap().images);
    assert!(!support::engine().model().unwrap().images);
}
