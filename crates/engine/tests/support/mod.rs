//! The real model that these tests run on, and conversations with it.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic here is the report")]

pub mod lora;
mod model;
pub mod reranker;
pub mod same;

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use engine::{Config, Engine};
use futures_util::StreamExt;
use message::{
    Call, Chat, Completion, Dialect, Event, Failure, Head, Message, NewCall, Operation, Principal, Reply,
    RequestId, Role, Service,
};
#[allow(unused_imports, reason = "each test binary uses its own part")]
pub use model::{embedding_model_path, model_path};

/// Small enough for a test machine, large enough for the tests. One thread: tests run
/// side by side, and threads that wait for each other on a busy machine are slow.
pub fn config() -> Config {
    Config { context_tokens: 8192, threads: Some(1), ..Config::default() }
}

/// One engine for all tests of a binary.
pub fn engine() -> Engine {
    static ENGINE: LazyLock<Engine> =
        LazyLock::new(|| Engine::load(&model_path(), "smollm2", config()).expect("the model loads"));
    ENGINE.clone()
}

/// A conversation of one user turn, greedy, with a cap on the answer.
pub fn chat(user: &str, max_tokens: u64) -> Chat {
    let mut chat = Chat::new(Dialect::OpenAiChat);
    chat.messages.push(Message::text(Role::User, user));
    chat.sampling.temperature = Some(0.into());
    chat.sampling.max_tokens = Some(max_tokens);
    chat
}

/// A call that carries `chat`. The decode function must be a plain function, so the
/// conversation travels by number.
pub fn call(operation: Operation, chat: Chat) -> Call {
    static CHATS: LazyLock<std::sync::Mutex<Vec<Chat>>> = LazyLock::new(Default::default);
    let number = {
        let mut chats = CHATS.lock().unwrap();
        chats.push(chat);
        chats.len() - 1
    };
    fn decode(call: &Call) -> Result<Chat, Failure> {
        let number: usize = String::from_utf8_lossy(&call.body).parse().unwrap();
        Ok(CHATS.lock().unwrap()[number].clone())
    }
    Call::new(NewCall {
        id: RequestId::new(number.to_string()),
        operation,
        dialect: Dialect::OpenAiChat,
        head: Head::default(),
        body: Bytes::from(number.to_string()),
        headers: Arc::default(),
        principal: Principal { key_id: "dev".into(), name: "dev".into() },
        received: Instant::now(),
        strict: false,
        decode: message::Decode::Chat(decode),
    })
}

/// Starts a call.
pub async fn begin(engine: &Engine, chat: Chat) -> Result<Reply, Failure> {
    engine.call(call(Operation::Chat, chat)).await
}

/// All events of a call.
pub async fn events(engine: &Engine, chat: Chat) -> Result<Vec<Event>, Failure> {
    let mut stream = begin(engine, chat).await?.events;
    let mut events = Vec::new();
    while let Some(event) = stream.next().await {
        events.push(event?);
    }
    Ok(events)
}

/// The whole answer of a call.
pub async fn complete(engine: &Engine, chat: Chat) -> Result<Completion, Failure> {
    let mut completion = Completion::default();
    events(engine, chat).await?.into_iter().for_each(|event| completion.push(event));
    Ok(completion)
}

/// The text of an answer.
pub fn text(completion: &Completion) -> String {
    completion.content.iter().filter_map(|block| block.as_text()).collect()
}

/// Waits until the engine's figures are as wanted, or fails.
pub async fn until(engine: &Engine, wanted: impl Fn(engine::Stats) -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while !wanted(engine.stats()) {
        assert!(tokio::time::Instant::now() < deadline, "still {:?}", engine.stats());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
