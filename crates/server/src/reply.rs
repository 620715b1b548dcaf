//! From a call to a response. The first event is awaited before the response head is
//! sent, so that a call which fails early fails with its status and not inside a 200.

use std::future::Future;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use message::{
    BoxService, Call, Completion, Dialect, Dropped, Event, EventStream, Failure, Form, Operation, Reply,
    RequestId, Service,
};

use crate::body::{NewStream, Opening, ResponseBody, Streamed, cut_short, shutting_down};
use crate::phase::{Phase, Shutdown, Watch};
use crate::refuse;

/// Names what the target could not express of the call.
const X_OUTCROP_DROPPED: HeaderName = HeaderName::from_static("x-outcrop-dropped");

/// Bytes of that header at most: proxies on the way commonly bear 8 KiB of headers in all.
const DROPPED_MAX_BYTES: usize = 2 << 10;

/// Sends the call and turns what comes back into a response.
///
/// # Errors
/// Whatever fails before the response head can be sent.
pub(crate) async fn answer(
    call: Call,
    service: &BoxService,
    shutdown: &Shutdown,
    keepalive: Duration,
) -> Result<Response<ResponseBody>, Failure> {
    let mut asked = call.clone();
    until_cut(shutdown, async {
        let mut reply = service.call(call).await?;
        asked.given = reply.priority;
        let first = reply.events.next().await.ok_or_else(cut_short)??;
        if asked.head.stream {
            let cut = Watch::new(shutdown.clone(), Phase::Cutting);
            Ok(stream(asked, reply, Opening { first, cut, keepalive }))
        } else {
            whole(asked, reply, first).await
        }
    })
    .await
}

/// Gives up when the server's time is over.
async fn until_cut<T>(
    shutdown: &Shutdown,
    answer: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let mut answer = std::pin::pin!(answer);
    let mut cut = Watch::new(shutdown.clone(), Phase::Cutting);
    std::future::poll_fn(|cx| match answer.as_mut().poll(cx) {
        Poll::Pending => cut.poll(cx).map(|()| Err(shutting_down())),
        ready => ready,
    })
    .await
}

fn stream(mut asked: Call, reply: Reply, opening: Opening) -> Response<ResponseBody> {
    let Reply { form, dropped, provider_request_id, events, .. } = reply;
    let (status, headers, encoder, home) = match form {
        Form::Home { status, headers } => {
            // Only a failure will be encoded: an open stream need not keep the prompt.
            asked.body = Bytes::new();
            asked.headers = Arc::default();
            (status, headers, dialect::reply_encoder(&asked), true)
        }
        Form::Events => {
            let encoder = dialect::reply_encoder(&asked);
            (StatusCode::OK, HeaderMap::from_iter(encoder.stream_headers()), encoder, false)
        }
    };
    let mut response = head(asked.dialect, status, headers, &asked.id, &dropped);
    refuse::name_provider_request(response.headers_mut(), provider_request_id.as_deref());
    let new = NewStream { opening, events, encoder, home, id: asked.id };
    *response.body_mut() = ResponseBody::streamed(Streamed::new(new));
    response
}

async fn whole(asked: Call, reply: Reply, first: Event) -> Result<Response<ResponseBody>, Failure> {
    let Call { dialect, operation, .. } = asked;
    let Reply { form, dropped, provider_request_id, events, .. } = reply;
    let mut response = match form {
        Form::Home { status, headers } => {
            let body = gather_frames(first, events).await?;
            let mut response = head(dialect, status, headers, &asked.id, &dropped);
            *response.body_mut() = ResponseBody::whole(body);
            response
        }
        Form::Events => {
            let mut encoder = dialect::reply_encoder(&asked);
            let completion = gather_events(first, events).await?;
            if operation == Operation::Chat && completion.finish.is_none() {
                return Err(cut_short());
            }
            let mut response = refuse::respond(dialect, encoder.whole(completion), &asked.id);
            name_dropped(response.headers_mut(), &dropped);
            response
        }
    };
    refuse::name_provider_request(response.headers_mut(), provider_request_id.as_deref());
    Ok(response)
}

fn head(
    dialect: Dialect,
    status: StatusCode,
    headers: HeaderMap,
    id: &RequestId,
    dropped: &[Dropped],
) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::whole(Bytes::new()));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    refuse::name_request(response.headers_mut(), dialect, id);
    name_dropped(response.headers_mut(), dropped);
    response
}

async fn gather_events(first: Event, mut events: EventStream) -> Result<Completion, Failure> {
    let mut completion = Completion::default();
    completion.push(first);
    while let Some(event) = events.next().await {
        completion.push(event?);
    }
    Ok(completion)
}

/// The frames of a forwarded whole answer, joined; usually there is one. The upstream
/// bounds their sum.
async fn gather_frames(first: Event, mut events: EventStream) -> Result<Bytes, Failure> {
    let mut only = frame_bytes(first);
    let mut joined = BytesMut::new();
    while let Some(event) = events.next().await {
        let bytes = frame_bytes(event?);
        if bytes.is_empty() {
            continue;
        }
        if only.is_empty() && joined.is_empty() {
            only = bytes;
            continue;
        }
        joined.extend_from_slice(&std::mem::take(&mut only));
        joined.extend_from_slice(&bytes);
    }
    Ok(if joined.is_empty() { only } else { joined.freeze() })
}

fn frame_bytes(event: Event) -> Bytes {
    match event {
        Event::Frame(frame) => frame.bytes,
        _ => Bytes::new(),
    }
}

/// `messages.0.content (why), …`: as many as fit, then how many more.
fn name_dropped(headers: &mut HeaderMap, dropped: &[Dropped]) {
    let mut text = String::new();
    for (place, Dropped { path, why }) in dropped.iter().enumerate() {
        let entry = format!("{}{path} ({why})", if place == 0 { "" } else { ", " });
        if text.len() + entry.len() > DROPPED_MAX_BYTES {
            text.push_str(&format!(", and {} more", dropped.len() - place));
            break;
        }
        text.push_str(&entry);
    }
    // A path may hold what the client named a field: keep what a header can hold.
    text.retain(|c| c.is_ascii_graphic() || c == ' ');
    if let (false, Ok(value)) = (text.is_empty(), HeaderValue::from_str(&text)) {
        headers.insert(X_OUTCROP_DROPPED, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dropped(path: &str) -> Dropped {
        Dropped { path: path.to_owned(), why: "not known there" }
    }

    #[test]
    fn what_was_dropped_is_named() {
        let mut headers = HeaderMap::new();
        name_dropped(&mut headers, &[dropped("top_k"), dropped("messages.0.cache_control")]);
        assert_eq!(
            headers[X_OUTCROP_DROPPED],
            "top_k (not known there), messages.0.cache_control (not known there)"
        );
    }

    #[test]
    fn the_header_stays_a_header() {
        let mut headers = HeaderMap::new();
        name_dropped(&mut headers, &[]);
        assert!(headers.is_empty());
        name_dropped(&mut headers, &[dropped("a\r\nx: y\u{e9}")]);
        assert_eq!(headers[X_OUTCROP_DROPPED], "ax: y (not known there)");
        let many: Vec<_> = (0..1_000).map(|n| dropped(&format!("messages.{n}"))).collect();
        name_dropped(&mut headers, &many);
        let text = headers[X_OUTCROP_DROPPED].to_str().unwrap();
        assert!(text.len() < DROPPED_MAX_BYTES + 30 && text.ends_with(" more"), "{text}");
    }
}
