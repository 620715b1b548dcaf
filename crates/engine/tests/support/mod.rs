//! The real model that these tests run on, and conversations with it.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic here is the report")]

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use bytes::Bytes;
use engine::{Config, Engine};
use futures_util::StreamExt;
use message::{
    Call, Chat, Completion, Dialect, Event, Failure, Head, Message, NewCall, Operation, Principal, Reply,
    RequestId, Role, Service,
};

/// The default model, SmolLM2-135M-Instruct, wherever `outcrop pull` or the variable put it.
pub fn model_path() -> PathBuf {
    if let Some(path) = std::env::var_os("OUTCROP_TEST_MODEL") {
        return PathBuf::from(path);
    }
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let home =
        |variable: &str, below: &str| std::env::var_os(variable).map(|home| PathBuf::from(home).join(below));
    let folders = [
        Some(workspace.join(".cache/models")),
        home("OUTCROP_HOME", "models"),
        home("XDG_DATA_HOME", "outcrop/models"),
        home("HOME", ".local/share/outcrop/models"),
    ];
    folders.into_iter().flatten().find_map(|folder| find(&folder)).unwrap_or_else(|| {
        panic!(
            "these tests run on a real model, and none was found. Fetch it with \
             `cargo run --release -- pull smollm2-135m-instruct`, or set OUTCROP_TEST_MODEL \
             to the path of SmolLM2-135M-Instruct.Q4_1.gguf"
        )
    })
}

/// The model's file in a folder or right below it.
fn find(folder: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?;
    entries.flatten().map(|entry| entry.path()).find_map(|path| {
        let name = path.file_name()?.to_string_lossy().to_lowercase();
        let below = name.contains("smollm2-135m");
        match path.is_dir() {
            true if below => {
                std::fs::read_dir(&path).ok()?.flatten().map(|file| file.path()).find(|file| is_gguf(file))
            }
            _ => (below && is_gguf(&path)).then_some(path),
        }
    })
}

fn is_gguf(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "gguf")
}

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
        decode,
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
