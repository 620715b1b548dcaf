//! The load: keep-alive connections, each sending its next request when the answer to
//! the last is whole. Written on bare sockets so that it costs the machine little.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::Result;
use super::model::{HOLD, TOKENS};

/// A kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Work {
    SmallOpenAi,
    SmallAnthropic,
    LongPrompt,
    Tokens,
    OpenAiToAnthropic,
    AnthropicToOpenAi,
    ConverseToOpenAi,
    ResponsesToAnthropic,
    TokensTranslated,
    OpenStreams,
}

impl Work {
    pub(super) const ALL: [Self; 10] = [
        Self::SmallOpenAi,
        Self::SmallAnthropic,
        Self::LongPrompt,
        Self::Tokens,
        Self::OpenAiToAnthropic,
        Self::AnthropicToOpenAi,
        Self::ConverseToOpenAi,
        Self::ResponsesToAnthropic,
        Self::TokensTranslated,
        Self::OpenStreams,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::SmallOpenAi => "small request, OpenAI, 64 connections",
            Self::SmallAnthropic => "small request, Anthropic, 64 connections",
            Self::LongPrompt => "200 KB prompt, OpenAI, 16 connections",
            Self::Tokens => "streamed token, OpenAI, 64 streams",
            Self::OpenAiToAnthropic => "OpenAI client to Anthropic upstream, 64 connections",
            Self::AnthropicToOpenAi => "Anthropic client to OpenAI upstream, 64 connections",
            Self::ConverseToOpenAi => "Bedrock Converse client to OpenAI upstream, 64 connections",
            Self::ResponsesToAnthropic => "OpenAI Responses client to Anthropic upstream, 64 connections",
            Self::TokensTranslated => "streamed token, Anthropic client to OpenAI upstream, 64 streams",
            Self::OpenStreams => "memory per open stream",
        }
    }

    /// The work as a proxy does it that only forwards: the client speaks the upstream's dialect.
    pub(super) const fn untranslated(self) -> Self {
        match self {
            Self::OpenAiToAnthropic | Self::ResponsesToAnthropic => Self::SmallAnthropic,
            Self::AnthropicToOpenAi | Self::ConverseToOpenAi => Self::SmallOpenAi,
            Self::TokensTranslated => Self::Tokens,
            same => same,
        }
    }

    const fn connections(self) -> usize {
        if matches!(self, Self::LongPrompt) { 16 } else { 64 }
    }

    const fn streams(self) -> bool {
        matches!(self, Self::Tokens | Self::TokensTranslated | Self::OpenStreams)
    }

    /// Units of work in one answer.
    const fn units(self) -> usize {
        if matches!(self, Self::Tokens | Self::TokensTranslated) { TOKENS } else { 1 }
    }

    fn request(self, target: &Target) -> Vec<u8> {
        let model = match self {
            Self::SmallAnthropic | Self::OpenAiToAnthropic | Self::ResponsesToAnthropic => "bench-anthropic",
            _ => "bench-openai",
        };
        let prompt = match self {
            Self::LongPrompt => "The quick brown fox jumps over the lazy dog. ".repeat(200_000 / 45),
            Self::OpenStreams => HOLD.to_owned(),
            _ => "Say hello.".to_owned(),
        };
        let stream = self.streams();
        let body = match self {
            Self::ConverseToOpenAi => format!(
                r#"{{"inferenceConfig":{{"maxTokens":256}},"messages":[{{"role":"user","content":[{{"text":"{prompt}"}}]}}]}}"#
            ),
            Self::ResponsesToAnthropic => {
                format!(r#"{{"model":"{model}","store":false,"max_output_tokens":256,"input":"{prompt}"}}"#)
            }
            _ => format!(
                r#"{{"model":"{model}","stream":{stream},"max_tokens":256,"messages":[{{"role":"user","content":"{prompt}"}}]}}"#
            ),
        };
        let (path, version) = match self {
            Self::SmallAnthropic | Self::AnthropicToOpenAi | Self::TokensTranslated => {
                ("/v1/messages".to_owned(), "anthropic-version: 2023-06-01\r\n")
            }
            Self::ConverseToOpenAi => (format!("/model/{model}/converse"), ""),
            Self::ResponsesToAnthropic => ("/v1/responses".to_owned(), ""),
            _ => ("/v1/chat/completions".to_owned(), ""),
        };
        format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
             accept: */*\r\nuser-agent: bench/1\r\n{version}content-length: {}\r\n\r\n{body}",
            target.address,
            target.key,
            body.len()
        )
        .into_bytes()
    }
}

/// Where to send, and as whom.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) address: SocketAddr,
    pub(super) key: String,
}

/// One work against one proxy.
pub(super) struct Load {
    work: Work,
    target: Target,
    request: Vec<u8>,
}

impl Load {
    pub(super) fn new(work: Work, target: &Target) -> Self {
        Self { work, target: target.clone(), request: work.request(target) }
    }

    /// Sends for this long; returns the units of work done.
    pub(super) async fn run(self, length: Duration) -> Result<usize> {
        let until = Instant::now() + length;
        let mut connections = JoinSet::new();
        for _ in 0..self.work.connections() {
            let (address, request) = (self.target.address, self.request.clone());
            connections.spawn(async move {
                let mut connection = Connection::open(address).await?;
                let mut answers = 0;
                while Instant::now() < until {
                    connection.exchange(&request).await?;
                    answers += 1;
                }
                Ok(answers)
            });
        }
        let mut done = 0;
        while let Some(answers) = connections.join_next().await {
            let answers: Result<usize> = answers?;
            done += answers? * self.work.units();
        }
        Ok(done)
    }
}

/// Opens streams that are held after their first token; they close when dropped.
pub(super) async fn hold_streams(target: &Target, count: usize) -> Result<Vec<TcpStream>> {
    let request = Work::OpenStreams.request(target);
    let mut held = Vec::with_capacity(count);
    for _ in 0..count {
        let mut connection = Connection::open(target.address).await?;
        connection.stream.write_all(&request).await?;
        connection.read_until(|read| contains(read, b" token")).await?;
        held.push(connection.stream);
    }
    Ok(held)
}

struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Vec::with_capacity(16 << 10) })
    }

    /// One request and its whole answer.
    async fn exchange(&mut self, request: &[u8]) -> Result<()> {
        self.stream.write_all(request).await?;
        self.read.clear();
        self.read_until(|read| contains(read, b"\r\n\r\n")).await?;
        if !self.read.starts_with(b"HTTP/1.1 200 ") {
            return Err(format!("not answered with 200: {}", String::from_utf8_lossy(&self.read)).into());
        }
        match content_length(&self.read) {
            Some(whole) => self.read_until(|read| read.len() >= whole).await,
            None => self.read_until(|read| read.ends_with(b"\r\n0\r\n\r\n")).await,
        }
    }

    async fn read_until(&mut self, done: impl Fn(&[u8]) -> bool) -> Result<()> {
        while !done(&self.read) {
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Err(format!("hung up on: {}", String::from_utf8_lossy(&self.read)).into());
            }
        }
        Ok(())
    }
}

/// Bytes of the whole answer, head included.
fn content_length(answer: &[u8]) -> Option<usize> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let length = head.lines().filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok()).flatten()
    });
    Some(end + 4 + length?)
}

fn contains(read: &[u8], wanted: &[u8]) -> bool {
    read.windows(wanted.len()).any(|window| window == wanted)
}
