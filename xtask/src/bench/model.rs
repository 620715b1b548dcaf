//! A model server that answers at once with the same words, so that all time is the
//! proxy's. Speaks both dialects that upstreams speak. A word in the prompt chooses
//! what it does, since a gateway forwards prompts but not every header.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::Result;
use super::children::announce;

/// In a prompt: stream one token, then hold the stream open.
pub(super) const HOLD: &str = "HOLD";

/// Tokens of a stream that is not held.
pub(super) const TOKENS: usize = 200;

/// Between two tokens: 64 streams make 12,800 tokens a second, within what two cores bear.
const TOKEN_INTERVAL: Duration = Duration::from_millis(5);

pub(super) async fn serve() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    announce(&listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)).await;
        });
    }
}

type Reply = Response<BoxBody<Bytes, Infallible>>;

async fn answer(request: Request<Incoming>) -> std::result::Result<Reply, hyper::Error> {
    let anthropic = request.uri().path().ends_with("/messages");
    let body = request.into_body().collect().await?.to_bytes();
    // Both words stand within the first bytes of what the load sends.
    let head = String::from_utf8_lossy(&body[..body.len().min(400)]).into_owned();
    let words = if anthropic { &ANTHROPIC } else { &OPENAI };
    let (kind, body) = if head.contains("\"stream\":true") {
        ("text/event-stream", BodyExt::boxed(Tokens::new(words, head.contains(HOLD))))
    } else {
        ("application/json", BodyExt::boxed(Full::new(Bytes::from_static(words.whole.as_bytes()))))
    };
    let mut reply = Response::new(body);
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(reply)
}

/// What is said in one dialect.
struct Words {
    whole: &'static str,
    first: &'static str,
    token: &'static str,
    last: &'static str,
}

const OPENAI: Words = Words {
    whole: r#"{"id":"chatcmpl-bench","object":"chat.completion","created":1700000000,"model":"bench","choices":[{"index":0,"message":{"role":"assistant","content":"Hello! How can I help you today?"},"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":9,"total_tokens":21}}"#,
    first: "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"bench\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n",
    token: "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"bench\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" token\"},\"finish_reason\":null}]}\n\n",
    last: "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"bench\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":200,\"total_tokens\":212}}\n\ndata: [DONE]\n\n",
};

const ANTHROPIC: Words = Words {
    whole: r#"{"id":"msg_bench","type":"message","role":"assistant","model":"bench","content":[{"type":"text","text":"Hello! How can I help you today?"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":12,"output_tokens":9}}"#,
    first: "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_bench\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"bench\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":12,\"output_tokens\":1}}}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
    token: "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\" token\"}}\n\n",
    last: "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":200}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
};

/// A stream of tokens at a steady pace.
struct Tokens {
    words: &'static Words,
    said: usize,
    hold: bool,
    pace: Interval,
}

impl Tokens {
    fn new(words: &'static Words, hold: bool) -> Self {
        let mut pace = interval(TOKEN_INTERVAL);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { words, said: 0, hold, pace }
    }
}

impl Body for Tokens {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Infallible>>> {
        if self.hold && self.said > 1 {
            return Poll::Pending;
        }
        if self.said > 0 && self.pace.poll_tick(cx).is_pending() {
            return Poll::Pending;
        }
        let text = match self.said {
            0 => self.words.first,
            said if said <= TOKENS => self.words.token,
            said if said == TOKENS + 1 => self.words.last,
            _ => return Poll::Ready(None),
        };
        self.said += 1;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(text.as_bytes())))))
    }
}
