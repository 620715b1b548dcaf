//! Kept responses as resources: asked for, forgotten, cancelled.

use std::sync::Arc;

use bytes::Bytes;
use dialect::framing::sse;
use dialect::openai::responses::resource::Command;
use dialect::openai::responses::stored;
use http::Response;
use message::{Dialect, ErrorKind, Failure, Principal, RequestId};
use platform::responses::{Kept, Responses};
use serde_json::{Value, json};

use super::{background, compact, items_of, output_of};
use crate::body::ResponseBody;
use crate::refuse;
use crate::route::Router;

/// A request about kept responses.
pub(crate) struct Asked {
    pub(crate) command: Command,
    pub(crate) principal: Principal,
    pub(crate) id: RequestId,
    pub(crate) body: Bytes,
}

/// Answers it.
///
/// # Errors
/// [`NotFound`](ErrorKind::NotFound) for what is not here, or is another's.
pub(crate) async fn command(
    asked: Asked,
    responses: &Responses,
    router: &Router,
) -> Result<Response<ResponseBody>, Failure> {
    let Asked { command, principal, id: request, body } = asked;
    let owner = &principal.key_id;
    let whole = match command {
        Command::Get { id, events_after: Some(after) } => {
            let job = responses.running().find(owner, &id);
            let Some(job) = job else {
                find(responses, owner, &id).await?;
                return Err(Failure::invalid_field(
                    "stream",
                    "the events of this response are not kept (any more); ask for the response itself",
                ));
            };
            return background::events(&job, after, &principal, request, router).await;
        }
        Command::Get { id, events_after: None } => stored::whole(&current(responses, owner, &id).await?),
        Command::Delete { id } => {
            responses.running().forget(owner, &id);
            if !responses.forget(owner, &id).await? {
                return Err(not_found(&id));
            }
            stored::deleted(&id)
        }
        Command::Cancel { id } => stored::whole(&cancel(responses, owner, &id).await?),
        Command::InputItems { id, page } => {
            let page = page?;
            let kept = find(responses, owner, &id).await?;
            let mut items = Vec::new();
            if let Some(previous) = &kept.previous
                && let Some(turns) = responses.history(owner, previous).await?
            {
                for turn in turns {
                    items.extend(items_of(&turn.input)?);
                    items.extend(output_of(&mut parsed(&turn)?));
                }
            }
            items.extend(items_of(&kept.input)?);
            stored::list(items, &page)
        }
        Command::Compact => compact::answer(&body, &principal, &request, responses, router).await?,
    };
    Ok(refuse::respond(Dialect::OpenAiResponses, whole, &request))
}

async fn find(responses: &Responses, owner: &Arc<str>, id: &str) -> Result<Arc<Kept>, Failure> {
    responses.get(owner, id).await?.ok_or_else(|| not_found(id))
}

fn parsed(kept: &Kept) -> Result<Value, Failure> {
    serde_json::from_str(&kept.response).map_err(Failure::internal)
}

/// A response as it stands now.
async fn current(responses: &Responses, owner: &Arc<str>, id: &str) -> Result<Value, Failure> {
    let mut response = parsed(&*find(responses, owner, id).await?)?;
    if !is_under_way(&response) {
        return Ok(response);
    }
    match responses.running().find(owner, id) {
        Some(job) if !job.has_ended() => response["status"] = "in_progress".into(),
        // It ended between the two looks.
        Some(_) => return parsed(&*find(responses, owner, id).await?),
        None => {
            response["status"] = "failed".into();
            let message = "the server was restarted while it answered; send the request again";
            response["error"] = json!({"code": "server_error", "message": message});
        }
    }
    Ok(response)
}

fn is_under_way(response: &Value) -> bool {
    matches!(response["status"].as_str(), Some("queued" | "in_progress"))
}

async fn cancel(responses: &Responses, owner: &Arc<str>, id: &str) -> Result<Value, Failure> {
    let kept = find(responses, owner, id).await?;
    let mut response = parsed(&kept)?;
    if response["background"] != true {
        return Err(Failure::invalid(
            "only a response in the background can be cancelled; close the connection of others",
        ));
    }
    let job = responses.running().find(owner, id).filter(|job| !job.has_ended());
    if let (true, Some(job)) = (is_under_way(&response), job) {
        job.abort();
        response["status"] = "cancelled".into();
        responses.keep(Kept { response: response.to_string(), ..Kept::clone(&kept) });
        // Whoever reads along must not take it for the end of an answer.
        let last = json!({
            "type": "response.failed",
            "response": response,
            "sequence_number": job.follow().borrow().events,
        });
        let mut out = Vec::new();
        sse::write_event(&mut out, Some("response.failed"), last.to_string().as_bytes());
        job.log(out.into());
        responses.running().end(owner, id);
        return Ok(response);
    }
    current(responses, owner, id).await
}

fn not_found(id: &str) -> Failure {
    const SHOWN_CHARS: usize = 80;
    let shown: String = id.chars().take(SHOWN_CHARS).collect();
    Failure::new(
        ErrorKind::NotFound,
        format!("response `{shown}` was not found: it was not stored, was deleted, or has expired"),
    )
}
