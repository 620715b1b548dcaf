//! Responses answered while their clients are away.
//!
//! A task of its own asks the model for a stream and writes its events to a log, under the
//! id that the client was given at once (a vendor that answers has another: it is replaced
//! in every event). Clients poll the response, or read the log from any place.

use std::sync::Arc;

use bytes::Bytes;
use dialect::framing::sse;
use dialect::openai::responses::reply::response_id;
use dialect::openai::responses::stored;
use futures_util::{StreamExt, stream};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Response, StatusCode};
use message::{
    BoxService, Call, Dialect, ErrorKind, Event, EventStream, Failure, Form, Frame, Head, NewCall, Operation,
    Principal, Priority, Reply, RequestId, Service, service_fn,
};
use platform::responses::running::Job;
use serde_json::Value;

use super::{Keep, with_body};
use crate::body::{ResponseBody, cut_short};
use crate::refuse;
use crate::reply;
use crate::route::Router;

/// Begins to answer, and tells the client how to find it.
///
/// # Errors
/// [`Overloaded`](ErrorKind::Overloaded) when too many are under way;
/// [`InvalidRequest`](ErrorKind::InvalidRequest) for a body that cannot be read.
pub(super) async fn answer(
    call: Call,
    keep: Keep,
    router: &Router,
) -> Result<Response<ResponseBody>, Failure> {
    let queued = stored::queued(&call)?;
    let wants_events = call.head.stream;
    let (id, principal, request) = (response_id(&call), call.principal.clone(), call.id.clone());
    let body = stored::in_foreground(&call.body)?;
    let previous = keep.previous.clone();
    let call = with_body(call, body, previous.as_deref())?;
    // What the model cannot be asked is said now, not later to nobody.
    let job = keep.responses.running().begin(&principal.key_id, &id)?;
    keep.response(&call, &queued);
    let work = Work { id: id.clone(), service: router.gateway.service.clone(), job: Arc::clone(&job), keep };
    let task = tokio::spawn(work.run(call));
    job.answered_by(task.abort_handle());
    if wants_events {
        return events(&job, -1, &principal, request, router).await;
    }
    Ok(refuse::respond(Dialect::OpenAiResponses, stored::whole(&queued), &request))
}

/// The events of a response from after a number on: those that came, and those that come.
///
/// # Errors
/// [`Unsupported`](ErrorKind::Unsupported) when they are too many to be kept.
pub(super) async fn events(
    job: &Arc<Job>,
    after: i64,
    principal: &Principal,
    request: RequestId,
    router: &Router,
) -> Result<Response<ResponseBody>, Failure> {
    let place = usize::try_from(after.saturating_add(1)).unwrap_or(0);
    let job = Arc::clone(job);
    let service = BoxService::new(service_fn(move |_| {
        let events = follow(Arc::clone(&job), place);
        async move {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            let form = Form::Home { status: StatusCode::OK, headers };
            let (dropped, provider_request_id) = (Vec::new(), None);
            Ok(Reply {
                form,
                model: "".into(),
                priority: Priority::Interactive,
                dropped,
                provider_request_id,
                events,
            })
        }
    }));
    reply::answer(reader(principal, request), &service, &router.shutdown, router.keepalive).await
}

/// Somebody who reads a log: as far as replies are concerned, a caller.
fn reader(principal: &Principal, id: RequestId) -> Call {
    let undecodable = |_: &Call| Err(Failure::unsupported("a reader of events asks nothing of a model"));
    Call::new(NewCall {
        id,
        operation: Operation::Chat,
        dialect: Dialect::OpenAiResponses,
        head: Head { stream: true, ..Head::default() },
        body: Bytes::from_static(b"{}"),
        headers: Arc::default(),
        principal: principal.clone(),
        received: std::time::Instant::now(),
        strict: false,
        decode: message::Decode::Chat(undecodable),
    })
}

fn follow(job: Arc<Job>, place: usize) -> EventStream {
    let grown = job.follow();
    let events = stream::unfold((job, grown, Some(place)), |(job, mut grown, place)| async move {
        let place = place?;
        let reached = grown.wait_for(|progress| progress.events > place || progress.ended).await;
        let ended = reached.map_or(true, |progress| progress.events <= place);
        let event = match job.event(place) {
            Some(bytes) => Ok(Event::Frame(Frame { bytes, seen: None })),
            None if job.is_too_long() => Err(Failure::new(
                ErrorKind::Unsupported,
                "the answer is so long that its events are not kept; ask for the response itself",
            )),
            None if ended => return None,
            None => Err(cut_short()),
        };
        let next = event.is_ok().then_some(place + 1);
        Some((event, (job, grown, next)))
    });
    Box::pin(events)
}

/// One response to be answered.
struct Work {
    id: String,
    service: BoxService,
    job: Arc<Job>,
    keep: Keep,
}

impl Work {
    async fn run(self, call: Call) {
        let ended = Ended { keep: self.keep.clone(), call: call.clone(), id: self.id.clone() };
        let mut encoder = dialect::reply_encoder(&call);
        let mut out = Vec::new();
        let mut parser = sse::Parser::new();
        let outcome = self.read(&call, encoder.as_mut(), &mut parser).await;
        if let Err(failure) = outcome {
            refuse::log(&failure, &call.id);
            encoder.failure(&failure, &mut out);
            self.take(out.into(), &mut parser, &call);
        }
        drop(ended);
    }

    /// Asks the model and logs what comes.
    async fn read(
        &self,
        call: &Call,
        encoder: &mut dyn dialect::ReplyEncoder,
        parser: &mut sse::Parser,
    ) -> Result<(), Failure> {
        let mut reply = self.service.call(call.clone()).await?;
        let mut finished = matches!(reply.form, Form::Home { .. });
        while let Some(event) = reply.events.next().await {
            let bytes = match event? {
                Event::Frame(frame) => frame.bytes,
                event => {
                    finished |= matches!(event, Event::Finish { .. });
                    let mut out = Vec::new();
                    encoder.event(event, &mut out);
                    out.into()
                }
            };
            self.take(bytes, parser, call);
        }
        if !finished {
            return Err(cut_short());
        }
        if matches!(reply.form, Form::Events) {
            let mut out = Vec::new();
            encoder.end(&mut out);
            self.take(out.into(), parser, call);
        }
        Ok(())
    }

    /// Logs whole events under our own id; the last one's response is kept.
    fn take(&self, bytes: Bytes, parser: &mut sse::Parser, call: &Call) {
        if bytes.is_empty() {
            return;
        }
        parser.push(bytes);
        while let Ok(Some(event)) = parser.next() {
            let is_last = super::record::is_last(&event);
            let Ok(mut data) = serde_json::from_slice::<Value>(&event.data) else { continue };
            if let Some(Value::Object(response)) = data.get_mut("response") {
                response.insert("id".to_owned(), self.id.as_str().into());
                response.insert("background".to_owned(), true.into());
                if is_last {
                    self.keep.response(call, &data["response"]);
                }
            }
            let mut out = Vec::new();
            let name = event.event.as_deref().map(String::from_utf8_lossy);
            sse::write_event(&mut out, name.as_deref(), data.to_string().as_bytes());
            self.job.log(out.into());
        }
    }
}

/// However the task ends, readers of its log learn of it.
struct Ended {
    keep: Keep,
    call: Call,
    id: String,
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.keep.responses.running().end(&self.call.principal.key_id, &self.id);
    }
}
